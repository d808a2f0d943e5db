"""Fragments of IP datagrams in, whole datagrams out (RFC 791 §3.2, RFC 8200 §4.5).

Knows offsets and lengths, and nothing of what a datagram holds. A datagram with overlapping fragments is discarded
whole (RFC 5722); what does not become whole within the limits is counted by `expired`.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final, NamedTuple

MAX_DATAGRAMS: Final = 1024  # waiting for fragments at once; with their 64 KiB each, 64 MiB
MAX_FRAGMENTS: Final = 1024  # of one datagram: 64 KiB in pieces of 64 bytes, under any real path's MTU
MAX_BYTES: Final = 0xFFFF  # of one datagram: what its length field can say
FRAGMENT_NS: Final = 30_000_000_000  # net.ipv4.ipfrag_time; RFC 8200 §4.5 says 60 s


class Skipped(Exception):
    """This packet holds no segment, because …"""


class Datagram(NamedTuple):
    """An IP payload on its way up: `original` bytes on the wire, of which `data` were captured."""

    source: bytes
    target: bytes
    protocol: int
    data: memoryview
    original: int


class Piece(NamedTuple):
    """One fragment of a datagram."""

    source: bytes
    target: bytes
    protocol: int
    identification: int
    offset: int
    more: bool
    data: memoryview
    cut: bool


@dataclass(slots=True)
class _Datagram:
    """The pieces of one datagram so far."""

    time: int
    pieces: dict[int, memoryview] = field(default_factory=dict)
    total: int | None = None  # known once the last piece is here
    size: int = 0


@dataclass(slots=True)
class Fragments:
    """`add` pieces in any order, within the limits above."""

    expired: int = 0  # datagrams that never became whole
    _waiting: OrderedDict[tuple[bytes, bytes, int, int], _Datagram] = field(default_factory=OrderedDict)

    def add(self, piece: Piece, time: int) -> Datagram | None:
        """The datagram that this piece completes. Raises `Skipped` when it cannot become whole."""
        self._expire(time)
        key = (piece.source, piece.target, piece.protocol, piece.identification)
        waiting = self._waiting.setdefault(key, _Datagram(time))
        if piece.offset in waiting.pieces and waiting.pieces[piece.offset] == piece.data:
            return None  # a repetition
        waiting.pieces[piece.offset] = piece.data
        waiting.size += len(piece.data)
        if not piece.more:
            waiting.total = piece.offset + len(piece.data)
        if len(waiting.pieces) > MAX_FRAGMENTS or waiting.size > MAX_BYTES or piece.cut:
            del self._waiting[key]
            raise Skipped("fragments cut or too many")
        if waiting.total is None or waiting.size < waiting.total:
            return None
        del self._waiting[key]
        data = _joined(waiting)
        if data is None:
            raise Skipped("overlapping fragments")
        return Datagram(piece.source, piece.target, piece.protocol, memoryview(data), len(data))

    def finish(self) -> None:
        """No packet follows: what is still in pieces stays so."""
        self.expired += len(self._waiting)
        self._waiting.clear()

    def _expire(self, time: int) -> None:
        while self._waiting:
            oldest = next(iter(self._waiting))
            fresh = 0 <= time - self._waiting[oldest].time <= FRAGMENT_NS
            if fresh and len(self._waiting) < MAX_DATAGRAMS:
                return
            del self._waiting[oldest]
            self.expired += 1


def _joined(waiting: _Datagram) -> bytes | None:
    """The datagram, or None when its pieces do not join up exactly."""
    data = bytearray()
    for offset in sorted(waiting.pieces):
        if offset != len(data):
            return None
        data += waiting.pieces[offset]
    return bytes(data) if len(data) == waiting.total else None
