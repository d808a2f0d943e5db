"""A conversation in, its exchanges out: what every test of the HTTP/1 reader is written in.

    >>> talk(("request", b"GET / HTTP/1.1\r\n\r\n"), ("response", b"HTTP/1.1 204 No Content\r\n\r\n"))

Each step is (flow, what): bytes are seen, an int is a gap of that length, a `Lost` names its reason, a str is how the
direction ends. Times are 10 ns apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from replay.exchange import Connection, Exchange
from replay.http1.connection import Handover, Http1Connection
from replay.http1.message import Loss
from replay.stream import Bytes, Eof, Flow, Gap, StreamEvent

SERVER = Connection("c", "inet", "127.0.0.1:40112", "127.0.0.1:80", "server")


class Lost(NamedTuple):
    """A gap with all its facts."""

    length: int | None
    reason: str = "ring-full"


Step = tuple[Flow, "bytes | int | str | Lost"]


class Talk(NamedTuple):
    exchanges: list[Exchange]
    handover: Handover | None
    unplaced: list[Loss]

    @property
    def pairs(self) -> list[tuple[str | None, int | None]]:
        """(target, status) of each exchange, in order."""
        return [(e.request and e.request.target, e.response and e.response.status) for e in self.exchanges]

    @property
    def codes(self) -> list[list[str]]:
        return [[problem.code for problem in exchange.problems] for exchange in self.exchanges]

    @property
    def completeness(self) -> list[str]:
        return [exchange.completeness for exchange in self.exchanges]


def events(steps: Iterable[Step], start: int = 0) -> Iterator[tuple[Flow, StreamEvent]]:
    """The stream events of the steps, with positions that join up."""
    position = {"request": 0, "response": 0}
    time = start
    for flow, what in steps:
        time += 10
        at = position[flow]
        if isinstance(what, bytes):
            yield flow, Bytes(at, time, what)
            position[flow] += len(what)
        elif isinstance(what, str):
            yield flow, Eof(at, time, what)  # type: ignore[arg-type]
        else:
            lost = what if isinstance(what, Lost) else Lost(what)
            yield flow, Gap(at, time, lost.length, lost.reason)
            position[flow] += lost.length or 0


def fed(reader: Http1Connection, steps: Iterable[Step]) -> list[Exchange]:
    """Feed the steps and finish: what it handed out."""
    exchanges: list[Exchange] = []
    time = 0
    for flow, event in events(steps):
        exchanges += reader.feed(flow, event)
        time = event.time
    return exchanges + reader.finish(time + 10)


def talk(*steps: Step, connection: Connection = SERVER, keep: int | None = None) -> Talk:
    """Feed the steps and finish."""
    reader = Http1Connection(connection) if keep is None else Http1Connection(connection, keep=keep)
    exchanges = fed(reader, steps)
    assert not reader.pairing.order, "an exchange was begun and never handed out"
    return Talk(exchanges, reader.handover, reader.unplaced)


def asked(data: bytes) -> Step:
    return ("request", data)


def answered(data: bytes) -> Step:
    return ("response", data)


def get(target: str = "/", *fields: str, method: str = "GET") -> Step:
    """A request without a body."""
    head = "".join(f"{line}\r\n" for line in (f"{method} {target} HTTP/1.1", "Host: example.org", *fields))
    return ("request", f"{head}\r\n".encode("latin-1"))


def ok(body: bytes = b"ok", status: int = 200, *fields: str) -> Step:
    """A response with a Content-Length."""
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status} Fine", f"Content-Length: {len(body)}", *fields))
    return ("response", f"{head}\r\n".encode("latin-1") + body)
