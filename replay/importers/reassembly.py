"""One direction of a TCP connection: segments in any order in, its bytes and holes in order out.

Knows sequence numbers (RFC 9293 §3.4, modulo 2^32) and of the other direction only what it acknowledged. Its laws:

- Bytes seen first win. A later segment that covers them (retransmission, overlap, a keep-alive probe) adds only what is
  new; when it says something else, `differs` is set, and the importer names it.
- A hole waits for its bytes. It becomes a gap when the peer acknowledged it (the bytes arrived, the capture has not got
  them), when too much is held behind it (the limits below), or at the end.
- Bytes that the snap length cut off a packet are a gap of their own, at their place.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from capfile.event import Reason

# RFC 7323 §2.3: a window is at most 2^30 bytes. What is further ahead is another connection's, or noise.
WINDOW: Final = 1 << 30
MAX_HELD_BYTES: Final = 8 << 20  # per direction, behind one hole: above Linux' default receive buffer (tcp_rmem, 6 MiB)
MAX_HELD_SEGMENTS: Final = 8192  # the same in segments of 1 KiB
TAIL_BYTES: Final = 4096  # of delivered bytes kept, to compare retransmissions with


class Piece(NamedTuple):
    """The next `length` bytes of the direction, of which `data` are here; the rest is missing for `reason`."""

    time: int
    data: memoryview
    length: int
    reason: Reason


class _Held(NamedTuple):
    """A segment behind a hole, in absolute sequence numbers."""

    start: int
    end: int
    time: int
    data: memoryview


@dataclass(slots=True)
class Budget:
    """Bytes held behind holes in all directions together."""

    limit: int
    used: int = 0


_NOTHING: Final = memoryview(b"")


@dataclass(slots=True)
class HalfStream:
    """`insert` segments, `confirm` acknowledgements; both return what is now known, in order.

    `next` is the absolute (not wrapped) number of the first byte not yet delivered. With `provisional` it was taken
    from a packet in the middle of the connection and may still be a keep-alive probe's, one too low.
    """

    next: int
    budget: Budget
    provisional: bool = False
    fin: int | None = None  # the absolute number of the FIN
    acknowledged: int = 0  # by the peer, absolute
    differs: bool = False
    far: int = 0  # segments outside any window
    _held: list[_Held] = field(default_factory=list)
    _held_bytes: int = 0
    _tail: bytes = b""
    _lost_last: bool = False  # a gap ends at `next`

    def absolute(self, sequence: int) -> int:
        """The number nearest to `next` that is `sequence` modulo 2^32."""
        return self.next + ((sequence - self.next + (1 << 31)) & 0xFFFF_FFFF) - (1 << 31)

    @property
    def ended(self) -> bool:
        """Every byte before the FIN was delivered."""
        return self.fin is not None and self.next >= self.fin

    def awaits(self, acknowledgement: int) -> bool:
        """Whether the peer acknowledged bytes that were not seen here (a FIN not seen is no byte)."""
        upto = self.absolute(acknowledgement)
        if self.fin is not None:
            upto = min(upto, self.fin)
        return self.next < upto <= self.next + WINDOW and not (upto == self.next + 1 and not self._held)

    def insert(self, time: int, sequence: int, data: memoryview, length: int) -> list[Piece]:
        """A segment of `length` bytes, of which `data` were captured."""
        start = self.absolute(sequence)
        if start - self.next > WINDOW:
            self.far += 1
            return []
        if self.provisional and length:
            self.provisional = False
            self.next += start == self.next + 1
        end = start + length if self.fin is None else min(start + length, self.fin)
        segment = _Held(start, end, time, data[:length])
        if start < self.next:
            self._compare(segment)
            segment = _after(segment, self.next)
        if segment.start >= segment.end:
            return []
        if segment.start == self.next and not self._held:
            return [self._deliver(segment, time)]
        self._hold(segment)
        return [*self._drain(time), *self._settle(time), *self._relieve(time)]

    def finish_at(self, time: int, sequence: int) -> list[Piece]:
        """A FIN was seen; the first one counts."""
        number = self.absolute(sequence)
        if self.fin is None and self.next <= number <= self.next + WINDOW:
            self.fin = number
        return self._settle(time)

    def confirm(self, time: int, acknowledgement: int) -> list[Piece]:
        """The peer received everything before `acknowledgement`: a hole before it is not going to be filled."""
        upto = self.absolute(acknowledgement)
        if not self.next < upto <= self.next + WINDOW or upto <= self.acknowledged:
            return []
        self.acknowledged = upto
        return self._settle(time)

    def finish(self, time: int, *, closing: bool) -> list[Piece]:
        """Nothing follows: holes before bytes that were seen (or before the FIN) are gaps.

        So is the last number acknowledged after a lost segment, unless the peer is `closing`: then it was the FIN's.
        """
        pieces = []
        while self._held:
            pieces += self._give_up(self._held[0].start, time)
        if self.fin is not None and self.fin > self.next:
            pieces += self._give_up(self.fin, time)
        if self._lost_last and self.fin is None and not closing and self.acknowledged > self.next:
            pieces += self._give_up(self.acknowledged, time)
        return pieces

    def _settle(self, time: int) -> list[Piece]:
        """Holes that the peer acknowledged are gaps. With nothing seen behind it, the last number may be the FIN's."""
        pieces = []
        while self.next < self.acknowledged:
            known = self._held[0].start if self._held else self.fin
            end = min(known, self.acknowledged) if known is not None else self.acknowledged - 1
            if end <= self.next:
                break
            pieces += self._give_up(end, time)
        return pieces

    def _relieve(self, time: int) -> list[Piece]:
        """Within the limits, whatever is missing."""
        pieces = []
        while self._held and (
            self._held_bytes > MAX_HELD_BYTES
            or len(self._held) > MAX_HELD_SEGMENTS
            or self.budget.used > self.budget.limit
        ):
            pieces += self._give_up(self._held[0].start, time)
        return pieces

    def _give_up(self, end: int, time: int) -> list[Piece]:
        length, self.next, self._tail = end - self.next, end, b""
        self._lost_last = True
        return [Piece(time, _NOTHING, length, Reason.PACKET_LOSS), *self._drain(0)]

    def _hold(self, segment: _Held) -> None:
        """Keep what no held segment has yet: the pieces of `segment` between them."""
        index = bisect.bisect_right(self._held, segment.start, key=lambda held: held.start)
        if index and self._held[index - 1].end > segment.start:
            index -= 1
        while segment.start < segment.end:
            following = self._held[index] if index < len(self._held) else None
            if following is None or segment.end <= following.start:
                self._put(index, segment)
                return
            if segment.start < following.start:
                self._put(index, segment._replace(end=following.start))
                index += 1
            self._compare_held(segment, following)
            segment = _after(segment, following.end)
            index += 1

    def _put(self, index: int, segment: _Held) -> None:
        kept = segment._replace(data=segment.data[: segment.end - segment.start])
        self._held.insert(index, kept)
        self._held_bytes += len(kept.data)
        self.budget.used += len(kept.data)

    def _drain(self, filled: int) -> list[Piece]:
        """Deliver what now joins up: not before `filled`, when the missing bytes came."""
        count = 0
        pieces = []
        while count < len(self._held) and self._held[count].start == self.next:
            segment = self._held[count]
            self._held_bytes -= len(segment.data)
            self.budget.used -= len(segment.data)
            pieces.append(self._deliver(segment, max(segment.time, filled)))
            count += 1
        del self._held[:count]
        return pieces

    def _deliver(self, segment: _Held, time: int) -> Piece:
        length = segment.end - segment.start
        data = segment.data[:length]
        self.next = segment.end
        self._lost_last = False
        before = self._tail if len(data) < TAIL_BYTES else b""
        self._tail = b"" if len(data) < length else before[-TAIL_BYTES:] + bytes(data[-TAIL_BYTES:])
        return Piece(time, data, length, Reason.SNAPLEN if len(data) < length else Reason.NONE)

    def _compare(self, segment: _Held) -> None:
        """A segment that begins before `next`, with the delivered bytes that are still here."""
        if segment.end - segment.start == 1 and segment.end == self.next:
            return  # a keep-alive probe with its one byte of anything (RFC 9293 §3.8.4)
        first = max(segment.start, self.next - len(self._tail))
        new = segment.data[first - segment.start : self.next - segment.start]
        old = self._tail[first - (self.next - len(self._tail)) :]
        self.differs |= bytes(new) != old[: len(new)]

    def _compare_held(self, segment: _Held, other: _Held) -> None:
        first, last = max(segment.start, other.start), min(segment.end, other.end)
        new = segment.data[first - segment.start : last - segment.start]
        old = other.data[first - other.start : last - other.start]
        shared = min(len(new), len(old))
        self.differs |= new[:shared] != old[:shared]


def _after(segment: _Held, start: int) -> _Held:
    """The part of `segment` from `start` on."""
    cut = max(start - segment.start, 0)
    return segment._replace(start=segment.start + cut, data=segment.data[cut:])
