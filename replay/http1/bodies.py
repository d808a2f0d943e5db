"""The pieces of one body in, a `Body` out: counted, hashed, kept up to a limit, holes remembered.

Never fills a hole, and never copies a piece that is the whole of a small body. Decoding is `codings`' work.
"""

from __future__ import annotations

import hashlib
from typing import Final

from replay.exchange import Body
from replay.http1.codings import decode
from replay.http1.hashing import WORTH_A_THREAD, Hash
from replay.http1.limits import MAX_BODY_KEPT

# Pieces are gathered until they are a block: a bytes object costs 33 bytes beside its own, and a body of one-byte
# chunks must not cost 41 times its size.
_BLOCK_BYTES: Final = WORTH_A_THREAD
_BLOCK_PIECES: Final = 4096

EMPTY_BODY: Final = Body(0, 0, b"", hashlib.sha256().hexdigest())


class BodyBuilder:
    """Collects one body. `keep` bounds the bytes kept."""

    __slots__ = ("_blocks", "_captured", "_gaps", "_gathered", "_gathered_bytes", "_hash", "_keep", "size")

    def __init__(self, keep: int = MAX_BODY_KEPT) -> None:
        self.size = 0
        self._captured = 0
        self._keep = keep
        self._blocks: list[bytes] = []
        self._gathered: list[bytes] = []  # pieces of the next block
        self._gathered_bytes = 0
        self._gaps: list[tuple[int, int]] = []
        self._hash = Hash()

    def add(self, data: bytes, start: int, stop: int) -> None:
        """`data[start:stop]` was seen next."""
        length = stop - start
        if not length:
            return
        self.size += length
        self._captured += length
        self._gathered.append(data[start:stop])  # the same object where it is the whole of `data`
        self._gathered_bytes += length
        if self._gathered_bytes >= _BLOCK_BYTES or len(self._gathered) >= _BLOCK_PIECES:
            self._close_block()

    def _close_block(self) -> None:
        block = b"".join(self._gathered)  # the same object where it is one piece
        self._gathered, self._gathered_bytes = [], 0
        self._hash.update(block)
        before = self._captured - len(block)
        if before < self._keep:
            self._blocks.append(block[: self._keep - before])

    def miss(self, length: int) -> None:
        """`length` bytes were not seen."""
        if length:
            if self._gaps and sum(self._gaps[-1]) == self.size:
                start, before = self._gaps.pop()
                self._gaps.append((start, before + length))
            else:
                self._gaps.append((self.size, length))
            self.size += length

    @property
    def kept_whole(self) -> bool:
        """Whether every captured byte was kept."""
        return self._captured <= self._keep

    @property
    def kept(self) -> int:
        """How many bytes are kept."""
        return min(self._captured, self._keep)

    def build(self, content_codings: tuple[str, ...], transfer_codings: tuple[str, ...]) -> tuple[Body, str]:
        """The body, and why it could not be decoded ("" if it could or nothing was to be decoded). It is handed out
        once: whoever still holds the builder, as the framer does until the next message, holds no bytes."""
        if not self.size:
            return EMPTY_BODY, ""
        if self._gathered:
            self._close_block()
        data, self._blocks = b"".join(self._blocks), []
        digest = self._hash.digest()
        encoding = ", ".join(content_codings)
        codings = content_codings + transfer_codings
        if not codings:
            return Body(self.size, self._captured, data, digest, None, encoding, None, tuple(self._gaps)), ""
        if self._gaps:
            decoded, error = decode(data[: self._gaps[0][0]], codings)
            error = error and "bytes are missing"
        else:
            decoded, error = decode(data, codings)
        size = None if decoded is None else len(decoded)
        return Body(self.size, self._captured, data, digest, decoded, encoding, size, tuple(self._gaps)), error
