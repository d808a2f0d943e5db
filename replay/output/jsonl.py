"""Exchanges in, JSON Lines out: one document per line (docs/exchange.schema.json), UTF-8, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import BinaryIO

from replay.exchange import Exchange, OpaqueConnection
from replay.output.long_line import pieces
from replay.output.usual_line import UsualLines


def write(items: Iterable[Exchange | OpaqueConnection], out: BinaryIO) -> None:
    """One line per item, as it comes."""
    usual = UsualLines()
    for item in items:
        for piece in _line(usual, item):
            out.write(piece)


def encoder(_: BinaryIO) -> Callable[[Exchange | OpaqueConnection], bytes]:
    """What makes the line of one item."""
    usual = UsualLines()
    return lambda item: b"".join(_line(usual, item))


def _line(usual: UsualLines, item: Exchange | OpaqueConnection) -> Iterable[bytes | memoryview]:
    """The pieces of one line: a usual one is a single piece."""
    quickly = usual.line(item) if type(item) is Exchange else None
    return pieces(item) if quickly is None else (quickly,)
