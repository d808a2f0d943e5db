"""The shipped recordings give the shipped exchanges, byte by byte, without root and without bcc."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay import cli

FIXTURES = Path(__file__).parents[1] / "fixtures"
CAPTURES = sorted(FIXTURES.glob("*.cap"))


def test_there_are_recordings_each_with_its_answer_and_no_answer_without_a_recording() -> None:
    assert CAPTURES
    assert {path.with_suffix(".expected.jsonl") for path in CAPTURES} == set(FIXTURES.glob("*.expected.jsonl"))


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.stem)
def test_a_recording_gives_its_exchanges(capture: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", str(capture), "--format", "jsonl"]) == 0
    assert capfd.readouterr().out == capture.with_suffix(".expected.jsonl").read_text()


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.stem)
def test_verify_calls_a_recording_complete_unless_it_shows_gaps_or_a_blind_spot(
    capture: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with_gaps = "with-sendfile" in capture.stem
    blind = capture.stem == "version-1"  # marks a process that uses io_uring, and the kernel counted nothing
    assert cli.main(["verify", str(capture)]) == int(with_gaps or blind)
    assert ("sendfile" in capfd.readouterr().out) == with_gaps


def test_every_recording_is_described() -> None:
    text = (FIXTURES / "README.md").read_text()
    assert not [c.name for c in CAPTURES if f"`{c.stem}`" not in text and f"`{c.name}`" not in text]
