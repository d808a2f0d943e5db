"""The bytes of a recording, plain or gzip, from a file or a pipe.

Knows only how to read on: the end comes as fewer bytes than asked for, and where the compressed data end badly
`damage` says so. Never holds more than it was asked for.
"""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Callable
from typing import BinaryIO, Final, Self, cast

GZIP_MAGIC: Final = b"\x1f\x8b"
BEGINNING: Final = 512  # bytes looked at to say what a file is that is not what it should be


class Source:
    """Read from `file`, unpacking gzip where its magic number stands first (RFC 1952 §2.3.1)."""

    def __init__(self, file: BinaryIO) -> None:
        self._raw = file
        buffered = io.BufferedReader(cast(io.RawIOBase, file))
        packed = buffered.peek(len(GZIP_MAGIC)).startswith(GZIP_MAGIC)
        self._file = gzip.GzipFile(fileobj=buffered) if packed else buffered
        self.offset = 0  # of what was read, unpacked
        self.damage = ""
        self.beginning = self._unpacked(self._file.peek, BEGINNING)[:BEGINNING]

    @classmethod
    def open(cls, path: str) -> Self:
        """Open `path`, or standard input for "-"; OSError as `open` raises it."""
        return cls(sys.stdin.buffer if path == "-" else open(path, "rb"))

    def close(self) -> None:
        """Close the file."""
        self._raw.close()

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end."""
        data = self._unpacked(self._file.read, size)
        self.offset += len(data)
        return data

    def line(self, limit: int) -> bytes:
        """The next line with its end; of a longer one the first `limit` bytes, empty at the end of the input."""
        data = self._unpacked(self._file.readline, limit)
        self.offset += len(data)
        return data

    def _unpacked(self, take: Callable[[int], bytes], size: int) -> bytes:
        """What `take` gives; nothing where the compressed data end badly, and `damage` says so."""
        try:
            return take(size)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            how = "break off" if isinstance(error, EOFError) else "are damaged"
            self.damage = f"the gzip data {how} after {self.offset} unpacked bytes"
            return b""
