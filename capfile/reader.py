"""Bytes of a capture file in, frames out; what is damaged is skipped to the next sync marker and reported.

Yields what it can read and notes the rest in `damage`; raises `NotACapture` or `UnsupportedVersion` only at the start.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

import msgpack
from backports import zstd

from capfile.errors import CapfileError, DamagedFrame, LimitExceeded, NotACapture, UnsupportedVersion
from capfile.frames import FORMAT_VERSION, FRAME_TYPES, SYNC_MARKER, Chunk, End, Frame, FrameKind, Header
from capfile.writer import FRAME_HEADER, frame_header

MAX_PAYLOAD: Final = 320 << 20  # the largest ring (256 MiB) drained at once, and room for its map
MAX_CHUNK: Final = 256 << 20
START: Final = b"\x95\xc4\x08" + SYNC_MARKER


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes [offset, offset + length) of the file could not be read. `kind`: "cut", "damaged" or "unknown-frame"."""

    offset: int
    length: int
    kind: str
    detail: str


class Reader:
    """Iterate the frames of one file (or pipe). After the iteration `damage`, `header` and `end` tell how it went."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._offset = 0
        self.header: Header | None = None
        self.end: End | None = None
        self.damage: list[Damage] = []

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open `path`; OSError as `open` raises it."""
        return cls(open(path, "rb"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[Frame]:
        while True:
            start = self._offset
            head = self._read(FRAME_HEADER.size)
            if not head:
                break
            if self.header is None and not head.startswith(START[: len(head)]):
                raise NotACapture("not a capture file: it does not start with a frame", 0)
            try:
                frame = self._frame(head)
            except DamagedFrame as error:
                self.damage.append(Damage(start, self._offset - start, "cut", str(error)))
                break
            if isinstance(frame, Header):
                if frame.version > FORMAT_VERSION:
                    raise UnsupportedVersion(
                        f"format version {frame.version}; this program reads up to {FORMAT_VERSION}"
                    )
                self.header = frame
            elif isinstance(frame, End):
                self.end = frame
            yield frame
        if self.header is None:
            raise NotACapture("not a capture file: it has no header", 0)

    def _read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._offset += len(data)
        return data

    def _frame(self, head: bytes) -> Frame:
        if len(head) < FRAME_HEADER.size:
            raise DamagedFrame("cut inside a frame header")
        _, _, _, _, _, kind, _, sequence, _, crc, _, length = FRAME_HEADER.unpack(head)
        if length > MAX_PAYLOAD:
            raise LimitExceeded(f"frame of {length} bytes")
        payload = self._read(length)
        if len(payload) < length:
            raise DamagedFrame("cut inside a frame")
        if zlib.crc32(payload, zlib.crc32(frame_header(kind, sequence, 0, length))) != crc:
            raise DamagedFrame("checksum differs")
        return _decode(FrameKind(kind), payload)


def _decode(kind: FrameKind, payload: bytes) -> Frame:
    if kind is FrameKind.CHUNK:
        unpacker = msgpack.Unpacker(max_buffer_size=len(payload) + 1)
        unpacker.feed(payload)
        return Chunk(**_known(Chunk, unpacker.unpack()), data=unpacker.unpack())
    cls = FRAME_TYPES[kind]
    return cls(**_known(cls, msgpack.unpackb(payload)))


def _known(cls: type[Frame], values: dict[str, Any]) -> dict[str, Any]:
    names = {f.name for f in fields(cls)}
    return {name: value for name, value in values.items() if name in names}


def decompressed(chunk: Chunk) -> bytes | memoryview:
    """The ring bytes of a chunk; `CapfileError` when they are not what the chunk says."""
    if chunk.size > MAX_CHUNK:
        raise LimitExceeded(f"chunk of {chunk.size} bytes")
    if chunk.codec == "none":
        return chunk.data
    if chunk.codec != "zstd":
        raise CapfileError(f"chunk with unknown codec {chunk.codec!r}")
    data = zstd.ZstdDecompressor().decompress(chunk.data, max_length=chunk.size + 1)
    if len(data) != chunk.size:
        raise DamagedFrame(f"chunk of {len(data)} bytes decompressed, {chunk.size} declared")
    return data


def compressed(chunk: Chunk, level: int = 1) -> Chunk:
    """The same chunk with zstd data."""
    return replace(chunk, codec="zstd", data=zstd.compress(bytes(chunk.data), level))
