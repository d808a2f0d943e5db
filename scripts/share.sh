#!/usr/bin/env bash
# Man pages and shell completions, made from the parsers, into a folder laid out like /usr/share (ARGUMENT: the folder).
# What is in docs/share goes into the wheel, and a test compares it with the parsers.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh python
exec .venv/bin/python -m scripts.share "${1:-docs/share}"
