"""The doctor: each failure has the command that mends it; the proof compares what was said with what came back."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest

from recorder import doctor, exercise, proof
from recorder.commands.doctor import lines
from recorder.doctor import Check
from recorder.reasons import Reasons


def test_a_lockdown_that_forbids_reading_memory_fails_with_its_mend(tmp_path: Path) -> None:
    (tmp_path / "lockdown").write_text("none integrity [confidentiality]\n")
    check = doctor.lockdown(tmp_path / "lockdown")
    assert check.state == "fails"
    assert "lockdown=integrity" in check.mend["any"]


@pytest.mark.parametrize("text", ["[none] integrity confidentiality\n", "none [integrity] confidentiality\n"])
def test_other_lockdowns_are_told_and_do_not_matter(tmp_path: Path, text: str) -> None:
    (tmp_path / "lockdown").write_text(text)
    check = doctor.lockdown(tmp_path / "lockdown")
    assert check.state == "ok"
    assert f"[{check.detail}]" in text


def test_every_check_answers_and_no_failure_is_without_a_mend() -> None:
    checks = doctor.examine(os.environ)
    assert len(checks) == len(doctor.CHECKS) + 1
    assert {check.state for check in checks} <= {"ok", "note", "fails"}
    assert all(check.mend for check in checks if check.state == "fails" and check.name != "kernel")


def test_what_this_user_may_not_look_at_is_a_row_too() -> None:
    def tracefs() -> Check:
        raise PermissionError(13, "Permission denied", "/sys/kernel/tracing/events")

    check = doctor.answer(tracefs)
    assert (check.name, check.state) == ("tracefs", "fails")
    assert check.mend["any"] == f"sudo {Path(sys.executable).parent / 'ebpf-rec'} doctor"
    assert "/sys/kernel/tracing/events is not readable" in check.detail


def test_a_failure_shows_its_mends_below_it() -> None:
    check = Check("bcc", "fails", "not installed", doctor.packages("python3-bpfcc", "python3-bcc"))
    assert lines(check) == [
        "FAILS bcc              not installed",
        "      debian: apt-get install python3-bpfcc",
        "      fedora: dnf install python3-bcc",
    ]


def test_a_family_whose_bytes_all_came_is_proven() -> None:
    moved = Counter({(0, True): 2 * proof.BOTH_WAYS})
    assert proof.verdict("read/write", moved).state == "ok"
    assert proof.verdict("recvfrom/sendto", moved).state == "fails"


def test_sendfile_is_proven_by_its_gap() -> None:
    moved = Counter({(40, False): len(exercise.RESPONSE)})
    assert proof.verdict("sendfile", moved).state == "ok"
    assert proof.verdict("sendfile", Counter()).state == "fails"


def test_a_cost_is_never_below_nothing() -> None:
    assert proof.cost(1000.0, 1400.0).detail.startswith("+400 ns per event")
    assert proof.cost(1400.0, 1000.0).detail.startswith("lost in the noise")


def test_the_exercise_says_what_a_call_costs() -> None:
    assert exercise.run()["ns_per_call"] > 0


def test_the_first_reason_counts_and_wakes_the_loop() -> None:
    reasons = Reasons()
    assert (bool(reasons), reasons.first) == (False, "")
    reasons.add("duration")
    reasons.add("interrupt")
    assert reasons.first == "duration"
    reasons.heard()
    reasons.heard()  # an empty pipe is no error


def test_a_signal_becomes_a_reason_and_the_old_handler_comes_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    reasons = Reasons()
    with reasons.from_signals():
        signal.raise_signal(signal.SIGTERM)
    assert reasons.first == "terminated"
    assert signal.getsignal(signal.SIGTERM) is before
