"""Redaction at the source: whatever pieces a secret comes in, and through whichever ring, none of it is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capfile.event import EVENT_SIZE, Direction, Event, Flag, Kind, layout
from capfile.frames import FORMAT_VERSION, Chunk, Counters, Header
from capfile.reader import Reader, decompressed
from capfile.records import records
from capfile.redaction import NAMES
from recorder import output
from recorder.commands import capture
from recorder.drain import FOREVER, Drain
from recorder.errors import UsageError
from recorder.header import header
from recorder.limits import RecordingLimits
from recorder.options import Options
from recorder.recording import Recording
from recorder.redaction import Redactor, length_until
from tests.recorder.fake import FakeRing

SECRET = b"$ECRET-0189-VALUE"  # of bytes that no token has
STREAM = (
    b"GET /a HTTP/1.1\r\nhost: h\r\nCookie: " + SECRET + b"\r\nAccept: x\r\n\r\n"
    b"GET /b HTTP/1.1\r\nauthorization: Bearer " + SECRET + b"\r\nx-cookie: kept\r\n\r\n"
    b"GET /c HTTP/1.1\r\nset-cookie:" + SECRET + b"\r\n " + SECRET + b"\r\nx-api-key: " + SECRET + b"\r\n\r\n"
)
HIDDEN = {*SECRET}
NAMED = (*NAMES, "X-Api-Key")


class Bench:
    """Two CPUs' rings, drained into a file with or without a redactor."""

    def __init__(self, folder: Path, redactor: Redactor | None) -> None:
        self.path = folder / "x.cap"
        self.path.unlink(missing_ok=True)
        self.rings = [FakeRing(1 << 14, cpu=cpu) for cpu in range(2)]
        target = output.Target(str(self.path), "new")
        described = Header(FORMAT_VERSION, [list(row) for row in layout()], EVENT_SIZE)
        self.recording = Recording(
            target, output.create(str(self.path)), RecordingLimits(), lambda _: described, list, lambda _: None
        )
        self.drain = Drain(self.rings, [], self.recording, lambda _: None, lambda: Counters(0), None, redactor=redactor)
        self.position = 0
        self.time = 1000

    def send(self, data: bytes, cpu: int = 0, **fields: int) -> None:
        """The next bytes of one stream."""
        values = {"position": self.position, "direction": Direction.SEND, "time": self.time, **fields}
        self.rings[cpu].event(payload=data, **values)
        self.position += len(data)
        self.time += 1

    def events(self) -> list[Event]:
        """What the file holds, in the order of the stream."""
        self.drain.drain_pass(last=True)
        self.recording.finish(Counters(0, {}, {"data": [], "control": []}), "interrupt")
        with Reader.open(self.path) as reader:
            chunks = [decompressed(frame) for frame in reader if isinstance(frame, Chunk)]
        found = [event for chunk in chunks for event in records(chunk) if isinstance(event, Event)]
        return sorted(found, key=lambda event: event.time)


def said(events: list[Event]) -> bytes:
    return b"".join(bytes(event.payload) for event in events)


pieces = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 1), st.booleans()), max_size=60)


@given(pieces)
def test_no_byte_of_a_secret_is_written_whatever_pieces_rings_and_passes_it_came_in(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[tuple[int, int, bool]]
) -> None:
    bench = Bench(tmp_path_factory.getbasetemp(), Redactor(NAMED))
    at, sizes = 0, []
    for size, cpu, drained in [*cuts, (len(STREAM), 0, False)]:
        if at < len(STREAM):
            bench.send(STREAM[at : at + size], cpu)
            sizes.append(len(STREAM[at : at + size]))
            at += size
        if drained:
            bench.drain.drain_pass()
    events = bench.events()
    written = said(events)
    assert [event.captured for event in events] == sizes
    assert len(written) == len(STREAM)
    assert SECRET not in bench.path.read_bytes()
    shown = bytearray(STREAM)
    scheme = slice(STREAM.index(b"Bearer"), STREAM.index(b"Bearer") + 7)
    shown[scheme] = written[scheme]  # stays only if it came with the rest
    place = STREAM.find(SECRET)
    while place >= 0:
        assert not HIDDEN & {*written[place : place + len(SECRET)]}
        shown[place : place + len(SECRET)] = written[place : place + len(SECRET)]
        place = STREAM.find(SECRET, place + 1)
    assert written == shown  # nothing else is another


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 1)), max_size=60))
def test_equal_secrets_stay_equal_in_whatever_pieces_they_come_within_a_pass(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[tuple[int, int]]
) -> None:
    bench, data = Bench(tmp_path_factory.getbasetemp(), Redactor()), STREAM + STREAM
    at = 0
    for size, cpu in [*cuts, (len(data), 0)]:
        if at < len(data):
            bench.send(data[at : at + size], cpu)
            at += size
    written = said(bench.events())
    assert written[: len(STREAM)] == written[len(STREAM) :] != STREAM


def test_what_nobody_asked_to_hide_is_written_as_it_is(tmp_path: Path) -> None:
    bench = Bench(tmp_path, None)
    bench.send(STREAM)
    assert said(bench.events()) == STREAM


def test_two_recordings_have_different_keys_and_no_header_tells_one(tmp_path: Path) -> None:
    written = []
    for _ in range(2):
        redactor = Redactor()
        bench = Bench(tmp_path, redactor)
        bench.send(STREAM)
        written.append(said(bench.events()))
        assert redactor.count == 3
    assert written[0] != written[1]
    found = header(Options("x.cap"), 0, "id", [], 1, redactor.facts())
    assert found.redaction == {"at": "capture", "headers": list(NAMES), "scheme": "hmac-sha256+shake256"}


def test_both_directions_and_other_sockets_are_searched_apart(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Redactor())
    bench.send(b"Cookie: " + SECRET[:5])
    bench.send(b"Cookie: kept? no\r\n", position=0, direction=Direction.RECEIVE)
    bench.send(b"no header here\r\n", position=0, generation=2)
    bench.send(SECRET[5:] + b"\r\n", position=13)
    events = bench.events()
    assert bytes(events[2].payload) == b"no header here\r\n"
    assert b"kept" not in events[1].payload
    assert not HIDDEN & {*events[3].payload[:-2]}


def test_a_file_s_name_and_other_kinds_of_events_are_left_alone(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Redactor())
    bench.send(b"Cookie: file-name", flags=Flag.FILE_NAME)
    bench.send(b"Cookie: audit", kind=Kind.AUDIT)
    bench.rings[0].lose(3)
    assert said(bench.events()) == b"Cookie: file-nameCookie: audit"


def test_an_event_that_came_while_the_heads_were_read_waits_for_the_next_pass(tmp_path: Path) -> None:
    """Its predecessor may be behind the head that was read of another ring."""
    bench = Bench(tmp_path, Redactor())
    bench.send(STREAM)
    bench.send(STREAM, time=FOREVER - 1)
    bench.drain.drain_pass()
    assert 0 < bench.rings[0].tail < bench.rings[0].head()
    assert len(bench.events()) == 2


def test_the_cut_falls_before_the_first_later_event_and_losses_have_no_time() -> None:
    ring = FakeRing()
    ring.lose(1)
    ring.event(payload=b"x", time=5)
    copy = bytearray(b"".join(ring.regions(ring.head())))
    ring.event(payload=b"y", time=7)
    whole = bytearray(b"".join(ring.regions(ring.head())))
    assert length_until(whole, 6) == len(copy)
    assert length_until(whole, 7) == len(whole)


def test_the_state_is_bounded_and_the_direction_used_last_keeps_its_own(tmp_path: Path) -> None:
    redactor = Redactor(max_flows=2)
    bench = Bench(tmp_path, redactor)
    for generation in range(1, 8):
        bench.send(b"x\r\nCookie: " + SECRET[:4], position=0, generation=generation)
    bench.drain.drain_pass()
    assert len(redactor._finders) == 2
    bench.send(SECRET[4:] + b"\r\n", position=15, generation=7)
    assert not HIDDEN & {*bench.events()[-1].payload[:-2]}


def test_the_command_line_says_which_headers() -> None:
    assert capture.redacted_headers(False, []) == ()
    assert capture.redacted_headers(True, ["X-Api-Key"]) == (*NAMES, "X-Api-Key")
    with pytest.raises(UsageError, match="goes with --redact"):
        capture.redacted_headers(False, ["X-Api-Key"])
    with pytest.raises(UsageError, match="cannot be a header's name"):
        capture.redacted_headers(True, ["a b"])
