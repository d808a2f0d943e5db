"""Recorded requests in, the same requests sent to a server again; its answers out, as exchanges that can be compared.

Sent one after the other, in the order in which they began. Host, Connection and the framing are the new connection's
own; everything else goes as it stood, credentials included.
"""

from __future__ import annotations

import hashlib
import http.client
import time
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import urlsplit

from msgspec.structs import replace

from capfile.words import counted
from replay import urls
from replay.errors import UsageError
from replay.exchange import TARGET_CUT, Body, Exchange, Request, Response
from replay.http1.codings import decode

SECONDS: Final = 30.0  # without a byte of an answer
MAX_BODY: Final = 64 << 20  # bytes of an answer; more is cut, and said
OWN: Final = frozenset({"host", "connection", "content-length", "transfer-encoding", "keep-alive", "upgrade", "expect"})


class NotSent(Exception):
    """This request could not be sent, or had no answer; the message says why."""


class Sender:
    """Sends to one server: `http://host:port` or `https://…`. UsageError for any other URL."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/") or parts.query:
            raise UsageError(f"--to {url}: expected http://HOST[:PORT], without a path")
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            raise UsageError(f"--to {url}: ports are 1 to 65535") from None
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname, port, timeout=SECONDS)
        self.authority = parts.netloc.rpartition("@")[2]
        self.address = f"{parts.hostname}:{port}"

    def send(self, exchange: Exchange) -> Exchange:
        """The exchange with the answer of today, seen as the recorder would have seen it; NotSent."""
        request = exchange.request
        if request is None:
            raise NotSent("the request was not seen")
        if len(request.body.data) < request.body.size:
            raise NotSent(f"{len(request.body.data)} of its body's {counted(request.body.size, 'byte')} were recorded")
        if request.target.endswith(TARGET_CUT):
            raise NotSent("only the beginning of its target was recorded")
        began = time.monotonic_ns()
        try:
            self._put(request)
            answer = self._connection.getresponse()
            data = answer.read(MAX_BODY)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._connection.close()
            raise NotSent(f"{type(error).__name__}: {error}") from None
        if answer.will_close or not answer.isclosed():
            self._connection.close()
        return self._seen(exchange, request, answer, data, time.monotonic_ns() - began)

    def _put(self, request: Request) -> None:
        connection = self._connection
        connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", self.authority)
        for name, value in request.headers:
            if name.lower() not in OWN:
                connection.putheader(name, value.encode("latin-1"))
        if request.body.data or urls.header(request.headers, "content-length") is not None:
            connection.putheader("Content-Length", str(len(request.body.data)))
        connection.endheaders(request.body.data or None)

    def _seen(
        self, exchange: Exchange, request: Request, answer: http.client.HTTPResponse, data: bytes, took: int
    ) -> Exchange:
        headers = tuple(answer.getheaders())
        version = "HTTP/1.0" if answer.version == 10 else "HTTP/1.1"
        host = tuple((n, self.authority if n.lower() == "host" else v) for n, v in request.headers)
        return replace(
            exchange,
            connection=replace(exchange.connection, server=self.address),
            duration_ns=took,
            request=replace(request, headers=host),
            response=Response(answer.status, answer.reason, version, headers, _body(headers, data)),
            completeness="complete",
            problems=(),
        )


def _body(headers: tuple[tuple[str, str], ...], data: bytes) -> Body:
    encoding = ", ".join(urls.header_values(headers, "content-encoding"))
    codings = tuple(part.strip().lower() for part in encoding.split(",") if part.strip())
    decoded = decode(data, codings)[0] if codings and data else None
    size = None if decoded is None else len(decoded)
    return Body(len(data), len(data), data, hashlib.sha256(data).hexdigest(), decoded, encoding, size)


def in_order(exchanges: Iterable[Exchange]) -> Iterator[Exchange]:
    """By the time each began; they come by the time each ended."""
    yield from sorted(exchanges, key=lambda exchange: exchange.started_at)
