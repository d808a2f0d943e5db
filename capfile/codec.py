"""Chunk data packed and unpacked: codecs "none" and "zstd". Output is bounded by what the chunk declares.

`backports.zstd` and not the `zstandard` package, whose output limit does not hold when a frame declares its own size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from backports import zstd

from capfile.errors import DamagedFrame, LimitExceeded
from capfile.frames import Chunk
from capfile.limits import MAX_CHUNK, MAX_RATIO, PIECE, RATIO_FREE
from capfile.source import Region

DEFAULT_LEVEL: Final = 1
CODECS: Final = ("none", "zstd")
# No window is larger than the largest chunk. (FORMAT.md asks writers for 8 MiB at most, as RFC 8878 §3.1.1.1.2 does.)
_WINDOW: Final[dict[int, int]] = {zstd.DecompressionParameter.window_log_max: MAX_CHUNK.bit_length() - 1}


def pieces(chunk: Chunk) -> Iterator[bytes | memoryview]:
    """The ring bytes of a chunk in pieces of at most 1 MiB (one piece if it is plain and in memory).

    `DamagedFrame` where they are not what the chunk says, after the pieces that were.
    """
    if chunk.size > MAX_CHUNK:
        raise LimitExceeded(f"chunk of {chunk.size} bytes, at most {MAX_CHUNK} are read")
    stored = chunk.data.pieces() if isinstance(chunk.data, Region) else iter([chunk.data])
    if chunk.codec == "none":
        yield from _exactly(chunk.size, stored)
    elif chunk.codec == "zstd":
        if chunk.size > RATIO_FREE and chunk.size > MAX_RATIO * len(chunk.data):
            raise LimitExceeded(f"chunk of {chunk.size} bytes in {len(chunk.data)}: over {MAX_RATIO} to 1")
        yield from _exactly(chunk.size, _unpacked(stored, chunk.size))
    else:
        raise DamagedFrame(f"chunk with unknown codec {chunk.codec[:20]!r}")


def decompressed(chunk: Chunk) -> bytes | memoryview:
    """The ring bytes of a chunk in one buffer, of up to 256 MiB; `CapfileError` when they are not what it says."""
    parts = list(pieces(chunk))
    return parts[0] if len(parts) == 1 else b"".join(parts)


def compressed(chunk: Chunk, level: int = DEFAULT_LEVEL) -> Chunk:
    """The same chunk with zstd data, or itself where that would not be smaller (or so small that readers refuse it)."""
    if chunk.codec != "none":
        return chunk
    data = pack(list(pieces(chunk)), level)
    return chunk if data is None else replace(chunk, codec="zstd", data=data)


def pack(regions: Sequence[bytes | memoryview], level: int = DEFAULT_LEVEL) -> bytes | None:
    """Regions of a ring as one zstd frame with its own checksum off (the frame has a CRC); None if not worth it."""
    return Packer(level).pack(regions)


class Packer:
    """`pack` for many chunks: the tables of zstd are made once."""

    def __init__(self, level: int = DEFAULT_LEVEL) -> None:
        self._zstd = zstd.ZstdCompressor(level)

    def pack(self, regions: Sequence[bytes | memoryview]) -> bytes | None:
        """As `pack` does. The last region closes the frame, so that a single one is compressed where it lies."""
        parts = [self._zstd.compress(region) for region in regions[:-1]]
        data = b"".join([*parts, self._zstd.compress(regions[-1], zstd.ZstdCompressor.FLUSH_FRAME)])
        size = sum(len(region) for region in regions)
        worth = len(data) < size and (size <= RATIO_FREE or size <= MAX_RATIO * len(data))
        return data if worth else None


def _exactly(size: int, parts: Iterator[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    """The parts, as long as they do not exceed `size`, and they must reach it."""
    left = size
    for part in parts:
        if len(part) > left:
            raise DamagedFrame(f"chunk of more than the {size} bytes declared")
        left -= len(part)
        yield part
    if left:
        raise DamagedFrame(f"chunk of {size - left} bytes, {size} declared")


def _unpacked(stored: Iterator[bytes | memoryview], size: int) -> Iterator[bytes]:
    """Decompressed pieces; stops behind the first that exceeds `size`."""
    decompressor = zstd.ZstdDecompressor(options=_WINDOW)
    left = size
    try:
        for part in stored:
            if decompressor.eof:
                raise DamagedFrame("chunk with bytes after its zstd frame")
            more = True
            while more:
                piece = decompressor.decompress(part, min(PIECE, left + 1))
                left -= len(piece)
                yield piece
                part, more = b"", left >= 0 and not decompressor.eof and not decompressor.needs_input
        if left >= 0 and (decompressor.unused_data or not decompressor.eof):
            raise DamagedFrame("chunk whose zstd frame is not closed, or has bytes after it")
    except zstd.ZstdError as error:
        raise DamagedFrame(f"chunk that zstd cannot read: {error}") from None
