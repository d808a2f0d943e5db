"""`ebpf-replay` on what is no capture: one clear line, the documented exit status, no traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FIXTURE = ROOT / "fixtures" / "gin-answers-as-in-the-worked-example.cap"
NOT_A_CAPTURE = 3


def replay(*words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", "import sys; from replay.cli import main; sys.exit(main(sys.argv[1:]))", *words],
        cwd=ROOT,
        input=stdin,
        capture_output=True,
        timeout=60,
    )


def text(folder: Path) -> Path:
    path = folder / "notes.txt"
    path.write_text("GET / HTTP/1.1\r\n\r\nnot a capture\n" * 100)
    return path


def empty(folder: Path) -> Path:
    path = folder / "empty.cap"
    path.touch()
    return path


def noise(folder: Path) -> Path:
    path = folder / "noise.cap"
    path.write_bytes(bytes(range(256)) * 40)
    return path


def directory(folder: Path) -> Path:
    return folder


def missing(folder: Path) -> Path:
    return folder / "missing.cap"


def header_cut(folder: Path) -> Path:
    path = folder / "cut.cap"
    path.write_bytes(FIXTURE.read_bytes()[:20])
    return path


@pytest.mark.parametrize("command", ["show", "verify"])
@pytest.mark.parametrize("make", [text, empty, noise, directory, missing, header_cut], ids=lambda make: make.__name__)
def test_what_is_no_capture_is_named_in_one_line_with_status_3(make, command: str, tmp_path: Path) -> None:
    path = make(tmp_path)
    done = replay(command, str(path))
    said = done.stderr.decode()
    assert (done.returncode, done.stdout) == (NOT_A_CAPTURE, b"")
    assert said.count("\n") == 1, said
    assert said.startswith("ebpf-replay: ")
    assert str(path) in said


def test_standard_input_that_is_no_capture_is_named_so(tmp_path: Path) -> None:
    done = replay("show", "-", stdin=b"hello\n")
    assert done.returncode == NOT_A_CAPTURE
    assert done.stderr.decode().count("\n") == 1


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_cut_capture_gives_what_is_before_the_cut_and_verify_says_it_is_cut(share: float, tmp_path: Path) -> None:
    whole = FIXTURE.read_bytes()
    path = tmp_path / "cut.cap"
    path.write_bytes(whole[: int(len(whole) * share)])
    shown = replay("show", "--format", "jsonl", str(path))
    assert shown.returncode == 0
    assert b"Traceback" not in shown.stderr
    checked = replay("verify", str(path))
    assert checked.returncode == 1
    assert b"cut" in checked.stdout + checked.stderr


@pytest.mark.parametrize(
    "words", [("no-such-command.cap",), ("show", "--format", "nonsense", "x"), ("show", "--bogus")]
)
def test_a_wrong_word_is_answered_in_few_lines_without_a_traceback(words: tuple[str, ...]) -> None:
    done = replay(*words)
    assert done.returncode in {2, NOT_A_CAPTURE}
    assert b"Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) < 10


def test_a_closed_standard_output_is_one_line_and_a_usage_error() -> None:
    program = f"exec {sys.executable} -c 'from replay.cli import main; raise SystemExit(main())' show {FIXTURE} >&-"
    done = subprocess.run(["sh", "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("ebpf-replay: standard output is closed")
