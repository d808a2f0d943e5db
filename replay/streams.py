"""Ordered events in, `Bytes | Gap | Eof` per socket and direction out, positions that join up.

Knows sockets and byte positions; nothing of HTTP, addresses or files. A hole is computed from positions, never
guessed: its reason is the event's own, or what the ledger knows of that time. An event that comes before the bytes in
front of it (two threads, two CPUs) is held until they come, or until it is proven that they were lost. Every limit is
counted in `skipped`; a socket that has ended is forgotten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Final, Literal

from capfile.errors import EventError
from capfile.event import (
    DIRECTION_AT,
    PAYLOAD_AT,
    POSITION_AT,
    SOCKET_AUDIT,
    TIME_AT,
    Direction,
    Event,
    Flag,
    Kind,
    Reason,
    Row,
    SocketFacts,
)
from capfile.frames import Socket
from replay.events import Item
from replay.ledger import Ledger
from replay.stream import Bytes, Eof, Gap, StreamEvent
from replay.turns import Turns

MAX_SOCKETS: Final = 1 << 18  # open at once; about 1 KiB each
MAX_HELD_BYTES: Final = 8 << 20  # of one direction, waiting for bytes in front of them
MAX_USERS: Final = 64  # processes remembered per socket
# How long an event waits for bytes in front of it once records are known to be lost. What it waits for is a call that
# took its position first and reached its ring later: microseconds, or a few turns of a busy scheduler.
SETTLE_NS: Final = 1_000_000_000
TCP_ESTABLISHED: Final = 1  # include/net/tcp_states.h
TCP_CLOSE: Final = 7

_REASONS: Final = {int(reason): reason.label for reason in Reason}
# Plain numbers, since operators of enums are Python code.
_EOF, _FILE_NAME, _JOINED, _RESET = int(Flag.EOF), int(Flag.FILE_NAME), int(Flag.JOINED), int(Flag.RESET)
_OF_ITS_OPENING: Final = int(Flag.JOINED | Flag.ACCEPTED | Flag.CONNECTED | Flag.PAIR)
_DATA, _SEND, _RECEIVE = int(Kind.DATA), int(Direction.SEND), int(Direction.RECEIVE)
End = Literal["fin", "reset", "close", "process-exit", "end-of-capture"]


class _Direction:
    """One direction of one socket: where it is, and what came too early."""

    __slots__ = (
        "ended",
        "expected",
        "first",
        "held",
        "held_bytes",
        "last_time",
        "next",
        "number",
        "passed",
        "started",
        "waiting",
    )

    def __init__(self, number: int) -> None:
        self.number = number
        self.passed = 0  # bytes of usual events, see `Streams.passes`
        self.next = 0  # position of the next byte
        self.first = 0  # position that this file begins at
        self.started = False  # whether `next` is certain: bytes were seen, or the beginning was
        self.expected = 0  # position that somebody is known to have reached: bytes up to it must have been seen
        self.ended = False
        self.last_time = 0
        self.held: dict[int, Event] = {}  # by position
        self.held_bytes = 0
        self.waiting = False  # in the queue of holes to be settled


class SocketState:
    """A socket while it is open. `user` is whatever the next stage keeps with it."""

    __slots__ = (
        "audit",
        "facts",
        "flags",
        "generation",
        "gone",
        "opened_at",
        "receive",
        "reset",
        "send",
        "socket",
        "tgid",
        "user",
        "users",
    )

    def __init__(self, socket: int, generation: int, time: int, tgid: int) -> None:
        self.socket = socket
        self.generation = generation
        self.opened_at = time
        self.tgid = tgid  # of the process that was last seen using it
        self.users: dict[int, int] = {tgid: time}  # process -> time of first use
        self.facts: SocketFacts | None = None
        self.flags = 0
        self.receive = _Direction(_RECEIVE)
        self.send = _Direction(_SEND)
        self.reset = False
        self.gone = False  # nothing follows: neither bytes nor the kernel's count of them
        self.audit: tuple[int, int] | None = None  # (received, sent) as the kernel counts them
        self.user: object = None


# What the next stage gets: something happened in a direction (RECEIVE or SEND) of a socket; None instead of an event
# when the facts of the socket became known or changed, or the socket is gone. A plain tuple, because nearly every event
# makes one.
Step = tuple[SocketState, int, StreamEvent | None]


def _by_socket(step: Step) -> tuple[int, int]:
    return step[0].generation, step[0].socket


class Streams:
    """All sockets of one recording."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._sockets: dict[tuple[int, int], SocketState] = {}
        self._parents: dict[int, tuple[int, int]] = {}  # child -> (parent, time of the fork)
        self._children: dict[int, set[int]] = {}
        self._used_sockets: dict[int, set[SocketState]] = {}  # process -> its sockets, for the moment of its exit
        # a heap: when the hole is to be settled, a number of its own, and where it is
        self.unsettled: list[tuple[int, int, SocketState, _Direction]] = []
        self._holes = count()
        self._turns: Turns[SocketState] = Turns()
        self.skipped: Counter[str] = Counter()
        self._actions: Final[dict[int, Callable[[Event, SocketState], list[Step]]]] = {
            Kind.SOCKET: self._facts,
            Kind.SHUTDOWN: self._shutdown,
            Kind.CLOSE: self._close,
            Kind.STATE: self._state,
            Kind.AUDIT: self._audit,
        }

    @property
    def open(self) -> int:
        """How many sockets are."""
        return len(self._sockets)

    def feed(self, item: Item) -> list[Step]:
        """Everything that this item makes known."""
        step = self.next_in_order(item) if type(item) is Event else None
        return self.carefully(item) if step is None else [step]

    def next_in_order(self, event: Row) -> Step | None:
        """The usual case by itself, because it is nearly every event: the next bytes of a known socket, all captured.

        Decides nothing that `carefully` would decide otherwise; None if anything is unusual, and nothing was done.
        """
        socket = self.passes(event)
        if socket is None:
            return None
        payload = event[PAYLOAD_AT]
        data = payload if type(payload) is bytes else bytes(payload)
        number = _SEND if event[DIRECTION_AT] == _SEND else _RECEIVE
        return socket, number, Bytes(event[POSITION_AT], event[TIME_AT], data)

    def passes(self, event: Row) -> SocketState | None:
        """The same for who needs no bytes: the socket, whose direction has counted them as `passed`."""
        _, kind, number, captured, _, time, inode, generation, position, size, _, tgid, _, _, _, _, flags, _, _ = event
        if kind != _DATA or captured != size or not size or flags & _FILE_NAME or self.unsettled:
            return None
        socket = self._sockets.get((inode, generation))
        if socket is None or socket.tgid != tgid:
            return None
        direction = socket.send if number == _SEND else socket.receive
        if position != direction.next or direction.held or direction.ended:
            return None
        direction.started = True
        direction.last_time = time
        direction.next = position + size
        direction.passed += size
        return socket

    def carefully(self, item: Item) -> list[Step]:
        """What `feed` says of an item that `next_in_order` did not take, with everything that can be the matter. Of
        several sockets each has its steps in the order of `_by_socket`, whichever others there are."""
        if type(item) is not Event:
            return self._introduce(item) if isinstance(item, Socket) else []
        unsettled = self._settle_until(item.time) if self.unsettled and self.unsettled[0][0] < item.time else []
        if item.kind == _DATA:
            socket = self._sockets.get((item.socket, item.generation)) or self._open(item)
            if socket is None:
                return unsettled
            if item.tgid != socket.tgid:
                self._used_by(socket, item)
            steps = self._data(item, socket, socket.send if item.direction == _SEND else socket.receive)
        else:
            steps = self._control(item)
        if unsettled:
            steps = sorted(unsettled + steps, key=_by_socket)
        return self._turns.take(steps) if self.unsettled or unsettled or self._turns else steps

    def pass_by(self, time: int) -> list[Step]:
        """What `feed` says of an event (at `time`) of a socket that is not to be known of here."""
        if not self.unsettled or self.unsettled[0][0] >= time:
            return []
        return self._turns.take(sorted(self._settle_until(time), key=_by_socket))

    def finish(self) -> list[Step]:
        """The recording is over: whatever is open is still open."""
        steps: list[Step] = []
        for socket in sorted(self._sockets.values(), key=lambda s: (s.generation, s.socket)):
            steps += self._end(socket, "end-of-capture", max(socket.receive.last_time, socket.send.last_time))
        return self._turns.take(steps)

    # -- sockets

    def _open(self, event: Event) -> SocketState | None:
        if len(self._sockets) >= MAX_SOCKETS:
            self.skipped["events of sockets beyond the limit"] += 1
            return None
        socket = SocketState(event.socket, event.generation, event.time, event.tgid)
        socket.flags = event.flags & _OF_ITS_OPENING
        self._add(socket)
        return socket

    def _add(self, socket: SocketState) -> None:
        self._sockets[socket.socket, socket.generation] = socket
        self._used_sockets.setdefault(socket.tgid, set()).add(socket)

    def _used_by(self, socket: SocketState, event: Event) -> None:
        socket.tgid = event.tgid
        if event.tgid not in socket.users and len(socket.users) < MAX_USERS:
            socket.users[event.tgid] = event.time
            self._used_sockets.setdefault(event.tgid, set()).add(socket)

    def _introduce(self, frame: Socket) -> list[Step]:
        """A Socket frame: a socket that was open when the file began, when a segment did, or when the recording ended.

        Its positions were read while events were under way, so the first event decides where a direction starts.
        """
        socket = self._sockets.get((frame.socket, frame.generation))
        if socket is not None:
            socket.receive.expected = max(socket.receive.expected, frame.received)
            socket.send.expected = max(socket.send.expected, frame.sent)
            self._count(socket, frame)
            return []
        if len(self._sockets) >= MAX_SOCKETS:
            self.skipped["sockets beyond the limit"] += 1
            return []
        socket = SocketState(frame.socket, frame.generation, frame.time, frame.tgid)
        socket.flags = frame.flags | (_JOINED if frame.received or frame.sent else 0)
        for direction, position in ((socket.receive, frame.received), (socket.send, frame.sent)):
            if frame.counted_by:  # the recording is over: whatever there was is not here
                direction.expected = position
            else:
                direction.next = direction.first = position
        self._count(socket, frame)
        self._add(socket)
        return self._know(socket, frame.facts)

    def _count(self, socket: SocketState, frame: Socket) -> None:
        if frame.counted_by:
            socket.audit = (frame.counted_received, frame.counted_sent)

    def _know(self, socket: SocketState, facts: bytes | memoryview) -> list[Step]:
        try:
            socket.facts = SocketFacts.unpack(facts)
        except EventError:
            self.skipped["socket facts that cannot be read"] += 1
            return []
        return [(socket, Direction.NONE, None)]

    # -- control events

    def _control(self, event: Event) -> list[Step]:
        if event.kind == Kind.FORK:
            self._parents[event.ret] = (event.tgid, event.time)
            self._children.setdefault(event.tgid, set()).add(event.ret)
            return []
        if event.kind == Kind.EXIT:
            return self._exit(event)
        action = self._actions.get(event.kind)
        if action is None or not event.generation:
            return []
        socket = self._sockets.get((event.socket, event.generation))
        if socket is None and event.kind == Kind.SOCKET:
            socket = self._open(event)
        return [] if socket is None else action(event, socket)

    def _facts(self, event: Event, socket: SocketState) -> list[Step]:
        socket.flags |= event.flags
        for direction in (socket.receive, socket.send):
            direction.started |= direction.next == 0  # this is its beginning: position 0 is the first byte there was
        return self._know(socket, event.payload)

    def _shutdown(self, event: Event, socket: SocketState) -> list[Step]:
        steps: list[Step] = []
        if event.direction & _SEND:
            steps += self._end_direction(socket, socket.send, "fin", event.time)
        if event.direction & _RECEIVE:
            steps += self._end_direction(socket, socket.receive, "close", event.time)
        return steps

    def _state(self, event: Event, socket: SocketState) -> list[Step]:
        """Only says how the end will have come: bytes that arrived before it may still be read."""
        old, new = event.ret >> 8 & 0xFF, event.ret & 0xFF
        socket.reset |= old == TCP_ESTABLISHED and new == TCP_CLOSE
        return []

    def _audit(self, event: Event, socket: SocketState) -> list[Step]:
        if len(event.payload) >= SOCKET_AUDIT.size:
            received, sent, _, _ = SOCKET_AUDIT.unpack_from(event.payload)
            socket.audit = (received, sent)
        return []

    def _close(self, event: Event, socket: SocketState) -> list[Step]:
        how: End = "reset" if socket.reset or event.flags & _RESET else "close"
        return self._end(socket, how, event.time)

    def _exit(self, event: Event) -> list[Step]:
        """A process is gone, and with it the sockets that no other living process can hold."""
        steps: list[Step] = []
        sockets = self._used_sockets.pop(event.tgid, set())
        for socket in sorted(sockets, key=lambda each: (each.generation, each.socket)):
            heirs = self._heirs(event.tgid, socket.users.pop(event.tgid))
            socket.users.update(heirs)
            for heir in heirs:
                self._used_sockets.setdefault(heir, set()).add(socket)
            if not socket.users:  # the kernel closes it now; its count and its end are still to come
                steps += self._end_direction(socket, socket.receive, "process-exit", event.time)
                steps += self._end_direction(socket, socket.send, "process-exit", event.time)
        self._forget(event.tgid)
        return steps

    def _heirs(self, tgid: int, since: int) -> dict[int, int]:
        """Living children that were forked while the process had the socket, and when."""
        forks = {child: self._parents[child][1] for child in self._children.get(tgid, ())}
        return {child: time for child, time in forks.items() if time >= since}

    def _forget(self, tgid: int) -> None:
        self._children.pop(tgid, None)
        parent = self._parents.pop(tgid, None)
        if parent is not None and parent[0] in self._children:
            self._children[parent[0]].discard(tgid)

    # -- data

    def _data(self, event: Event, socket: SocketState, direction: _Direction) -> list[Step]:
        if direction.ended:
            self.skipped["bytes after the end of their direction"] += event.size
            return []
        position = event.position
        if position != direction.next:
            if not direction.started:
                socket.flags |= _JOINED
                direction.next = position if socket.facts is None else min(position, direction.next)
                if direction.first or not self._ledger.whole_from_start:
                    direction.first = direction.next
            if position > direction.next:
                return self._hold(event, socket, direction)
            if position + event.size <= direction.next and position != direction.next:
                self.skipped["bytes that came twice or too late"] += event.size
                return []
        steps = self._emit(event, socket, direction)
        return steps + self._release(socket, direction) if direction.held else steps

    def _emit(self, event: Event, socket: SocketState, direction: _Direction) -> list[Step]:
        """The part of this event from `direction.next` on: bytes, then what is missing of them, or the end."""
        direction.started = True
        direction.last_time = time = event.time
        position, end = direction.next, event.position + event.size
        skip = position - event.position
        payload = event.payload[skip : event.size] if skip or len(event.payload) > event.size else event.payload
        steps: list[Step] = []
        detail = ""
        if event.flags & _FILE_NAME:
            detail = bytes(event.payload).rstrip(b"\0").decode("utf-8", "backslashreplace")
        elif len(payload):
            steps.append((socket, direction.number, Bytes(position, time, bytes(payload))))
            position += len(payload)
        if position < end:
            reason = _REASONS.get(event.reason, Reason.UNKNOWN.label)
            steps.append((socket, direction.number, Gap(position, time, end - position, reason, detail)))
        direction.next = max(end, direction.next)
        if event.flags & _EOF and not event.size:
            direction.ended = True
            steps.append((socket, direction.number, Eof(direction.next, time, "fin")))
        return steps

    # -- holes

    def _hold(self, event: Event, socket: SocketState, direction: _Direction) -> list[Step]:
        if event.position not in direction.held:
            direction.held[event.position] = event._replace(payload=bytes(event.payload))
            direction.held_bytes += len(event.payload)
        if direction.held_bytes > MAX_HELD_BYTES:
            return self._settle(socket, direction)
        if not direction.waiting:
            direction.waiting = True
            self._wait(event.time, socket, direction)
        return []

    def _release(self, socket: SocketState, direction: _Direction) -> list[Step]:
        """What was held and now joins up."""
        steps: list[Step] = []
        while direction.held and not direction.ended:
            position = min(direction.held)
            if position > direction.next:
                break
            event = direction.held.pop(position)
            direction.held_bytes -= len(event.payload)
            if position + event.size >= direction.next:
                steps += self._emit(event, socket, direction)
        return steps

    def _wait(self, now: int, socket: SocketState, direction: _Direction) -> None:
        heappush(self.unsettled, (now + SETTLE_NS, next(self._holes), socket, direction))

    def _settle_until(self, now: int) -> list[Step]:
        """Declare the holes that have waited long enough, if records are known to be lost at all: in a recording
        without losses whatever is missing must still come."""
        steps: list[Step] = []
        while self.unsettled and self.unsettled[0][0] < now:
            _, _, socket, direction = heappop(self.unsettled)
            if direction.held and not self._ledger.losses:
                self._wait(now, socket, direction)
                continue
            direction.waiting = False
            steps += self._settle(socket, direction)
        return steps

    def _settle(self, socket: SocketState, direction: _Direction) -> list[Step]:
        """Everything held, each hole in between declared."""
        steps: list[Step] = []
        while direction.held and not direction.ended:
            event = direction.held[min(direction.held)]
            steps += self._hole(socket, direction, event.position, event.time)
            steps += self._release(socket, direction)
        direction.held.clear()
        direction.held_bytes = 0
        return steps

    def _hole(self, socket: SocketState, direction: _Direction, end: int, time: int) -> list[Step]:
        if end <= direction.next:
            return []
        reason = self._ledger.reason(direction.last_time or socket.opened_at, time)
        gap = Gap(direction.next, time, end - direction.next, reason)
        direction.next = end
        return [(socket, direction.number, gap)]

    # -- ends

    def _end(self, socket: SocketState, how: End, time: int) -> list[Step]:
        self._sockets.pop((socket.socket, socket.generation), None)
        socket.gone = True
        for user in socket.users:
            self._used_sockets[user].discard(socket)
            if not self._used_sockets[user]:
                del self._used_sockets[user]
        return [
            *self._end_direction(socket, socket.receive, how, time),
            *self._end_direction(socket, socket.send, how, time),
            (socket, Direction.NONE, None),
        ]

    def _end_direction(self, socket: SocketState, direction: _Direction, how: End, time: int) -> list[Step]:
        """Settle what is held, add what only the kernel's own count knows of, and close the direction."""
        if direction.ended:
            return []
        steps = self._settle(socket, direction)
        if direction.ended:
            return steps
        counted = socket.audit[direction.number - 1] if socket.audit is not None else 0
        steps += self._hole(socket, direction, max(counted, direction.expected), time)
        direction.ended = True
        steps.append((socket, direction.number, Eof(direction.next, time, how)))
        return steps
