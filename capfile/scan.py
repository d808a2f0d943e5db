"""A source in, raw frames with a right checksum out; after damage, the next one by its sync marker.

Knows the 36 bytes before a payload and nothing of what the payload says. Nothing is ever believed that its CRC does not
confirm, but for chunks that the caller skips. Work is linear in the input: see RESYNC_FACTOR.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from capfile.errors import DamagedFrame, LimitExceeded
from capfile.frames import FrameKind
from capfile.limits import LOAD_AT_ONCE, MAX_METADATA, MAX_PAYLOAD, PIECE, RESYNC_FACTOR, RESYNC_GRACE
from capfile.payload import CHUNK_PREFIX
from capfile.source import Region, Source
from capfile.wire import FRAME_HEADER, START, FrameHead

HEAD: Final = FRAME_HEADER.size
_METADATA: Final = set(FrameKind) - {FrameKind.CHUNK}


class CutFrame(DamagedFrame):
    """The input ends before the frame does."""


@dataclass(frozen=True, slots=True)
class RawFrame:
    """One frame whose checksum is right. `payload` is in memory, or a region of the file if it is large."""

    offset: int
    head: FrameHead
    payload: bytes | Region
    checked: bool = True  # False: skipped by the caller's wish, `payload` is its beginning

    @property
    def end(self) -> int:
        """Where the next frame starts."""
        return self.offset + HEAD + self.head.length

    def prefix(self, size: int) -> bytes:
        """The first bytes of the payload."""
        return self.payload[:size] if isinstance(self.payload, bytes) else next(self.payload.pieces(size), b"")


class Scanner:
    """Frames of a source, by offset. `lazy`: chunk payloads stay in the file where the source allows it. Those before
    `sound` are known to have the right checksum, and are not read for it again."""

    def __init__(self, source: Source, lazy: bool = False, sound: int = 0) -> None:
        self.source = source
        self._sound = sound
        self._load = 0 if lazy else LOAD_AT_ONCE
        self._wasted = 0  # bytes checksummed for candidates that were none
        self.searched = 0  # how far the last search looked
        self.only_zeros = True  # whether it met nothing else

    def examine(self, offset: int, skip: Callable[[bytes, FrameHead], bool] | None = None) -> RawFrame | None:
        """The frame at `offset`, None where the input ends; `CutFrame` or `DamagedFrame` if there is none.

        `skip` may look at the beginning of a chunk's payload and have the rest passed over unread.
        """
        head = self._head(offset)
        if head is None:
            return None
        start = offset + HEAD
        if skip is not None and head.kind == FrameKind.CHUNK and self._can_skip(start, head, skip):
            return RawFrame(offset, head, self.source.read(start, min(head.length, CHUNK_PREFIX)), checked=False)
        payload: bytes | Region
        if self.source.seekable and head.kind not in _METADATA and head.length > self._load:
            payload = Region(self.source, start, head.length)
            crc = head.crc if offset < self._sound else head.checksum(_all(payload))
        else:
            payload = self.source.read(start, head.length)
            if len(payload) < head.length:
                raise CutFrame(f"the file ends {head.length - len(payload)} bytes before the frame does", offset)
            crc = head.checksum((payload,))
        if crc != head.crc:
            self._wasted += head.length
            raise DamagedFrame("checksum differs", offset)
        return RawFrame(offset, head, payload)

    def _head(self, offset: int) -> FrameHead | None:
        data = self.source.read(offset, HEAD)
        if not data:
            return None
        if len(data) < HEAD:
            cut = data.startswith(START) or START.startswith(data)
            raise (CutFrame if cut else DamagedFrame)(f"{len(data)} bytes left, a frame's head has {HEAD}", offset)
        head = FrameHead.unpack(data)
        if head is None:
            raise DamagedFrame("no frame starts here", offset)
        limit = MAX_METADATA if head.kind in _METADATA else MAX_PAYLOAD
        if head.length > limit:
            raise LimitExceeded(f"frame of {head.length} bytes, at most {limit} are read", offset)
        return head

    def _can_skip(self, start: int, head: FrameHead, skip: Callable[[bytes, FrameHead], bool]) -> bool:
        """Whether the caller wants it skipped and the next frame, or the input's end, is where this one says."""
        if not self.source.seekable or not skip(self.source.read(start, min(head.length, CHUNK_PREFIX)), head):
            return False
        end = start + head.length
        after = self.source.read(end, len(START))
        return after == START or (not after and self.source.end(0) == end)

    def search(self, offset: int, good: Callable[[RawFrame], bool], most: int | None = None) -> RawFrame | None:
        """The first frame at `offset` or later that is whole and `good`; None if the input has none.

        `most` bounds how far is looked. `LimitExceeded` when too many things looked like frames and were none.
        """
        self.only_zeros = True
        for candidate in self._candidates(offset, most):
            if self._wasted > RESYNC_GRACE + RESYNC_FACTOR * candidate:
                raise LimitExceeded(
                    "too many damaged frames: the search for the next whole one was given up", candidate
                )
            try:
                frame = self.examine(candidate)
            except (DamagedFrame, LimitExceeded):
                continue
            if frame is not None and good(frame):
                return frame
        return None

    def _candidates(self, offset: int, most: int | None) -> Iterator[int]:
        """Where the beginning of a frame's head stands, from `offset` on."""
        end = None if most is None else offset + most
        while end is None or offset < end:
            self.source.release(offset)
            piece = self.source.read(offset, PIECE)
            self.searched = offset + len(piece)
            self.only_zeros = self.only_zeros and not piece.strip(b"\0")
            at = piece.find(START)
            while at >= 0:
                yield offset + at
                at = piece.find(START, at + 1)
            if len(piece) < PIECE:
                return
            offset += PIECE - len(START) + 1


def _all(region: Region) -> Iterator[bytes]:
    """The region's pieces; `CutFrame` if the file ends before it."""
    got = 0
    for piece in region.pieces():
        got += len(piece)
        yield piece
    if got < region.length:
        raise CutFrame(f"the file ends {region.length - got} bytes before the frame does", region.offset - HEAD)
