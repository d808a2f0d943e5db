"""A usual exchange in, its line of JSON out: what `replay.document` would make of it, byte for byte, from pieces.

Usual is an exchange that is complete, without a problem, a pause in its request or a trailer, and whose bodies are text
as they stand. What is the same object in many exchanges (the connection, the process, the header fields of clients and
servers that repeat themselves) is encoded once.
"""

from __future__ import annotations

from typing import Final

import msgspec

from replay.document import connection_document, process_document
from replay.exchange import Body, Connection, Exchange, Headers, ProcessFacts
from replay.http1.bodies import EMPTY_BODY
from replay.output.moments import second

# Pieces of each kind that are kept, and the largest of them: at most 2 MiB in all.
MAX_PIECES: Final = 256
MAX_PIECE_BYTES: Final = 4096
MAX_BODY_BYTES: Final = 64 << 10  # putting pieces together copies them, which the document's encoder does not

_LINE: Final = (
    b'{"kind":"exchange","schema":1,"id":%b,"protocol":"http/1.1"%b,"started_at":"%b.%09dZ","duration_ns":%d,'
    b'"timing":{"request_ns":%d,"wait_ns":%d,"response_ns":%d%b},'
    b'"request":{"method":%b,"target":%b,"version":"HTTP/1.1","headers":%b,"trailers":[],"body":%b},'
    b'"response":{"status":%d,"reason":%b,"version":"HTTP/1.1","headers":%b,"trailers":[],'
    b'"body":{"size":%d,"captured":%d,"encoding":"utf-8","data":%b,"sha256":"%b"},"informational":[]},'
    b'"complete":true,"completeness":"complete","problems":[],"evidence":{"request":[%d,%d],"response":[%d,%d]}}\n'
)
_STALL: Final = b',"response_stall_ns":%d'
_WHO: Final = b',"connection":%b,"process":%b'
_BODY: Final = b'{"size":%d,"captured":%d,"encoding":"utf-8","data":%b,"sha256":"%b"}'
_JSON: Final = msgspec.json.Encoder().encode
_NO_BODY: Final = _BODY % (0, 0, b'""', EMPTY_BODY.sha256.encode())


class UsualLines:
    """Makes lines, and keeps the pieces that are likely to come again."""

    def __init__(self) -> None:
        # By the identity of what a piece was made from, which lives on in here, so that its id stays its own.
        self._connections: dict[int, tuple[Connection, ProcessFacts | None, bytes]] = {}
        self._fields: dict[int, tuple[Headers, bytes]] = {}
        self._second: int | None = None  # the last that was written as text
        self._second_text = b""

    def line(self, exchange: Exchange) -> bytes | None:
        """The line with its end; None where anything is not usual."""
        request, response = exchange.request, exchange.response
        if request is None or response is None or exchange.problems or exchange.completeness != "complete":
            return None
        if request.longest_stall_ns or exchange.protocol != "http/1.1":
            return None
        if request.trailers or response.trailers or response.informational:
            return None
        if request.version != "HTTP/1.1" or response.version != "HTTP/1.1":
            return None
        asked = _NO_BODY if request.body is EMPTY_BODY else _body(request.body)
        body = response.body
        text = _text(body)
        if asked is None or text is None:
            return None
        who = self._connections.get(id(exchange.connection))
        if who is None or who[1] is not exchange.process:
            who = self._know(exchange.connection, exchange.process)
        request_fields = self._fields.get(id(request.headers)) or self._encode(request.headers)
        response_fields = self._fields.get(id(response.headers)) or self._encode(response.headers)
        seconds, nanoseconds = divmod(exchange.started_at, 1_000_000_000)
        if seconds != self._second:
            self._second, self._second_text = seconds, second(seconds).encode()
        return _LINE % (
            _JSON(exchange.id), who[2], self._second_text, nanoseconds, exchange.duration_ns,
            exchange.request_ns, exchange.wait_ns, exchange.response_ns,
            _STALL % response.longest_stall_ns if response.longest_stall_ns else b"",
            _JSON(request.method), _JSON(request.target), request_fields[1], asked,
            response.status, _JSON(response.reason), response_fields[1],
            body.size, body.captured, text, body.sha256.encode(),
            request.position, request.end_position, response.position, response.end_position,
        )  # fmt: skip

    def _know(
        self, connection: Connection, process: ProcessFacts | None
    ) -> tuple[Connection, ProcessFacts | None, bytes]:
        piece = _WHO % (_JSON(connection_document(connection)), _JSON(process_document(process)))
        known = connection, process, piece
        if len(piece) <= MAX_PIECE_BYTES:
            if len(self._connections) >= MAX_PIECES:
                self._connections.clear()
            self._connections[id(connection)] = known
        return known

    def _encode(self, headers: Headers) -> tuple[Headers, bytes]:
        known = headers, _JSON(headers)
        if len(known[1]) <= MAX_PIECE_BYTES:
            if len(self._fields) >= MAX_PIECES:
                self._fields.clear()
            self._fields[id(headers)] = known
        return known


def _body(body: Body) -> bytes | None:
    """The piece of a body that is text as it stands."""
    text = _text(body)
    return text and _BODY % (body.size, body.captured, text, body.sha256.encode())


def _text(body: Body) -> bytes | None:
    """The string of a body that is text as it stands."""
    data = body.data
    size = len(data)
    if size > MAX_BODY_BYTES or body.size != size or body.captured != size:
        return None
    if body.decoded is not None or body.content_encoding or body.gaps:
        return None
    try:
        return _JSON(data.decode())
    except UnicodeDecodeError:
        return None
