#!/usr/bin/env bash
# Record the fixtures again on this machine's kernel. Host name and cgroup are those of namespaces made for it, since
# recordings carry both and these are published; the paths of clone and programs they carry too, so record from a place
# that says nothing of you (fixtures/README.md).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh python recording programs
exec unshare --cgroup --uts bash -c 'hostname recorder && exec .venv/bin/python -m fixtures.record "$@"' fixtures "$@"
