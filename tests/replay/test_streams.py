"""Frames to streams: order across CPUs, positions that join up, holes with their reasons, ends."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capfile.event import Direction, Event, Flag, Reason, encode
from capfile.frames import Chunk, Frame, Ring
from capfile.reader import Damage
from capfile.records import records
from replay.events import ordered
from replay.ledger import Ledger
from replay.source import LookedAhead
from replay.stream import Bytes, Eof, Gap, StreamEvent
from replay.streams import MAX_HELD_BYTES, SETTLE_NS, Streams
from tests.build import Capture

Lives = dict[tuple[int, int], list[StreamEvent]]  # (generation, direction) -> its events
RECEIVE, SEND = int(Direction.RECEIVE), int(Direction.SEND)


def lives(frames: Sequence[Frame | Damage], ledger: Ledger | None = None) -> Lives:
    """Every direction of every socket, as the stages give it."""
    outlook = LookedAhead(frames)
    ledger = ledger or Ledger(outlook.counters)
    streams = Streams(ledger)
    steps = [s for item in ordered(frames, outlook, ledger) for s in streams.feed(item)] + streams.finish()
    result: Lives = {}
    for socket, direction, event in steps:
        if event is not None:
            result.setdefault((socket.generation, direction), []).append(event)
    return result


def data(events: list[StreamEvent]) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, Bytes))


def gaps(events: list[StreamEvent]) -> list[tuple[int, int | None, str]]:
    return [(event.position, event.length, event.reason) for event in events if isinstance(event, Gap)]


def ending(events: list[StreamEvent]) -> str:
    assert isinstance(events[-1], Eof)
    assert not any(isinstance(event, Eof) for event in events[:-1])
    return events[-1].how


def joins_up(events: list[StreamEvent], start: int = 0) -> bool:
    for event in events:
        if event.position != start:
            return False
        start += len(event.data) if isinstance(event, Bytes) else (event.length or 0) if isinstance(event, Gap) else 0
    return True


def test_what_was_sent_and_received_comes_out_in_both_directions_and_ends_with_the_close() -> None:
    capture = Capture()
    capture.process(100).accept().receive(b"ask").send(b"answer ").send(b"more").close()
    result = lives(capture.frames())
    assert data(result[1, RECEIVE]) == b"ask"
    assert data(result[1, SEND]) == b"answer more"
    assert ending(result[1, SEND]) == ending(result[1, RECEIVE]) == "close"


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 1 << 32), cpus=st.integers(1, 5), drain=st.integers(1, 40))
def test_any_distribution_over_cpus_and_drains_gives_the_same_streams(seed: int, cpus: int, drain: int) -> None:
    chance = random.Random(seed)
    capture = Capture(drain_every=drain)
    sockets = [capture.process(pid).accept() for pid in (100, 200, 300)]
    for turn in range(40):
        socket = chance.choice(sockets)
        chance.choice([socket.send, socket.receive])(b"%d;" % turn)
    for socket in sockets:
        socket.close()
    one = lives(Capture(drain_every=1000, log=capture.log).frames())
    assert lives(capture.spread(lambda _: chance.randrange(cpus)).frames()) == one


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 1 << 32))
def test_calls_whose_times_and_positions_disagree_are_put_in_the_order_of_their_positions(seed: int) -> None:
    """Two threads on one socket: the one that took its position first may read the clock last."""
    chance = random.Random(seed)
    capture = Capture(drain_every=5)
    socket = capture.process(100).accept()
    for turn in range(30):
        socket.send(b"%d;" % turn)
    first = capture.time
    capture.log[2:] = [
        record.__class__(record.event._replace(time=record.event.time + chance.randrange(50_000)), record.lost)  # type: ignore[union-attr]
        for record in capture.log[2:]
    ]
    capture.time = first + 100_000
    capture.log[2:] = sorted(capture.log[2:], key=lambda record: record.event.time)  # type: ignore[union-attr]
    socket.close()
    events = lives(capture.frames())[1, SEND]
    assert data(events) == b"".join(b"%d;" % turn for turn in range(30))
    assert gaps(events) == []


def test_a_record_the_ring_had_no_room_for_is_a_gap_of_its_size_in_its_place() -> None:
    capture = Capture()
    capture.process(100).accept().send(b"before").lose(1000).send(b"after").close()
    events = lives(capture.frames())[1, SEND]
    assert gaps(events) == [(6, 1000, "ring-full")]
    assert data(events) == b"beforeafter"
    assert joins_up(events)


def test_a_lost_record_at_the_end_is_known_from_the_kernels_own_count() -> None:
    capture = Capture()
    capture.process(100).accept().send(b"before").lose(1000).audit().close()
    assert gaps(lives(capture.frames())[1, SEND]) == [(6, 1000, "ring-full")]


def test_bytes_that_only_the_kernel_counted_are_missing_for_an_unknown_reason() -> None:
    capture = Capture()
    capture.process(100).accept().send(b"before").audit(sent=1006).close()
    assert gaps(lives(capture.frames())[1, SEND]) == [(6, 1000, "unknown")]


def test_a_hole_where_the_file_is_damaged_says_damaged() -> None:
    capture = Capture(drain_every=2)
    capture.process(100).accept().send(b"one").send(b"two").send(b"three").send(b"four").close()
    frames: list[Frame | Damage] = list(capture.frames())
    number = next(n for n, f in enumerate(frames) if isinstance(f, Chunk) and f.ring == 0 and b"two" in bytes(f.data))
    frames[number] = Damage(1000, 300, "damaged", "checksum differs")
    assert gaps(lives(frames)[1, SEND]) == [(3, 8, "damaged")]


@pytest.mark.parametrize("reason", [r for r in Reason if r is not Reason.NONE])
def test_a_gap_of_the_kernel_program_keeps_its_reason(reason: Reason) -> None:
    capture = Capture()
    capture.process(100).accept().send(b"head").gap(5_000_000_000, reason).send(b"tail").close()
    events = lives(capture.frames())[1, SEND]
    assert gaps(events) == [(4, 5_000_000_000, reason.label)]
    assert joins_up(events)


def test_a_sendfile_gap_names_its_file_and_gives_none_of_the_name_as_bytes() -> None:
    capture = Capture()
    capture.process(100).accept().send(b"head").sendfile(10, "index.html").close()
    events = lives(capture.frames())[1, SEND]
    assert data(events) == b"head"
    assert Gap(4, events[1].time, 10, "sendfile", "index.html") in events


def test_a_snapped_call_is_its_captured_bytes_and_a_gap_for_the_rest() -> None:
    capture = Capture()
    capture.process(100).accept().snap(Direction.RECEIVE, b"abc", 10).close()
    events = lives(capture.frames())[1, RECEIVE]
    assert data(events) == b"abc"
    assert gaps(events) == [(3, 7, "snaplen")]


def test_a_read_of_nothing_is_the_peers_fin() -> None:
    capture = Capture()
    capture.process(100).accept().receive(b"x").eof().send(b"y").close()
    result = lives(capture.frames())
    assert ending(result[1, RECEIVE]) == "fin"
    assert ending(result[1, SEND]) == "close"


def test_shutdown_of_writing_ends_the_sent_direction_in_order() -> None:
    capture = Capture()
    capture.process(100).accept().send(b"x").shutdown().receive(b"y").close()
    result = lives(capture.frames())
    assert ending(result[1, SEND]) == "fin"
    assert data(result[1, RECEIVE]) == b"y"


def test_a_reset_is_told_from_a_close() -> None:
    capture = Capture()
    capture.process(100).accept().send(b"x").state(1, 7).close()
    capture.process(100).accept().send(b"x").close(Flag.RESET)
    result = lives(capture.frames())
    assert ending(result[1, SEND]) == ending(result[2, SEND]) == "reset"


def test_a_state_change_alone_ends_nothing_because_arrived_bytes_may_still_be_read() -> None:
    capture = Capture()
    capture.process(100).accept().state(8, 7).receive(b"still there").close()
    assert data(lives(capture.frames())[1, RECEIVE]) == b"still there"


def test_an_open_connection_ends_with_the_capture() -> None:
    capture = Capture()
    capture.process(100).accept().send(b"x")
    assert ending(lives(capture.frames())[1, SEND]) == "end-of-capture"


def test_the_exit_of_its_only_process_ends_a_connection() -> None:
    capture = Capture()
    server = capture.process(100)
    server.accept().send(b"x")
    server.exit()
    assert ending(lives(capture.frames())[1, SEND]) == "process-exit"


def test_a_connection_that_a_living_child_inherited_survives_its_parent() -> None:
    capture = Capture()
    parent = capture.process(100)
    socket = parent.accept().send(b"x")
    child = parent.fork(101)
    parent.exit()
    socket.by(child).send(b"y").close()
    events = lives(capture.frames())[1, SEND]
    assert data(events) == b"xy"
    assert ending(events) == "close"


def test_a_joined_socket_starts_at_its_first_seen_byte() -> None:
    capture = Capture()
    capture.process(100).joined().receive(b"the rest of something").close()
    assert joins_up(lives(capture.frames())[1, RECEIVE])


def test_a_segment_continues_at_the_positions_of_its_socket_frames() -> None:
    capture = Capture()
    socket = capture.process(100).accept().receive(b"before").send(b"before")
    capture.log.clear()
    capture.log.append(socket.as_frame())
    socket.receive(b"after").close()
    events = lives(capture.frames())[1, RECEIVE]
    assert data(events) == b"after"
    assert joins_up(events, start=6)


def test_a_hole_is_declared_before_the_end_once_records_are_known_to_be_lost() -> None:
    capture = Capture()
    socket = capture.process(100).accept().send(b"a").lose(5).send(b"b")
    capture.wait(SETTLE_NS + 1)
    socket.receive(b"later")
    frames = capture.frames()
    ledger = Ledger()
    streams = Streams(ledger)
    steps = [s for item in ordered(frames, LookedAhead(frames), ledger) for s in streams.feed(item)]
    assert [type(event) for _, direction, event in steps if direction == SEND] == [Bytes, Gap, Bytes]


def test_what_waits_for_missing_bytes_is_bounded() -> None:
    capture = Capture()
    socket = capture.process(100).accept().lose(5)
    for _ in range(2 * MAX_HELD_BYTES // 16384):
        socket.send(bytes(16384))
    frames = capture.frames()
    ledger = Ledger()
    streams = Streams(ledger)
    steps = [s for item in ordered(frames, LookedAhead(frames), ledger) for s in streams.feed(item)]
    assert sum(isinstance(event, Bytes) for _, _, event in steps) > 0


def test_the_ledger_counts_what_the_sequence_says_is_lost() -> None:
    capture = Capture()
    capture.process(100).accept().send(b"a").lose(5).lose(6).send(b"b").close()
    ledger = Ledger()
    lives(capture.frames(), ledger)
    tally = ledger.rings[0, 0]
    assert (tally.lost, tally.perf_lost, tally.records) == (2, 2, 2)
    assert ledger.end_of(Ring.DATA) == [[4, 2]]


def test_every_event_is_handed_on_even_if_nobody_numbered_them() -> None:
    capture = Capture()
    capture.process(100).accept().send(b"a").send(b"b").close()
    frames = [_unnumbered(frame) if isinstance(frame, Chunk) else frame for frame in capture.frames()]
    assert data(lives(frames)[1, SEND]) == b"ab"


def _unnumbered(chunk: Chunk) -> Chunk:
    events = [event for event in records(chunk.data) if isinstance(event, Event)]
    return replace(chunk, data=b"".join(encode(event._replace(sequence=0)) for event in events))
