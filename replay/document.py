"""An exchange as the JSON document that other programs read: `to_document` makes msgspec Structs, a type per object.

docs/exchange.schema.json is generated from these types (`python -m replay.document`). Fields are only ever appended;
what is not known is null or left out, never a value that could be real.
"""

from __future__ import annotations

import sys
from base64 import b64encode
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from replay.exchange import (
    Body,
    Completeness,
    Connection,
    Exchange,
    Headers,
    OpaqueConnection,
    Problem,
    ProcessFacts,
    Request,
    Response,
)
from replay.output.moments import moment
from replay.stream import Flow, Side
from replay.text import text_of

SCHEMA: Final = 1


class ConnectionDocument(Struct, omit_defaults=True, gc=False):
    """The connection, seen from the traced process. Addresses are empty where a socket has none."""

    id: str
    family: Literal["inet", "inet6", "unix"]
    client: str
    server: str
    side: Side
    tls: bool
    joined_midstream: bool = False


class ProcessDocument(Struct, omit_defaults=True, gc=False):
    """The traced process."""

    pid: int
    comm: str
    exe: str
    command_line: tuple[str, ...] = ()
    cgroup: str = ""
    container: str = ""


class TimingDocument(Struct, omit_defaults=True, gc=False):
    """Phases in ns, named as in HTTP Archive: send, wait, receive; null where an end of the phase was not seen."""

    request_ns: int | None
    wait_ns: int | None
    response_ns: int | None
    request_stall_ns: int = 0  # longest pause between two calls that carried the request
    response_stall_ns: int = 0


class BodyDocument(Struct, omit_defaults=True, gc=False):
    """A message body after de-framing."""

    size: int  # bytes after de-framing, missing ones included where their number is known
    captured: int  # bytes of those that were seen
    encoding: Literal["utf-8", "base64"]  # of `data`
    data: str  # the captured bytes, content codings undone if `decoded_size` is there
    sha256: str  # of the captured bytes, content codings not undone
    content_encoding: str = ""
    decoded_size: int | None = None
    charset: str = ""  # what `data` was decoded from, where that was not UTF-8
    raw: str | None = None  # base64 of the captured bytes, where `data` is their decoded form
    gaps: tuple[tuple[int, int], ...] = ()  # (offset in the body, length) of what is missing
    kept: int | None = None  # bytes of the captured ones that were kept, where not all were


class RequestDocument(Struct, gc=False):
    """A request as it stood on the wire."""

    method: str
    target: str  # ends in an ellipsis (U+2026), which no target has, where only its beginning was seen
    version: str
    headers: Headers
    trailers: Headers
    body: BodyDocument


class InformationalDocument(Struct, gc=False):
    """A 1xx response before the final one."""

    status: int
    reason: str
    headers: Headers
    at_ns: int  # after the exchange began


class ResponseDocument(Struct, gc=False):
    """A final response as it stood on the wire; where none came, the last interim one (`no-final-response`)."""

    status: int
    reason: str
    version: str
    headers: Headers
    trailers: Headers
    body: BodyDocument
    informational: tuple[InformationalDocument, ...]


class ProblemDocument(Struct, omit_defaults=True, gc=False):
    """A named deviation or loss (docs/problems.md)."""

    code: str
    side: Flow
    offset: int | None = None
    length: int | None = None
    reason: str = ""
    detail: str = ""


class EvidenceDocument(Struct, omit_defaults=True, gc=False):
    """Where in the connection the exchange is: [first byte, one past the last) of each direction."""

    request: tuple[int, int] | None = None
    response: tuple[int, int] | None = None


class ExchangeDocument(Struct, tag_field="kind", tag="exchange", gc=False):
    """One line of `--format jsonl`: a request and its response, either null where it was not seen."""

    schema: int
    id: str
    protocol: str
    connection: ConnectionDocument
    process: ProcessDocument | None
    started_at: str  # RFC 3339, UTC, ns
    duration_ns: int | None
    timing: TimingDocument
    request: RequestDocument | None
    response: ResponseDocument | None
    complete: bool
    completeness: Completeness
    problems: tuple[ProblemDocument, ...]
    evidence: EvidenceDocument


class OpaqueDocument(Struct, tag_field="kind", tag="connection", omit_defaults=True, gc=False):
    """One line of `--format jsonl`: a connection, or the rest of one, that holds no exchanges that can be read."""

    schema: int
    id: str
    protocol: str
    connection: ConnectionDocument
    process: ProcessDocument | None
    request_bytes: int  # client to server
    response_bytes: int
    missing_bytes: int
    detail: str = ""


Document = ExchangeDocument | OpaqueDocument


class Spelling:
    """How the bytes of bodies are written as strings; an output that does it otherwise inherits from it."""

    def text(self, content: bytes, headers: Headers) -> tuple[str | None, str]:
        """The text and its charset, or None where the bytes are none (`replay.text`)."""
        return text_of(content, headers)

    def base64(self, data: bytes) -> str:
        """Any bytes."""
        return b64encode(data).decode()

    def sha256(self, body: Body) -> str:
        """Of the captured bytes."""
        return body.sha256


_WHOLE: Final = Spelling()


def to_document(item: Exchange | OpaqueConnection, spelling: Spelling = _WHOLE) -> Document:
    """The document of one result of the pipeline. Bodies are spelled in its order: the request's, the response's; of
    each the text (or `base64` in its place), the hash, then `raw`."""
    return _exchange(item, spelling) if isinstance(item, Exchange) else _opaque(item)


def _exchange(exchange: Exchange, spelling: Spelling) -> ExchangeDocument:
    request, response = exchange.request, exchange.response
    return ExchangeDocument(
        SCHEMA,
        exchange.id,
        exchange.protocol,
        connection_document(exchange.connection),
        process_document(exchange.process),
        moment(exchange.started_at),
        exchange.duration_ns,
        _timing(exchange),
        None if request is None else _request(request, spelling),
        None if response is None else _response(response, _first_time(exchange), spelling),
        exchange.complete,
        exchange.completeness,
        tuple(map(_problem, exchange.problems)),
        EvidenceDocument(
            None if request is None else (request.position, request.end_position),
            None if response is None else (response.position, response.end_position),
        ),
    )


def _opaque(item: OpaqueConnection) -> OpaqueDocument:
    return OpaqueDocument(
        SCHEMA,
        item.connection.id,
        item.protocol,
        connection_document(item.connection),
        process_document(item.process),
        item.request_bytes,
        item.response_bytes,
        item.missing_bytes,
        item.detail,
    )


def connection_document(each: Connection) -> ConnectionDocument:
    """The part that all exchanges of a connection share."""
    return ConnectionDocument(
        each.id, each.family, each.client, each.server, each.side, each.tls, each.joined_midstream
    )


def process_document(each: ProcessFacts | None) -> ProcessDocument | None:
    """The part that all exchanges of a process share."""
    if each is None:
        return None
    return ProcessDocument(each.pid, each.comm, each.exe, each.command_line, each.cgroup, each.container)


def _timing(exchange: Exchange) -> TimingDocument:
    return TimingDocument(
        exchange.request_ns,
        exchange.wait_ns,
        exchange.response_ns,
        exchange.request.longest_stall_ns if exchange.request else 0,
        exchange.response.longest_stall_ns if exchange.response else 0,
    )


def _first_time(exchange: Exchange) -> int:
    if exchange.request is not None:
        return exchange.request.first_byte_time
    return exchange.response.first_byte_time if exchange.response is not None else 0


def _request(each: Request, spelling: Spelling) -> RequestDocument:
    body = _body(each.body, each.headers, spelling)
    return RequestDocument(each.method, each.target, each.version, each.headers, each.trailers, body)


def _response(each: Response, began: int, spelling: Spelling) -> ResponseDocument:
    informational = tuple(
        InformationalDocument(one.status, one.reason, one.headers, one.time - began) for one in each.informational
    )
    body = _body(each.body, each.headers, spelling)
    return ResponseDocument(each.status, each.reason, each.version, each.headers, each.trailers, body, informational)


def _body(body: Body, headers: Headers, spelling: Spelling) -> BodyDocument:
    content = body.data if body.decoded is None else body.decoded
    text, charset = spelling.text(content, headers)
    return BodyDocument(
        body.size,
        body.captured,
        "base64" if text is None else "utf-8",
        spelling.base64(content) if text is None else text,
        spelling.sha256(body),
        body.content_encoding,
        body.decoded_size,
        "" if charset == "utf-8" else charset,
        None if body.decoded is None else spelling.base64(body.data),
        body.gaps,
        None if len(body.data) == body.captured else len(body.data),
    )


def _problem(each: Problem) -> ProblemDocument:
    return ProblemDocument(each.code, each.side, each.offset, each.length, each.reason, each.detail)


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of one line."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "One line of ebpf-replay --format jsonl",
        **msgspec.json.schema(Document),
    }


def schema_text() -> str:
    """docs/exchange.schema.json."""
    return msgspec.json.format(msgspec.json.encode(schema(), order="deterministic"), indent=2).decode() + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
