#!/usr/bin/env bash
# The virtual machines: scripts/vm.sh box|test|matrix [ARGUMENT ...] (docs/virtual-machine.md).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh python
case $1 in
    box) exec .venv/bin/python tests/vm/box.py ;;
    test) exec .venv/bin/python tests/vm/run_inside.py ;;
    matrix) exec .venv/bin/python tests/vm/matrix.py "${@:2}" ;;
    *) echo "vm.sh: box, test or matrix" >&2; exit 2 ;;
esac
