"""What differs between the two directions' start lines, as a table: the framer is one machine for both."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from msgspec.structs import replace

from replay.exchange import TARGET_CUT, Problem
from replay.http1.framing import Declared, declare_request, declare_response
from replay.http1.heads import (
    METHODS,
    RequestHead,
    ResponseHead,
    loose_request,
    loose_response,
    parse_trailers,
    read_status_line,
    shown,
)
from replay.http1.remembered import strict_request, strict_response
from replay.http1.resync import REQUEST_LINE, STATUS_LINE, StartLine
from replay.stream import Flow

Head = RequestHead | ResponseHead
Strict = tuple[Head, Declared]

# Enough of a line to see that it is binary; the rest is judged when the line is whole.
_LOOKED_AT: Final = 64

_MAY_BE_REQUEST: Final = re.compile(rb"[ \t\v\f\r]*[!#$%&'*+\-.^_`|~0-9A-Za-z]*(?:[ \t\v\f\r].*)?", re.DOTALL)
_MAY_BE_STATUS: Final = re.compile(rb"(?:H|HT|HTT|HTTP|HTTP/.*)", re.IGNORECASE | re.DOTALL)
_CUT_REQUEST_LINE: Final = re.compile(r"([A-Z-]+) ([!-~]+)( H?T?T?P?/?[0-9]?\.?[0-9]?\r?)?")


class Grammar(NamedTuple):
    """One direction's start lines. `parse_cut_line` reads what is left of a line whose end was not seen; `may_start`
    says whether bytes without a line end can still become a start line; `with_fields` adds lines from after a hole;
    `strict` reads a whole head without any deviation, and remembers what is likely to come again."""

    parse: Callable[[bytes], Head | None]
    parse_cut_line: Callable[[bytes], Head | None]
    with_fields: Callable[[Head, bytes], Head]
    may_start: Callable[[bytes | bytearray], bool]
    declare: Callable[[Head], Declared]
    strict: Callable[[bytes], Strict | None]
    start_line: StartLine


def _cut_request(raw: bytes) -> Head | None:
    match = _CUT_REQUEST_LINE.fullmatch(raw.decode("latin-1"))
    if match is None or match[1] not in METHODS:
        return None
    method, target, behind = match.groups()
    if behind is not None:
        return RequestHead(method, target, "", ())
    problem = Problem("target-cut", "request", len(method) + 1, detail=shown(target))
    return RequestHead(method, target + TARGET_CUT, "", (), (problem,))


def _cut_response(raw: bytes) -> Head | None:
    start = read_status_line(raw.decode("latin-1").removesuffix("\r"), [])
    if start is None:
        return None
    version, status, reason = start
    return ResponseHead(status, reason, version, ())


def _with_fields(head: Head, lines: bytes) -> Head:
    side: Flow = "request" if isinstance(head, RequestHead) else "response"
    fields, problems = parse_trailers(lines, side, 0)
    return replace(head, headers=fields, problems=(*head.problems, *problems))


def _may_be_request(raw: bytes | bytearray) -> bool:
    return _MAY_BE_REQUEST.fullmatch(raw[:_LOOKED_AT]) is not None


def _may_be_response(raw: bytes | bytearray) -> bool:
    return _MAY_BE_STATUS.fullmatch(raw[:_LOOKED_AT]) is not None


def _declare(head: Head) -> Declared:
    return declare_request(head) if isinstance(head, RequestHead) else declare_response(head)


def _parse_request(raw: bytes) -> Head | None:
    strict = strict_request(raw)
    return strict[0] if strict else loose_request(raw)


def _parse_response(raw: bytes) -> Head | None:
    strict = strict_response(raw)
    return strict[0] if strict else loose_response(raw)


GRAMMARS: Final[dict[Flow, Grammar]] = {
    "request": Grammar(
        _parse_request,
        _cut_request,
        _with_fields,
        _may_be_request,
        _declare,
        strict_request,
        REQUEST_LINE,
    ),
    "response": Grammar(
        _parse_response,
        _cut_response,
        _with_fields,
        _may_be_response,
        _declare,
        strict_response,
        STATUS_LINE,
    ),
}
