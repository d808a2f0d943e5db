"""An item in, its line of JSON out: what `replay.document` makes of it, a large body in pieces and never as a whole.

The document is encoded with a hole in the place of each large body, then the pieces are put in. They are small enough
for the processor's cache, and their memory is used again and again: whole copies of a body as text, as JSON and as a
line took longer to be given fresh memory than to be made.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from typing import Final, cast

import msgspec

from replay.dispatch import Result
from replay.document import Spelling, to_document
from replay.exchange import Headers

LARGE: Final = 64 << 10  # bytes of a body that is put in by pieces
PIECE: Final = 96 << 10  # bytes of each; a multiple of three, which base64 encodes without padding
_HOLE: Final = b"\0"  # stands in no JSON text: control characters are spelled out in it (RFC 8259 §7)
_JSON: Final = msgspec.json.Encoder()


def pieces(item: Result) -> Iterator[bytes | memoryview]:
    """The line with its end."""
    holes = _Holes()
    before, *behind = _JSON.encode_lines((to_document(item, holes),)).split(_HOLE)
    yield before
    for filling, after in zip(holes.fillings, behind, strict=True):
        yield b'"'
        yield from filling
        yield b'"'
        yield after


class _Holes(Spelling):
    """Leaves out what is large, and keeps what belongs there, in the order of the document."""

    def __init__(self) -> None:
        self.fillings: list[Iterator[bytes | memoryview]] = []

    def text(self, content: bytes, headers: Headers) -> tuple[str | None, str]:
        """See `Spelling`."""
        if len(content) > LARGE and content.isascii():
            return self._hole(_escaped_ascii(content)), "utf-8"
        text, charset = super().text(content, headers)
        if text is not None and len(text) > LARGE:
            text = self._hole(_escaped(text))
        return text, charset

    def base64(self, data: bytes) -> str:
        """See `Spelling`."""
        return self._hole(_in_base64(data)) if len(data) > LARGE else super().base64(data)

    def _hole(self, filling: Iterator[bytes | memoryview]) -> str:
        self.fillings.append(filling)
        return cast("str", msgspec.Raw(_HOLE))  # is written as it stands


def _escaped_ascii(content: bytes) -> Iterator[memoryview]:
    for start in range(0, len(content), PIECE):
        yield memoryview(_JSON.encode(content[start : start + PIECE].decode("ascii")))[1:-1]


def _escaped(text: str) -> Iterator[memoryview]:
    for start in range(0, len(text), PIECE):
        yield memoryview(_JSON.encode(text[start : start + PIECE]))[1:-1]


def _in_base64(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), PIECE):
        yield b64encode(data[start : start + PIECE])
