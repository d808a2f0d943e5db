#!/usr/bin/env bash
# Record each program once and write what was captured, what is missing and what the kernel counted.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh python recording programs
exec .venv/bin/python -m fixtures.completeness
