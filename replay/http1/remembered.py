"""Heads that keep to the grammar in every byte, read with the help of what was read before: clients and servers repeat
themselves. Bytes of a whole head in, the head and what it declares out; None for one that deviates anywhere.

Three memories, each bounded: all field lines of a head together (a client sends the same ones with every target),
status lines, and what the lines that matter to the framing declare. Decides nothing that `heads` and `framing` would
decide otherwise.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from replay.exchange import Headers
from replay.http1.framing import INTERESTING, Declared, declare
from replay.http1.heads import (
    RequestHead,
    ResponseHead,
    request_head,
    strict_fields,
    strict_request_line,
    strict_status_line,
)
from replay.http1.limits import HEADS_REMEMBERED, MAX_REMEMBERED_HEAD_BYTES
from replay.stream import Flow

_END: Final = b"\r\n\r\n"
Fields = tuple[Headers, Declared]


def strict_request(raw: bytes) -> tuple[RequestHead, Declared] | None:
    """A request's head without any deviation but, perhaps, a method that nobody registered."""
    line, _, lines = raw.partition(b"\r\n")
    start = strict_request_line(line)
    if start is None or not raw.endswith(_END):
        return None
    method, target, version = start
    remembered = version == "HTTP/1.1" and len(lines) <= MAX_REMEMBERED_HEAD_BYTES
    fields = request_fields(lines) if remembered else _fields(lines, version, "request")
    return fields and (request_head(method, target, version, fields[0]), fields[1])


@lru_cache(HEADS_REMEMBERED)
def request_fields(lines: bytes) -> Fields | None:
    """What stands behind the line of an HTTP/1.1 request, up to and with the empty line, if it keeps to the grammar;
    for at most MAX_REMEMBERED_HEAD_BYTES."""
    return _fields(lines, "HTTP/1.1", "request")


def strict_response(raw: bytes) -> tuple[ResponseHead, Declared] | None:
    """A response's head without any deviation."""
    return _short_response(raw) if len(raw) <= MAX_REMEMBERED_HEAD_BYTES else _response(raw)


@lru_cache(HEADS_REMEMBERED)
def _short_response(raw: bytes) -> tuple[ResponseHead, Declared] | None:
    return _response(raw)


def _response(raw: bytes) -> tuple[ResponseHead, Declared] | None:
    line, _, lines = raw.partition(b"\r\n")
    start = _status_line(line) if len(line) <= MAX_REMEMBERED_HEAD_BYTES else strict_status_line(line)
    if start is None or not raw.endswith(_END):
        return None
    version, status, reason = start
    fields = _fields(lines, version, "response")
    return None if fields is None else (ResponseHead(status, reason, version, fields[0]), fields[1])


_status_line: Final = lru_cache(HEADS_REMEMBERED)(strict_status_line)


def _fields(lines: bytes, version: str, side: Flow) -> Fields | None:
    """All field lines behind a start line, the empty line that ends them included."""
    fields = strict_fields(lines[:-2])
    if fields is None:
        return None
    telling = tuple([field for field in fields if field[0].lower() in INTERESTING])
    return fields, _declared(telling, version, side)


@lru_cache(HEADS_REMEMBERED)
def _declared(telling: Headers, version: str, side: Flow) -> Declared:
    return declare(telling, version, side)
