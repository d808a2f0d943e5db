"""Whatever a recording says, the pipeline answers with results or one of our errors: never with a traceback."""

import gc
import random
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capfile.errors import CapfileError
from capfile.event import PERF_HEADER, Event, Flag, Kind, encode
from capfile.frames import Chunk, Counters, End, Frame, Mark, Process, Socket
from replay import events, streams
from replay.document import to_document
from replay.ledger import Ledger
from replay.pipeline import exchanges
from replay.source import LookedAhead, recordings
from replay.verify import Report, Verification
from tests.build import Capture, Record, facts, file_bytes
from tests.replay.test_pipeline import GET, OK, ask

U8, U16, U32, U64 = (1 << 8) - 1, (1 << 16) - 1, (1 << 32) - 1, (1 << 64) - 1
SMALL = st.integers(0, 3)


def number(most: int) -> st.SearchStrategy[int]:
    """Small numbers that collide, the largest, and anything between."""
    return SMALL | st.integers(0, most) | st.just(most)


SOME_FACTS = [facts("/x", "").pack(), facts("[::1]:1", "[::1]:2").pack()]
EVENTS = st.builds(
    Event,
    abi=st.just(1),
    kind=st.sampled_from([int(kind) for kind in Kind]) | number(U8),
    direction=SMALL | number(U8),
    captured=st.just(0),
    sequence=number(U64),
    time=number(U64),
    socket=SMALL,
    generation=SMALL,
    position=SMALL | number(U64),
    size=SMALL | number(U64),
    ret=st.integers(-(1 << 63), (1 << 63) - 1) | SMALL,
    tgid=SMALL | number(U32),
    tid=number(U32),
    fd=st.integers(-(1 << 31), (1 << 31) - 1),
    syscall=number(U32),
    reason=st.integers(0, 20) | number(U16),
    flags=st.integers(0, 2047) | number(U16),
    depth=number(U32),
    payload=st.sampled_from([b"", GET % b"/", OK % (5, b"hello"), *SOME_FACTS]) | st.binary(max_size=40),
)
FRAMES = st.one_of(
    st.builds(Process, pid=SMALL, comm=st.text(max_size=5), time=number(U64)),
    st.builds(
        Socket, socket=SMALL, generation=SMALL, facts=st.binary(max_size=300), flags=number(U16),
        received=number(U64), sent=number(U64), tgid=SMALL, time=number(U64),
    ),
    st.builds(Mark, code=st.text(max_size=5), time=number(U64), detail=st.text(max_size=5)),
    st.builds(
        Counters, time=number(U64),
        counters=st.dictionaries(st.sampled_from(["data_lost", "x"]), st.lists(number(U64))),
        rings=st.dictionaries(st.sampled_from(["data", "control", "x"]), st.lists(st.lists(number(U64), max_size=3))),
    ),
)  # fmt: skip


def chunk(events: list[Event], cpu: int, ring: int, first: int) -> Chunk:
    data = b"".join(encode(event._replace(captured=len(event.payload))) for event in events)
    return Chunk(cpu, ring, first, first, len(data), data=data)


def survives(data: bytes, folder: Path) -> None:
    path = folder / "a.cap"
    path.write_bytes(data)
    with suppress(CapfileError):
        _replay(path)
    with suppress(CapfileError):
        _verify(path)


def _replay(path: Path) -> None:
    for recording in recordings([str(path)]):
        for item in exchanges(recording, "both"):
            to_document(item)
        recording.close()


def _verify(path: Path) -> Report:
    (recording,) = recordings([str(path)])
    verification = Verification(recording)
    for _ in verification.accounts():
        pass
    recording.close()
    return verification.report()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


ANYTHING = st.lists(
    FRAMES | st.builds(chunk, st.lists(EVENTS, max_size=12), cpu=SMALL | number(U32), ring=SMALL, first=number(U64)),
    max_size=6,
)


@settings(deadline=None, max_examples=100)
@given(ANYTHING)
def test_any_events_and_frames_at_all(folder: Path, frames: list[Frame]) -> None:
    survives(file_bytes([Capture().header, *frames, End(time=0, frames=len(frames) + 2)]), folder)


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=300), st.integers(0, 1 << 16))
def test_any_bytes_in_the_place_of_a_rings(folder: Path, noise: bytes, seed: int) -> None:
    chance = random.Random(seed)
    capture = Capture(drain_every=4)
    ask(ask(capture.process(100).accept())).close()
    frames = capture.frames()
    for at, frame in enumerate(frames):
        if isinstance(frame, Chunk) and chance.random() < 0.7:
            data = bytearray(bytes(frame.data))
            start = chance.randrange(len(data))
            data[start : start + chance.choice([0, len(noise)])] = noise
            frames[at] = replace(frame, data=bytes(data), size=len(data))
    survives(file_bytes(frames), folder)


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=40), st.integers(0, 1 << 16))
def test_any_bytes_in_the_place_of_the_files(folder: Path, noise: bytes, seed: int) -> None:
    capture = Capture(drain_every=4)
    ask(ask(capture.process(100).accept())).close()
    data = bytearray(capture.bytes())
    start = random.Random(seed).randrange(len(data))
    data[start : start + len(noise)] = noise
    survives(bytes(data), folder)
    survives(noise, folder)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.binary(max_size=60), max_size=12), st.booleans(), st.integers(0, 1 << 16))
def test_any_bytes_of_the_peers(folder: Path, parts: list[bytes], joined: bool, seed: int) -> None:
    chance = random.Random(seed)
    capture = Capture()
    process = capture.process(100)
    socket = process.joined() if joined else process.accept()
    for part in [GET % b"/", *parts]:
        action: Callable[[bytes], object] = chance.choice([socket.send, socket.receive])
        action(part)
        if chance.random() < 0.2:
            socket.gap(chance.randrange(1, 1 << 40))
    survives(capture.bytes(), folder)


def test_sockets_beyond_the_limit_are_counted_and_reported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_SOCKETS", 2)
    capture = Capture()
    for _ in range(3):
        ask(capture.process(100).accept())
    path = capture.write(folder / "many.cap")
    recording = recordings([str(path)])[0]
    assert len(list(exchanges(recording))) == 2
    verification = Verification(recording)
    assert len(list(verification.accounts())) == 2
    assert any("beyond the limit" in sentence for sentence in verification.report().missing)


def test_rings_beyond_the_limit_are_counted_and_reported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_RINGS", 3)
    capture = Capture(cpus=4)
    for _ in range(4):
        ask(capture.process(100).accept())
    assert any(
        "rings beyond the limit" in sentence for sentence in _verify(capture.write(folder / "rings.cap")).missing
    )


def test_chunks_that_claim_to_be_early_do_not_fill_the_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last chunk says that it may hold the first event, so that everything would be held until it is read."""
    monkeypatch.setattr(events, "MAX_BUFFERED", 10_000)
    capture = Capture(drain_every=4)
    for _ in range(200):
        ask(capture.process(100).accept()).close()
    frames = capture.frames()
    at = max(number for number, frame in enumerate(frames) if isinstance(frame, Chunk))
    frames[at] = replace(frames[at], first_time=1)  # type: ignore[type-var]
    outlook = LookedAhead(frames)
    ledger = Ledger(outlook.counters)
    found = [item for item in events.ordered(frames, outlook, ledger) if isinstance(item, Event)]
    assert len(found) == sum(isinstance(each, Record) for each in capture.log)
    assert ledger.skipped


def test_memory_does_not_grow_with_the_number_of_connections_and_exchanges(folder: Path) -> None:
    def peak(connections: int) -> int:
        capture = Capture()
        process = capture.process(100)
        for _ in range(connections):
            ask(ask(process.accept())).close()
        recording = recordings([str(capture.write(folder / "flat.cap"))])[0]
        del capture
        gc.collect()
        tracemalloc.start()
        assert sum(1 for _ in exchanges(recording)) == 2 * connections
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        recording.close()
        return most

    peak(100)  # caches fill
    # A connection takes about 10 kB while it is open. Closed ones hold cycles and wait for the collector.
    assert peak(1000) < peak(200) + 1_000_000


def test_a_chunk_that_ends_in_nonsense_keeps_what_came_before_it(folder: Path) -> None:
    capture = Capture()
    ask(capture.process(100).accept()).close()
    frames = [
        replace(frame, data=bytes(frame.data) + b"\0" * PERF_HEADER.size, size=frame.size + PERF_HEADER.size)
        if isinstance(frame, Chunk)
        else frame
        for frame in capture.frames()
    ]
    path = folder / "tail.cap"
    path.write_bytes(file_bytes(frames))
    recording = recordings([str(path)])[0]
    assert len(list(exchanges(recording))) == 1
    verification = Verification(recording)
    list(verification.accounts())
    assert any("chunks that cannot be read" in sentence for sentence in verification.report().missing)


def test_a_closed_socket_stays_closed(folder: Path) -> None:
    capture = Capture()
    socket = ask(capture.process(100).accept()).eof()
    socket.receive(b"after the end")
    socket.close(Flag.RESET)
    recording = recordings([str(capture.write(folder / "closed.cap"))])[0]
    assert len(list(exchanges(recording))) == 1
    verification = Verification(recording)
    list(verification.accounts())
    assert any("after the end" in sentence for sentence in verification.report().missing)
