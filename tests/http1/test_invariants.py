"""What holds for whatever bytes come, whatever is lost and however it ends: nothing raises, no head is lost or shown
twice, nothing is invented, everything under a gap says so, and each gap is stated once.

Every example is a conversation that broke one of these rules once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from replay.exchange import Exchange, Request, Response
from replay.http1.connection import Http1Connection
from replay.http1.framing import Framing
from replay.http1.message import Message
from replay.http1.sides import RequestSide, ResponseSide
from replay.stream import Bytes, Flow, Gap, StreamEvent
from tests.http1.cases import GET, GET2, LENGTH, OK2, R, S, chunked, request
from tests.http1.talk import SERVER, Lost, Step, events, fed

INTERIM = b"HTTP/1.1 103 E\r\nLink: <x>\r\n\r\n"
SWITCH = b"HTTP/1.1 101 S\r\nUpgrade: x\r\n\r\n"
CONNECT = b"CONNECT h:1 HTTP/1.1\r\n\r\n"
REQUESTS = (
    GET,
    GET2,
    b"HEAD /7 HTTP/1.1\r\n\r\n",
    b"GET /0\r\n",
    b"GET /z HTTP/1.0\r\n\r\n",
    CONNECT,
    request(b"PUT /3 HTTP/1.1", b"Content-Length: 3", body=b"abc"),
    request(b"PUT /4 HTTP/1.1", b"Expect: 100-continue", b"Content-Length: 3"),
    request(b"PUT /5 HTTP/1.1", b"Content-Length: 5", body=b"abc"),
    request(b"PUT /6 HTTP/1.1", b"Content-Length: x", body=b"abc"),
    request(b"POST /8 HTTP/1.1", b"Transfer-Encoding: chunked", body=b"2\r\nab\r\n0\r\n\r\n"),
    request(b"POST /9 HTTP/1.1", b"Transfer-Encoding: gzip", body=b"abc"),
    request(b"GET /u HTTP/1.1", b"Upgrade: x"),
    request(b"GET /c HTTP/1.1", b"Connection: close"),
)
RESPONSES = (
    OK2,
    OK2.replace(b"200", b"201"),
    INTERIM,
    SWITCH,
    b"HTTP/1.1 100 C\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 204 N\r\n\r\n",
    LENGTH % b"x" + b"ab",
    LENGTH % b"9" + b"abc",
    chunked(b"2\r\nab\r\n0\r\n\r\n"),
    chunked(b"5\r\nabc"),
)
SCRAPS = (b"\r\n", b"\x16\x03\x01", b"garbage", b"garbage \0\r\n", b"GET", b"GET /x", b" HTTP/1.1\r\n\r\n", 
          b"HTTP/1.1 2", b"0\r\n\r\n", b"5\r\nabcde\r\n", b"Host: a\r\n\r\n")  # fmt: skip


@st.composite
def seen(draw: st.DrawFn, flow: Flow) -> bytes:
    """A message most of the time, or a part of one, or what no message is made of."""
    usual = REQUESTS if flow == R else RESPONSES
    data: bytes = draw(st.sampled_from(usual) | st.sampled_from(usual) | st.sampled_from(SCRAPS + REQUESTS + RESPONSES))
    match draw(st.integers(0, 7)):
        case 0:
            return data[: draw(st.integers(1, len(data)))]
        case 1:
            return data[draw(st.integers(0, len(data) - 1)) :]
        case 2:
            return data + draw(st.sampled_from(usual))
    return data


LOSSES = st.builds(
    Lost,
    st.sampled_from([1, 3, 12, 40, 100, 400, None]),
    st.sampled_from(["ring-full", "snaplen", "sendfile", "damaged"]),
)
ENDS = st.sampled_from(["fin", "reset", "close", "process-exit"])


def steps(*, losses: bool = True) -> st.SearchStrategy[list[Step]]:
    """A direction is silent after its end."""

    def step(flow: Flow) -> st.SearchStrategy[Step]:
        what = st.one_of([seen(flow)] * 7 + ([LOSSES] * 2 if losses else []) + [ENDS])
        return st.tuples(st.just(flow), what)

    return st.lists(step(R) | step(S), max_size=12).map(
        lambda made: [each for at, each in enumerate(made) if not _ended(made[:at], each[0])]
    )


def _ended(before: list[Step], flow: Flow) -> bool:
    return any(flow == each and isinstance(what, str) for each, what in before)


class Reading(NamedTuple):
    reader: Http1Connection
    exchanges: list[Exchange]
    heads: dict[Flow, set[int]]  # the positions of those that were read

    @property
    def ends(self) -> dict[Flow, int]:
        """Where HTTP/1 ends."""
        handover = self.reader.handover
        if handover is None or handover.cause == "not-http":
            return {R: 1 << 62, S: 1 << 62}
        return {R: handover.request_position, S: handover.response_position}


def read(talked: list[Step], *, joined: bool) -> Reading:
    """All of it, as the framers see it."""
    reader = Http1Connection(replace(SERVER, joined_midstream=joined), careful=True)
    heads = {R: _heads(reader.request_side), S: _heads(reader.response_side)}
    return Reading(reader, fed(reader, talked), heads)


def _heads(side: RequestSide | ResponseSide) -> set[int]:
    found: set[int] = set()
    framing, dropped = side.framing, side.dropped

    def note(message: Message) -> Framing:
        found.add(message.position)
        return framing(message)

    def forget(message: Message) -> None:
        found.discard(message.position)
        dropped(message)

    side.framing, side.dropped = note, forget  # type: ignore[method-assign]
    return found


def shown(exchanges: list[Exchange]) -> dict[Flow, list[int]]:
    """Where the messages stand that the exchanges show, in their order."""
    requests = [e.request.position for e in exchanges if e.request]
    responses = [
        position
        for e in exchanges
        if e.response
        for position in (*(interim.position for interim in e.response.informational), e.response.position)
    ]
    return {R: requests, S: responses}


conversations = given(talked=steps(), joined=st.booleans())
many = settings(max_examples=300, deadline=None)


@conversations
@many
@example([(R, b"GET /1 HT"), (S, SWITCH)], False)  # an upgrade of what was not asked yet
@example([(R, GET[:20]), (S, SWITCH), (R, GET[20:] + b"abc")], False)
@example([(R, request(b"PUT /1 HTTP/1.1", b"Content-Length: x", body=b"ab")), (S, SWITCH), (R, b"abc")], False)
@example([(R, GET + GET2[:7]), (S, SWITCH), (R, b"\0\0\r\n\r\n")], False)
@example([(R, 40), (S, 40), (R, GET), (S, SWITCH)], False)  # an upgrade of nobody knows what
@example([(R, 1), (S, OK2[:16]), (R, GET[:13]), (R, "fin"), (S, 1), (S, SWITCH)], False)
@example([(R, GET), (S, OK2), (R, b"garbage"), (S, OK2), (R, b" \0\r\n"), (R, GET2), (S, OK2)], False)
@example([(R, GET), (S, 20), (R, b"g"), (S, LENGTH % b"9" + b"abc"), (R, b" HTTP/1.1\r\n\r\n")], False)
@example([(S, INTERIM)], False)  # nothing final
@example([(R, GET), (S, INTERIM), (S, "fin")], False)
@example([(R, GET), (S, b"5\r\nab\r\n"), (S, INTERIM + b"5\r\n"), (S, INTERIM), (S, 12), (S, OK2[:25])], False)
def test_every_head_that_is_read_is_in_one_exchange(talked: list[Step], joined: bool) -> None:
    reading = read(talked, joined=joined)
    assert not reading.reader.pairing.order
    for flow, positions in shown(reading.exchanges).items():
        assert len(set(positions)) == len(positions)
        assert {head for head in reading.heads[flow] if head < reading.ends[flow]} <= set(positions)


@conversations
@many
def test_requests_keep_their_order(talked: list[Step], joined: bool) -> None:
    positions = shown(read(talked, joined=joined).exchanges)[R]
    assert positions == sorted(positions)


def messages(exchanges: list[Exchange]) -> Iterator[tuple[Flow, Request | Response, Exchange]]:
    for each in exchanges:
        if each.request:
            yield R, each.request, each
        if each.response:
            yield S, each.response, each


@conversations
@many
@example([(R, b"HEAD /7 HTTP/1"), (R, 1), (R, GET)], False)  # what follows a hole is the next message's
@example([(R, b"HEAD /7 HTTP/1"), (R, 1), (R, GET[:20]), (R, 9)], False)
def test_no_byte_is_invented_or_another_messages(talked: list[Step], joined: bool) -> None:
    bytes_at: dict[Flow, dict[int, int]] = {R: {}, S: {}}
    for flow, event in events(talked):
        if isinstance(event, Bytes):
            bytes_at[flow].update(enumerate(event.data, event.position))
    for flow, message, _ in messages(read(talked, joined=joined).exchanges):
        span = range(message.position, message.end_position)
        own = bytes(bytes_at[flow][position] for position in span if position in bytes_at[flow])
        assert own.startswith(message.raw_head)
        assert is_part(message.body.data, own[len(message.raw_head) :])


def is_part(few: bytes, many_bytes: bytes) -> bool:
    """Whether they stand there in this order, perhaps with others between them."""
    rest = iter(many_bytes)
    return all(byte in rest for byte in few)


def covers(gap: Gap, message: Request | Response) -> bool:
    if gap.length is None:
        return message.position < gap.position < message.end_position
    return gap.position < message.end_position and message.position < gap.position + gap.length


@conversations
@many
@example([(S, b"HTTP/1.1 103 E\r\nLink"), (S, 40), (S, Lost(None, "damaged"))], True)
def test_a_message_with_a_gap_in_it_says_so(talked: list[Step], joined: bool) -> None:
    gaps = [(flow, event) for flow, event in events(talked) if isinstance(event, Gap)]
    for flow, message, exchange in messages(read(talked, joined=joined).exchanges):
        if any(each == flow and covers(gap, message) for each, gap in gaps):
            assert exchange.completeness == "gap"
            assert "gap" in [problem.code for problem in exchange.problems if problem.side == flow]


@conversations
@many
@example([(S, OK2[:20]), (R, 20), (R, GET)], False)
@example([(S, OK2[:20]), (R, 40)], False)
@example([(R, CONNECT), (R, 12)], False)
@example([(R, CONNECT), (S, "close"), (R, 400)], False)
@example([(R, GET + b"garbage"), (R, 3)], False)
@example([(S, OK2), (R, b".1\r\n\r\n"), (S, b"HTTP/1.1 2"), (R, 20)], False)
@example([(R, b"garbage"), (S, b"HTTP/1."), (R, 3), (R, GET), (S, 20), (R, b"\r\n")], False)
@example([(S, b"HT"), (R, b"garb"), (S, 20), (S, b"\r\n\r\n"), (R, 400), (S, OK2[:20]), (S, Lost(None))], False)
@example([(S, INTERIM + OK2[:20]), (R, b"GET /xgarbage \0\r"), (R, 40), (S, OK2), (S, b"HTTP/1.1 201 ")], False)
def test_every_gap_is_stated_once(talked: list[Step], joined: bool) -> None:
    """On an exchange or beside all of them."""
    reading = read(talked, joined=joined)
    assume(reading.reader.handover is None)
    lost = sum(event.length or 0 for _, event in events(talked) if isinstance(event, Gap))
    stated = [problem.length for e in reading.exchanges for problem in e.problems if problem.code == "gap"]
    beside = [loss.length for loss in reading.reader.unplaced if loss.code == "gap"]
    assert sum(length or 0 for length in stated + beside) == lost


@given(steps(losses=False), st.lists(st.integers(0, 80), max_size=12))
@many
@example([(R, b"GET"), (R, b"\r"), (R, GET)], [])  # a CR in a request line may stand where a space should
@example([(R, b"GET /\0 HTTP/1.1\r\n\r\n")], [6])
def test_how_the_bytes_are_cut_changes_nothing(talked: list[Step], cuts: list[int]) -> None:
    """Where nothing is lost: after a loss, a start line is believed where a read or write begins."""
    whole = list(events(talked))
    pieces: list[tuple[Flow, StreamEvent]] = []
    for at, (flow, event) in enumerate(whole):
        cut = cuts[at] if at < len(cuts) else 1
        if isinstance(event, Bytes) and 0 < cut < len(event.data):
            pieces.append((flow, replace(event, data=event.data[:cut])))
            event = replace(event, position=event.position + cut, data=event.data[cut:])
        pieces.append((flow, event))
    expected, found = facts(whole), facts(pieces)
    assume("unframed" not in str(expected))
    assert found == expected


def facts(feed: list[tuple[Flow, StreamEvent]]) -> tuple[object, ...]:
    reader = Http1Connection(SERVER)
    exchanges = [exchange for flow, event in feed for exchange in reader.feed(flow, event)]
    exchanges += reader.finish(1 << 40)
    handover = reader.handover
    if handover is not None and handover.cause == "not-http":  # which protocol it is takes more than its first bytes
        handover = replace(handover, protocol="unknown")
    return exchanges, handover, reader.unplaced
