"""The recording as files: limits, segments and a disk that fails, each ending in a file that opens."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from capfile.event import EVENT_SIZE, Event, layout
from capfile.frames import FORMAT_VERSION, Chunk, Counters, End, Frame, Header, Mark, Process
from capfile.reader import Reader, decompressed
from capfile.records import records
from recorder import output
from recorder.limits import CLOSING_RESERVE, RecordingLimits
from recorder.recording import Recording
from tests.recorder.fake import FakeRing

MIB = 1 << 20


def header(segment: int) -> Header:
    return Header(FORMAT_VERSION, [list(row) for row in layout()], EVENT_SIZE, segment=segment)


class Bench:
    """A recording to a file in a temporary folder, fed from one fake ring."""

    def __init__(self, folder: Path, limits: RecordingLimits, ring_size: int = 1 << 16) -> None:
        self.path = str(folder / "x.cap")
        self.reasons: list[str] = []
        self.now = 0.0
        self.ring = FakeRing(ring_size)
        target = output.Target(self.path, "new")
        self.recording = Recording(
            target,
            output.create(self.path),
            limits,
            header,
            lambda: [Process(pid=1)],
            self.reasons.append,
            lambda: self.now,
        )

    def drain(self) -> None:
        head = self.ring.head()
        chunk = Chunk(0, 0, 0, 0, head - self.ring.tail)
        self.recording.chunk(chunk, self.ring.regions(head))
        self.ring.release(head)

    def events(self, number: int, size: int = 100) -> None:
        for _ in range(number):
            self.ring.event(payload=b"x" * size)
        self.drain()

    def counters(self, sequence: int = 0) -> Counters:
        return Counters(1, {}, {"data": [[sequence, 0]], "control": [[0, 0]]})


def frames(path: str) -> list[Frame]:
    with Reader.open(path) as reader:
        found = list(reader)
        assert reader.damage == []
        return found


def sequences(found: Iterable[Frame]) -> list[int]:
    events = (e for f in found if isinstance(f, Chunk) for e in records(decompressed(f)))
    return [e.sequence for e in events if isinstance(e, Event)]


def test_a_recording_without_limits_holds_every_event_and_ends(tmp_path: Path) -> None:
    bench = Bench(tmp_path, RecordingLimits())
    bench.events(7)
    bench.events(3)
    assert bench.recording.finish(bench.counters(10), "interrupt")
    found = frames(bench.path)
    assert sequences(found) == list(range(10))
    assert isinstance(found[-1], End)
    assert found[-1].reason == "interrupt"
    assert found[-1].frames == len(found)
    assert os.stat(bench.path).st_mode & 0o777 == 0o600


def test_max_events_ends_after_exactly_that_many(tmp_path: Path) -> None:
    bench = Bench(tmp_path, RecordingLimits(max_events=7))
    bench.events(5)
    bench.events(5)
    bench.events(5)
    assert bench.reasons == ["max-events"]
    assert bench.recording.finish(bench.counters(15), "max-events")
    found = frames(bench.path)
    assert sequences(found) == list(range(7))


def test_the_ledger_of_a_limited_recording_ends_with_its_last_event(tmp_path: Path) -> None:
    """What a limit left out is no loss: the counters say the number of the first event that was left out."""
    bench = Bench(tmp_path, RecordingLimits(max_events=7))
    bench.events(10)
    bench.recording.finish(bench.counters(10), "max-events")
    found = frames(bench.path)
    assert [f.rings["data"] for f in found if isinstance(f, Counters)] == [[[7, 0]]]
    assert [f.code for f in found if isinstance(f, Mark)] == ["left-out"]


def test_max_size_is_never_exceeded_and_cuts_between_events(tmp_path: Path) -> None:
    bench = Bench(tmp_path, RecordingLimits(max_size=MIB))
    while not bench.reasons:
        bench.events(50, 1000)
    assert bench.reasons == ["max-size"]
    assert bench.recording.finish(bench.counters(1 << 40), "max-size")
    size = os.path.getsize(bench.path)
    assert MIB - CLOSING_RESERVE - 4000 < size <= MIB
    found = frames(bench.path)
    assert sequences(found) == list(range(len(sequences(found))))


def test_segments_hold_what_the_whole_recording_holds(tmp_path: Path) -> None:
    bench = Bench(tmp_path, RecordingLimits(rotate_size=MIB))
    total = 0
    while bench.recording.segment < 3:
        bench.events(50, 1000)
        total += 50
        if bench.recording.rotation_due():
            bench.recording.rotate(bench.counters(total))
    bench.recording.finish(bench.counters(total), "interrupt")
    names = [output.segment_path(bench.path, n) for n in range(3)] + [bench.path]
    segments = [frames(name) for name in names]
    assert [n for segment in segments for n in sequences(segment)] == list(range(total))
    for number, segment in enumerate(segments):
        assert isinstance(segment[0], Header)
        assert segment[0].segment == number
        assert isinstance(segment[-1], End)
        assert segment[-1].next_segment == (number < 3)
        assert any(isinstance(f, Process) for f in segment) == (number > 0)


def test_a_segment_also_ends_by_age(tmp_path: Path) -> None:
    bench = Bench(tmp_path, RecordingLimits(rotate_seconds=60))
    bench.now = 59.9
    assert not bench.recording.rotation_due()
    bench.now = 60.0
    assert bench.recording.rotation_due()


def test_keep_counts_the_segment_that_is_being_written(tmp_path: Path) -> None:
    bench = Bench(tmp_path, RecordingLimits(rotate_seconds=1, keep=3))
    for _ in range(7):
        bench.recording.rotate(bench.counters())
    bench.recording.finish(bench.counters(), "interrupt")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.000005.cap", "x.000006.cap", "x.cap"]


def test_rotation_never_replaces_a_file_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "x.000000.cap").write_text("mine")
    bench = Bench(tmp_path, RecordingLimits(rotate_seconds=1))
    bench.recording.rotate(bench.counters())
    assert bench.reasons == ["output-error"]
    assert (tmp_path / "x.000000.cap").read_text() == "mine"
    assert isinstance(frames(bench.path)[-1], End)


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """A disk that takes `room` bytes in all; what is cut off a file is room again."""
    room = {"left": 1 << 60}
    write, truncate = os.writev, os.ftruncate

    def writev(fd: int, views: list[memoryview]) -> int:
        if room["left"] <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        whole = b"".join(views)[: room["left"]]
        room["left"] -= len(whole)
        return write(fd, [memoryview(whole)])

    def ftruncate(fd: int, size: int) -> None:
        room["left"] += os.fstat(fd).st_size - size
        truncate(fd, size)

    monkeypatch.setattr(os, "writev", writev)
    monkeypatch.setattr(os, "ftruncate", ftruncate)
    return room


@pytest.mark.parametrize("room", [0, 10, 500, 3000])
def test_a_full_disk_leaves_a_file_that_opens_and_says_so(tmp_path: Path, full_disk: dict[str, int], room: int) -> None:
    bench = Bench(tmp_path, RecordingLimits())
    bench.events(10)
    full_disk["left"] = room
    bench.events(40)
    bench.events(10)
    assert bench.reasons[0] == "disk-full"
    bench.recording.finish(bench.counters(60), "disk-full")
    found = frames(bench.path)
    assert isinstance(found[-1], End)
    assert found[-1].reason == "disk-full"
    assert sequences(found) in ([], list(range(10)))


def test_a_disk_that_fills_before_the_end_gives_up_the_last_chunk_for_the_closing_frames(
    tmp_path: Path, full_disk: dict[str, int]
) -> None:
    bench = Bench(tmp_path, RecordingLimits())
    bench.events(10)
    bench.events(10)
    full_disk["left"] = 5
    assert bench.recording.finish(bench.counters(20), "interrupt")
    found = frames(bench.path)
    assert sequences(found) == list(range(10))
    assert [f.rings["data"] for f in found if isinstance(f, Counters)] == [[[10, 0]]]
    assert isinstance(found[-1], End)


def test_a_reader_that_goes_away_ends_the_recording_quietly() -> None:
    reader, writer = os.pipe()
    reasons: list[str] = []
    recording = Recording(output.Target("-", "stream"), writer, RecordingLimits(), header, list, reasons.append)
    os.close(reader)
    recording.write(Process(pid=1))
    recording.write(Process(pid=2))
    assert reasons == ["output-closed"]
    assert not recording.finish(Counters(0), "output-closed")
