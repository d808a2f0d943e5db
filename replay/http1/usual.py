"""The usual exchange, read in one step: a request that one call carried whole, answered by a response that one call
carried whole, or two (the head, and perhaps some of the body, before the rest of it), and nothing about either that
concerns what comes after them.

Most of what servers do looks like this, so it is worth a way of its own past the framers and the pairing. It decides
nothing that they would decide otherwise; None is the answer to anything else, which is then theirs.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from msgspec import Struct

from replay.exchange import Body, Connection, Exchange, ProcessFacts, Request, Response
from replay.http1.bodies import EMPTY_BODY
from replay.http1.heads import METHODS, ResponseHead, strict_request_line
from replay.http1.limits import MAX_HEAD_BYTES, MAX_REMEMBERED_HEAD_BYTES
from replay.http1.remembered import request_fields, strict_response
from replay.stream import Bytes

_END: Final = b"\r\n\r\n"
_METHODS: Final = METHODS - {"CONNECT"}  # behind which HTTP goes on


def whole_request(event: Bytes, keep: int) -> Request | None:
    """The request that is exactly this event, if the connection goes on after it and nothing of it is a problem.
    Bodies of more than `keep` bytes are not kept whole, which is unusual."""
    data = event.data
    stop = data.find(_END, 0, MAX_HEAD_BYTES) + 4
    line_end = data.find(b"\r\n", 0, stop)
    if not 0 < line_end < stop <= MAX_REMEMBERED_HEAD_BYTES:
        return None
    start = strict_request_line(data[:line_end])
    fields = request_fields(data[line_end + 2 : stop])
    if start is None or fields is None:
        return None
    method, target, version = start
    headers, declared = fields
    if not declared.simple or method not in _METHODS or version != "HTTP/1.1":
        return None
    length = 0 if declared.framing is None else declared.framing.length
    if stop + length != len(data) or length > keep:
        return None
    body, position, time = _body(data[stop:]), event.position, event.time
    return Request(method, target, version, headers, body, (), data[:stop], position, position + len(data), time, time)


class Answer(Struct, frozen=True, gc=False):
    """A usual response that `first` begins."""

    first: Bytes
    head: ResponseHead
    body: int  # index in `first.data` where it begins
    missing: int  # bytes of it that `first` has not


def usual_response(event: Bytes, method: str, keep: int) -> Response | Answer | None:
    """The final response to a request of this method that is exactly this event, or that it begins, likewise."""
    data = event.data
    stop = data.find(_END, 0, MAX_HEAD_BYTES) + 4
    strict = strict_response(data[:stop])
    if strict is None:
        return None
    head, declared = strict
    status = head.status
    if not declared.simple or status < 200:
        return None
    framing = declared.framing
    if method == "HEAD" or status == 204 or status == 304:
        length = 0
    elif framing is None:
        return None
    else:
        length = framing.length
    missing = stop + length - len(data)
    if missing or length > keep:
        return None if missing < 0 or length > keep else Answer(event, head, stop, missing)
    body, position, time = _body(data[stop:]), event.position, event.time
    return Response(
        status, head.reason, head.version, head.headers, body, (), (), data[:stop], position, position + len(data),
        time, time,
    )  # fmt: skip


def whole_response(answer: Answer, rest: Bytes) -> Response:
    """The response of which `rest` has what is missing."""
    first, head, stop = answer.first, answer.head, answer.body
    data, position, time, last = first.data, first.position, first.time, rest.time
    pause, pause_ended = (last - time, rest.position) if last > time else (0, 0)
    return Response(
        head.status, head.reason, head.version, head.headers, _body(data[stop:] + rest.data), (), (), data[:stop],
        position, rest.position + len(rest.data), time, last, pause, pause_ended,
    )  # fmt: skip


def _body(content: bytes) -> Body:
    return Body(len(content), len(content), content, sha256(content).hexdigest()) if content else EMPTY_BODY


def usual_exchange(
    request: Request,
    response: Response,
    connection: Connection,
    process: ProcessFacts | None,
    clock_offset_ns: int,
    ordinal: int,
) -> Exchange:
    """The two as one exchange, complete and without a problem."""
    asked, answered, last = request.first_byte_time, response.first_byte_time, response.last_byte_time
    return Exchange(
        f"{connection.id}-{ordinal}", "http/1.1", connection, process, clock_offset_ns + asked,
        last - asked if last > asked else 0, 0, answered - asked if answered > asked else 0, last - answered,
        request, response, "complete",
    )  # fmt: skip
