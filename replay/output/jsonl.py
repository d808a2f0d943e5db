"""Exchanges in, JSON Lines out: one document per line (docs/exchange.schema.json), UTF-8, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import BinaryIO

import msgspec

from replay.document import to_document
from replay.exchange import Exchange, OpaqueConnection
from replay.output.usual_line import UsualLines


def write(items: Iterable[Exchange | OpaqueConnection], out: BinaryIO) -> None:
    """One line per item, as it comes."""
    encode = encoder(out)
    for item in items:
        out.write(encode(item))


def encoder(_: BinaryIO) -> Callable[[Exchange | OpaqueConnection], bytes]:
    """What makes the line of one item."""
    encode, usual = msgspec.json.Encoder().encode_lines, UsualLines().line

    def line(item: Exchange | OpaqueConnection) -> bytes:
        quickly = usual(item) if type(item) is Exchange else None
        return encode((to_document(item),)) if quickly is None else quickly

    return line
