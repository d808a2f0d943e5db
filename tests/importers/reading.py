"""Read a capture file back for the importers' tests: per socket, what was seen in which order."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field

from capfile.codec import decompressed
from capfile.event import Direction, Event, Flag, Kind, Reason, SocketFacts
from capfile.frames import Chunk, Counters, End, Header, Mark, Process
from capfile.reader import Reader
from capfile.records import records
from capfile.writer import Writer
from replay.importers.recording import Recording
from replay.importers.source import Source


@dataclass
class Seen:
    """One socket: `received` and `sent` are lists of bytes and (gap size, reason)."""

    facts: SocketFacts
    flags: Flag
    received: list[bytes | tuple[int, Reason]] = field(default_factory=list)
    sent: list[bytes | tuple[int, Reason]] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def joined(self, direction: str) -> list[bytes | tuple[int, Reason]]:
        """Neighbouring bytes and neighbouring gaps of one reason put together."""
        parts: list[bytes | tuple[int, Reason]] = []
        for part in getattr(self, direction):
            last = parts[-1] if parts else None
            if isinstance(part, bytes) and isinstance(last, bytes):
                parts[-1] = last + part
            elif isinstance(part, tuple) and isinstance(last, tuple) and part[1] == last[1]:
                parts[-1] = (last[0] + part[0], part[1])
            else:
                parts.append(part)
        return parts


@dataclass
class Capture:
    sockets: list[Seen]
    marks: list[Mark]
    processes: list[Process]
    header: Header
    end: End
    events: list[Event]


def imported(read: Callable[[Source, Recording], list[str]], data: bytes, kind: str = "test") -> Capture:
    """Run an importer over `data` and read its file back, checking what holds for every imported file."""
    with tempfile.TemporaryFile() as file:
        read(Source(io.BytesIO(data)), Recording(Writer(file.fileno()), kind))
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        return read_back(file.read())


def read_back(file: bytes) -> Capture:
    frames = list(Reader(io.BytesIO(file)))
    header, end = frames[0], frames[-1]
    assert isinstance(header, Header)
    assert isinstance(end, End)
    assert end.frames == len(frames)
    events = [each for frame in frames if isinstance(frame, Chunk) for each in _events(frame)]
    events.sort(key=lambda each: each.time)
    assert len({each.time for each in events}) == len(events), "every event has a time of its own"
    _check_ledger(frames, events)
    sockets: dict[int, Seen] = {}
    for each in events:
        _account(sockets, each)
    marks = [frame for frame in frames if isinstance(frame, Mark)]
    processes = [frame for frame in frames if isinstance(frame, Process)]
    return Capture(list(sockets.values()), marks, processes, header, end, events)


def _events(chunk: Chunk) -> list[Event]:
    found = [each for each in records(decompressed(chunk)) if isinstance(each, Event)]
    assert found
    assert found[0].time == chunk.first_time
    assert all(chunk.first_time <= each.time <= chunk.last_time for each in found)
    return [each._replace(payload=bytes(each.payload)) for each in found]


def _check_ledger(frames: list[object], events: list[Event]) -> None:
    (counters,) = (frame for frame in frames if isinstance(frame, Counters))
    data = sorted(each.sequence for each in events if each.kind == Kind.DATA)
    control = sorted(each.sequence for each in events if each.kind != Kind.DATA)
    assert data == list(range(counters.rings["data"][0][0]))
    assert control == list(range(counters.rings["control"][0][0]))


def _account(sockets: dict[int, Seen], each: Event) -> None:
    if each.kind == Kind.SOCKET:
        told = SocketFacts.unpack(each.payload)
        seen = sockets.setdefault(each.generation, Seen(told, Flag(each.flags)))
        seen.facts = told
    if not each.generation:
        return
    seen = sockets[each.generation]
    seen.events.append(each)
    if each.kind == Kind.DATA:
        stream = seen.received if each.direction == Direction.RECEIVE else seen.sent
        assert each.position == sum(len(part) if isinstance(part, bytes) else part[0] for part in stream)
        assert each.size >= each.captured
        if each.captured:
            stream.append(bytes(each.payload))
        if each.size > each.captured:
            stream.append((each.size - each.captured, Reason(each.reason)))
        if each.flags & Flag.EOF:
            seen.ends.append("eof")
    elif each.kind == Kind.SHUTDOWN:
        seen.ends.append(f"shutdown {Direction(each.direction).name.lower()}")
    elif each.kind == Kind.CLOSE:
        seen.ends.append("reset" if each.flags & Flag.RESET else "close")
