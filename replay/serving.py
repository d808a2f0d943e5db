"""A recording in, a server out that answers as the recorded one did: for clients that need a stand-in.

A request is known by its method and target. Recorded more than once, its answers come in their order, then again from
the first. What was not recorded in full is not answered with less: 502, and 404 for what was not recorded at all.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from replay.exchange import Exchange, Headers, Response

# RFC 9110 §7.6.1 and §8.6: these belong to the connection that was recorded, not to the one that is answered.
FRAMING: Final = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding", "trailer", "upgrade"})
MAX_REQUEST_BODY: Final = 64 << 20  # bytes read and forgotten, so that the connection can go on
SECONDS: Final = 60.0  # a silent client keeps its thread this long


class Answers:
    """The recorded responses by method and target."""

    def __init__(self, exchanges: Iterable[Exchange]) -> None:
        self._known: dict[tuple[str, str], list[Response]] = {}
        self._turns: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()
        for exchange in exchanges:
            response = exchange.response
            if exchange.request is not None and response is not None and not _is_interim(response):
                key = (exchange.request.method, exchange.request.target)
                self._known.setdefault(key, []).append(response)

    def __len__(self) -> int:
        return sum(map(len, self._known.values()))

    def next(self, method: str, target: str) -> Response | None:
        """The answer whose turn it is; None if there was none."""
        with self._lock:
            found = self._known.get((method, target))
            if found is None:
                return None
            turn = self._turns.get((method, target), 0)
            self._turns[method, target] = turn + 1
            return found[turn % len(found)]


def _is_interim(response: Response) -> bool:
    """RFC 9110 §15.2: a client waits on behind such a one. Nothing final was recorded behind it."""
    return 100 <= response.status < 200 and response.status != 101


def server(answers: Answers, port: int) -> ThreadingHTTPServer:
    """A server on the loopback interface alone (0: any free port); OSError where the port is taken."""
    handler = type("Handler", (_Handler,), {"answers": answers})
    return ThreadingHTTPServer(("127.0.0.1", port), handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = SECONDS
    answers: Answers

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):  # every method, not only those with a name here
            return self._answer
        raise AttributeError(name)

    def log_message(self, format: str, *arguments: object) -> None:
        """Be quiet."""

    def _answer(self) -> None:
        self._skip_body()
        response = self.answers.next(self.command, self.path)
        if response is None:
            self._refuse(404, "the recording has no answer to this request")
        elif len(response.body.data) < response.body.size:
            self._refuse(502, f"{len(response.body.data)} of the answer's {response.body.size} bytes were recorded")
        else:
            self._send(response.status, response.reason, response.headers, response.body.data)

    def _skip_body(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal() or int(length) > MAX_REQUEST_BODY:
            self.close_connection = True
        else:
            self.rfile.read(int(length))

    def _send(self, status: int, reason: str, headers: Headers, body: bytes) -> None:
        self.send_response_only(status, reason)
        for name, value in headers:
            if name.lower() not in FRAMING and not set(name + value) & set("\r\n\0"):
                self.send_header(name, value)
        if status >= 200 and status not in (204, 304):  # RFC 9110 §8.6: these have none
            self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _refuse(self, status: int, why: str) -> None:
        body = json.dumps({"error": why}).encode()
        self._send(status, "Not Recorded", (("Content-Type", "application/json"),), body)
