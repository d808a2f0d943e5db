"""Conversations that lose events as a full ring loses them, and the truth about who answered whom.

Every message stands at a known position, so that an exchange is judged by positions and by nothing that it says itself.
A hole is as the streams stage makes it: of known size, noticed when the direction goes on, with the time of that; or,
of a call that was seen and cut short, with the time of the call.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from msgspec.structs import replace

from replay.exchange import Exchange
from replay.http1.connection import Http1Connection
from replay.stream import Bytes, Eof, Flow, Gap, Side, StreamEvent
from tests.http1.talk import SERVER

STEP = 10  # ns between two events
# A client that waits for each answer, one that sends a few requests and then waits for all their answers, one that
# keeps a number of requests under way.
Style = Literal["waits", "batches", "window"]
_BODILESS: Final = (204, 304)


class Passed(NamedTuple):
    """One read or write of the traced process."""

    flow: Flow
    data: bytes


class Truth(NamedTuple):
    """Where the messages of each direction begin: position -> number of the exchange."""

    request: dict[int, int]
    response: dict[int, int]
    interim: dict[int, int]


class Conversation(NamedTuple):
    """What passed, and where the messages begin."""

    events: list[Passed]
    truth: Truth


class _Question(NamedTuple):
    """One exchange in the making."""

    request: bytes
    head: int  # bytes of the request that must have passed before it can be answered
    interim: list[bytes]
    response: bytes


class _Server(NamedTuple):
    """Its habits."""

    interim: float  # how readily it sends interim responses
    fields: bytes  # header fields of every final response


def server(chance: random.Random) -> _Server:
    """One that says little, or what most say."""
    usual = b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: example/1.0\r\nCache-Control: no-store, private\r\n"
    return _Server(chance.choice((0.0, 0.0, 0.1, 0.4)), chance.choice((b"", usual)))


def question(number: int, chance: random.Random, habits: _Server, *, last: bool) -> _Question:
    """A request and its answer: any method and framing, interim responses before it now and then."""
    method = chance.choice(("GET", "GET", "POST", "POST", "HEAD"))
    framed = chance.choice((b"length", b"chunked")) if method == "POST" else b""
    asked = _message(f"{method} /{number} HTTP/1.1", framed, number, chance)
    status = chance.choice(_BODILESS) if chance.random() < 0.15 else 200
    line = f"HTTP/1.1 {status} {number}"
    if method == "HEAD" or status != 200:
        declares = chance.choice((b"", b"Content-Length: 20\r\n", b"Transfer-Encoding: chunked\r\n"))
        answer = f"{line}\r\nX-Number: {number}\r\n".encode() + habits.fields + declares + b"\r\n"
    else:
        until_close = last and chance.random() < 0.3
        framed = b"close" if until_close else chance.choice((b"length", b"chunked"))
        answer = _message(line, framed, number, chance, habits.fields)
    interim = [
        b"HTTP/1.1 %d %d\r\n%b\r\n" % (chance.choice((100, 102, 103)), number, b"Link: <x>\r\n" * chance.randint(0, 3))
        for _ in range(chance.choice((1, 1, 2)) if chance.random() < habits.interim else 0)
    ]
    return _Question(asked, asked.index(b"\r\n\r\n") + 4, interim, answer)


def _message(line: str, framed: bytes, number: int, chance: random.Random, fields: bytes = b"") -> bytes:
    body = b"body %d " % number + b"x" * chance.choice((0, 10, 60))
    head = f"{line}\r\nX-Number: {number}\r\n".encode() + fields + b"X-Pad: %b\r\n" % (b"p" * chance.choice((0, 30)))
    if framed == b"length":
        return head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    if framed == b"chunked":
        half = len(body) // 2
        parts = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:half], body[half:]) if part)
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + parts + b"0\r\n\r\n"
    return head + (b"Connection: close\r\n\r\n" + body if framed == b"close" else b"\r\n")


def conversation(chance: random.Random, *, style: Style, exchanges: int = 0) -> Conversation:
    """Requests and responses in an order that causality and the client's style allow."""
    habits = server(chance)
    exchanges = exchanges or chance.choice((3, 8, 8, 24))
    questions = [question(number, chance, habits, last=number == exchanges - 1) for number in range(exchanges)]
    truth = _truth(questions)
    cut = chance.choice((0.0, 0.02, 0.2))  # how readily a message is cut between two bytes
    join = chance.choice((0.0, 0.0, 0.5))  # how readily a call carries what two messages are made of
    early = chance.choice((0.0, 0.0, 0.3))  # how readily an answer begins before its request has ended
    depth = chance.randint(2, 4)
    eager = chance.choice((0.8, 0.9, 1.0)) if style == "window" else 0.5  # how readily it asks before it is answered
    events: list[Passed] = []
    to_send, to_answer = 0, 0  # numbers of the exchanges
    requests: list[bytes] = []  # pieces of what is being sent, last one first
    asked = 0  # bytes of request `to_send - 1` that have passed
    responses: list[bytes] = []
    batch = 0
    while to_answer < exchanges or responses or requests:
        may_answer = responses or (
            to_answer < exchanges
            and (to_answer < to_send - 1 or (to_answer == to_send - 1 and _answerable(questions[to_answer], asked)))
        )
        if to_answer == to_send - 1 and requests and not responses and may_answer and chance.random() >= early:
            may_answer = False
        waiting = to_send - to_answer + bool(responses)
        if not requests and not waiting:
            batch = 0
        limit = {"waits": 1, "batches": depth, "window": depth}[style]
        may_ask = requests or (
            to_send < exchanges and (waiting < limit if style != "batches" else batch < limit and not responses)
        )
        if style == "batches" and not requests and batch and to_answer > to_send - batch:
            may_ask = False
        if may_ask and (not may_answer or chance.random() < eager):
            if not requests:
                requests = list(_chunks(questions[to_send].request, cut, chance))[::-1]
                to_send, asked, batch = to_send + 1, 0, batch + 1
                if style == "batches" and batch == 1:
                    depth = chance.randint(1, 4)
            piece = requests.pop()
            asked += len(piece)
            events.append(Passed("request", piece))
        else:
            if not responses:
                each = questions[to_answer]
                whole = [*each.interim, each.response]
                responses = [piece for part in whole for piece in _chunks(part, cut, chance)][::-1]
                to_answer += 1
            events.append(Passed("response", responses.pop()))
    return Conversation(list(_joined(events, join, chance)), truth)


def _truth(questions: list[_Question]) -> Truth:
    truth = Truth({}, {}, {})
    asked = answered = 0
    for number, each in enumerate(questions):
        truth.request[asked] = number
        asked += len(each.request)
        for interim in each.interim:
            truth.interim[answered] = number
            answered += len(interim)
        truth.response[answered] = number
        answered += len(each.response)
    return truth


def _answerable(each: _Question, asked: int) -> bool:
    return asked >= each.head


def _joined(events: list[Passed], join: float, chance: random.Random) -> Iterator[Passed]:
    """Neighbours of one direction are one call now and then."""
    held: Passed | None = None
    for event in events:
        if held is not None and held.flow == event.flow and chance.random() < join:
            held = Passed(held.flow, held.data + event.data)
            continue
        if held is not None:
            yield held
        held = event
    if held is not None:
        yield held


def _chunks(data: bytes, cut: float, chance: random.Random) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        stop = min(at + (int(chance.expovariate(cut)) + 1 if cut else len(data)), len(data))
        yield data[at:stop]
        at = stop


class Losses(NamedTuple):
    """What of a conversation is not in the recording."""

    lost: set[int]  # events
    kept: dict[int, int]  # of an event that was cut short: its first bytes
    joined: int = 0  # events before the recording began


def losses(count: int, chance: random.Random) -> Losses:
    """Single events and bursts, in both directions at once; now and then the beginning, or the ends of calls."""
    rate, burst = chance.choice((0.03, 0.1, 0.3)), chance.choice((1, 3, 8))
    lost: set[int] = set()
    for index in range(count):
        if chance.random() < rate / burst:
            lost.update(range(index, min(index + chance.randint(1, burst), count)))
    snap = chance.choice((0.0, 0.0, 0.1))
    kept = {index: chance.randint(0, 60) for index in range(count) if chance.random() < snap}
    return Losses(lost, kept, chance.randrange(count) if chance.random() < 0.15 else 0)


def observed(events: list[Passed], missing: Losses) -> Iterator[tuple[Flow, StreamEvent]]:
    """The stream events that are left."""
    position: dict[Flow, int] = {"request": 0, "response": 0}
    holes: dict[Flow, int] = {"request": 0, "response": 0}
    time = 0
    for index, (flow, data) in enumerate(events):
        time += STEP
        if index < missing.joined:
            position[flow] += len(data)
            continue
        if index in missing.lost:
            holes[flow] += len(data)
            continue
        if holes[flow]:
            yield flow, Gap(position[flow], time, holes[flow], "ring-full")
            position[flow] += holes[flow]
            holes[flow] = 0
        seen = data[: missing.kept.get(index, len(data))]
        if seen:
            yield flow, Bytes(position[flow], time, seen)
        if len(seen) < len(data):
            yield flow, Gap(position[flow] + len(seen), time, len(data) - len(seen), "snaplen")
        position[flow] += len(data)
    for flow, hole in holes.items():
        if hole:
            yield flow, Gap(position[flow], time + STEP, hole, "ring-full")
        yield flow, Eof(position[flow] + hole, time + STEP, "fin")


def read(steps: Iterator[tuple[Flow, StreamEvent]], *, joined: bool = False, side: Side = "server") -> list[Exchange]:
    """The exchanges of one connection."""
    reader = Http1Connection(replace(SERVER, joined_midstream=joined, side=side))
    found = [exchange for flow, event in steps for exchange in reader.feed(flow, event)]
    return found + reader.finish(1 << 62)


def is_flagged(exchange: Exchange) -> bool:
    """Whether it says itself that its pairing is an inference."""
    return any(problem.code == "paired-by-inference" for problem in exchange.problems)


def is_wrong(exchange: Exchange, truth: Truth) -> bool:
    """Whether it has messages of two exchanges; one that begins where none began is wrong as well."""
    asked, answered = exchange.request, exchange.response
    numbers = set()
    if asked:
        numbers.add(truth.request.get(asked.position, -1))
    if answered:
        numbers.add(truth.response.get(answered.position, truth.interim.get(answered.position, -1)))
        numbers.update(truth.interim.get(interim.position, -1) for interim in answered.informational)
    return len(numbers) > 1 or -1 in numbers
