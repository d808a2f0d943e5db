"""Limits and segments on live traffic: nothing over the limit, nothing lost between segments, no false loss."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from capfile.event import Kind
from capfile.frames import Counters, Header, Mark, Socket
from fixtures import running
from recorder.output import segment_path
from tests.live import bench

MIB = 1 << 20
BIG = 16384  # one message is 16 KiB in each direction


def verify(*paths: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [running.tool("ebpf-replay"), "verify", "--json", *map(str, paths)], capture_output=True, text=True
    )


def test_max_events_is_exact(tmp_path: Path) -> None:
    done = bench.capture("-o", str(tmp_path / "x.cap"), "--max-events", "101", "--", *bench.talker(200))
    assert done.returncode == 0, done.stderr
    found = bench.frames(tmp_path / "x.cap")
    assert bench.end_reason(found) == "max-events"
    assert sum(event.kind == Kind.DATA for event in bench.events(found)) == 101
    assert any(isinstance(frame, Mark) and frame.code == "left-out" for frame in found)


def test_max_size_is_not_exceeded(tmp_path: Path) -> None:
    words = ("-o", str(tmp_path / "x.cap"), "--no-compress", "--max-size", "2M", "--", *bench.talker(200, BIG))
    done = bench.capture(*words)
    assert done.returncode == 0, done.stderr
    assert MIB < os.path.getsize(tmp_path / "x.cap") <= 2 * MIB
    assert bench.end_reason(bench.frames(tmp_path / "x.cap")) == "max-size"


def test_duration_ends_the_recording_and_the_command(tmp_path: Path) -> None:
    done = bench.capture("-o", str(tmp_path / "x.cap"), "--duration", "1", "--", "sleep", "60")
    assert done.returncode == 128 + 15
    found = bench.frames(tmp_path / "x.cap")
    assert bench.end_reason(found) == "duration"
    header = found[0]
    assert isinstance(header, Header)
    assert 1 <= (found[-1].time - header.monotonic_time) / 1e9 < 10  # type: ignore[union-attr]


def test_snaplen_leaves_sized_gaps(tmp_path: Path) -> None:
    done = bench.capture("-o", str(tmp_path / "x.cap"), "--snaplen", "100", "--", *bench.talker(7, BIG))
    assert done.returncode == 0, done.stderr
    data = [event for event in bench.events(bench.frames(tmp_path / "x.cap")) if event.kind == Kind.DATA]
    assert sum(event.size for event in data) == 4 * 7 * BIG  # sent and received, in both directions
    assert 0 < sum(event.captured for event in data) <= 100 * len(data)


def test_turn_limit_keeps_the_beginning_of_each_turn(tmp_path: Path) -> None:
    done = bench.capture("-o", str(tmp_path / "x.cap"), "--turn-limit", "1000", "--", *bench.talker(7, BIG))
    assert done.returncode == 0, done.stderr
    data = [event for event in bench.events(bench.frames(tmp_path / "x.cap")) if event.kind == Kind.DATA]
    assert sum(event.size for event in data) == 4 * 7 * BIG
    assert sum(event.captured for event in data) == 4 * 7 * 1000


def test_segments_together_are_the_unsegmented_recording(tmp_path: Path) -> None:
    """Two recorders of one process, one of which rotates: the same events, and each segment stands for itself."""
    talker = bench.started(bench.talker(0, BIG))
    whole = bench.recorder(tmp_path / "whole.cap", "--pid", str(talker.pid))
    parted = bench.recorder(tmp_path / "x.cap", "--no-compress", "--rotate-size", "1M", "--pid", str(talker.pid))
    for _ in range(12):
        bench.say(talker, 11)
        bench.sleep_a_flush()
    bench.finished(parted)
    bench.finished(whole)
    bench.stop(talker)
    names = [*sorted(tmp_path.glob("x.0*.cap")), tmp_path / "x.cap"]
    assert len(names) > 3
    segments = [bench.frames(name) for name in names]
    one = bench.conversation(bench.frames(tmp_path / "whole.cap"))
    assert bench.conversation([frame for segment in segments for frame in segment]) == one
    assert len(one) == 4
    for number, segment in enumerate(segments):
        header = segment[0]
        assert isinstance(header, Header)
        assert header.segment == number
        assert any(isinstance(frame, Counters) for frame in segment)
        if number:
            known = {frame.generation for frame in segment if isinstance(frame, Socket)}
            assert {event.generation for event in bench.events(segment) if event.kind == Kind.DATA} <= known
    done = verify(*names)
    assert done.returncode == 0, done.stdout + done.stderr


def test_keep_bounds_the_disk(tmp_path: Path) -> None:
    talker = bench.started(bench.talker(0, BIG))
    words = ("--no-compress", "--rotate-size", "1M", "--keep", "3", "--pid", str(talker.pid))
    process = bench.recorder(tmp_path / "x.cap", *words)
    for _ in range(20):
        bench.say(talker, 11)
        bench.sleep_a_flush()
    bench.finished(process)
    bench.stop(talker)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 3
    assert segment_path("x.cap", 0) not in names


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    """Where a mount namespace puts a tmpfs of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    return folder


def test_a_full_disk_ends_the_recording_in_order(small_disk: Path, tmp_path: Path) -> None:
    script = (
        f"mount -t tmpfs -o size=4M tmpfs {small_disk} && "
        f'"$@"; status=$?; cp {small_disk}/x.cap {tmp_path}/; exit $status'
    )
    prefix = ("unshare", "--mount", "sh", "-c", script, "sh")
    # What is flushed before the disk fills stays; what comes after it goes by whole chunks, as the drain met them.
    talk = f'{sys.executable} -c "$0" 3 {BIG}; sleep 1; {sys.executable} -c "$0" 400 {BIG}'
    words = ("-o", str(small_disk / "x.cap"), "--no-compress", "--", "sh", "-c", talk, bench.TALKER)
    done = bench.capture(*words, prefix=prefix)
    assert "disk-full" in done.stderr
    assert done.returncode == 0, done.stderr  # the command's own
    found = bench.frames(tmp_path / "x.cap")
    assert bench.end_reason(found) == "disk-full"
    assert bench.sent(found) >= 2 * 3 * BIG


def test_max_events_is_exact_over_segments(tmp_path: Path) -> None:
    talker = bench.started(bench.talker(0))
    words = ("--max-events", "101", "--rotate-seconds", "300ms", "--pid", str(talker.pid))
    process = bench.recorder(tmp_path / "x.cap", *words)
    for _ in range(10):
        bench.say(talker, 3)  # 12 events
        bench.sleep_a_flush()
    said = process.communicate(timeout=bench.TIMEOUT)[1]
    bench.stop(talker)
    assert process.returncode == 0, said
    names = [*sorted(tmp_path.glob("x.0*.cap")), tmp_path / "x.cap"]
    assert len(names) > 1
    found = [frame for name in names for frame in bench.frames(name)]
    assert sum(event.kind == Kind.DATA for event in bench.events(found)) == 101
    assert bench.end_reason(found) == "max-events"
    assert "ebpf-rec: 101 events, " in said
    assert verify(*names).returncode == 0


def test_every_limit_at_once_is_kept(tmp_path: Path) -> None:
    """All the options together: the sharpest one of each kind is seen to hold, and the segments replay as one."""
    talker = bench.started(bench.talker(0, BIG))
    output = tmp_path / "x.cap"
    sizes = ("--max-size", "4M", "--rotate-size", "1M", "--snaplen", "8K", "--turn-limit", "10000", "--ring-size", "4M")
    others = ("--duration", "120", "--max-events", "100003", "--rotate-seconds", "60", "--keep", "3")
    process = bench.recorder(output, "--no-compress", "--redact", *sizes, *others, "--pid", str(talker.pid))
    while process.poll() is None:
        bench.say(talker, 5)
        bench.sleep_a_flush()
    said = process.communicate(timeout=bench.TIMEOUT)[1]
    bench.stop(talker)
    assert process.returncode == 0, said
    names = [*sorted(tmp_path.glob("x.0*.cap")), output]
    assert len(names) == 3
    segments = [bench.frames(name) for name in names]
    assert bench.end_reason(segments[-1]) == "max-size"
    told = re.search(r", (\d\.\d) MiB, .* in (\d+) segments, 3 kept", said)
    assert told is not None, said
    assert 3 < float(told[1]) <= 4  # of all segments, also of those that --keep removed
    assert int(told[2]) > 3
    assert all(os.path.getsize(name) < 2 * MIB for name in names)
    for number, segment in enumerate(segments, start=segments[0][0].segment):  # type: ignore[union-attr]
        header = segment[0]
        assert isinstance(header, Header)
        assert header.segment == number
        assert header.redaction["at"] == "capture"
        assert header.limits.keys() >= {word[2:].replace("-", "_") for word in (*sizes, *others) if word[:2] == "--"}
        assert header.limits["ring_size"] == 4 * MIB
    data = [event for segment in segments for event in bench.events(segment) if event.kind == Kind.DATA]
    assert max(event.captured for event in data) <= 8192
    turned: dict[tuple[int, int, int], int] = {}
    for event in data:
        turn = (event.generation, event.direction, event.position // BIG)
        turned[turn] = turned.get(turn, 0) + event.captured
    assert max(turned.values()) <= 10_000


def test_verify_calls_a_recording_of_limited_events_complete_up_to_its_end(tmp_path: Path) -> None:
    bench.capture("-o", str(tmp_path / "x.cap"), "--max-events", "101", "--", *bench.talker(200))
    report = json.loads(verify(tmp_path / "x.cap").stdout)
    assert "ring-full" not in json.dumps(report)
