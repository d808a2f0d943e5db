"""Exchanges in, an HTTP Archive 1.2 out, written entry by entry: a document of any size in constant memory.

Valid for every exchange: what was not seen has the empty value that the schema asks for (status 0, size -1), never an
invented one, and an underscore field says so. The text is ASCII JSON without `<`, so that neither a terminal nor a page
it is pasted into can be steered by it. Source: the HAR 1.2 specification of the W3C Web Performance group.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, BinaryIO, Final

from capfile.version import VERSION
from replay import urls
from replay.exchange import Body, Exchange, Headers, OpaqueConnection, ProcessFacts, Request, Response
from replay.output import har_parts as parts

CREATOR: Final = "ebpf-replay"
UNKNOWN_SIZE: Final = -1  # HAR: "-1 if the info is not available"
UNKNOWN_TYPE: Final = "x-unknown"  # HAR: the mimeType of a response whose type is not known

Json = dict[str, Any]


def write(items: Iterable[Exchange | OpaqueConnection], out: BinaryIO) -> None:
    """Write one HAR document; connections without exchanges are counted in `log._connections`."""
    creator = {"name": CREATOR, "version": VERSION}
    out.write(b'{"log":{"version":"1.2","creator":' + _encoded(creator) + b',"entries":[')
    others, separator = [], b"\n"
    for item in items:
        if isinstance(item, OpaqueConnection):
            others.append(_opaque(item))
            continue
        out.write(separator + _encoded(entry(item)))
        separator = b",\n"
    out.write(b'\n],"_connections":' + _encoded(others) + b"}}\n")


def entry(exchange: Exchange) -> Json:
    """One entry of `log.entries`."""
    connection = exchange.connection
    found: Json = {
        "startedDateTime": parts.moment(exchange.started_at),
        **_times(exchange),
        "request": _request(exchange),
        "response": _no_response() if exchange.response is None else _response(exchange.response),
        "cache": {},
        "connection": connection.id,
        "_id": exchange.id,
        "_protocol": exchange.protocol,
        "_completeness": exchange.completeness,
        "_problems": [_problem(problem) for problem in exchange.problems],
        "_connection": {
            "family": connection.family,
            "client": connection.client,
            "server": connection.server,
            "side": connection.side,
            "tls": connection.tls,
        },
        "_process": _process(exchange.process),
    }
    if address := parts.ip_address(connection):
        found["serverIPAddress"] = address
    return found


def _encoded(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c").encode("ascii")


def _times(exchange: Exchange) -> Json:
    """HAR wants send, wait and receive in ms, none negative, and `time` as their sum; the ns are beside them."""
    exact = {"send": exchange.request_ns, "wait": exchange.wait_ns, "receive": exchange.response_ns}
    rounded = {name: max(0, ns or 0) / 1e6 for name, ns in exact.items()}
    return {
        "time": sum(rounded.values()),
        "timings": rounded,
        "_duration_ns": exchange.duration_ns,
        "_timings_ns": exact,
    }


def _request(exchange: Exchange) -> Json:
    request = exchange.request
    if request is None:
        return _no_request(exchange)
    target = urls.target(request, exchange.connection)
    found: Json = {
        "method": request.method,
        "url": parts.uri(target),
        "httpVersion": request.version,
        "cookies": parts.request_cookies(request.headers),
        "headers": _headers(request.headers),
        "queryString": parts.query(target.query),
        **_sizes(request),
        "_target": request.target,
        "_trailers": _headers(request.trailers),
    }
    if request.body.captured or request.body.size:
        found["postData"] = _post_data(request)
    return found


def _no_request(exchange: Exchange) -> Json:
    target = urls.Target("http", urls.address(exchange.connection), "/", "")
    return {
        "method": "",
        "url": parts.uri(target),
        "httpVersion": "",
        "cookies": [],
        "headers": [],
        "queryString": [],
        "headersSize": UNKNOWN_SIZE,
        "bodySize": UNKNOWN_SIZE,
        "_seen": False,
    }


def _response(response: Response) -> Json:
    return {
        "status": response.status,
        "statusText": response.reason,
        "httpVersion": response.version,
        "cookies": parts.response_cookies(response.headers),
        "headers": _headers(response.headers),
        "content": _content(response),
        "redirectURL": urls.header(response.headers, "location") or "",
        **_sizes(response),
        "_trailers": _headers(response.trailers),
        "_informational": [
            {"status": early.status, "statusText": early.reason, "headers": _headers(early.headers)}
            for early in response.informational
        ],
    }


def _no_response() -> Json:
    return {
        "status": 0,
        "statusText": "",
        "httpVersion": "",
        "cookies": [],
        "headers": [],
        "content": {"size": 0, "mimeType": UNKNOWN_TYPE},
        "redirectURL": "",
        "headersSize": UNKNOWN_SIZE,
        "bodySize": UNKNOWN_SIZE,
        "_seen": False,
    }


def _sizes(message: Request | Response) -> Json:
    head = len(message.raw_head) or UNKNOWN_SIZE
    return {"headersSize": head, "bodySize": message.body.size, "_body": _body(message.body)}


def _body(body: Body) -> Json:
    gaps = [{"offset": offset, "length": length} for offset, length in body.gaps]
    return {"captured": body.captured, "kept": len(body.data), "sha256": body.sha256, "gaps": gaps}


def _content(response: Response) -> Json:
    """`size` is the decoded size, `compression` what the content coding saved (HAR: content)."""
    body = response.body
    decoded = body.decoded is not None
    found: Json = {
        "size": body.decoded_size if decoded and body.decoded_size is not None else body.size,
        "mimeType": urls.header(response.headers, "content-type") or UNKNOWN_TYPE,
    }
    if decoded and body.decoded_size is not None:
        found["compression"] = body.decoded_size - body.size
    if body.captured:
        found.update(parts.text(body.data if body.decoded is None else body.decoded))
    return found


def _post_data(request: Request) -> Json:
    """HAR gives postData no `encoding`; a binary body is base64 and `_encoding` says so."""
    body = request.body
    found = parts.text(body.data if body.decoded is None else body.decoded)
    if "encoding" in found:
        found["_encoding"] = found.pop("encoding")
    return {"mimeType": urls.header(request.headers, "content-type") or UNKNOWN_TYPE, **found}


def _headers(headers: Headers) -> list[Json]:
    return [{"name": name, "value": value} for name, value in headers]


def _problem(problem: Any) -> Json:
    names = ("code", "side", "offset", "length", "reason", "detail")
    return {name: getattr(problem, name) for name in names if getattr(problem, name) not in (None, "")}


def _process(process: ProcessFacts | None) -> Json | None:
    if process is None:
        return None
    return {
        "pid": process.pid,
        "comm": process.comm,
        "exe": process.exe,
        "commandLine": list(process.command_line),
        "cgroup": process.cgroup,
        "container": process.container,
    }


def _opaque(item: OpaqueConnection) -> Json:
    return {
        "connection": item.connection.id,
        "protocol": item.protocol,
        "client": item.connection.client,
        "server": item.connection.server,
        "requestBytes": item.request_bytes,
        "responseBytes": item.response_bytes,
        "missingBytes": item.missing_bytes,
        "process": _process(item.process),
    }
