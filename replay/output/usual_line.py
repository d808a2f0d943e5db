"""A usual exchange in, its line of JSON out: what `replay.document` would make of it, byte for byte, from pieces.

Usual is an exchange that is complete, without a problem, a pause or a trailer, and its bodies are text as they stand.
What is the same object in many exchanges (the connection, the process, the header fields of clients and servers that
repeat themselves) is encoded once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from replay.document import connection_document, process_document
from replay.exchange import Body, Exchange, Headers
from replay.output.moments import second

# Pieces kept, and the largest of them: at most 8 MiB in all.
MAX_PIECES: Final = 2048
MAX_PIECE_BYTES: Final = 4096

_LINE: Final = (
    b'{"kind":"exchange","schema":1,"id":%b,"protocol":%b,"connection":%b,"process":%b,"started_at":"%b.%09dZ",'
    b'"duration_ns":%d,"timing":{"request_ns":%d,"wait_ns":%d,"response_ns":%d},'
    b'"request":{"method":%b,"target":%b,"version":%b,"headers":%b,"trailers":[],"body":%b},'
    b'"response":{"status":%d,"reason":%b,"version":%b,"headers":%b,"trailers":[],"body":%b,"informational":[]},'
    b'"complete":true,"completeness":"complete","problems":[],'
    b'"evidence":{"request":[%d,%d],"response":[%d,%d]}}\n'
)
_BODY: Final = b'{"size":%d,"captured":%d,"encoding":"utf-8","data":%b,"sha256":"%b"}'
_JSON: Final = msgspec.json.Encoder().encode


class UsualLines:
    """Makes lines, and keeps the pieces that are likely to come again."""

    def __init__(self) -> None:
        # by the identity of what a piece was made from, which lives on in here, so that its id stays its own
        self._pieces: dict[int, tuple[object, bytes]] = {}
        self._second: int | None = None  # the last that was written as text
        self._second_text = b""

    def line(self, exchange: Exchange) -> bytes | None:
        """The line with its end; None where anything is not usual."""
        request, response = exchange.request, exchange.response
        if request is None or response is None or exchange.problems or exchange.completeness != "complete":
            return None
        if request.longest_stall_ns or response.longest_stall_ns:
            return None
        if request.trailers or response.trailers or response.informational:
            return None
        asked, answered = _body(request.body), _body(response.body)
        if asked is None or answered is None:
            return None
        pieces = self._pieces
        known = pieces.get(id(exchange.connection))
        connection = self._encode(connection_document, exchange.connection) if known is None else known[1]
        known = pieces.get(id(exchange.process))
        process = self._encode(process_document, exchange.process) if known is None else known[1]
        known = pieces.get(id(request.headers))
        request_headers = self._encode(_as_it_is, request.headers) if known is None else known[1]
        known = pieces.get(id(response.headers))
        response_headers = self._encode(_as_it_is, response.headers) if known is None else known[1]
        seconds, nanoseconds = divmod(exchange.started_at, 1_000_000_000)
        if seconds != self._second:
            self._second, self._second_text = seconds, second(seconds).encode()
        return _LINE % (
            _JSON(exchange.id),
            _JSON(exchange.protocol),
            connection,
            process,
            self._second_text,
            nanoseconds,
            exchange.duration_ns,
            exchange.request_ns,
            exchange.wait_ns,
            exchange.response_ns,
            _JSON(request.method),
            _JSON(request.target),
            _JSON(request.version),
            request_headers,
            asked,
            response.status,
            _JSON(response.reason),
            _JSON(response.version),
            response_headers,
            answered,
            request.position,
            request.end_position,
            response.position,
            response.end_position,
        )

    def _encode(self, make: Callable[[Any], Any], fact: object) -> bytes:
        """The piece of a line that the document `make` makes of `fact` is; keep it."""
        piece = _JSON(make(fact))
        if len(piece) <= MAX_PIECE_BYTES:
            if len(self._pieces) >= MAX_PIECES:
                self._pieces.clear()
            self._pieces[id(fact)] = fact, piece
        return piece


def _as_it_is(headers: Headers) -> Headers:
    return headers


def _body(body: Body) -> bytes | None:
    """The piece of a body that is text as it stands."""
    data = body.data
    if body.decoded is not None or body.content_encoding or body.gaps or not body.size == body.captured == len(data):
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return _BODY % (body.size, body.captured, _JSON(text), body.sha256.encode())
