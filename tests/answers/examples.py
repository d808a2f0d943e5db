"""Exchanges made by hand: what the pipeline yields, without a pipeline."""

import hashlib
from typing import Any

from msgspec.structs import replace

from replay.exchange import Body, Connection, Exchange, Headers, OpaqueConnection, ProcessFacts, Request, Response

STARTED = 1_763_805_600_000_000_001  # 2025-11-22T10:00:00.000000001Z
MS = 1_000_000
EMPTY = Body(0, 0, b"", hashlib.sha256(b"").hexdigest())
PROCESS = ProcessFacts(4242, "gunicorn", "/usr/bin/python3.11", ("gunicorn", "app:app"), "/system.slice/app", "")
CONNECTION = Connection("c1", "inet", "127.0.0.1:40112", "127.0.0.1:8080", "server")


def body(data: bytes, **facts: Any) -> Body:
    return replace(Body(len(data), len(data), data, hashlib.sha256(data).hexdigest()), **facts)


def request(method: str = "GET", target: str = "/x", headers: Headers = (("Host", "h"),), **facts: Any) -> Request:
    data = facts.pop("data", b"")
    facts.setdefault("body", body(data) if data else EMPTY)
    head = _head(f"{method} {target} HTTP/1.1", headers)
    facts.setdefault("raw_head", head)
    facts.setdefault("end_position", facts.get("position", 0) + len(head) + facts["body"].size)
    return Request(method, target, "HTTP/1.1", headers, **facts)


def response(status: int = 200, headers: Headers = (), **facts: Any) -> Response:
    data = facts.pop("data", b"")
    facts.setdefault("body", body(data) if data else EMPTY)
    reason = facts.pop("reason", "OK" if status == 200 else "")
    head = _head(f"HTTP/1.1 {status} {reason}", headers)
    facts.setdefault("raw_head", head)
    facts.setdefault("end_position", facts.get("position", 0) + len(head) + facts["body"].size)
    return Response(status, reason, "HTTP/1.1", headers, **facts)


def exchange(
    req: Request | None = None, res: Response | None = None, number: int = 1, milliseconds: int = 10, **facts: Any
) -> Exchange:
    """A request and its response, `milliseconds` apart; without `res` the response was not seen."""
    connection = facts.pop("connection", CONNECTION)
    start = facts.pop("start", number * 1000 * MS)
    end = start + milliseconds * MS
    if req is not None:
        req = replace(req, first_byte_time=start, last_byte_time=start + MS)
    if res is not None:
        res = replace(res, first_byte_time=end - MS, last_byte_time=end)
    whole = "complete" if req and res else "request-only" if req else "response-only"
    both = req is not None and res is not None
    facts.setdefault("process", PROCESS)
    return Exchange(
        id=f"{connection.id}-{number}",
        protocol=facts.pop("protocol", "http/1.1"),
        connection=connection,
        started_at=STARTED + start,
        duration_ns=end - start if both else None,
        request_ns=MS if req else None,
        wait_ns=end - start - 2 * MS if both else None,
        response_ns=MS if res else None,
        request=req,
        response=res,
        completeness=facts.pop("completeness", whole),
        **facts,
    )


def get(target: str = "/x", status: int = 200, **facts: Any) -> Exchange:
    """A whole GET."""
    data = facts.pop("data", b"")
    return exchange(request(target=target), response(status, (("Content-Length", str(len(data))),), data=data), **facts)


def opaque(protocol: str = "tls") -> OpaqueConnection:
    return OpaqueConnection(replace(CONNECTION, id="c9"), PROCESS, protocol, 517, 4096)


def _head(first: str, headers: Headers) -> bytes:
    return "\r\n".join([first, *(f"{name}: {value}" for name, value in headers), "", ""]).encode("latin-1", "replace")
