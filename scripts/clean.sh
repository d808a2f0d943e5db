#!/usr/bin/env bash
# Remove what the other scripts made: all that .gitignore names, nothing else.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
git clean -q -d -f -X .
