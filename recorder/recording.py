"""Frames and ring regions in, files out: segments, size limits, and a file that opens whatever happens to the disk.

One thread uses it at a time. Knows frames and files, nothing of processes or of the kernel program. After the first
write error it accepts and drops everything: the rings must go on draining so that the end is orderly.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from capfile.event import EVENT_SIZE, FIELDS, PERF_HEADER, PERF_RECORD_SAMPLE
from capfile.frames import Chunk, Counters, End, Frame, Header, Mark, Ring
from capfile.writer import Writer, Wrote, split
from recorder import output
from recorder.limits import CLOSING_RESERVE, RecordingLimits
from recorder.rings import whole_records

STOP_REASONS: Final[dict[int, str]] = {
    errno.ENOSPC: "disk-full",
    errno.EDQUOT: "disk-full",
    errno.EFBIG: "disk-full",
    errno.EPIPE: "output-closed",
}
_RAW: Final = PERF_HEADER.size + 4  # where the event starts in a sample
_SEQUENCE: Final = struct.Struct("<Q")
_SEQUENCE_OFFSET: Final = _RAW + next(offset for name, _, offset in FIELDS if name == "sequence")
_TIME_OFFSET: Final = _RAW + next(offset for name, _, offset in FIELDS if name == "time")
Regions = Sequence[memoryview]
Pack = Callable[[Regions], bytes | None]  # a zstd frame; None where it would be no smaller


def first_event(regions: Regions) -> tuple[int, int] | None:
    """(sequence, time) of the first sample in `regions`; None when the first record is not one."""
    head = b"".join(bytes(region[: _RAW + EVENT_SIZE]) for region in regions)[: _RAW + EVENT_SIZE]
    if len(head) < _RAW + EVENT_SIZE or PERF_HEADER.unpack_from(head)[0] != PERF_RECORD_SAMPLE:
        return None
    return _SEQUENCE.unpack_from(head, _SEQUENCE_OFFSET)[0], _SEQUENCE.unpack_from(head, _TIME_OFFSET)[0]


class Recording:
    """The output of one recording.

    `describe(segment)` gives a segment's Header, `introduce()` the frames that make it self-contained; `stop(reason)`
    is called once when the recording should end.
    """

    def __init__(
        self,
        target: output.Target,
        fd: int,
        limits: RecordingLimits,
        describe: Callable[[int], Header],
        introduce: Callable[[], Iterable[Frame]],
        stop: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._target = target
        self._fd = fd
        self._limits = limits
        self._describe = describe
        self._introduce = introduce
        self._stop = stop
        self._clock = clock
        self._kept: list[str] = []
        self._finished_bytes = 0
        self._retired: deque[int] = deque()  # finished files that are not yet synchronised and closed
        self._seekable = target.is_file
        self.segment = 0
        self.events = 0  # counted only under --max-events
        self.stopped = ""
        # (ring, cpu) -> sequence number of its first event that was left out by a limit or a write error
        self.left_out: dict[tuple[int, int], int] = {}
        self._begin(fd)

    @property
    def written(self) -> int:
        """Bytes written in all segments."""
        return self._finished_bytes + self._writer.bytes

    @property
    def segments_kept(self) -> int:
        """Segments that are there, the current one included."""
        return len(self._kept) + 1

    def _begin(self, fd: int) -> None:
        self._fd = fd
        self._writer = Writer(fd)
        self._since = self._clock()
        self._before_chunk: tuple[int, int, int, int, int | None] | None = None
        self.write(self._describe(self.segment))

    def open_segment(self) -> None:
        """Write what makes the segment self-contained, right behind its Header."""
        for frame in self._introduce():
            self.write(frame)

    def write(self, frame: Frame) -> None:
        """Append one frame; an error of the output ends the recording instead of being raised."""
        if not self.stopped:
            self._append(lambda: self._writer.write(frame))

    def chunk(self, chunk: Chunk, regions: Regions, pack: Pack | None = None, wrote: Wrote | None = None) -> None:
        """Append a Chunk of ring bytes: as the zstd frame that `pack` makes of them, or as they stand.

        Cuts it at a whole record where --max-size or --max-events ends the recording. `wrote` is told how many bytes of
        the regions are not needed any more.
        """
        if self.stopped:
            self._leave_out(chunk, first_event(regions))
            return
        room, most = self._room(), self._most(chunk.ring)
        if chunk.size > room or most is not None:
            size, events = whole_records(regions, room, most)
            self.events += events
            if size < chunk.size:
                self._last(chunk, regions, size, "max-size" if most is None or events < most else "max-events")
                return
        self._append_chunk(chunk, regions, pack, wrote)

    def _room(self) -> int:
        most = self._limits.max_size
        return 1 << 62 if most is None else max(0, most - self.written - CLOSING_RESERVE - self._writer.closing_bytes)

    def _most(self, ring: int) -> int | None:
        """How many samples of this ring may still be written: --max-events counts those of the data ring."""
        most = self._limits.max_events
        return None if most is None or ring != Ring.DATA else most - self.events

    def _last(self, chunk: Chunk, regions: Regions, size: int, reason: str) -> None:
        inside, outside = split(regions, size)
        if inside:
            plain = Chunk(chunk.cpu, chunk.ring, chunk.first_time, chunk.last_time, size)
            self._append_chunk(plain, inside, None, None)
        self._leave_out(chunk, first_event(outside))
        self._end(reason)

    def _append_chunk(self, chunk: Chunk, regions: Regions, pack: Pack | None, wrote: Wrote | None) -> None:
        first = first_event(regions)
        before = (self._writer.bytes, self._writer.frames, chunk.ring, chunk.cpu, first[0] if first else None)
        packed = None if pack is None else pack(regions)
        if packed is None:
            self._append(lambda: self._writer.chunk(chunk, regions, wrote=wrote))
        else:
            self._append(lambda: self._writer.chunk(replace(chunk, codec="zstd"), [packed]))
        if self.stopped:
            self._leave_out(chunk, first)
        else:
            self._before_chunk = before

    def _leave_out(self, chunk: Chunk, first: tuple[int, int] | None) -> None:
        if first is not None:
            self.left_out.setdefault((chunk.ring, chunk.cpu), first[0])

    def _append(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            self._end(STOP_REASONS.get(error.errno or 0, "output-error"))

    def _end(self, reason: str) -> None:
        if not self.stopped:
            self.stopped = reason
            self._stop(reason)

    def rotation_due(self) -> bool:
        """Whether the current segment has reached its size or age."""
        size, age = self._limits.rotate_size, self._limits.rotate_seconds
        if self.stopped:
            return False
        return (size is not None and self._writer.bytes >= size) or (
            age is not None and self._clock() - self._since >= age
        )

    def rotate(self, counters: Counters) -> None:
        """Close this segment, give it its number, and begin the next one at the same path."""
        self.write(counters)
        self.write(End(time.monotonic_ns(), "rotated", next_segment=True))
        if self.stopped:
            return
        self._retire()
        try:
            self._put_aside()
            fd = output.create(self._target.path)
        except OSError as error:
            self._end(STOP_REASONS.get(error.errno or 0, "output-error"))
            return
        self.segment += 1
        self._finished_bytes += self._writer.bytes
        self._begin(fd)
        self.open_segment()

    def _put_aside(self) -> None:
        name = output.segment_path(self._target.path, self.segment)
        output.move_new(self._target.path, name)
        self._kept.append(name)
        while self._limits.keep is not None and len(self._kept) >= self._limits.keep:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._kept.pop(0))

    def finish(self, counters: Counters, reason: str) -> bool:
        """Close the recording in order; whether the End frame reached the output.

        On a full disk the last chunk gives its place to the closing frames.
        """
        if self._fd < 0 or self.stopped == "output-closed":
            return False
        failed, self.stopped = self.stopped, ""
        if not self._close(counters, reason) and self._drop_last_chunk():
            self.stopped = ""
            self._close(counters, reason)
        done = not self.stopped
        self.stopped = failed or self.stopped
        self._retire()
        return done

    def _retire(self) -> None:
        self._retired.append(self._fd)
        self._fd = -1

    def sync(self) -> None:
        """Have what was written reach the disk, and close the files that are finished. Safe from another thread."""
        current = [self._fd] if self._fd >= 0 else []
        finished = [self._retired.popleft() for _ in range(len(self._retired))]
        for fd in (*finished, *current):
            with contextlib.suppress(OSError):  # a pipe has no disk; a full one was told of by the write
                os.fdatasync(fd)
        for fd in finished:
            os.close(fd)

    def _close(self, counters: Counters, reason: str) -> bool:
        if self.left_out:
            self.write(self._left_out_mark(reason))
        self.write(self.kept(counters))
        self.write(End(time.monotonic_ns(), reason))
        return not self.stopped

    def _drop_last_chunk(self) -> bool:
        if self._before_chunk is None or not self._seekable:
            return False
        size, frames, ring, cpu, sequence = self._before_chunk
        self._writer.rewind(size, frames)
        if sequence is not None:
            self.left_out[ring, cpu] = sequence
        return True

    def kept(self, counters: Counters) -> Counters:
        """The ledger as of the last event that is in the file: what a limit left out is not a loss."""
        rings = {
            ring.name.lower(): [
                [min(row[0], self.left_out.get((ring, cpu), row[0])), row[1]]
                for cpu, row in enumerate(counters.rings.get(ring.name.lower(), []))
            ]
            for ring in Ring
        }
        return Counters(counters.time, counters.counters, rings)

    def _left_out_mark(self, reason: str) -> Mark:
        rows = ", ".join(f"{Ring(r).name.lower()}/{cpu} from {n}" for (r, cpu), n in sorted(self.left_out.items()))
        return Mark("left-out", time.monotonic_ns(), detail=f"{reason}: {rows}")
