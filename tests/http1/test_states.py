"""The framer's table: every state with every input, and nothing raises, nothing is lost, nothing hangs."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.http1.connection import Http1Connection
from replay.http1.direction import State
from replay.http1.framer import TRANSITIONS
from replay.stream import Bytes, Eof, Flow, Gap, StreamEvent
from tests.http1.cases import GET, GET2, OK2, R, S, chunked, request
from tests.http1.talk import SERVER, Lost, Step, events, talk

EXPECT = request(b"PUT /1 HTTP/1.1", b"Expect: 100-continue", b"Content-Length: 3")
# How to bring a direction into each state.
ROADS: dict[tuple[Flow, State], tuple[Step, ...]] = {
    (R, State.START): ((R, GET),),
    (R, State.HEAD): ((R, GET[:20]),),
    (R, State.BODY): ((R, request(b"PUT /1 HTTP/1.1", b"Content-Length: 9") + b"abc"),),
    (R, State.EXPECTED): ((R, EXPECT), (S, OK2)),
    (R, State.LOST): ((R, GET), (R, 10)),
    (R, State.HELD): ((R, b"CONNECT h:1 HTTP/1.1\r\n\r\n"),),
    (R, State.HANDED): ((R, GET), (S, b"HTTP/1.1 101 S\r\nUpgrade: x\r\n\r\n")),
    (R, State.ENDED): ((R, GET), (R, "fin")),
    (S, State.START): ((R, GET), (S, OK2)),
    (S, State.HEAD): ((R, GET), (S, OK2[:20])),
    (S, State.BODY): ((R, GET), (S, chunked(b"5\r\nab"))),
    (S, State.LOST): ((R, GET), (S, 10)),
    (S, State.HANDED): ((R, GET), (S, b"HTTP/1.1 101 S\r\nUpgrade: x\r\n\r\n")),
    (S, State.ENDED): ((R, GET), (S, "fin")),
}
INPUTS: dict[str, Callable[[int], StreamEvent]] = {
    "bytes": lambda at: Bytes(at, 500, b"abc"),
    "start line": lambda at: Bytes(at, 500, GET2 + OK2),
    "sized gap": lambda at: Gap(at, 500, 7, "ring-full"),
    "empty gap": lambda at: Gap(at, 500, 0, "ring-full"),
    "gap of unknown size": lambda at: Gap(at, 500, None, "damaged"),
    "fin": lambda at: Eof(at, 500, "fin"),
    "reset": lambda at: Eof(at, 500, "reset"),
    "end of capture": lambda at: Eof(at, 500, "end-of-capture"),
}


def test_every_state_has_its_row() -> None:
    assert set(TRANSITIONS) == set(State)


def test_every_state_that_a_direction_can_be_in_has_a_road() -> None:
    """Only requests wait for a body that may never come, and only behind a CONNECT is anything held."""
    assert set(ROADS) == set(product((R, S), State)) - {(S, State.EXPECTED), (S, State.HELD)}


@pytest.mark.parametrize(("flow", "state"), ROADS)
@pytest.mark.parametrize("what", INPUTS)
def test_every_input_in_every_state(flow: Flow, state: State, what: str) -> None:
    """The input is taken, the connection ends, and every exchange has a start line and a reason if it is not whole."""
    reader = Http1Connection(SERVER)
    exchanges = []
    for each, event in events(ROADS[flow, state]):
        exchanges += reader.feed(each, event)
    framer = reader.request_framer if flow == R else reader.response_framer
    assert framer.state is state
    exchanges += reader.feed(flow, INPUTS[what](framer.position))
    exchanges += reader.finish(1000)
    assert {reader.request_framer.state, reader.response_framer.state} == {State.ENDED}
    for exchange in exchanges:
        assert exchange.request or exchange.response
        if exchange.completeness == "gap":
            assert {"gap", "unframed", "response-lost", "request-lost"} & {p.code for p in exchange.problems}
    assert not reader.pairing.order


_PIECES = st.sampled_from(
    [
        GET,
        GET2,
        OK2,
        EXPECT,
        GET[:9],
        OK2[:9],
        b"\r\n",
        b"0\r\n",
        b"5\r\nabc",
        b"HTTP/1.1 100 C\r\n\r\n",
        b"\x16\x03\x01",
        b"CONNECT h:1 HTTP/1.1\r\n\r\n",
        chunked(b"2\r\nab\r\n0\r\n\r\n"),
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"GET /0\r\n",
        b"HEAD / HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 101 S\r\n\r\n",
        request(b"PUT / HTTP/1.1", b"Content-Length: x"),
    ]
) | st.binary(max_size=12)
_STEP = st.tuples(
    st.sampled_from([R, S]),
    _PIECES | st.integers(0, 30) | st.just(Lost(None)) | st.sampled_from(["fin", "reset", "close", "process-exit"]),
)


@given(st.lists(_STEP, max_size=12), st.booleans())
@settings(max_examples=250, deadline=None)
def test_no_conversation_raises_or_leaves_anything_behind(steps: list[Step], joined: bool) -> None:
    """The recorded peer is never an exception; ordinals count up; positions stay inside what was fed."""
    from msgspec.structs import replace

    heard = talk(*steps, connection=replace(SERVER, joined_midstream=joined))
    assert [e.id for e in heard.exchanges] == [f"c-{number}" for number in range(1, len(heard.exchanges) + 1)]
    for exchange in heard.exchanges:
        for message in (exchange.request, exchange.response):
            if message:
                assert 0 <= message.position <= message.end_position
                assert message.body.captured <= message.body.size
                assert message.first_byte_time <= message.last_byte_time
