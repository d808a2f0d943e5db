#!/usr/bin/env bash
# What a reviewer should not have to say: lint, format, types.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh python
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
