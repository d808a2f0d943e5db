"""TCP segments in, sockets of a recording out: which segments are one connection, who is the server, when it ends.

Knows flags and the two directions of `reassembly`; what the bytes mean it does not ask. The recording is made from the
server's point of view: what the client sent was received. Its laws:

- The sender of the SYN is the client, the sender of the SYN-ACK the server. Where neither was seen the socket is marked
  as joined, the lower port number is taken for the server's, and no side is claimed: the bytes must tell.
- A SYN with another initial sequence number is another connection on the same addresses and ports.
- A capture may hold a packet after the acknowledgement of its bytes. So a segment that acknowledges bytes not yet seen
  waits, and what follows it in its connection, for REORDER_NS or REORDER_SEGMENTS: only then are the bytes lost.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from capfile.event import AF_INET, AF_INET6, Direction, Flag
from replay.importers.network import ACK, FIN, RST, SYN, Segment
from replay.importers.reassembly import Budget, HalfStream, Piece
from replay.importers.recording import NO_FLAGS, ImportedSocket, Recording, facts

MAX_FLOWS: Final = 1 << 16  # about 100 MB; beyond it the connection that was silent for longest is let go
MAX_HELD_TOTAL: Final = 256 << 20  # bytes behind holes, all connections together
REORDER_NS: Final = 200_000_000  # Linux' least retransmission timeout: what comes later is a retransmission
REORDER_SEGMENTS: Final = 64
# A connection that was closed is forgotten for bytes this far from where it ended: its SYN was not captured.
STRAGGLERS: Final = 1 << 20

Endpoint = tuple[bytes, int]
End = Literal[0, 1]  # which endpoint of Flow.ends


def _other(end: End) -> End:
    return 0 if end else 1


@dataclass(slots=True)
class Flow:
    """One TCP connection. `ends` in the order of its first segment."""

    ends: tuple[Endpoint, Endpoint]
    recording: Recording
    budget: Budget
    skipped: Counter[str]
    server: End | None = None
    opened: int = 0
    joined: bool = False
    closed: bool = False
    halves: list[HalfStream | None] = field(default_factory=lambda: [None, None])
    initial: list[int | None] = field(default_factory=lambda: [None, None])
    said_end: list[bool] = field(default_factory=lambda: [False, False])
    socket: ImportedSocket | None = None
    waiting: deque[Segment] = field(default_factory=deque)
    waiting_since: int = 0
    floor: int = 0  # nothing is reported before this time: a late packet was waited for
    differs: bool = False

    def belongs(self, segment: Segment) -> bool:
        """Whether `segment` is of this connection, not of a later one between the same ends."""
        end = self.end_of(segment)
        initial, half = self.initial[end], self.halves[end]
        if segment.flags & SYN:
            if initial is not None:
                return initial == segment.sequence
            return half is None or not (self.closed or self.socket)
        if self.closed and half is not None and segment.length and not segment.flags & RST:
            return abs(half.absolute(segment.sequence) - half.next) <= STRAGGLERS
        return True

    def end_of(self, segment: Segment) -> End:
        """Which end sent it."""
        return 0 if segment.source == self.ends[0] else 1

    def take(self, segment: Segment) -> None:
        """One segment, in the order of the capture."""
        if self.closed:
            return
        if not self.waiting:
            if self._unseen(segment):
                self._wait(segment)
            else:
                self._process(segment)
            return
        missing = _other(self.end_of(self.waiting[0]))
        if self.end_of(segment) == missing:
            self._payload(segment)
        self.waiting.append(segment)
        if not self._unseen(self.waiting[0]):
            self.floor = max(self.floor, segment.time)
            self._resume()
        elif len(self.waiting) > REORDER_SEGMENTS:
            self.give_up()

    def give_up(self) -> None:
        """The bytes that the first waiting segment acknowledges do not come."""
        if self.waiting:
            self._process(self.waiting.popleft())
            self._resume()

    def finish(self, time: int) -> None:
        """The capture ends here, or another connection takes the place of this one."""
        while self.waiting:
            self.give_up()
        for end in (0, 1):
            half = self.halves[end]
            if half is not None and not self.closed:
                self._emit(end, half.finish(time, closing=self.said_end[_other(end)]))
                self._say_end(end, time)

    def close(self, time: int, flags: Flag = NO_FLAGS) -> None:
        """No byte follows in either direction."""
        self.finish(time)
        self.closed = True
        if self.socket is not None:
            self.recording.close(self.socket, time, flags)

    def _wait(self, segment: Segment) -> None:
        if not self.waiting:
            self.waiting_since = segment.time
        self.waiting.append(segment)

    def _resume(self) -> None:
        """Process what waited, up to a segment that has to wait itself."""
        while self.waiting and not self._unseen(self.waiting[0]):
            self._process(self.waiting.popleft())
        if self.waiting:
            self.waiting_since = self.waiting[0].time

    def _unseen(self, segment: Segment) -> bool:
        half = self.halves[_other(self.end_of(segment))]
        return half is not None and _acknowledges(segment) and half.awaits(segment.acknowledgement)

    def _process(self, segment: Segment) -> None:
        end = self.end_of(segment)
        if self.closed:
            return
        if segment.flags & SYN:
            self._synchronise(segment, end)
        elif segment.flags & RST:
            if self._in_window(segment, end):
                self.close(segment.time, Flag.RESET)
            return
        time = max(segment.time, self.floor)
        if _acknowledges(segment):
            self._acknowledge(segment, _other(end), time)
        self._payload(segment)
        if segment.flags & FIN and (half := self.halves[end]) is not None:
            self._emit(end, half.finish_at(time, (segment.sequence + segment.length) & 0xFFFF_FFFF))
        for each in (_other(end), end):
            self._say_end(each, time)
        if all(self.said_end):
            self.close(time)

    def _synchronise(self, segment: Segment, end: End) -> None:
        """A SYN takes one sequence number; with ACK it is the server's (RFC 9293 §3.5)."""
        self.server = end if segment.flags & ACK else self.server if self.server is not None else _other(end)
        if self.initial[end] is None:
            self.initial[end] = segment.sequence
            self.halves[end] = HalfStream((segment.sequence + 1) & 0xFFFF_FFFF, self.budget)

    def _in_window(self, segment: Segment, end: End) -> bool:
        """RFC 9293 §3.10.7.4: a reset counts only near where its sender is; one that answers a SYN has number 0."""
        half = self.halves[end]
        if half is None or (segment.sequence == 0 and self.socket is None):
            return True
        return abs(half.absolute(segment.sequence) - half.next) <= STRAGGLERS

    def _acknowledge(self, segment: Segment, end: End, time: int) -> None:
        half = self.halves[end]
        if half is not None:
            self._emit(end, half.confirm(time, segment.acknowledgement))
        else:
            self.halves[end] = HalfStream(segment.acknowledgement, self.budget, provisional=not segment.flags & SYN)
        if not segment.flags & SYN and all(initial is not None for initial in self.initial):
            self._introduce(time)

    def _payload(self, segment: Segment) -> None:
        end = self.end_of(segment)
        half = self.halves[end]
        first = (segment.sequence + 1) & 0xFFFF_FFFF if segment.flags & SYN else segment.sequence
        if half is None:
            half = self.halves[end] = HalfStream(first, self.budget, provisional=True)
        if segment.length:
            time = max(segment.time, self.floor)
            self._emit(end, half.insert(time, first, segment.data, segment.length))
        if half.differs and not self.differs:
            self.differs = True
            detail = "a retransmission says something else than what was seen first; the first was kept"
            self.recording.mark("tcp-overlap", segment.time, detail, self.socket)
        if half.far:
            self.skipped["outside any TCP window"] += half.far
            half.far = 0

    def _emit(self, end: End, pieces: Iterable[Piece]) -> None:
        for piece in pieces:
            socket = self._introduce(piece.time)
            direction = Direction.SEND if end == self.server else Direction.RECEIVE
            self.recording.data(socket, direction, piece.time, piece.data, size=piece.length, reason=piece.reason)

    def _say_end(self, end: End, time: int) -> None:
        half = self.halves[end]
        if half is None or not half.ended or self.said_end[end]:
            return
        self.said_end[end] = True
        if self.socket is None:
            return
        if end == self.server:
            self.recording.shutdown(self.socket, Direction.SEND, time)
        else:
            self.recording.eof(self.socket, time)

    def _introduce(self, time: int) -> ImportedSocket:
        """The socket, made when there is something to say about it: a scanned port is no connection."""
        if self.socket is None:
            flags = Flag.ACCEPTED if self.server is not None else Flag.JOINED
            if self.server is None:
                self.server = self._guess()
            local, remote = self.ends[self.server], self.ends[_other(self.server)]
            family = AF_INET if len(local[0]) == 4 else AF_INET6
            self.socket = self.recording.socket(min(self.opened, time), facts(family, local, remote), flags)
        return self.socket

    def _guess(self) -> End:
        """The lower port; between equal ones the receiver of the first segment."""
        return 0 if self.ends[0][1] < self.ends[1][1] else 1


def _acknowledges(segment: Segment) -> bool:
    return bool(segment.flags & ACK) and not segment.flags & RST


class Flows:
    """All connections of a capture. `take` its segments, then `finish`."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._budget = Budget(MAX_HELD_TOTAL)
        self._flows: OrderedDict[tuple[Endpoint, Endpoint], Flow] = OrderedDict()
        self._waiting: OrderedDict[int, Flow] = OrderedDict()
        self._now = 0
        self.skipped: Counter[str] = Counter()

    def take(self, segment: Segment) -> None:
        """One segment, in the order of the capture."""
        self._now = segment.time
        self._expire()
        key = min(segment.source, segment.target), max(segment.source, segment.target)
        flow = self._flows.get(key)
        if flow is not None and not flow.belongs(segment):
            self._forget(key, flow)
            flow = None
        if flow is None:
            if segment.flags & RST:
                return
            flow = self._open(key, segment)
        self._flows.move_to_end(key)
        flow.take(segment)
        if flow.waiting:
            self._waiting.setdefault(id(flow), flow)
        else:
            self._waiting.pop(id(flow), None)

    def finish(self) -> None:
        """The capture ends: connections that are open stay open in the recording."""
        for flow in self._flows.values():
            flow.finish(self._now)

    def _open(self, key: tuple[Endpoint, Endpoint], segment: Segment) -> Flow:
        if len(self._flows) >= MAX_FLOWS:
            oldest = next(iter(self._flows))
            self._waiting.pop(id(self._flows[oldest]), None)
            self._flows.pop(oldest).finish(self._now)
            self.skipped["connections let go for want of room"] += 1
        ends = (segment.source, segment.target)
        flow = Flow(ends, self._recording, self._budget, self.skipped, opened=segment.time)
        self._flows[key] = flow
        return flow

    def _forget(self, key: tuple[Endpoint, Endpoint], flow: Flow) -> None:
        """Another connection has the same ends now, so this one is over, even if its end was not captured."""
        self._waiting.pop(id(flow), None)
        if not flow.closed:
            flow.close(self._now)
        del self._flows[key]

    def _expire(self) -> None:
        while self._waiting:
            number, flow = next(iter(self._waiting.items()))
            if flow.waiting and self._now - flow.waiting_since <= REORDER_NS:
                return
            flow.give_up()
            del self._waiting[number]
            if flow.waiting:
                self._waiting[number] = flow
