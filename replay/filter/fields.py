"""What can be asked about an exchange: one row per field of the filter language, and the way to it.

The table is the only definition: the evaluator, `ebpf-replay filter-help`, docs/filters.md and `where(path=…)` read it.
A getter answers a tuple of values: empty where the fact is not known, several where there are several (headers).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from replay import urls
from replay.exchange import Body, Exchange, OpaqueConnection, ProcessFacts, Request, Response
from replay.filter.values import Type, Value

Subject = Exchange | OpaqueConnection
Values = tuple[Value, ...]
Getter = Callable[[Subject, str], Values]  # (exchange, argument in brackets)


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One field. `argument` tells whether it takes a name in brackets; `example` is a whole filter."""

    name: str
    type: Type
    get: Getter
    help: str
    example: str
    argument: bool = False


def _exchange(get: Callable[[Exchange], Value | None]) -> Getter:
    return lambda subject, _: _known(get(subject)) if isinstance(subject, Exchange) else ()


def _request(get: Callable[[Request], Value | None]) -> Getter:
    return _exchange(lambda exchange: None if exchange.request is None else get(exchange.request))


def _response(get: Callable[[Response], Value | None]) -> Getter:
    return _exchange(lambda exchange: None if exchange.response is None else get(exchange.response))


def _url(part: str) -> Getter:
    def get(exchange: Exchange) -> Value | None:
        request = exchange.request
        return None if request is None else str(getattr(urls.target(request, exchange.connection), part))

    return _exchange(get)


def _connection(attribute: str) -> Getter:
    return lambda subject, _: _known(getattr(subject.connection, attribute))


def _port(attribute: str) -> Getter:
    def get(subject: Subject, _: str) -> Values:
        port = getattr(subject.connection, attribute).rpartition(":")[2]
        return (int(port),) if subject.connection.family != "unix" and port.isdecimal() else ()

    return get


def _process(get: Callable[[ProcessFacts], Value | None]) -> Getter:
    return lambda subject, _: () if subject.process is None else _known(get(subject.process) or None)


def _headers(*sides: str) -> Getter:
    def get(subject: Subject, name: str) -> Values:
        messages = [getattr(subject, side, None) for side in sides]
        return tuple(v for m in messages if m is not None for v in urls.header_values(m.headers, name))

    return get


def _protocol(subject: Subject, _: str) -> Values:
    return (subject.protocol,)


def _problems(subject: Subject, _: str) -> Values:
    return tuple(problem.code for problem in subject.problems) if isinstance(subject, Exchange) else ()


def _known(value: Value | None) -> Values:
    return () if value is None else (value,)


def body_text(body: Body) -> str:
    """A body as text for searching: content codings undone where that worked, UTF-8, or else latin-1."""
    data = body.data if body.decoded is None else body.decoded
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


_ROWS: Final = (
    FieldRow("method", "text", _request(lambda r: r.method), "request method", 'method in {"PUT", "DELETE"}'),
    FieldRow("target", "text", _request(lambda r: r.target), "request target as sent", r'target ~ "[?&]page=\d+"'),
    FieldRow("path", "text", _url("path"), "path of the target, without its query", 'path ~ "^/api/"'),
    FieldRow("query", "text", _url("query"), "query of the target, without `?`", 'query contains "debug="'),
    FieldRow("host", "text", _url("authority"), "authority the request is for", 'host == "example.org"'),
    FieldRow("url", "text", _url("url"), "the whole target URI", 'url == "http://127.0.0.1:8080/x"'),
    FieldRow("status", "integer", _response(lambda r: r.status), "status code of the final response", "status >= 500"),
    FieldRow("reason", "text", _response(lambda r: r.reason), "reason phrase", 'reason == "Not Found"'),
    FieldRow(
        "duration", "duration", _exchange(lambda e: e.duration_ns), "first request byte to last response byte",
        "duration > 200ms",
    ),
    FieldRow("request.time", "duration", _exchange(lambda e: e.request_ns), "first to last byte of the request",
             "request.time > 1s"),
    FieldRow("wait", "duration", _exchange(lambda e: e.wait_ns), "last request byte to first response byte",
             "wait in 10ms..50ms"),
    FieldRow("response.time", "duration", _exchange(lambda e: e.response_ns), "first to last byte of the response",
             "response.time >= 1.5s"),
    FieldRow("started", "time", _exchange(lambda e: e.started_at), "when the exchange began, UTC",
             'started >= "2026-11-22T10:00:00Z"'),
    FieldRow("request", "boolean", _exchange(lambda e: e.request is not None), "a request was seen", "not request"),
    FieldRow("response", "boolean", _exchange(lambda e: e.response is not None), "a response was seen",
             "not response"),
    FieldRow("request.size", "size", _request(lambda r: r.body.size), "bytes of the request's body",
             "request.size > 1MB"),
    FieldRow("response.size", "size", _response(lambda r: r.body.size), "bytes of the response's body",
             "response.size in 1KiB..64KiB"),
    FieldRow("request.body", "text", _request(lambda r: body_text(r.body)), "the request's body, decoded",
             'request.body contains "user"'),
    FieldRow("response.body", "text", _response(lambda r: body_text(r.body)), "the response's body, decoded",
             'response.body ~ "(?i)error"'),
    FieldRow("header", "text", _headers("request", "response"), "any header of that name",
             'header["X-Request-Id"] == "7"', argument=True),
    FieldRow("request.header", "text", _headers("request"), "a request header",
             'request.header["User-Agent"] ~ "^curl/"', argument=True),
    FieldRow("response.header", "text", _headers("response"), "a response header",
             'not response.header["Cache-Control"]', argument=True),
    FieldRow("complete", "boolean", _exchange(lambda e: e.complete), "every byte of both messages is known",
             "not complete"),
    FieldRow("completeness", "text", _exchange(lambda e: e.completeness), "how much is known, in one word",
             'completeness == "gap"'),
    FieldRow("problem", "text", _problems, "codes of what was wrong (docs/problems.md)", 'problem == "gap"'),
    FieldRow("comm", "text", _process(lambda p: p.comm), "the process's short name", 'comm == "gunicorn"'),
    FieldRow("exe", "text", _process(lambda p: p.exe), "the process's executable", 'exe ~ "/python3"'),
    FieldRow("command_line", "text", _process(lambda p: " ".join(p.command_line)), "its arguments, joined by spaces",
             'command_line contains "--debug"'),
    FieldRow("pid", "integer", _process(lambda p: p.pid), "the process's number", "pid in {100, 200..299}"),
    FieldRow("cgroup", "text", _process(lambda p: p.cgroup), "the process's control group", 'cgroup ~ "nginx"'),
    FieldRow("container", "text", _process(lambda p: p.container), "the process's container", "container"),
    FieldRow("id", "text", _exchange(lambda e: e.id), "the exchange's id", 'id == "c1-1"'),
    FieldRow("connection", "text", _connection("id"), "the connection's id", 'connection == "c1"'),
    FieldRow("protocol", "text", _protocol, "what is spoken", 'protocol == "http/1.1"'),
    FieldRow("side", "text", _connection("side"), "side of the recorded process", 'side == "server"'),
    FieldRow("family", "text", _connection("family"), "inet, inet6 or unix", 'family == "unix"'),
    FieldRow("tls", "boolean", _connection("tls"), "recorded inside TLS", "tls"),
    FieldRow("joined", "boolean", _connection("joined_midstream"), "the connection was older than the recording",
             "not joined"),
    FieldRow("client", "text", _connection("client"), "the client's address", r'client ~ "^10\."'),
    FieldRow("client.port", "integer", _port("client"), "the client's port", "client.port >= 32768"),
    FieldRow("server", "text", _connection("server"), "the server's address", 'server == "127.0.0.1:8080"'),
    FieldRow("server.port", "integer", _port("server"), "the server's port", "server.port in {80, 8080}"),
)  # fmt: skip

FIELDS: Final[dict[str, FieldRow]] = {row.name: row for row in _ROWS}
