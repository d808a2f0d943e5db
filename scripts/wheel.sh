#!/usr/bin/env bash
# Build the wheel as a user would get it, install it where nothing of this folder is seen, and replay a recording with it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh python
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
.venv/bin/python -m pip wheel -qq --disable-pip-version-check --no-deps -w "$work" .
.venv/bin/python -m venv "$work/clean"
"$work/clean/bin/python" -m pip install -qq --disable-pip-version-check --root-user-action=ignore -c constraints.txt "$work"/*.whl
fixtures=$PWD/fixtures
cd "$work"
for capture in "$fixtures"/*.cap; do
    clean/bin/ebpf-replay show --format jsonl "$capture" | cmp - "${capture%.cap}.expected.jsonl"
done
clean/bin/ebpf-rec --help >/dev/null
clean/bin/python -c 'from importlib.resources import files; assert files("bpf").joinpath("event.h").is_file()'
echo "wheel: $(basename "$work"/*.whl) replays every fixture as expected"
