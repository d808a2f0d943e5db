"""The pieces of one body in, a `Body` out: counted, hashed, kept up to a limit, holes remembered.

Never fills a hole and never copies a piece that it was given whole. Decoding is `codings`' work.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from replay.exchange import Body
from replay.http1.codings import decode
from replay.http1.limits import MAX_BODY_KEPT

if TYPE_CHECKING:
    from hashlib import _Hash

# A bytes object costs 33 bytes beside its own: a body of one-byte chunks must not cost 41 times its size.
_SMALL_PIECES: Final = 4096

EMPTY_BODY: Final = Body(0, 0, b"", hashlib.sha256().hexdigest())


class BodyBuilder:
    """Collects one body. `keep` bounds the bytes kept."""

    __slots__ = ("_blocks", "_captured", "_gaps", "_hash", "_keep", "_kept", "_pieces", "size")

    def __init__(self, keep: int = MAX_BODY_KEPT) -> None:
        self.size = 0
        self._captured = 0
        self._keep = keep
        self._kept = 0
        self._pieces: list[bytes] = []
        self._blocks = 0  # how many of them are joined ones
        self._gaps: list[tuple[int, int]] = []
        self._hash: _Hash | None = None

    def add(self, data: bytes, start: int, stop: int) -> None:
        """`data[start:stop]` was seen next."""
        length = stop - start
        if not length:
            return
        self.size += length
        self._captured += length
        piece = data[start:stop]  # the same object where it is the whole of `data`
        if self._hash is None:
            self._hash = hashlib.sha256(piece)
        else:
            self._hash.update(piece)
        if self._kept < self._keep:
            if self._kept + length > self._keep:
                piece = piece[: self._keep - self._kept]
            self._pieces.append(piece)
            self._kept += len(piece)
            if len(self._pieces) - self._blocks > _SMALL_PIECES:
                self._pieces[self._blocks :] = [b"".join(self._pieces[self._blocks :])]
                self._blocks += 1

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
        return self._kept == self._captured

    @property
    def kept(self) -> int:
        """How many bytes are in memory."""
        return self._kept

    def build(self, content_codings: tuple[str, ...], transfer_codings: tuple[str, ...]) -> tuple[Body, str]:
        """The body, and why it could not be decoded ("" if it could or nothing was to be decoded)."""
        if not self.size:
            return EMPTY_BODY, ""
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        sha256 = self._hash.hexdigest() if self._hash else EMPTY_BODY.sha256
        encoding = ", ".join(content_codings)
        codings = content_codings + transfer_codings
        if not codings:
            return Body(self.size, self._captured, data, sha256, None, encoding, None, tuple(self._gaps)), ""
        if self._gaps:
            decoded, error = decode(data[: self._gaps[0][0]], codings)
            error = error and "bytes are missing"
        else:
            decoded, error = decode(data, codings)
        size = None if decoded is None else len(decoded)
        return Body(self.size, self._captured, data, sha256, decoded, encoding, size, tuple(self._gaps)), error
