"""Conversations that lose events as a full ring loses them, and the truth about who answered whom.

Every message stands at a known position, so that an exchange is judged by positions and by nothing that it says itself.
A hole is as the streams stage makes it: of known size, noticed when the direction goes on, with the time of that.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

from replay.exchange import Exchange
from replay.http1.connection import Http1Connection
from replay.stream import Bytes, Eof, Flow, Gap, StreamEvent
from tests.http1.talk import SERVER

STEP = 10  # ns between two events


class Passed(NamedTuple):
    """One read or write of the traced process."""

    flow: Flow
    data: bytes


class Conversation(NamedTuple):
    """What passed, and where the messages of each direction begin."""

    events: list[Passed]
    starts: dict[Flow, dict[int, int]]  # position: number of the exchange


def request(number: int, chance: random.Random) -> bytes:
    """A request that tells its number; with a body of known length, a chunked one or none."""
    return _message(f"{chance.choice(('GET', 'POST'))} /{number} HTTP/1.1", b"", number, chance)


def response(number: int, chance: random.Random) -> bytes:
    """A response that tells the number of its request."""
    framed = chance.choice((b"", b"length", b"chunked"))
    return _message(f"HTTP/1.1 200 {number}", framed or b"length", number, chance)


def _message(line: str, framed: bytes, number: int, chance: random.Random) -> bytes:
    framed = framed or (b"" if line.startswith("GET") else chance.choice((b"length", b"chunked")))
    body = b"body %d " % number + b"x" * chance.choice((0, 10, 60))
    head = f"{line}\r\nX-Number: {number}\r\n".encode() + b"X-Pad: %b\r\n" % (b"p" * chance.choice((0, 30)))
    if framed == b"length":
        return head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    if framed == b"chunked":
        half = len(body) // 2
        parts = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:half], body[half:]) if part)
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + parts + b"0\r\n\r\n"
    return head + b"\r\n"


def conversation(chance: random.Random, *, pipelined: bool, exchanges: int = 8) -> Conversation:
    """Requests and responses in an order that causality allows; a client that pipelines sends up to four at once."""
    events: list[Passed] = []
    starts: dict[Flow, dict[int, int]] = {"request": {}, "response": {}}
    position: dict[Flow, int] = {"request": 0, "response": 0}
    cut = chance.choice((0.0, 0.02, 0.2))  # how readily a message is cut between two bytes

    def add(flow: Flow, number: int, data: bytes) -> None:
        starts[flow][position[flow]] = number
        position[flow] += len(data)
        events.extend(Passed(flow, part) for part in _chunks(data, cut, chance))

    number = 0
    while number < exchanges:
        together = chance.randint(1, 4) if pipelined else 1
        asked = range(number, min(number + together, exchanges))
        for one in asked:
            add("request", one, request(one, chance))
        for one in asked:
            add("response", one, response(one, chance))
        number = asked.stop
    return Conversation(events, starts)


def _chunks(data: bytes, cut: float, chance: random.Random) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        stop = min(at + (int(chance.expovariate(cut)) + 1 if cut else len(data)), len(data))
        yield data[at:stop]
        at = stop


def losses(count: int, chance: random.Random) -> set[int]:
    """Which of so many events are lost: single ones and bursts, in both directions at once."""
    rate, burst = chance.choice((0.03, 0.1, 0.3)), chance.choice((1, 3, 8))
    lost: set[int] = set()
    for index in range(count):
        if chance.random() < rate / burst:
            lost.update(range(index, min(index + chance.randint(1, burst), count)))
    return lost


def observed(events: list[Passed], lost: set[int]) -> Iterator[tuple[Flow, StreamEvent]]:
    """The stream events that are left."""
    position: dict[Flow, int] = {"request": 0, "response": 0}
    holes: dict[Flow, int] = {"request": 0, "response": 0}
    time = 0
    for index, (flow, data) in enumerate(events):
        time += STEP
        if index in lost:
            holes[flow] += len(data)
            continue
        if holes[flow]:
            yield flow, Gap(position[flow], time, holes[flow], "ring-full")
            position[flow] += holes[flow]
            holes[flow] = 0
        yield flow, Bytes(position[flow], time, data)
        position[flow] += len(data)
    for flow, hole in holes.items():
        if hole:
            yield flow, Gap(position[flow], time + STEP, hole, "ring-full")
        yield flow, Eof(position[flow] + hole, time + STEP, "fin")


def read(steps: Iterator[tuple[Flow, StreamEvent]]) -> list[Exchange]:
    """The exchanges of one connection."""
    reader = Http1Connection(SERVER)
    found = [exchange for flow, event in steps for exchange in reader.feed(flow, event)]
    return found + reader.finish(1 << 62)


def is_flagged(exchange: Exchange) -> bool:
    """Whether it says itself that its pairing is an inference."""
    return any(problem.code == "paired-by-inference" for problem in exchange.problems)


def is_wrong(exchange: Exchange, starts: dict[Flow, dict[int, int]]) -> bool:
    """Whether the response is another request's; a message that begins where none began is wrong as well."""
    asked, answered = exchange.request, exchange.response
    if asked and asked.position not in starts["request"]:
        return True
    if answered and answered.position not in starts["response"]:
        return True
    return bool(asked and answered and starts["request"][asked.position] != starts["response"][answered.position])
