"""What a slice keeps: a stretch of time, some connections, some processes. Decided per event, without a file.

A slice that begins in the middle says what was open then: its sockets with their positions, as a new segment does, so
that streams begin there and nothing before counts as lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from capfile.codec import pieces
from capfile.damage import Damage
from capfile.errors import CapfileError
from capfile.event import Direction, Event, Flag, Kind
from capfile.frames import Chunk, Frame, Header, Mark, Process, Socket
from capfile.layout import EventLayout
from capfile.records import records_of

MAX_POSITION = (1 << 64) - 1
_PROCESS_EVENTS = frozenset({Kind.FORK, Kind.EXEC, Kind.EXIT})
_WITH_SOCKET = frozenset({Kind.DATA, Kind.SOCKET, Kind.SHUTDOWN, Kind.CLOSE, Kind.STATE, Kind.AUDIT})


@dataclass(frozen=True, slots=True)
class Slice:
    """Times in ns of CLOCK_MONOTONIC, both included; None: all connections, all processes."""

    first: int = 0
    last: int = (1 << 64) - 1
    generations: frozenset[int] | None = None
    processes: frozenset[int] | None = None

    def event(self, event: Event) -> Event | None:
        """The event if it is wanted."""
        return event if self.first <= event.time <= self.last and self._concerns(event) else None

    def _concerns(self, event: Event) -> bool:
        if event.kind in _WITH_SOCKET:
            return self.generations is None or event.generation in self.generations
        # forks tell which processes share sockets: all are kept that lead to a process that is wanted
        return self.processes is None or event.tgid in self.processes or event.kind in _PROCESS_EVENTS

    def fact(self, frame: Process | Socket | Mark) -> Process | Socket | Mark | None:
        """The frame if it is wanted. What was open at the beginning comes from `OpenSockets` instead."""
        if isinstance(frame, Process):
            return frame if frame.time <= self.last else None
        if not self.first <= frame.time <= self.last:
            return None
        wanted = self.generations is None or not frame.generation or frame.generation in self.generations
        return frame if wanted else None


@dataclass(slots=True)
class OpenSockets:
    """Sockets as events and frames before a moment left them."""

    before: int
    _open: dict[tuple[int, int], Socket] = field(default_factory=dict)
    _closed: set[tuple[int, int]] = field(default_factory=set)  # rings are drained in turns: a close may be read early

    def feed(self, frames: Iterable[Frame | Damage]) -> None:
        """Read a recording up to the moment. Chunks that begin later are not decoded."""
        layout: EventLayout | None = None
        for frame in frames:
            if isinstance(frame, Header):
                layout = EventLayout(frame.layout, frame.event_size)
            elif isinstance(frame, Chunk) and frame.first_time < self.before:
                for event in _events(frame, layout):
                    if event.time < self.before:
                        self._event(event)
            elif isinstance(frame, Socket) and frame.time < self.before:
                self._open.setdefault((frame.socket, frame.generation), frame)

    def _event(self, event: Event) -> None:
        key = (event.socket, event.generation)
        if event.kind not in _WITH_SOCKET:
            return
        known = self._open.get(key) or Socket(event.socket, event.generation, b"", tgid=event.tgid)
        end = min(event.position + event.size, MAX_POSITION)
        match event.kind:
            case Kind.SOCKET:
                known = replace(known, facts=bytes(event.payload), flags=known.flags | event.flags, tgid=event.tgid)
            case Kind.DATA if event.direction == Direction.RECEIVE:
                known = replace(known, received=max(known.received, end))
            case Kind.DATA if event.direction == Direction.SEND:
                known = replace(known, sent=max(known.sent, end))
            case Kind.CLOSE:
                self._closed.add(key)
        self._open[key] = known

    def frames(self, wanted: Slice) -> Iterator[Socket]:
        """What was open and is wanted."""
        for key, socket in self._open.items():
            if key not in self._closed and (wanted.generations is None or socket.generation in wanted.generations):
                yield replace(socket, flags=socket.flags | Flag.JOINED, time=self.before)


def _events(chunk: Chunk, layout: EventLayout | None) -> Iterator[Event]:
    """As many as can be read."""
    try:
        for record in records_of(pieces(chunk), layout):
            if isinstance(record, Event):
                yield record
    except CapfileError:
        return
