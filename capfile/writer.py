"""Frames in, bytes appended to a file: whole frames only, each with its sequence number and CRC-32.

Writes to a file descriptor with `os.writev`, so that ring memory reaches the file without becoming Python objects.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Final

import msgpack

from capfile.frames import FRAME_TYPES, SYNC_MARKER, Chunk, Frame, FrameKind

# array(5), bin8 of 8, uint8 kind, uint64 sequence, uint32 crc, bin32 length: 32 bytes, all of fixed width
FRAME_HEADER: Final = struct.Struct(">BBB8sBBBQBIBI")
_KIND_OF: Final = {cls: kind for kind, cls in FRAME_TYPES.items()}


def frame_header(kind: int, sequence: int, crc: int, length: int) -> bytes:
    """The 32 bytes before a payload of `length` bytes."""
    return FRAME_HEADER.pack(0x95, 0xC4, 8, SYNC_MARKER, 0xCC, kind, 0xCF, sequence, 0xCE, crc, 0xC6, length)


def checksum(kind: int, sequence: int, length: int, parts: Sequence[bytes | memoryview]) -> int:
    """CRC-32 (zlib's) of the frame header with a zero CRC, then of the payload."""
    crc = zlib.crc32(frame_header(kind, sequence, 0, length))
    for part in parts:
        crc = zlib.crc32(part, crc)
    return crc


def _fields(frame: Frame, without: str = "") -> dict[str, Any]:
    return {f.name: getattr(frame, f.name) for f in fields(frame) if f.name != without}


class Writer:
    """Append frames to `fd`. Not thread-safe: one thread writes."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.frames = 0
        self.bytes = 0

    def write(self, frame: Frame) -> None:
        """Append any frame; a Chunk with its `data` as it stands (already compressed if `codec` says so)."""
        if isinstance(frame, Chunk):
            self.chunk(frame, [frame.data])
        else:
            self._append(_KIND_OF[type(frame)], [msgpack.packb(_fields(frame))])

    def chunk(self, chunk: Chunk, regions: Sequence[bytes | memoryview]) -> None:
        """Append a Chunk whose data are `regions` (one, or two where the ring wraps), not copied."""
        length = sum(len(region) for region in regions)
        meta = msgpack.packb(_fields(chunk, without="data"))
        self._append(FrameKind.CHUNK, [meta, struct.pack(">BI", 0xC6, length), *regions])

    def _append(self, kind: FrameKind, parts: list[bytes | memoryview]) -> None:
        length = sum(len(part) for part in parts)
        crc = checksum(kind, self.frames, length, parts)
        self._writev([frame_header(kind, self.frames, crc, length), *parts])
        self.frames += 1

    def _writev(self, parts: list[bytes | memoryview]) -> None:
        views = [memoryview(part).cast("B") for part in parts if len(part)]
        while views:
            written = os.writev(self._fd, views)
            self.bytes += written
            while views and written >= len(views[0]):
                written -= len(views.pop(0))
            if views and written:
                views[0] = views[0][written:]
