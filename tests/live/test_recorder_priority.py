"""The drain goes before other programs; nothing else of the recorder does, nor does the command that it starts."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from recorder.priority import NICENESS
from tests.live import bench


def nice(wanted: int) -> list[str]:
    """The words that start a program with a niceness, whatever this one has."""
    return ["nice", "-n", str(wanted - os.getpriority(os.PRIO_PROCESS, 0))]


def niceness(pid: int) -> list[int]:
    """Of each thread."""
    return sorted(os.getpriority(os.PRIO_PROCESS, int(task.name)) for task in Path(f"/proc/{pid}/task").iterdir())


def test_one_thread_of_the_recorder_goes_before_others(tmp_path: Path) -> None:
    talker = bench.started(bench.talker(0))
    process = bench.recorder(tmp_path / "x.cap", "--pid", str(talker.pid), prefix=nice(0))
    found = niceness(process.pid)
    bench.finished(process)
    bench.stop(talker)
    assert found == [NICENESS, *[0] * (len(found) - 1)]
    assert len(found) >= 2


def test_the_command_has_the_niceness_that_the_recorder_was_started_with(tmp_path: Path) -> None:
    say = "import os; print(os.getpriority(os.PRIO_PROCESS, 0))"
    for wanted in (0, 5):
        words = ("--force", "-o", str(tmp_path / "x.cap"), "--", sys.executable, "-c", say)
        assert bench.capture(*words, prefix=nice(wanted)).stdout.strip() == str(wanted)


def test_a_niceness_that_was_chosen_is_kept(tmp_path: Path) -> None:
    talker = bench.started(bench.talker(0))
    process = bench.recorder(tmp_path / "x.cap", "--pid", str(talker.pid), prefix=nice(5))
    found = niceness(process.pid)
    bench.finished(process)
    bench.stop(talker)
    assert set(found) == {5}
