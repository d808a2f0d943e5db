#!/usr/bin/env bash
# Compile the kernel program and load it without recording; arguments are further compiler flags.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh python recording
exec .venv/bin/python -m recorder.build "$@"
