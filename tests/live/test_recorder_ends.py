"""Every way a recording ends: the file opens, says how it ended, and nothing of the recorder stays in the kernel."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from capfile.reader import Reader
from recorder.drain import FLUSH_SECONDS
from tests.live import bench

MESSAGES, SIZE = 101, 64


@pytest.mark.parametrize(
    ("number", "reason"),
    [(signal.SIGINT, "interrupt"), (signal.SIGTERM, "terminated"), (signal.SIGHUP, "hangup")],
)
def test_a_signal_drains_closes_and_leaves_nothing_behind(number: int, reason: str, tmp_path: Path) -> None:
    talker = bench.started(bench.talker(0, SIZE))
    process = bench.recorder(tmp_path / "x.cap", "--pid", str(talker.pid))
    held = bench.bpf_objects(process.pid)
    assert {kind for kind, _ in held} >= {"prog", "map"}
    bench.say(talker, MESSAGES)
    said = bench.finished(process, number)
    bench.stop(talker)
    assert process.returncode == 0
    assert "lost: nothing" in said
    found = bench.frames(tmp_path / "x.cap")
    assert bench.end_reason(found) == reason
    assert bench.sent(found) == 2 * MESSAGES * SIZE
    assert bench.gone(held)
    assert [path.name for path in tmp_path.iterdir()] == ["x.cap"]


def test_sigkill_costs_the_flush_interval_at_most_and_leaves_nothing_behind(tmp_path: Path) -> None:
    talker = bench.started(bench.talker(0, SIZE))
    process = bench.recorder(tmp_path / "x.cap", "--pid", str(talker.pid))
    held = bench.bpf_objects(process.pid)
    bench.say(talker, MESSAGES)
    time.sleep(5 * FLUSH_SECONDS)  # a busy machine may run the drain late
    bench.finished(process, signal.SIGKILL)
    bench.stop(talker)
    with Reader.open(tmp_path / "x.cap") as reader:
        found = list(reader)
        assert reader.end is None
    assert bench.sent(found) == 2 * MESSAGES * SIZE
    assert bench.gone(held)


def test_a_second_interrupt_ends_at_once_and_the_file_opens(tmp_path: Path) -> None:
    """The recorder is kept from ending by a FIFO that nobody empties."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    talker = bench.started(bench.talker(0, 32768))
    process = subprocess.Popen(
        [*bench.command(), "-o", str(fifo), "--no-compress", "--pid", str(talker.pid)],
        stderr=subprocess.PIPE,
        text=True,
    )
    with bench.reading(fifo, process) as reader:
        head = reader.read(1 << 12)
        bench.say(talker, 31)
        time.sleep(1)  # the FIFO is full by now
        process.send_signal(signal.SIGINT)
        time.sleep(1)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=5) == 128 + signal.SIGINT
        rest = reader.read()
    bench.stop(talker)
    (tmp_path / "copy.cap").write_bytes(head + (rest or b""))
    with Reader.open(tmp_path / "copy.cap") as copy:
        assert any(True for _ in copy)
        assert copy.end is None


def test_it_ends_when_the_process_does(tmp_path: Path) -> None:
    talker = bench.started(bench.talker(0, SIZE))
    process = bench.recorder(tmp_path / "x.cap", "--pid", str(talker.pid))
    bench.say(talker, 7)
    bench.stop(talker)
    process.communicate(timeout=bench.TIMEOUT)
    assert process.returncode == 0
    found = bench.frames(tmp_path / "x.cap")
    assert bench.end_reason(found) == "target-exit"
    assert bench.sent(found) == 2 * 7 * SIZE


def test_several_processes_are_recorded_until_the_last_one_ends(tmp_path: Path) -> None:
    first, second = (bench.started(bench.talker(0, SIZE)) for _ in range(2))
    process = bench.recorder(tmp_path / "x.cap", "--pid", str(first.pid), "--pid", str(second.pid))
    bench.say(first, 3)
    bench.stop(first)
    time.sleep(1)
    assert process.poll() is None
    bench.say(second, 5)
    bench.stop(second)
    process.communicate(timeout=bench.TIMEOUT)
    assert bench.sent(bench.frames(tmp_path / "x.cap")) == 2 * (3 + 5) * SIZE


@pytest.mark.parametrize(("script", "status"), [("exit 7", 7), ("kill -USR1 $$", 128 + signal.SIGUSR1), ("true", 0)])
def test_a_commands_exit_status_is_the_recorders(script: str, status: int, tmp_path: Path) -> None:
    done = bench.capture("-o", str(tmp_path / "x.cap"), "--", "sh", "-c", script)
    assert done.returncode == status, done.stderr
    assert bench.end_reason(bench.frames(tmp_path / "x.cap")) == "child-exit"


def test_children_of_a_command_are_recorded(tmp_path: Path) -> None:
    script = 'python3 -c "$0" 3 64 & python3 -c "$0" 5 64 & wait'
    done = bench.capture("-o", str(tmp_path / "x.cap"), "--", "sh", "-c", script, bench.TALKER)
    assert done.returncode == 0, done.stderr
    assert bench.sent(bench.frames(tmp_path / "x.cap")) == 2 * (3 + 5) * 64


def test_without_follow_forks_children_are_not_recorded(tmp_path: Path) -> None:
    script = 'python3 -c "$0" 3 64'
    words = ("-o", str(tmp_path / "x.cap"), "--no-follow-forks", "--", "sh", "-c", script + "; true", bench.TALKER)
    assert bench.capture(*words).returncode == 0
    assert bench.sent(bench.frames(tmp_path / "x.cap")) == 0


def test_a_reader_that_goes_away_ends_recorder_and_command(tmp_path: Path) -> None:
    words = [*bench.command(), "-o", "-", "--", *bench.talker(0)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read(100)
    process.stdout.close()
    assert process.stdin is not None
    process.stdin.write(b"\n" * 100)
    process.stdin.flush()
    assert process.wait(timeout=bench.TIMEOUT) == 128 + signal.SIGTERM
    assert process.stderr is not None
    assert b"output-closed" in process.stderr.read()


def test_two_recorders_at_once_both_see_everything(tmp_path: Path) -> None:
    talker = bench.started(bench.talker(0, SIZE))
    both = [bench.recorder(tmp_path / f"{n}.cap", "--pid", str(talker.pid)) for n in range(2)]
    bench.say(talker, MESSAGES)
    for process in both:
        bench.finished(process)
    bench.stop(talker)
    for number in range(2):
        assert bench.sent(bench.frames(tmp_path / f"{number}.cap")) == 2 * MESSAGES * SIZE


def test_a_recorder_can_be_recorded(tmp_path: Path) -> None:
    """The inner one's own files and pipes are no sockets; its command is seen by both."""
    inner = [*bench.command(), "-o", str(tmp_path / "inner.cap"), "--", *bench.talker(7)]
    done = bench.capture("-o", str(tmp_path / "outer.cap"), "--", *inner)
    assert done.returncode == 0, done.stderr
    for name in ("inner", "outer"):
        assert bench.sent(bench.frames(tmp_path / f"{name}.cap")) == 2 * 7 * 64


def test_a_pipe_is_flushed_while_the_recording_goes_on(tmp_path: Path) -> None:
    talker = bench.started(bench.talker(0, SIZE))
    words = [*bench.command(), "-o", "-", "--pid", str(talker.pid)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    deadline = time.monotonic() + bench.TIMEOUT
    while not (seen := process.stdout.read() or b""):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    bench.say(talker, MESSAGES)
    time.sleep(1)
    seen = process.stdout.read() or b""
    process.send_signal(signal.SIGINT)
    process.wait(timeout=bench.TIMEOUT)
    process.stdout.close()
    bench.stop(talker)
    assert len(seen) > 1000  # the messages came while it ran, without an end
