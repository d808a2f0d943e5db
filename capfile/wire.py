"""The 36 bytes before every payload, and the checksum over both (FORMAT.md §2). Knows no frame's content.

zlib-ng and not the standard library's zlib: the same CRC-32 by carry-less multiplication, ten to twenty times as fast.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

from zlib_ng import zlib_ng

from capfile.frames import SYNC_MARKER

# array(6), bin8 of 8, fixint kind, uint32 tag, uint64 sequence, uint32 crc, bin32 length: all of fixed width
FRAME_HEADER: Final = struct.Struct(">BBB8sBBIBQBIBI")
START: Final = b"\x96\xc4\x08" + SYNC_MARKER
MAX_KIND: Final = 0x7F  # a positive fixint
BIN32: Final = struct.Struct(">BI")  # 0xc6 and a length: between a chunk's map and its data


class FrameHead(NamedTuple):
    """What stands before a payload of `length` bytes."""

    kind: int
    tag: int  # random, the same in all frames of one segment: a capture recorded inside a capture has another
    sequence: int  # 0, 1, 2 … in one segment
    crc: int
    length: int

    def pack(self) -> bytes:
        """The 36 bytes."""
        kind, tag, sequence, crc, length = self
        return FRAME_HEADER.pack(0x96, 0xC4, 8, SYNC_MARKER, kind, 0xCE, tag, 0xCF, sequence, 0xCE, crc, 0xC6, length)

    @classmethod
    def unpack(cls, data: bytes) -> FrameHead | None:
        """Read 36 bytes; None when one of the fixed ones among them differs."""
        (a, b, c, marker, kind, d, tag, e, sequence, f, crc, g, length) = FRAME_HEADER.unpack(data)
        if (a, b, c, marker, d, e, f, g) != (0x96, 0xC4, 8, SYNC_MARKER, 0xCE, 0xCF, 0xCE, 0xC6) or kind > MAX_KIND:
            return None
        return cls(kind, tag, sequence, crc, length)

    def checksum(self, payload: Iterable[bytes | memoryview]) -> int:
        """CRC-32 (zlib's) of the head with a zero CRC, then of the payload."""
        crc = zlib_ng.crc32(self._replace(crc=0).pack())
        for part in payload:
            crc = zlib_ng.crc32(part, crc)
        return crc
