#!/usr/bin/env bash
# This project beside its alternatives, as ratios: writes docs/performance.md (ARGUMENTS: --full for the long form).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh python recording programs peers
exec .venv/bin/python -m benchmarks "$@"
