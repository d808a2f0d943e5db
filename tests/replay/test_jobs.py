"""Several processes: whatever the batches and the shares, the lines are those of one, and what fails is said."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capfile.errors import CapfileError
from capfile.event import Direction, Flag
from capfile.frames import Chunk, End, Frame
from replay import census, jobs, relay, sharing
from replay.connections import SidePolicy
from replay.dispatch import Result
from replay.document import to_document
from replay.errors import UsageError
from replay.pipeline import exchanges
from replay.source import prefixes, recordings
from replay.streams import SETTLE_NS
from tests.build import BothEnds, Capture, RecordedSocket, file_bytes, segments, without
from tests.replay.test_hostile import ANYTHING

FIXTURES = sorted((Path(__file__).parents[2] / "fixtures").glob("*.cap"))
SIDES: list[SidePolicy] = ["auto", "both", "server", "client"]
GET = b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def encode(item: Result) -> bytes:
    return msgspec.json.encode(to_document(item)) + b"\n"


def by_one(paths: Sequence[str], side: SidePolicy) -> list[bytes]:
    """The lines, and what ended them if it was an error."""
    lines: list[bytes] = []
    try:
        found = recordings(paths)
        for recording, prefix in zip(found, prefixes(len(found)), strict=True):
            lines += map(encode, exchanges(recording, side, prefix))
            recording.close()
    except (CapfileError, UsageError) as error:
        lines.append(repr(error).encode())
    return lines


def by(count: int, paths: Sequence[str], side: SidePolicy) -> list[bytes]:
    parts: list[bytes] = []
    end: list[bytes] = []
    try:
        found = recordings(paths)
        parts += jobs.text(found, side, encode, count)
        for recording in found:
            recording.close()
    except (CapfileError, UsageError) as error:
        end.append(repr(error).encode())
    return b"".join(parts).splitlines(keepends=True) + end


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Connections recorded at both ends, turns that interleave, one that loses bytes, one that is not HTTP."""
    capture = Capture()
    process = capture.process(100)
    ends = [capture.pair(capture.process(300 + number), process, client_at=f"127.0.0.1:{50_000 + number}")
            for number in range(5)]  # fmt: skip
    sockets = [process.accept() for _ in range(40)]
    for turn in range(12):
        for pair in ends:
            pair.request(GET % turn).response(OK)
        for number, socket in enumerate(sockets):
            if number % 7 != turn % 7:
                socket.receive(GET % turn).send(OK)
    sockets[3].receive(GET % 50).lose(9).send(OK)
    process.accept().receive(b"\x16\x03\x01\x00\x05\x01hello").close()
    for each in (*ends, *sockets):
        each.close()
    return str(capture.write(tmp_path / "a.cap"))


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize(("batch", "patience", "slot"), [(1, 1, 1 << 18), (3, 7, 1000), (256, 8192, 1 << 18)])
def test_the_lines_are_those_of_one_process_however_they_are_shared(
    path: str, monkeypatch: pytest.MonkeyPatch, count: int, batch: int, patience: int, slot: int
) -> None:
    monkeypatch.setattr(jobs, "BATCH", batch)
    monkeypatch.setattr(sharing, "PATIENCE", patience)
    monkeypatch.setattr(relay, "SLOT_BYTES", slot)
    one = by_one([path], "auto")
    assert len(one) > 400
    assert by(count, [path], "auto") == one


class Turbulence:
    """Everything that one socket's lines can owe to others: times, losses, processes, ends of one connection."""

    def __init__(self, seed: int, recording: str) -> None:
        self.choose = choose = random.Random(seed)
        self.capture = Capture(cpus=3, drain_every=choose.choice([3, 17, 64]), perf_lost=choose.random() < 0.8)
        self.capture.header = replace(self.capture.header, recording_id=recording)
        cpus = [choose.randrange(3) for _ in range(2000)]
        self.capture.spread(lambda count: cpus[count % len(cpus)])
        self.lossy = choose.random() < 0.7
        server = self.capture.process(100)
        self.processes = [server, *(server.fork(200 + each) for each in range(3))]
        self.sockets: list[RecordedSocket] = []
        for _ in range(choose.randrange(3, 14)):
            self.open()
        for _ in range(choose.choice([60, 300])):
            self.turn()

    def open(self) -> None:
        choose, capture = self.choose, self.capture
        process = choose.choice(self.processes)
        client = f"127.0.0.1:{choose.choice([40_001, 40_002, choose.randrange(50_000, 60_000)])}"
        match choose.randrange(8):
            case 0 | 1:
                self.pair(capture.pair(choose.choice(self.processes), process, client_at=client))
            case 2:
                self.pair(capture.pair(choose.choice(self.processes), process, at="/run/x", client_at=""))
            case 3:
                one, other = capture._new(), capture._new()
                self.sockets.append(process.connect("@x", number=one))  # who does not know its peer yet
                self.sockets.append(process.accept("@x", "", number=other, peer=1000 + one))
            case 4:
                self.sockets.append(process.joined(remote=client))
            case 5:
                socket = process.connect("[::1]:80", "[::1]:9")
                capture.log.append(socket.as_frame())
                self.sockets.append(socket)
            case _:
                self.sockets.append(process.accept(client=client))

    def pair(self, ends: BothEnds) -> None:
        self.sockets += [ends.client, ends.server]

    def turn(self) -> None:
        choose = self.choose
        socket = choose.choice(self.sockets)
        client = bool(socket.flags & Flag.CONNECTED)
        ask: Callable[[bytes], RecordedSocket] = socket.send if client else socket.receive
        answer: Callable[[bytes], RecordedSocket] = socket.receive if client else socket.send
        match choose.randrange(24):
            case 0 | 1 if self.lossy:
                socket.lose(choose.choice([9, len(OK)]), choose.choice([Direction.SEND, Direction.RECEIVE]))
            case 2:
                self.capture.wait(choose.choice([10, SETTLE_NS // 2, 3 * SETTLE_NS]))
            case 3:
                socket.by(choose.choice(self.processes))
            case 4 if len(self.sockets) > 2:
                choose.choice([socket.close, socket.eof, socket.shutdown])()
                self.sockets.remove(socket)
                self.open()
            case 5:
                self.process()
            case 6:
                socket.facts = socket.facts._replace(remote_port=choose.choice([40_001, 40_002]))
                socket.announce()
            case 7:
                socket.audit(sent=socket.sent + choose.choice([0, 5]))
            case 8:
                socket.gap(choose.choice([3, len(OK)]))
            case 9:
                self.open()
            case 10:
                last = self.capture.log.pop()  # a call that took its place in the stream and reached its ring later
                ask(GET % 9)
                self.capture.log.append(last)
            case _:
                ask(GET % choose.randrange(100))
                answer(OK)

    def process(self) -> None:
        process = self.choose.choice(self.processes)
        match self.choose.randrange(4):
            case 0:
                self.processes.append(process.fork(300 + len(self.capture.log)))
            case 1:
                process.exec(f"program{len(self.capture.log)}")
            case 2 if len(self.processes) > 2:
                self.processes.remove(process)
                process.exit()
            case _:
                self.capture.process(process.pid, comm=f"seen{len(self.capture.log)}")

    def write(self, folder: Path) -> list[str]:
        """One file or two segments of it, damaged or not."""
        frames = self.capture.frames(end=self.choose.random() < 0.8)
        data = [file_bytes(frames)]
        match self.choose.randrange(5):
            case 0:
                data = [without(frames, self.choose.randrange(1, len(frames)))]
            case 1:
                data = [data[0][: -self.choose.randrange(1, len(data[0]) // 2)]]
            case 2:
                data = list(segments(self.capture, self.choose.randrange(1, len(frames))))
            case _:
                pass
        paths = [folder / f"{self.capture.header.recording_id}{each}.cap" for each in range(len(data))]
        for path, content in zip(paths, data, strict=True):
            path.write_bytes(content)
        return [str(path) for path in paths]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("jobs")


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 1 << 32),
    count=st.integers(1, 2),
    side=st.sampled_from(SIDES),
    narrow=st.sets(st.sampled_from(["held", "bucket", "sockets", "answers", "unix", "waiting"])),
)
def test_what_sockets_owe_to_others_is_to_each_process_what_it_is_to_one(
    folder: Path, seed: int, count: int, side: SidePolicy, narrow: set[str]
) -> None:
    paths = [path for each in range(count) for path in Turbulence(seed + each, "ab"[each]).write(folder)]
    with pytest.MonkeyPatch.context() as patch:
        if "held" in narrow:
            patch.setattr("replay.both_ends.MAX_HELD", 5000)
        if "bucket" in narrow:
            patch.setattr("replay.connections.MAX_HELD_IN_BUCKET", 9000)
        if "sockets" in narrow:
            patch.setattr("replay.streams.MAX_SOCKETS", 9)
            patch.setattr(sharing, "MAX_SOCKETS", 9)
        if "answers" in narrow:
            patch.setattr(sharing, "MAX_ANSWERS", 3)
        if "unix" in narrow:
            patch.setattr(census, "MAX_UNIX", 1)
        if "waiting" in narrow:
            patch.setattr(jobs, "MAX_WAITING_BYTES", 1000)
            patch.setattr(jobs, "BATCH", 2)
        one = by_one(paths, side)
        for jobs_count in (2, 3):
            assert by(jobs_count, paths, side) == one


@settings(deadline=None, max_examples=60)
@given(ANYTHING)
def test_any_events_and_frames_at_all(folder: Path, frames: list[Frame]) -> None:
    path = folder / "hostile.cap"
    path.write_bytes(file_bytes([Capture().header, *frames, End(time=0, frames=len(frames) + 2)]))
    one = by_one([str(path)], "auto")
    for count in (2, 3):
        assert by(count, [str(path)], "auto") == one


@pytest.mark.parametrize("side", SIDES)
def test_the_lines_of_all_fixtures_are_those_of_one_process(side: SidePolicy) -> None:
    paths = [str(path) for path in FIXTURES]
    one = by_one(paths, side)
    assert one
    assert by(3, paths, side) == one


def test_a_recording_that_cannot_be_divided_is_read_by_one_from_where_it_shows(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket that a data ring introduces may be the other end of one that another process has."""
    monkeypatch.setattr(jobs, "BATCH", 1)
    capture = Capture(drain_every=8)
    sockets = [capture.process(100).accept(client=f"127.0.0.1:{port}") for port in range(1, 9)]
    for turn in range(20):
        for socket in sockets:
            socket.receive(GET % turn).send(OK)
    frames = capture.frames()
    late = [each for each, frame in enumerate(frames) if isinstance(frame, Chunk) and frame.ring == 0][-1]
    introduced = Capture(time=capture.time)
    introduced.process(100).accept()
    (strange,) = [frame for frame in introduced.frames() if isinstance(frame, Chunk)]
    frames.insert(late + 1, replace(strange, ring=0, cpu=5))
    changed = tmp_path / "b.cap"
    changed.write_bytes(file_bytes(frames))
    one = by_one([str(changed)], "auto")
    assert len(one) == 160
    assert by(2, [str(changed)], "auto") == one


def test_so_many_sockets_that_a_limit_may_be_met_are_read_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them open when the recording begins: nothing but their frames tells of them."""
    monkeypatch.setattr("replay.streams.MAX_SOCKETS", 6)
    monkeypatch.setattr(sharing, "MAX_SOCKETS", 6)
    capture = Capture()
    process = capture.process(100)
    sockets = [process.joined(remote=f"127.0.0.1:{port}") for port in range(1, 9)]
    capture.log[-8:] = [socket.as_frame() for socket in sockets]
    for turn in range(3):
        for socket in sockets:
            socket.receive(GET % turn).send(OK)
    path = str(capture.write(tmp_path / "a.cap"))
    one = by_one([path], "auto")
    assert len(one) == 18
    assert by(2, [path], "auto") == one


def test_each_process_has_its_part_of_the_sockets(path: str) -> None:
    parent = os.getpid()
    owners = b"".join(jobs.text(recordings([path]), "auto", lambda _: b"%d\n" % os.getpid(), 3)).split()
    shares = [owners.count(owner) / len(owners) for owner in set(owners)]
    assert b"%d" % parent in owners
    assert len(shares) == 3
    assert min(shares) > 0.2


def test_what_a_worker_raises_is_raised_here(path: str) -> None:
    parent = os.getpid()

    def fail(item: Result) -> bytes:
        if os.getpid() != parent:
            raise ValueError("far away")
        return b"here\n"

    with pytest.raises(ValueError, match="far away"):
        list(jobs.text(recordings([path]), "auto", fail, 3))


def test_a_worker_that_dies_is_an_error_and_no_short_output(path: str) -> None:
    parent = os.getpid()

    def die(item: Result) -> bytes:
        if os.getpid() != parent:
            os._exit(1)
        return b""

    with pytest.raises(RuntimeError, match="a worker process ended"):
        list(jobs.text(recordings([path]), "auto", die, 3))


def test_no_process_is_left_when_the_reader_wants_no_more(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "BATCH", 1)
    parts = jobs.text(recordings([path]), "auto", encode, 3)
    next(parts)
    parts.close()
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
