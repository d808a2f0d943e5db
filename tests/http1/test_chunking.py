"""How the bytes are cut into reads changes nothing: whole, byte by byte, in random pieces, with bytes behind them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from replay.exchange import Exchange
from replay.http1.connection import Http1Connection
from replay.stream import Bytes, Flow, StreamEvent
from tests.http1.cases import CASES, Case
from tests.http1.talk import SERVER, events, talk

IDS = [f"{case.rule}: {case.name}" for case in CASES]


def read_in_pieces(feed: Iterable[tuple[Flow, StreamEvent]]) -> tuple[list[Exchange], object, list[object]]:
    reader = Http1Connection(SERVER)
    exchanges: list[Exchange] = []
    time = 0
    for flow, event in feed:
        exchanges += reader.feed(flow, event)
        time = event.time
    exchanges += reader.finish(time + 10)
    return exchanges, reader.handover, list(reader.unplaced)


def cut(event: StreamEvent, points: Iterable[int]) -> Iterator[StreamEvent]:
    if not isinstance(event, Bytes):
        yield event
        return
    edges = sorted({0, len(event.data), *(point % (len(event.data) + 1) for point in points)})
    for start, stop in pairwise(edges):
        yield Bytes(event.position + start, event.time, event.data[start:stop])


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_byte_by_byte_gives_the_same_exchanges(case: Case) -> None:
    whole = talk(*case.steps)
    pieces = ((flow, piece) for flow, event in events(case.steps) for piece in cut(event, range(10_000)))
    assert read_in_pieces(pieces) == (whole.exchanges, whole.handover, whole.unplaced)


@pytest.mark.parametrize("case", CASES, ids=IDS)
@settings(max_examples=10, deadline=None)
@given(points=st.lists(st.integers(0, 400), max_size=6))
def test_random_pieces_give_the_same_exchanges(case: Case, points: list[int]) -> None:
    whole = talk(*case.steps)
    pieces = ((flow, piece) for flow, event in events(case.steps) for piece in cut(event, points))
    assert read_in_pieces(pieces) == (whole.exchanges, whole.handover, whole.unplaced)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_joined_reads_give_the_same_exchanges(case: Case) -> None:
    """Neighbouring reads of one direction as one read; times are the first's, so only the bytes are compared."""
    joined: list[tuple[Flow, StreamEvent]] = []
    for flow, event in events(case.steps):
        last = joined[-1] if joined else None
        if last and last[0] == flow and isinstance(last[1], Bytes) and isinstance(event, Bytes):
            joined[-1] = (flow, Bytes(last[1].position, last[1].time, last[1].data + event.data))
        else:
            joined.append((flow, event))
    assert [timeless(e) for e in read_in_pieces(joined)[0]] == [timeless(e) for e in talk(*case.steps).exchanges]


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_what_comes_after_changes_no_exchange_before(case: Case) -> None:
    """Every prefix of a conversation gives a prefix of its exchanges, as long as they were handed out."""
    whole = talk(*case.steps).exchanges
    reader = Http1Connection(SERVER)
    given_out: list[Exchange] = []
    for flow, event in events(case.steps):
        given_out += reader.feed(flow, event)
        assert given_out == whole[: len(given_out)]


def timeless(exchange: Exchange) -> Exchange:
    """The exchange without its times."""
    request = exchange.request and replace(
        exchange.request, first_byte_time=0, last_byte_time=0, longest_stall_ns=0, longest_stall_position=0
    )
    response = exchange.response and replace(
        exchange.response,
        first_byte_time=0,
        last_byte_time=0,
        longest_stall_ns=0,
        longest_stall_position=0,
        informational=tuple(replace(interim, time=0) for interim in exchange.response.informational),
    )
    return replace(
        exchange,
        request=request,
        response=response,
        started_at=0,
        duration_ns=None,
        request_ns=None,
        wait_ns=None,
        response_ns=None,
    )
