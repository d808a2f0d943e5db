"""A recording in, another capture file out: events left out or changed one by one, everything else carried along.

Used by merge, slice and redact. Sequence numbers of events that are left out are closed up, so that their absence is no
loss; real losses stay. What could not be read of the source is said in Marks of the new file.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Final, TypeVar

from capfile.codec import pack, pieces
from capfile.damage import Damage
from capfile.errors import CapfileError
from capfile.event import EVENT_SIZE, Event, LostRecord, encode, encode_lost, layout
from capfile.frames import FORMAT_VERSION, Chunk, Counters, End, Frame, Header, Index, Mark, Process, Ring, Socket
from capfile.layout import EventLayout
from capfile.records import records_of
from capfile.writer import Writer

CHUNK_BYTES: Final = 4 << 20  # ring bytes of one new chunk
MAX_MARKS: Final = 1000  # remarks about unreadable parts of the source; all are counted in the last

Change = Callable[[Event], Event | None]
Facts = TypeVar("Facts", Process, Socket, Mark)


class Rewriter:
    """Writes one new segment to `fd`."""

    def __init__(self, fd: int, header: Header, purpose: str, **redaction: Any) -> None:
        """The new Header is `header` with `purpose` (a map that says what was done) among its filters."""
        self._layout: EventLayout | None = None
        self._left_out: dict[tuple[int, int], int] = {}
        self._marks = 0
        self._time = 0
        self.events = 0
        # Without a name it stays so: two such files are no segments of one recording.
        recording = f"{header.recording_id}+{purpose}" if header.recording_id else ""
        new = replace(
            header,
            version=FORMAT_VERSION,
            layout=[list(row) for row in layout()],
            event_size=EVENT_SIZE,
            segment=0,
            recording_id=recording,
            filters=header.filters | {"rewritten": purpose},
            redaction=header.redaction | redaction,
        )
        self._writer = Writer(fd, tag=zlib.crc32(repr(new).encode("utf-8", "surrogateescape")))
        self._writer.write(new)

    def copy(
        self,
        frames: Iterable[Frame | Damage],
        change: Change,
        keep: Callable[[Process | Socket | Mark], Process | Socket | Mark | None] = lambda frame: frame,
    ) -> Counters | None:
        """All frames of the source, events through `change` and other facts through `keep` (None: left out).

        Its last Counters are returned, less what was left out, and not written.
        """
        counters: Counters | None = None
        for frame in frames:
            match frame:
                case Header():
                    self._layout = EventLayout(frame.layout, frame.event_size)
                case Chunk():
                    self._chunk(frame, change)
                case Process() | Socket() | Mark():
                    kept = keep(frame)
                    if kept is not None:
                        self._writer.write(kept)
                case Counters():
                    counters = frame
                case Damage():
                    self.mark("source-" + frame.kind, f"byte {frame.offset}, {frame.length} bytes: {frame.detail}")
                case End() | Index():
                    pass
        return None if counters is None else replace(counters, rings=self._closed_up(counters.rings))

    def write(self, frame: Frame) -> None:
        """A frame of the caller's own."""
        self._writer.write(frame)

    def mark(self, code: str, detail: str) -> None:
        """A remark in the new file."""
        self._marks += 1
        if self._marks < MAX_MARKS:
            self._writer.write(Mark(code, self._time, detail=detail))

    def finish(self, reason: str, counters: Counters | None) -> None:
        """Close the new file."""
        if counters is not None:
            self._writer.write(counters)
        if self._marks >= MAX_MARKS:
            self._writer.write(Mark("remarks-left-out", self._time, detail=str(self._marks - MAX_MARKS + 1)))
        self._writer.write(End(self._time, reason))

    def _chunk(self, chunk: Chunk, change: Change) -> None:
        self._time = max(self._time, min(chunk.last_time, (1 << 63) - 1))
        data, generations, first = bytearray(), set[int](), 0
        for record in self._changed(chunk, change):
            data += encode_lost(record.lost) if isinstance(record, LostRecord) else encode(record)
            if isinstance(record, Event):
                first = first or record.time
                generations.add(record.generation)
            if len(data) >= CHUNK_BYTES:
                self._flush(chunk, data, first, generations)
                data, generations, first = bytearray(), set(), 0
        if data:
            self._flush(chunk, data, first, generations)

    def _flush(self, chunk: Chunk, data: bytearray, first: int, generations: set[int]) -> None:
        packed = pack([bytes(data)])
        new = Chunk(chunk.cpu, chunk.ring, first, chunk.last_time, len(data), "zstd" if packed else "none")
        self._writer.chunk(new, [packed or bytes(data)], sorted(generations))

    def _changed(self, chunk: Chunk, change: Change) -> Iterator[Event | LostRecord]:
        key = (chunk.cpu, chunk.ring)
        try:
            for record in records_of(pieces(chunk), self._layout):
                if isinstance(record, LostRecord):
                    yield record
                    continue
                new = change(record)
                if new is None:
                    self._left_out[key] = self._left_out.get(key, 0) + 1
                else:
                    self.events += 1
                    yield new._replace(sequence=max(0, record.sequence - self._left_out.get(key, 0)))
        except CapfileError as error:
            self.mark("source-damaged", f"a chunk of CPU {chunk.cpu}: {error}")

    def _closed_up(self, rings: dict[str, list[list[int]]]) -> dict[str, list[list[int]]]:
        """Next sequence numbers less what was left out of each ring."""
        numbers = {ring.name.lower(): int(ring) for ring in Ring}
        return {
            name: [
                [max(0, row[0] - self._left_out.get((cpu, numbers.get(name, -1)), 0)), *row[1:]] if row else row
                for cpu, row in enumerate(rows)
            ]
            for name, rows in rings.items()
        }
