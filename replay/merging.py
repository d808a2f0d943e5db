"""Recordings in, one out: what must differ between them is moved apart. Decided per frame and event, without a file.

Segments of one recording need none of this. Other recordings keep their facts, but get CPU numbers, generations and
(from another boot) socket numbers of their own, and their clock is brought to the first one's by the clock anchors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, TypeVar

from capfile.errors import EventError
from capfile.event import Event, Kind, SocketFacts
from capfile.frames import Chunk, Counters, Frame, Header, Mark, Process, Socket
from capfile.limits import MAX_ITEMS

MAX_CPU: Final = MAX_ITEMS - 1  # NR_CPUS is at most 8,192; a larger number is a damaged one
MAX_TIME: Final = (1 << 63) - 1
GENERATIONS: Final = 1 << 40  # numbers set aside for each recording
SOCKETS: Final = 1 << 40  # inode numbers of sockets are below: get_next_ino is 32 bits wide, sock inodes follow it
MAX_RECORDINGS: Final = 1 << 20
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Move:
    """How the facts of recording `number` (0: the first) are moved."""

    number: int
    cpus: int  # CPUs of the recordings before it
    clock: int  # ns to add to its times
    other_boot: bool

    @classmethod
    def of(cls, number: int, cpus: int, first: Header, header: Header) -> Move:
        """From the two headers. Of one boot the clock is the same, and so are the sockets."""
        other = not first.boot_id or header.boot_id != first.boot_id
        apart = (header.wall_time - header.monotonic_time) - (first.wall_time - first.monotonic_time)
        return cls(number, cpus, apart if other else 0, other)

    def time(self, time: int) -> int:
        """In the first recording's clock; 0 stays "unknown"."""
        return min(MAX_TIME, max(1, time + self.clock)) if time else 0

    def generation(self, generation: int) -> int:
        """Its number in the new recording."""
        return generation % GENERATIONS + self.number * GENERATIONS if generation else 0

    def socket(self, socket: int) -> int:
        """Its inode number, moved only where another kernel gave it."""
        return socket % SOCKETS + self.number * SOCKETS if socket and self.other_boot else socket

    def event(self, event: Event) -> Event:
        """The event as the new recording has it."""
        payload = self.facts(bytes(event.payload)) if event.kind == Kind.SOCKET else event.payload
        return event._replace(
            time=self.time(event.time),
            generation=self.generation(event.generation),
            socket=self.socket(event.socket),
            payload=payload,
        )

    def facts(self, facts: bytes) -> bytes:
        """Socket facts with the peer's number moved too; what are no facts stay as they are."""
        try:
            known = SocketFacts.unpack(facts)
        except EventError:
            return facts
        return known._replace(peer_socket=self.socket(known.peer_socket)).pack() + facts[len(known.pack()) :]

    def fact(self, frame: Process | Socket | Mark) -> Process | Socket | Mark:
        """A fact as the new recording has it."""
        if isinstance(frame, Process):
            return replace(frame, time=self.time(frame.time))
        time, generation, socket = (
            self.time(frame.time),
            self.generation(frame.generation),
            self.socket(frame.socket),
        )
        if isinstance(frame, Socket):
            facts = self.facts(frame.facts)
            return replace(frame, facts=facts, time=time, generation=generation, socket=socket)
        return replace(frame, time=time, generation=generation, socket=socket)

    def frame(self, frame: Frame) -> Frame:
        """A chunk's and a counter's CPUs and times; other frames as they are."""
        if isinstance(frame, Chunk):
            first, last = self.time(frame.first_time), self.time(frame.last_time)
            return replace(frame, cpu=min(frame.cpu, MAX_CPU) + self.cpus, first_time=first, last_time=last)
        if isinstance(frame, Counters):
            return replace(frame, time=self.time(frame.time))
        return frame


def joined(one: Counters | None, other: Counters, cpus: int) -> Counters:
    """Two ledgers as one: the other's values stand behind `cpus` CPUs of the first."""
    if one is None and not cpus:
        return other
    one = one or Counters(0)
    names = [*one.counters, *(name for name in other.counters if name not in one.counters)]
    counters = {n: _behind(one.counters.get(n, []), other.counters.get(n, []), cpus, 0) for n in names}
    rings = {n: _behind(one.rings.get(n, []), other.rings.get(n, []), cpus, [0, 0]) for n in [*one.rings, *other.rings]}
    return Counters(max(one.time, other.time), counters, rings)


def _behind(first: list[T], second: list[T], at: int, filler: T) -> list[T]:
    return [*first[:at], *[filler] * (at - len(first)), *second][:MAX_ITEMS]
