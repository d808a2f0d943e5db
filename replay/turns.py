"""Both directions of a socket in the order of their times, although one of them had to be waited for.

A direction with a hole holds back what lies behind it. Meanwhile the other direction's steps wait here: passed on at
once they would overtake, and an answer would seem to come after questions that were asked later. Knows times and
directions, nothing else; within a direction the order of the positions is never changed.
"""

from __future__ import annotations

from collections.abc import Hashable, Sized
from typing import Final, Generic, Protocol, TypeVar

from replay.stream import Bytes, StreamEvent

MAX_WAITING_BYTES: Final = 8 << 20  # of one socket; beyond them the order is given up, the bytes are not
NEVER: Final = 1 << 64  # after every time that an event can carry


class Direction(Protocol):
    """One direction of a socket."""

    @property
    def held(self) -> Sized:
        """What came behind a hole."""


class Socket(Hashable, Protocol):
    """What must be known of a socket here."""

    gone: bool  # nothing follows

    @property
    def receive(self) -> Direction:
        """What the process reads."""

    @property
    def send(self) -> Direction:
        """What the process writes."""


S = TypeVar("S", bound=Socket)


class _Queue(Generic[S]):
    """The steps of one socket that wait."""

    __slots__ = ("size", "steps")

    def __init__(self) -> None:
        self.steps: list[tuple[S, int, StreamEvent | None]] = []
        self.size = 0  # bytes

    def append(self, step: tuple[S, int, StreamEvent | None]) -> None:
        self.steps.append(step)
        if type(step[2]) is Bytes:
            self.size += len(step[2].data)


class Turns(Generic[S]):
    """What waits, socket by socket."""

    def __init__(self) -> None:
        self._waiting: dict[S, _Queue[S]] = {}

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._waiting)

    def take(self, steps: list[tuple[S, int, StreamEvent | None]]) -> list[tuple[S, int, StreamEvent | None]]:
        """These steps, and those that waited for them, but for the ones of sockets with a hole that is not settled."""
        passed: list[tuple[S, int, StreamEvent | None]] = []
        touched: dict[S, _Queue[S]] = {}
        for step in steps:
            socket, _, event = step
            if event is None and not socket.gone:
                passed.append(step)  # facts of the socket: good to know as soon as they are
                continue
            queue = touched.get(socket)
            if queue is None:
                queue = touched[socket] = self._waiting.pop(socket) if socket in self._waiting else _Queue()
            queue.append(step)
        for socket, queue in touched.items():
            if (socket.receive.held or socket.send.held) and queue.size <= MAX_WAITING_BYTES:
                self._waiting[socket] = queue
            else:
                passed += in_turn(queue.steps)
        return passed


def in_turn(steps: list[tuple[S, int, StreamEvent | None]]) -> list[tuple[S, int, StreamEvent | None]]:
    """Steps of one socket, each direction in its own order, the two merged by time."""
    latest: dict[int, int] = {}
    times: list[int] = []
    for _, direction, event in steps:
        latest[direction] = max(latest.get(direction, 0), NEVER if event is None else event.time)
        times.append(latest[direction])
    return [steps[index] for index in sorted(range(len(steps)), key=times.__getitem__)]
