#!/usr/bin/env bash
# Record a real server from the kernel and replay it; where that cannot be, replay the shipped recording and say so.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh python recording
exec .venv/bin/python -m scripts.demo
