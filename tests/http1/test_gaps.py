"""Losses: what can be known is known, the pairing stays right, what is missing is stated, nothing is invented."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.exchange import TARGET_CUT
from tests.http1.cases import GET, GET2, LENGTH, OK2, Case, R, S
from tests.http1.gap_cases import GAP_CASES
from tests.http1.lossy import is_flagged
from tests.http1.talk import Lost, get, ok, talk


@pytest.mark.parametrize("case", GAP_CASES, ids=lambda case: f"{case.name}: {case.rule}")
def test_a_gap_hides_only_what_it_hides(case: Case) -> None:
    heard = talk(*case.steps)
    assert heard.pairs == list(case.pairs)
    assert heard.completeness == list(case.completeness)
    assert sorted({code for codes in heard.codes for code in codes}) == sorted(case.codes)
    if case.bodies is not None:
        assert tuple(e.response.body.data for e in heard.exchanges if e.response) == case.bodies


def test_a_gap_is_stated_with_offset_length_and_reason() -> None:
    """Offsets count from the first byte of the message; the body's own gaps from the body's."""
    head = LENGTH % b"10"
    heard = talk((R, GET), (S, OK2), (R, GET2), (S, head + b"abc"), (S, Lost(4, "sendfile")), (S, b"hij"))
    (problem,) = heard.exchanges[1].problems
    assert (problem.side, problem.offset, problem.length, problem.reason) == ("response", len(head) + 3, 4, "sendfile")
    response = heard.exchanges[1].response
    assert response is not None
    assert (response.body.size, response.body.captured, response.body.gaps) == (10, 6, ((3, 4),))


def test_a_lost_message_is_stated_before_the_next_with_a_negative_offset() -> None:
    """Where no exchange of its own can state it."""
    heard = talk((R, GET), (S, OK2), (R, Lost(28)), (S, Lost(40)), (R, GET2), (S, OK2))
    offsets = [(p.code, p.side, p.offset, p.length) for p in heard.exchanges[1].problems]
    assert offsets == [("gap", "request", -28, 28), ("gap", "response", -40, 40)]


def test_a_lost_response_is_stated_on_its_request() -> None:
    """Offset 0: from the first byte of what is missing."""
    heard = talk((R, GET), (S, Lost(40)), (R, GET2), (S, OK2))
    assert [(p.code, p.offset, p.length) for p in heard.exchanges[0].problems] == [
        ("gap", 0, 40),
        ("response-lost", None, None),
    ]


def test_what_no_exchange_can_state_is_left_unplaced() -> None:
    """A gap behind the last message of a direction."""
    heard = talk((R, GET), (S, OK2), (R, Lost(5)))
    assert [(loss.code, loss.position, loss.length) for loss in heard.unplaced] == [("gap", len(GET), 5)]


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_a_gap_changes_no_exchange_before_it(data: st.DataObject) -> None:
    """Whatever is lost, the exchanges that had ended before are the same as without the loss."""
    count = data.draw(st.integers(2, 5))
    bodies = [data.draw(st.binary(max_size=20)) for _ in range(count)]
    steps = [step for number, body in enumerate(bodies) for step in (get(f"/{number}"), ok(body))]
    victim = data.draw(st.integers(0, len(steps) - 1))
    flow, what = steps[victim]
    assert isinstance(what, bytes)
    start = data.draw(st.integers(0, len(what) - 1))
    stop = data.draw(st.integers(start + 1, len(what)))
    damaged = [*steps[:victim], (flow, what[:start]), (flow, stop - start), (flow, what[stop:]), *steps[victim + 1 :]]
    before = victim // 2
    assert talk(*damaged).exchanges[:before] == talk(*steps).exchanges[:before]


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_after_a_gap_every_later_exchange_pairs_right(data: st.DataObject) -> None:
    """Each response says whose it is: whatever is lost, no response is given to another request, and the exchanges
    that began after the one that was damaged are whole, if perhaps by inference."""
    count = data.draw(st.integers(2, 6))
    steps = [
        step
        for number in range(count)
        for step in (get(f"/{number}"), ok(b"body of %d" % number + b"." * data.draw(st.integers(0, 9))))
    ]
    victim = data.draw(st.integers(0, len(steps) - 1))
    flow, what = steps[victim]
    assert isinstance(what, bytes)
    start = data.draw(st.integers(0, len(what) - 1))
    stop = data.draw(st.integers(start + 1, len(what)))
    heard = talk(*steps[:victim], (flow, what[:start]), (flow, stop - start), (flow, what[stop:]), *steps[victim + 1 :])
    for exchange in heard.exchanges:
        if exchange.request and exchange.response and exchange.response.body.captured == exchange.response.body.size:
            body = exchange.response.body.data
            assert not body or body.startswith(b"body of " + exchange.request.target[1:].rstrip(TARGET_CUT).encode())
    later = [f"/{number}" for number in range(victim // 2 + 1, count)]
    whole = [e for e in heard.exchanges if e.request and e.response and e.request.target in later]
    assert [e.request.target for e in whole if e.request] == later
    assert [e.complete or is_flagged(e) for e in whole] == [True] * len(later)


def test_after_a_client_that_pipelines_the_bounds_decide() -> None:
    """Two requests are always under way. The loss is stated on the request that it was inferred to be for."""
    answers = [OK2.replace(b"200", b"%d" % status) for status in (201, 202, 203, 404, 405)]
    heard = talk(
        (R, GET + GET2),
        (S, answers[0]),
        get("/3"),
        (S, answers[1]),
        get("/4"),
        (S, len(answers[2])),
        get("/5"),
        (S, answers[3]),
        (S, answers[4]),
        (S, "fin"),
    )
    assert heard.pairs == [("/1", 201), ("/2", 202), ("/3", None), ("/4", 404), ("/5", 405)]
    assert heard.codes[2] == ["gap", "response-lost"]
    assert heard.codes[3] == ["paired-by-inference"]


def test_garbage_while_a_doubt_is_settled_loses_no_exchange() -> None:
    """The body of a 204 is no response: the request behind it waits on for its own."""
    heard = talk(
        (R, GET + GET2),
        (S, OK2),
        get("/3"),
        (S, OK2),
        get("/4"),
        (S, len(OK2)),
        get("/5"),
        (S, OK2.replace(b"200", b"204")),
        (S, OK2.replace(b"200", b"405")),
    )
    assert heard.pairs == [("/1", 200), ("/2", 200), ("/3", None), ("/4", 204), ("/5", 405)]


def test_a_hole_in_a_head_that_has_room_for_a_later_head_leaves_the_order_open() -> None:
    """The request behind the hole may be another one than the one before it, and each has an answer."""
    cut = [(R, GET[:20]), (R, Lost(60, "snaplen")), (R, b"c\r\nA: b\r\n\r\n")]
    heard = talk(*cut, (S, OK2), (S, OK2.replace(b"200", b"201")), (R, GET2), (S, OK2))
    assert heard.pairs == [("/1", 200), (None, 201), ("/2", 200)]
    assert heard.codes == [["gap"], ["request-lost"], ["paired-by-inference"]]


def test_what_comes_behind_a_hole_in_a_head_is_believed_where_a_read_begins() -> None:
    """A request in the place of the rest of a PUT's head, whose body nobody knows."""
    heard = talk((R, b"PUT /1 HTTP/1.1\r\nA: b"), (R, Lost(6, "snaplen")), (R, GET2), (S, OK2), (S, OK2))
    assert heard.pairs == [("/1", 200), ("/2", 200)]
    assert heard.codes == [["gap"], []]
