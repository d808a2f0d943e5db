"""Frames in, bytes appended to a file: whole frames only, each with its sequence number and CRC-32.

Writes to a file descriptor with `os.writev`, so that ring memory reaches the file without becoming Python objects.
Keeps the index: an Index frame every INDEX_ROWS chunks and one before End, so that its own memory stays small.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from capfile.frames import FRAME_TYPES, Chunk, End, Frame, FrameKind, Index
from capfile.limits import MAX_ITEMS
from capfile.payload import encode
from capfile.source import Region
from capfile.wire import BIN32, FRAME_HEADER, FrameHead

_KIND_OF: Final = {cls: kind for kind, cls in FRAME_TYPES.items()}
INDEX_ROWS: Final = 1024  # chunks of one Index frame: at most 60 KB of it wait in memory, or are lost with a crash
INDEX_LISTED: Final = 50_000  # … and generations listed for them: 9 bytes each, half of what a frame may have
IOV_MAX: Final = 1024  # writev(2): linux/uio.h UIO_MAXIOV
WRITE_BYTES: Final = 1 << 20  # written at a time where somebody wants to know how far it is
# What a writer may ask of the page cache between two `sync` calls (seconds): what a power cut can cost.
FLUSH_INTERVAL: Final = 1.0
Wrote = Callable[[int], None]  # told how many bytes have been written, whenever it is more


class Writer:
    """Append the frames of one segment to `fd`. Not thread-safe: one thread writes.

    Call `sync` every FLUSH_INTERVAL and before the file is renamed. A frame that could not be written whole (ENOSPC,
    EFBIG, EIO: OSError is raised as it comes) is cut off again where the output is a file, so that writing may go on.
    """

    def __init__(self, fd: int, tag: int | None = None) -> None:
        """`tag` marks the frames of this segment as belonging together; random if None (as it should be, but for files
        that must come out the same each time)."""
        self._fd = fd
        self._tag = secrets.randbits(32) if tag is None else tag
        self._rows: list[list[int]] = []
        self._generations: list[list[int] | None] = []
        self._listed = 0
        self._indexes: list[int] = []
        self.sockets: list[list[int]] = []  # rows of Index.sockets for the last Index frame; the caller fills it
        self.frames = 0
        self.bytes = 0

    def write(self, frame: Frame) -> None:
        """Append any frame; a Chunk with its `data` as it stands (already compressed if `codec` says so).

        Of an End its `frames` and `index` are filled in, and the Index before it is written.
        """
        if isinstance(frame, Chunk):
            self.chunk(frame, list(frame.data.pieces()) if isinstance(frame.data, Region) else [frame.data])
        elif isinstance(frame, End):
            self._end(frame)
        else:
            self._append(_KIND_OF[type(frame)], [encode(frame)])

    def chunk(
        self,
        chunk: Chunk,
        regions: Sequence[bytes | memoryview],
        generations: list[int] | None = None,
        wrote: Wrote | None = None,
    ) -> None:
        """Append a Chunk whose data are `regions` (one, or two where the ring wraps), not copied.

        `generations`: the sockets whose events are in it, if the caller knows; for `Index.generations`. `wrote` is told
        how many bytes of the regions have been written, whenever it is more: they are not read again.
        """
        length = sum(len(region) for region in regions)
        start = self.bytes
        self._append(FrameKind.CHUNK, [encode(chunk), BIN32.pack(0xC6, length), *regions], wrote, length)
        self._forget(start)
        self._rows.append([start, chunk.cpu, chunk.ring, chunk.first_time, chunk.last_time, chunk.size])
        self._generations.append(generations if generations is None or len(generations) <= MAX_ITEMS else None)
        self._listed += len(self._generations[-1] or ())
        if len(self._rows) >= INDEX_ROWS or self._listed >= INDEX_LISTED:
            self._index()

    def sync(self) -> None:
        """Have all that was written reach the disk (fdatasync); nothing where the output is a pipe."""
        if stat.S_ISREG(os.fstat(self._fd).st_mode):
            os.fdatasync(self._fd)

    def rewind(self, size: int, frames: int) -> None:
        """Cut the file back to `size` bytes and `frames` frames, as they were before a frame (regular files only)."""
        os.ftruncate(self._fd, size)
        os.lseek(self._fd, size, os.SEEK_SET)
        self.bytes, self.frames = size, frames
        self._forget(size)

    @property
    def closing_bytes(self) -> int:
        """At most how many bytes the Index frames and End will need: what a size limit must leave free."""
        rows = 70 * len(self._rows) + 9 * self._listed + 40 * len(self.sockets)
        return 1024 + rows + 9 * (len(self._indexes) + 2)

    def _end(self, end: End) -> None:
        self._forget(self.bytes)
        with contextlib.suppress(OSError):  # a full disk may still have room for the End alone
            while self._rows or self.sockets:
                self._index()
        index = self._indexes if not self._rows and len(self._indexes) <= MAX_ITEMS else []
        self._append(FrameKind.END, [encode(replace(end, frames=self.frames + 1, index=index))])

    def _index(self) -> None:
        """Write what waits as one Index frame; it waits on where that fails."""
        start = self.bytes
        known = any(each is not None for each in self._generations)
        sockets = self.sockets[:MAX_ITEMS]
        self._append(FrameKind.INDEX, [encode(Index(self._rows, sockets, self._generations if known else []))])
        self._indexes.append(start)
        self._rows, self._generations, self._listed, self.sockets = [], [], 0, self.sockets[MAX_ITEMS:]

    def _forget(self, size: int) -> None:
        """Leave out of the index what the caller has cut off the file again."""
        while self._rows and self._rows[-1][0] >= size:
            self._rows.pop()
            self._generations.pop()
        while self._indexes and self._indexes[-1] >= size:
            self._indexes.pop()

    def _append(
        self,
        kind: FrameKind,
        parts: list[bytes | memoryview],
        wrote: Wrote | None = None,
        length: int = 0,
    ) -> None:
        """One frame; `wrote` is told of the `length` bytes at its end."""
        head = FrameHead(kind, self._tag, self.frames, 0, sum(len(part) for part in parts))
        packed = head._replace(crc=head.checksum(parts)).pack()
        _write_all(self._fd, [packed, *parts], wrote, FRAME_HEADER.size + head.length - length)
        self.bytes += FRAME_HEADER.size + head.length
        self.frames += 1


def split(views: Sequence[memoryview], at: int) -> tuple[list[memoryview], list[memoryview]]:
    """`views` before and from byte `at`, without empty ones."""
    before: list[memoryview] = []
    after: list[memoryview] = []
    for view in views:
        part = min(at, len(view))
        at -= part
        before.append(view[:part])
        after.append(view[part:])
    return [view for view in before if len(view)], [view for view in after if len(view)]


def _write_all(fd: int, parts: Sequence[bytes | memoryview], wrote: Wrote | None, before: int) -> None:
    """All parts, or none where `fd` is a file that can be cut back. `wrote` is told of what is after `before`."""
    views = [memoryview(part).cast("B") for part in parts if len(part)]
    done = 0
    try:
        while views:
            next_views = views if wrote is None else split(views, WRITE_BYTES)[0]
            written = os.writev(fd, next_views[:IOV_MAX])
            done += written
            if wrote is not None and done > before:
                wrote(done - before)
            views = split(views, written)[1]
    except OSError:
        if done and stat.S_ISREG(os.fstat(fd).st_mode):
            start = os.lseek(fd, 0, os.SEEK_CUR) - done
            os.ftruncate(fd, start)
            os.lseek(fd, start, os.SEEK_SET)
        raise
