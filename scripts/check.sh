#!/usr/bin/env bash
# What a reviewer should not have to say: lint, format, types.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh python
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
if command -v vagrant >/dev/null; then
    VAGRANT_CHECKPOINT_DISABLE=1 vagrant validate
    VAGRANT_CHECKPOINT_DISABLE=1 EBPF_REC_VM=emulated vagrant validate
else
    echo 'check: the Vagrantfile is not validated: vagrant is not installed' >&2
fi
