"""Events in nearly the order of their times in, the frames of a capture file out.

Knows the file and nothing of sockets. Events are held for `HOLD_NS` and written in the order of their times, because a
packet that was held back to see whether a missing one still comes must not stand after what happened meanwhile. Every
event gets a time of its own (1 ns apart where the source has them equal), so that any later sort by time is the order
of the file.
"""

from __future__ import annotations

import heapq
from typing import Final

from capfile import event
from capfile.codec import compressed
from capfile.event import EVENT_SIZE, Event, Kind
from capfile.frames import FORMAT_VERSION, Chunk, Counters, End, Frame, Header, Ring
from capfile.writer import Writer

HOLD_NS: Final = 1_000_000_000  # longer than any importer holds an observation back (tcp.REORDER_NS)
HOLD_BYTES: Final = 64 << 20  # and never more than this, whatever the clock of the source does
CHUNK_BYTES: Final = 1 << 20  # a chunk is written when its ring holds this much: what a drain takes in practice
LAST_TIME: Final = (1 << 63) - 1  # ns: the year 2262; a later time is a damaged one
EVENT_COST: Final = 512  # bytes of memory that one held event takes beside its payload, roughly

_RING: Final = {Kind.DATA: Ring.DATA}  # all other kinds: Ring.CONTROL


class EventFile:
    """`add` events, `write` other frames, then `finish`."""

    def __init__(self, writer: Writer, source: str) -> None:
        """`source` names the kind of recording: the Header says so."""
        self._writer = writer
        self._source = source
        self._held: list[tuple[int, int, Event]] = []
        self._held_bytes = 0
        self._order = 0
        self._newest = 0
        self._written = -1
        self._sequence = {Ring.DATA: 0, Ring.CONTROL: 0}
        self._rings: dict[Ring, bytearray] = {Ring.DATA: bytearray(), Ring.CONTROL: bytearray()}
        self._first: dict[Ring, int] = {}
        self._started = False

    def add(self, time: int, entry: Event) -> None:
        """An event that happened at `time` (ns)."""
        time = clamped(time)
        self._start(time)
        self._order += 1
        self._newest = max(self._newest, time)
        heapq.heappush(self._held, (time, self._order, entry._replace(captured=len(entry.payload))))
        self._held_bytes += EVENT_COST + len(entry.payload)
        while self._held[0][0] < self._newest - HOLD_NS or self._held_bytes > HOLD_BYTES:
            self._release()

    def write(self, time: int, frame: Frame) -> None:
        """A frame that is no event, at once."""
        self._start(clamped(time))
        self._writer.write(frame)

    def finish(self, reason: str) -> None:
        """Write what is held, the ledger and the End frame."""
        self._start(self._newest)
        while self._held:
            self._release()
        self._flush()
        end = max(self._written, 0)
        rings = {"data": [[self._sequence[Ring.DATA], 0]], "control": [[self._sequence[Ring.CONTROL], 0]]}
        self._writer.write(Counters(end, {}, rings))
        self._writer.write(End(end, reason, self._writer.frames + 1))

    def _start(self, time: int) -> None:
        if not self._started:
            self._started = True
            self._writer.write(_header(self._source, time))

    def _release(self) -> None:
        time, _, entry = heapq.heappop(self._held)
        self._held_bytes -= EVENT_COST + len(entry.payload)
        self._written = max(time, self._written + 1)
        ring = _RING.get(Kind(entry.kind), Ring.CONTROL)
        self._first.setdefault(ring, self._written)
        self._rings[ring] += event.encode(entry._replace(time=self._written, sequence=self._sequence[ring]))
        self._sequence[ring] += 1
        if len(self._rings[ring]) >= CHUNK_BYTES:
            self._flush()

    def _flush(self) -> None:
        """Write both rings, the control ring first: it introduces the sockets of the other."""
        for ring in (Ring.CONTROL, Ring.DATA):
            data = bytes(self._rings[ring])
            if data:
                chunk = Chunk(0, ring, self._first[ring], self._written, len(data), data=data)
                self._writer.write(compressed(chunk))
        self._first.clear()
        self._rings = {Ring.DATA: bytearray(), Ring.CONTROL: bytearray()}


def clamped(time: int) -> int:
    """A time that the file can hold, ns."""
    return min(max(time, 0), LAST_TIME)


def _header(source: str, time: int) -> Header:
    """The events' clock is the source's own: wall and monotonic time are the same number."""
    return Header(
        version=FORMAT_VERSION,
        layout=[list(row) for row in event.layout()],
        event_size=EVENT_SIZE,
        wall_time=time,
        monotonic_time=time,
        filters={"imported": source},
        recorder=f"ebpf-replay import {source}",
    )
