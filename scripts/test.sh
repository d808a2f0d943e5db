#!/usr/bin/env bash
# All tests, with their own set-up. The live ones skip themselves, and say why, where the kernel cannot be recorded.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh python recording programs
exec .venv/bin/python -m pytest "$@"
