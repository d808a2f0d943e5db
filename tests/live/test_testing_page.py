"""The worked example of docs/testing.md with a real recorder: recorded, committed, changed, recorded again."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from replay.cli import main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "testing.md").read_text()


def record(path: Path, price: str) -> None:
    program = Path(sys.executable).with_name("ebpf-rec")
    example = ROOT / "docs" / "examples" / "checkout.py"
    command = [program, "capture", "--quiet", "--force", "-o", path, "--", sys.executable, example]
    subprocess.run(command, env=os.environ | {"PRICE": price}, check=True, timeout=90)


def test_a_recorded_shop_is_tested_and_a_changed_answer_fails_as_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("tests")
    folder.mkdir()
    record(folder / "checkout.cap", "12.5")
    assert main(["test", "--update", "tests"]) == 0
    expected = (folder / "checkout.expected.jsonl").read_text()
    assert "t0ps3cret" not in expected
    record(folder / "checkout.cap", "12.5")
    assert main(["test", "tests"]) == 0
    record(folder / "checkout.cap", "13.5")
    capsys.readouterr()
    assert main(["test", "tests"]) == 1
    (shown,) = re.findall(r"\$ ebpf-replay test tests\n(FAIL.*?)\$ echo", PAGE, re.DOTALL)
    assert capsys.readouterr().out == shown
