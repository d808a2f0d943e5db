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
fixtures=$PWD/fixtures here=$PWD
cd "$work"
for capture in "$fixtures"/*.cap; do
    clean/bin/ebpf-replay show --format jsonl "$capture" | cmp - "${capture%.cap}.expected.jsonl"
done
clean/bin/ebpf-rec --help >/dev/null
grep -q 'python" -I ' clean/bin/ebpf-rec # isolated mode from the first instruction, as the installer left it
(cd clean/share && ls man/man1/ebpf-{rec,replay}.1 bash-completion/completions/* zsh/site-functions/* \
    fish/vendor_completions.d/* doc/ebpf-rec/ebpf-rec.service) >/dev/null
clean/bin/python -c 'from importlib.resources import files; assert files("bpf").joinpath("event.h").is_file()'

# Somebody else's project in that environment: its captures are collected, its own test asks one, neither needs root.
clean/bin/python -m pip install -qq --disable-pip-version-check --root-user-action=ignore -c "$here/constraints.txt" pytest
mkdir -p project/tests
cp "$fixtures"/python-answers-every-kind-of-request.* project/tests
cat >project/tests/test_recording.py <<'END'
def test_the_recording_has_an_answer(capture):
    seen = capture("python-answers-every-kind-of-request.cap")
    assert seen.where("status == 200").first().complete


def test_a_block_is_recorded_or_read_from_the_stored_capture(record):
    with record("python-answers-every-kind-of-request.cap") as seen:
        pass
    assert len(seen) == 15 and not seen.live
END
(cd project && ../clean/bin/python -m pytest -q --record=never) | tee pytest.out
grep -q "^3 passed" pytest.out
sed -i 's/"status":200/"status":201/' project/tests/*.expected.jsonl
if (cd project && ../clean/bin/python -m pytest -q --record=never) >pytest.out; then
    echo "a changed expectation passed" >&2
    exit 1
fi
grep -q -- "- expected 201" pytest.out

echo "wheel: $(basename "$work"/*.whl) replays every fixture as expected, and its pytest plugin serves a project"
