"""An item in, its line of JSON out: what `replay.document` makes of it, a large body in pieces and never as a whole.

The document is encoded with a hole in the place of each large body, then the pieces are put in. They are small enough
for the processor's cache, and their memory is used again and again: whole copies of a body as text, as JSON and as a
line took longer to be given fresh memory than to be made.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar, cast

import msgspec

from replay.dispatch import Result
from replay.document import Spelling, to_document
from replay.exchange import Body, Headers

LARGE: Final = 64 << 10  # bytes of a body that is put in by pieces
PIECE: Final = 96 << 10  # bytes of each; a multiple of three, which base64 encodes without padding
_HOLE: Final = b"\0"  # stands in no JSON text: control characters are spelled out in it (RFC 8259 §7)
_Whole = TypeVar("_Whole", str, memoryview)
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
            return self._hole(_escaped(str(piece, "ascii") for piece in _cut(memoryview(content)))), "utf-8"
        text, charset = super().text(content, headers)
        if text is not None and len(text) > LARGE:
            text = self._hole(_escaped(_cut(text)))
        return text, charset

    def base64(self, data: bytes) -> str:
        """See `Spelling`."""
        return self._hole(_in_base64(data)) if len(data) > LARGE else super().base64(data)

    def sha256(self, body: Body) -> str:
        """See `Spelling`. What is still in the making has until the body is written."""
        return body.digest if isinstance(body.digest, str) else self._hole(_hash(body))

    def _hole(self, filling: Iterator[bytes | memoryview]) -> str:
        self.fillings.append(filling)
        return cast("str", msgspec.Raw(_HOLE))  # is written as it stands


def _escaped(texts: Iterable[str]) -> Iterator[memoryview]:
    from orjson import dumps  # three times as fast as msgspec at this, and 5 ms of a start that most do not need

    for text in texts:
        yield memoryview(dumps(text))[1:-1]


def _hash(body: Body) -> Iterator[bytes]:
    yield body.sha256.encode()


def _in_base64(data: bytes) -> Iterator[bytes]:
    yield from map(b64encode, _cut(memoryview(data)))


def _cut(whole: _Whole) -> Iterator[_Whole]:
    return (whole[start : start + PIECE] for start in range(0, len(whole), PIECE))
