"""Exchanges in, JSON Lines out: one document per line (docs/exchange.schema.json), UTF-8, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import BinaryIO

from replay.exchange import Exchange, OpaqueConnection
from replay.output.long_line import pieces
from replay.output.usual_line import UsualLines


def write(items: Iterable[Exchange | OpaqueConnection], out: BinaryIO) -> None:
    """One line per item, as it comes."""
    usual = UsualLines().line
    for item in items:
        quickly = usual(item) if type(item) is Exchange else None
        if quickly is not None:
            out.write(quickly)
        else:
            for piece in pieces(item):
                out.write(piece)


def encoder(_: BinaryIO) -> Callable[[Exchange | OpaqueConnection], bytes]:
    """What makes the line of one item."""
    usual = UsualLines().line

    def line(item: Exchange | OpaqueConnection) -> bytes:
        quickly = usual(item) if type(item) is Exchange else None
        return b"".join(pieces(item)) if quickly is None else quickly

    return line
