"""The way past the framers gives what they give: every conversation is read both ways."""

from __future__ import annotations

from functools import partial
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.dispatch import Conversation
from replay.exchange import Connection, Exchange, ProcessFacts
from replay.http1.connection import Http1Connection
from replay.pipeline import exchanges, listen
from replay.recognise import HTTP1
from replay.source import recordings
from replay.stream import Bytes
from tests.http1.cases import CASES, Case
from tests.http1.talk import SERVER, Lost, Step, events, talk

FIXTURES = sorted((Path(__file__).parents[2] / "fixtures").glob("*.cap"))
IDS = [f"{case.rule}: {case.name}" for case in CASES]

LINES = [b"GET /%d HTTP/1.1", b"HEAD / HTTP/1.1", b"POST /p?q HTTP/1.1", b"CONNECT h:1 HTTP/1.1", b"BREW / HTTP/1.1",
         b"GET / HTTP/1.0", b"get / HTTP/1.1", b"GET /", b"GET  / HTTP/1.1", b"nothing like it"]  # fmt: skip
STATUSES = [b"HTTP/1.1 200 OK", b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 Not Modified", b"HTTP/1.0 404 No",
            b"HTTP/1.1 100 Continue", b"HTTP/1.1 101 Switching Protocols", b"HTTP/1.1 500 ", b"HTTP/1.1 200",
            b"no status"]  # fmt: skip
FIELDS = [b"Host: h", b"Connection: close", b"Connection: keep-alive", b"Expect: 100-continue", b"Upgrade: websocket",
          b"Content-Encoding: gzip", b"Cookie: a=\xff", b"Odd : x", b" folded", b"Content-Length: +1", b"X:\t y ",
          b"Transfer-Encoding: chunked", b"Content-Length: 3"]  # fmt: skip


@st.composite
def messages(draw: st.DrawFn, starts: list[bytes]) -> bytes:
    """One message, most of the time a usual one, with a body that has its length, or not."""
    start = draw(st.just(starts[0]) | st.sampled_from(starts))
    fields = draw(st.lists(st.sampled_from(FIELDS[:1]) | st.sampled_from(FIELDS), max_size=3))
    body = draw(st.sampled_from([b"", b"abc", b"2\r\nab\r\n0\r\n\r\n", b"\x00\xff" * 20]))
    if draw(st.booleans()):
        fields.append(b"content-length: %d" % (len(body) + draw(st.just(0) | st.sampled_from([-1, 1]))))
    return b"".join(line + b"\r\n" for line in [start, *fields]) + b"\r\n" + body


def _cut(drawn: tuple[Step, tuple[str, bytes], list[bytes]]) -> list[Step]:
    """The response in parts that end behind the first of each of these."""
    request, (flow, rest), cuts = drawn
    parts: list[bytes] = []
    for cut in cuts:
        before, found, rest = rest.partition(cut)
        parts.append(before + found)
    return [request, *((flow, part) for part in (*parts, rest) if part)]  # type: ignore[list-item]


def steps() -> st.SearchStrategy[list[Step]]:
    request = st.tuples(st.just("request"), messages(LINES))
    response = st.tuples(st.just("response"), messages(STATUSES))
    unusual = st.tuples(
        st.sampled_from(["request", "response"]),
        st.sampled_from([7, Lost(None), Lost(40, "snaplen"), b"\r\n", b"x", b"GET / HT", b"HTTP/1.1 200 OK\r\n"]),
    )
    ends = st.tuples(st.sampled_from(["request", "response"]), st.sampled_from(["fin", "reset", "close"]))
    pair = st.tuples(request, response).map(list)
    # most servers that write twice write the head first
    cuts = st.sampled_from([b"\r\n\r\n", b"\r\n", b"l"])
    in_parts = st.tuples(request, response, st.lists(cuts, min_size=1, max_size=2)).map(_cut)
    parts = st.lists(pair | in_parts | st.lists(request | response | unusual, max_size=2), max_size=6)
    return st.tuples(parts, st.lists(ends, max_size=2)).map(lambda both: [*chain.from_iterable(both[0]), *both[1]])


def read(talked: list[Step], connection: Connection, *, careful: bool) -> tuple[object, ...]:
    reader = Http1Connection(connection, keep=100, careful=careful)
    found, time = [], 0
    for flow, event in events(talked):
        found += reader.feed(flow, event)
        time = event.time
    found += reader.finish(time + 10)
    return found, reader.handover, reader.unplaced


@settings(deadline=None, max_examples=400)
@given(talked=steps(), joined=st.booleans())
def test_any_conversation_reads_the_same(talked: list[Step], joined: bool) -> None:
    connection = Connection("c", "inet", "127.0.0.1:40112", "127.0.0.1:80", "server", joined_midstream=joined)
    assert read(talked, connection, careful=False) == read(talked, connection, careful=True)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_every_case_reads_the_same_alone_and_behind_usual_exchanges(case: Case) -> None:
    """What was read past the framers leaves them as if they had read it."""
    usual: list[Step] = [
        ("request", b"POST /first HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi"),
        ("response", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
        ("request", b"GET /second HTTP/1.1\r\n\r\n"),
        ("response", b"HTTP/1.1 304 Not Modified\r\n\r\n"),
    ]
    for steps in (list(case.steps), [*usual, *case.steps]):
        assert read(steps, SERVER, careful=False) == read(steps, SERVER, careful=True)


@pytest.mark.parametrize("path", FIXTURES, ids=[path.stem for path in FIXTURES])
def test_every_fixture_reads_the_same(path: Path) -> None:
    def careful(connection: Connection, process: ProcessFacts | None, offset: int) -> Conversation:
        return Conversation(connection, process, offset, {HTTP1: partial(Http1Connection, careful=True)})

    usually, carefully = (recordings([str(path)])[0] for _ in range(2))
    assert list(exchanges(usually)) == list(listen(carefully, "auto", "", careful))


@pytest.mark.parametrize("pause", [-3, 0, 40])
def test_a_response_in_two_writes_is_read_past_the_framers(pause: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*, careful: bool) -> list[Exchange]:
        reader = Http1Connection(SERVER, careful=careful)
        head, body = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", b"llo"
        reader.feed("request", Bytes(0, 10, b"GET / HTTP/1.1\r\n\r\n"))
        assert reader.feed("response", Bytes(0, 20, head)) == []
        return reader.feed("response", Bytes(len(head), 20 + pause, body))

    carefully = read(careful=True)
    monkeypatch.delattr(Http1Connection, "_read")
    (exchange,) = read(careful=False)
    assert [exchange] == carefully
    assert exchange.response is not None
    assert exchange.response.longest_stall_ns == max(pause, 0)


def test_the_beginning_of_an_answer_put_aside_is_handed_out_at_the_end() -> None:
    response = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe"
    (exchange,) = talk(("request", b"GET / HTTP/1.1\r\n\r\n"), ("response", response)).exchanges
    assert exchange.completeness == "truncated-by-end"
    assert exchange.response is not None
    assert exchange.response.body.data == b"he"


def test_a_request_put_aside_is_handed_out_at_the_end() -> None:
    (exchange,) = talk(("request", b"GET / HTTP/1.1\r\n\r\n")).exchanges
    assert exchange.completeness == "open"
