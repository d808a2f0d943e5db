"""What the user sees of a program that this kernel's verifier refuses: its own sentence, on one line, and no file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.exercised import SECONDS
from tests.live.refused import STATEMENTS

CANNOT_CAPTURE = 4
REFUSED = [sys.executable, "-I", str(Path(__file__).parent / "refused.py")]
# What is wrong with the program -> words of the sentence.
WORDS = {
    "unchecked": "invalid mem access 'map_value_or_null'",
    "outside": "outside of the allowed memory range",
    "unbounded": "unbounded m",
    "endless": "infinite loop detected",
    "too-long": "more than the million steps",
}


@pytest.mark.parametrize("why", STATEMENTS)
def test_program_that_the_verifier_refuses_is_one_line_with_the_verifier_s_reason(why: str, tmp_path: Path) -> None:
    output = tmp_path / "x.cap"
    words = [*REFUSED, why, "capture", "-o", str(output), "--pid", str(os.getpid())]
    done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == CANNOT_CAPTURE, done.stderr[-2000:]
    (line,) = done.stderr.splitlines()
    assert line.startswith("ebpf-rec: the kernel refused on_refused: ")
    assert WORDS[why] in line
    assert len(line) < 300
    assert not output.exists()
