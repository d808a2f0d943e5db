"""Bytes of a file or pipe by offset. Knows nothing of frames; never holds more than one frame's bytes and a read-ahead.

A regular file is read by position (`pread`), so that it may grow and may be read again; anything else is a stream whose
bytes are kept from the last `release` on.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from capfile.limits import PIECE, READ_AHEAD


class Source(Protocol):
    """What the reader reads from. Offsets count from where the source began."""

    seekable: bool

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes at `offset`, fewer only where the input ends. `offset` is not before the last `release`."""

    def release(self, offset: int) -> None:
        """Nothing before `offset` will be asked for again (a promise that only streams need)."""

    def end(self, offset: int) -> int:
        """Where the input ends; what a stream has from `offset` on is read and dropped."""


class FileSource:
    """A regular file by its descriptor; `base` is where offset 0 is, and from offset `until` on nothing is read."""

    seekable = True

    def __init__(self, fd: int, base: int, until: int | None = None) -> None:
        self._fd = fd
        self._base = base
        self._until = until
        self._ahead = b""
        self._ahead_at = 0

    def read(self, offset: int, size: int) -> bytes:
        """Small reads come out of one larger read; a short one is tried again, for the file may have grown."""
        start = offset - self._ahead_at
        if start >= 0 and start + size <= len(self._ahead):
            return self._ahead[start : start + size]
        if size >= READ_AHEAD:
            return self._pread(offset, size)
        self._ahead, self._ahead_at = self._pread(offset, READ_AHEAD), offset
        return self._ahead[:size]

    def _pread(self, offset: int, size: int) -> bytes:
        if self._until is not None:
            size = max(0, min(size, self._until - offset))
        data = os.pread(self._fd, size, self._base + offset)
        if not data or len(data) == size:
            return data
        parts, got = [data], len(data)
        while got < size and (more := os.pread(self._fd, size - got, self._base + offset + got)):
            parts.append(more)
            got += len(more)
        return b"".join(parts)

    def release(self, offset: int) -> None:
        """Nothing to do."""

    def end(self, offset: int) -> int:
        """Its present size, or `until`."""
        size = os.fstat(self._fd).st_size - self._base
        return max(offset, size if self._until is None else min(size, self._until))


class StreamSource:
    """A pipe, or any object with `read`: bytes are kept until they are released."""

    seekable = False

    def __init__(self, file: BinaryIO) -> None:
        # read1 returns what is there: a live pipe is not kept waiting for a full buffer
        self._next = getattr(file, "read1", file.read)
        self._window = bytearray()
        self._start = 0

    def read(self, offset: int, size: int) -> bytes:
        """Waits until the bytes are there or the input ends."""
        end = offset + size - self._start
        while len(self._window) < end and (more := self._next(PIECE)):
            self._window += more
        return bytes(memoryview(self._window)[offset - self._start : end])

    def release(self, offset: int) -> None:
        """Forget what came before."""
        gone = offset - self._start
        if 0 < gone <= len(self._window):
            del self._window[:gone]
            self._start = offset

    def end(self, offset: int) -> int:
        """Read until there is nothing more."""
        self.release(offset)
        end = self._start + len(self._window)
        while more := self._next(PIECE):
            end += len(more)
        return end


def source_of(file: BinaryIO, until: int | None = None) -> Source:
    """The right source for an open binary file; of a regular one only the bytes before `until`."""
    try:
        fd = file.fileno()
    except (AttributeError, OSError):
        return StreamSource(file)
    return FileSource(fd, file.tell(), until) if stat.S_ISREG(os.fstat(fd).st_mode) else StreamSource(file)


@dataclass(frozen=True, slots=True)
class Region:
    """`length` bytes at `offset` of a source that can be read again: the data of a large chunk."""

    source: Source
    offset: int
    length: int

    def __len__(self) -> int:
        return self.length

    def pieces(self, size: int = PIECE) -> Iterator[bytes]:
        """The bytes, at most `size` at a time; fewer in all if the file was cut meanwhile."""
        done = 0
        while done < self.length and (data := self.source.read(self.offset + done, min(size, self.length - done))):
            yield data
            done += len(data)

    def part(self, start: int) -> Region:
        """The same without its first `start` bytes."""
        return Region(self.source, self.offset + start, self.length - start)

    def load(self) -> bytes:
        """All of them at once."""
        return b"".join(self.pieces())
