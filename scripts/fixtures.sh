#!/usr/bin/env bash
# Record the fixtures again on this machine's kernel.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh python recording programs
exec .venv/bin/python -m fixtures.record "$@"
