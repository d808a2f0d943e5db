"""Exchanges in, JSON Lines out: one document per line (docs/exchange.schema.json), UTF-8, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import BinaryIO

import msgspec

from replay.document import to_document
from replay.exchange import Exchange, OpaqueConnection


def write(items: Iterable[Exchange | OpaqueConnection], out: BinaryIO) -> None:
    """One line per item, as it comes."""
    encode = encoder(out)
    for item in items:
        out.write(encode(item))


def encoder(_: BinaryIO) -> Callable[[Exchange | OpaqueConnection], bytes]:
    """What makes the line of one item."""
    encode = msgspec.json.Encoder().encode
    return lambda item: encode(to_document(item)) + b"\n"
