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


def niceness_of_a_recorder(wanted: int, folder: Path) -> list[int]:
    """Of each thread while it records, when it was started with this niceness."""
    talker = bench.started(bench.talker(0))
    process = bench.recorder(folder / "x.cap", "--pid", str(talker.pid), prefix=nice(wanted))
    threads = [int(task.name) for task in Path(f"/proc/{process.pid}/task").iterdir()]
    found = sorted(os.getpriority(os.PRIO_PROCESS, thread) for thread in threads)
    bench.finished(process)
    bench.stop(talker)
    return found


def test_one_thread_of_the_recorder_goes_before_others(tmp_path: Path) -> None:
    found = niceness_of_a_recorder(0, tmp_path)
    assert found == [NICENESS, *[0] * (len(found) - 1)]
    assert len(found) >= 2


def test_the_command_has_the_niceness_that_the_recorder_was_started_with(tmp_path: Path) -> None:
    say = "import os; print(os.getpriority(os.PRIO_PROCESS, 0))"
    for wanted in (0, 5):
        words = ("--force", "-o", str(tmp_path / "x.cap"), "--", sys.executable, "-c", say)
        assert bench.capture(*words, prefix=nice(wanted)).stdout.strip() == str(wanted)


def test_a_niceness_that_was_chosen_is_kept(tmp_path: Path) -> None:
    assert set(niceness_of_a_recorder(5, tmp_path)) == {5}
