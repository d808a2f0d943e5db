"""Exchanges in, JSON Lines out: one document per line (docs/exchange.schema.json), UTF-8, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import BinaryIO

from replay.exchange import Exchange, OpaqueConnection
from replay.output.long_line import pieces
from replay.output.usual_line import UsualLines


def write(items: Iterable[Exchange | OpaqueConnection], out: BinaryIO) -> None:
    """One line per item, as it comes."""
    usual_line, put = UsualLines().line, out.write
    for item in items:
        line = usual_line(item) if type(item) is Exchange else None
        if line is not None:
            put(line)
            continue
        for piece in pieces(item):
            put(piece)


def encoder(_: BinaryIO) -> Callable[[Exchange | OpaqueConnection], bytes]:
    """What makes the line of one item."""
    usual_line = UsualLines().line

    def line(item: Exchange | OpaqueConnection) -> bytes:
        usual = usual_line(item) if type(item) is Exchange else None
        return b"".join(pieces(item)) if usual is None else usual

    return line
