"""What client and server were seen to do tells which request is meant after a loss; interim responses are all kept."""

from __future__ import annotations

import pytest

from replay.exchange import Informational
from replay.http1.connection import Http1Connection
from replay.http1.habits import Habits
from replay.http1.limits import ENOUGH_WAITING, MAX_HELD_RESPONSES
from replay.http1.message import Message
from replay.http1.released import Released
from tests.http1.cases import GET, GET2, GET3, OK2, R, S
from tests.http1.talk import SERVER, Lost, Step, events, get, talk

FIRST = b"HTTP/1.1 102 Processing\r\nX: 1\r\n\r\n"
SECOND = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLink: </b>\r\n\r\n"
OK_FIRST = OK2.replace(b"200", b"201")


def test_every_interim_response_is_kept_in_its_order_with_its_place_and_time() -> None:
    """RFC 9110 §15.2: any number of them may come before the final one; they are not the next request's."""
    heard = talk((R, GET), (S, FIRST[:9]), (S, FIRST[9:]), (S, SECOND + OK2), (R, GET2), (S, SECOND), (S, OK2))
    one, two = [exchange.response for exchange in heard.exchanges]
    assert one is not None
    assert two is not None
    end = len(FIRST + SECOND)
    links = (("Link", "</a>"), ("Link", "</b>"))
    assert one.informational == (
        Informational(102, "Processing", (("X", "1"),), 20, 0, len(FIRST)),
        Informational(103, "Early Hints", links, 40, len(FIRST), end),
    )
    start = end + len(OK2)
    assert two.informational == (Informational(103, "Early Hints", links, 60, start, start + len(SECOND)),)
    assert heard.completeness == ["complete", "complete"]


@pytest.mark.parametrize(("interim", "codes"), [(b"", {"response-lost"}), (SECOND, {"undecided-pair"})])
def test_what_a_loss_may_be_depends_on_whether_interim_responses_were_seen(interim: bytes, codes: set[str]) -> None:
    """A loss as large as a final response is one, from a server that sends no others; a request may be lost as well."""
    heard = talk(
        (R, GET), (S, interim + OK2), (R, GET2), (S, len(OK2)), (S, OK2), (R, len(GET3)), (R, GET3), (S, OK2)
    )  # fmt: skip
    assert heard.pairs == [("/1", 200), ("/2", None), (None, 200), ("/3", 200)]
    assert {"response-lost", "undecided-pair"} & set(heard.codes[1]) == codes


def test_an_interim_response_that_was_asked_for_may_be_what_is_lost() -> None:
    ask = b"PUT /2 HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc"
    heard = talk((R, GET), (S, OK2), (R, ask), (S, len(OK2)), (S, OK2), (R, len(GET3)), (R, GET3), (S, OK2))
    assert "undecided-pair" in heard.codes[1]


def message(flow: str, time: int) -> Message:
    return Message(flow, 0, time)  # type: ignore[arg-type]


def test_a_client_is_believed_to_wait_when_it_was_seen_to_often_enough() -> None:
    habits = Habits(joined=False)
    for turn in range(ENOUGH_WAITING // 2):
        assert not habits.waits
        habits.asks(message("request", turn), None)
        habits.answers_oldest(1)
    assert habits.waits
    habits.asks(message("request", 90), None)
    habits.asks(message("request", 91), message("request", 90))
    habits.answers_oldest(2)
    assert not habits.waits, "it asked again before it was answered"


def test_what_lies_across_a_loss_counts_half() -> None:
    habits = Habits(joined=False)
    for turn in range(ENOUGH_WAITING):
        assert not habits.waits
        habits.loses_requests()
        habits.asks(message("request", turn), None)
        clean = habits.answers(lost=False)
        assert not clean
        habits.answered(clean=clean)
        habits.asks(message("request", turn), None)
        clean = habits.answers(lost=False)
        assert clean
        habits.answered(clean=clean)
    assert habits.waits


def test_once_is_enough_in_a_stream_that_was_joined_until_something_is_lost() -> None:
    habits = Habits(joined=True)
    habits.asks(message("request", 1), None)
    habits.answered(clean=habits.answers(lost=False))
    habits.asks(message("request", 2), None)
    habits.answered(clean=habits.answers(lost=False))
    assert habits.waits
    assert habits.may_wait_since_joined
    habits.answers(lost=True)
    assert not habits.waits
    assert not habits.may_wait_since_joined


def test_two_requests_in_one_call_are_no_client_that_waits() -> None:
    """Whatever lies between their answers."""
    habits = Habits(joined=True)
    first = message("request", 1)
    first.carried(9, 5)
    habits.asks(first, None)
    habits.asks(message("request", 5), first)
    assert habits.pipelines


def test_released_requests_are_answered_in_their_order() -> None:
    released = Released()
    assert not released
    for method in ("GET", "GET", "HEAD", "GET"):
        released.add(method)
    assert [released.take() for _ in range(4)] == ["GET", "GET", "HEAD", "GET"]
    assert not released


def test_a_client_that_was_believed_to_wait_and_did_not_leaves_no_wrong_pair_complete() -> None:
    """Three requests are answered in a row: the first answer behind the loss is not the last request's."""
    steps = [step for number in range(9) for step in (get(f"/{number}"), (S, OK2))]
    three = [get("/a"), get("/b"), get("/c")]
    answers = [(S, OK2.replace(b"200", b"%d" % status)) for status in (201, 202, 203)]
    believed = talk(*steps, get("/x"), *three, (S, 300), *answers[:1], get("/y"), (S, OK2))
    assert believed.pairs[-2:] == [("/c", 201), ("/y", 200)]
    assert believed.completeness[-2:] == ["complete", "complete"]
    denied = talk(*steps, get("/x"), *three, (S, 300), *answers, get("/y"), (S, OK2))
    assert denied.pairs[-5:] == [("/c", None), (None, 201), (None, 202), (None, 203), ("/y", 200)]
    assert denied.codes[-5][-1] == denied.codes[-4][0] == "undecided-pair"
    lost = talk(*steps, get("/x"), *three, (S, 300), *answers[:2], (R, Lost(len(GET), "snaplen")), get("/y"), (S, OK2))
    assert ("/c", 201) in lost.pairs, "the request of the second answer may be lost"


def test_after_a_loss_a_client_that_asked_twice_for_one_answer_does_not_wait() -> None:
    """The pair behind two losses is inferred then, however often it seemed to wait before."""
    steps = [step for number in range(9) for step in (get(f"/{number}"), (S, OK2))]
    waits = talk(*steps, get("/x"), (S, 2 * len(OK2)), get("/y"), (S, OK_FIRST), (S, "fin"))
    assert waits.pairs[-1] == ("/y", 201)
    assert waits.codes[-1] == []
    steps[2:2] = [get("/a"), get("/b"), (S, OK2), (S, OK2)]
    doubt = talk(*steps, get("/x"), (S, 2 * len(OK2)), get("/y"), (S, OK_FIRST), (S, "fin"))
    assert doubt.codes[-1] == ["paired-by-inference"]


def test_a_client_that_asked_twice_since_the_last_answer_does_not_wait() -> None:
    habits = Habits(joined=False)
    habits.asks(message("request", 1), None)
    habits.asks(message("request", 3), message("request", 1))
    assert not habits.pipelines, "until it is known that nothing came between"
    assert habits.answers(lost=False)
    assert habits.pipelines


def test_responses_are_held_back_as_long_as_they_may_tell_and_no_longer() -> None:
    """Behind a loss that may be an interim response, each of the answers may be one of two requests'."""
    reader = Http1Connection(SERVER)
    most = 0
    steps: list[Step] = [(R, GET * 60), (S, 40), *((S, OK2) for _ in range(40))]
    for flow, event in events(steps):
        reader.feed(flow, event)
        held = len(reader.pairing._waiting.held)
        most = max(most, held)
        assert held <= MAX_HELD_RESPONSES
    assert most == MAX_HELD_RESPONSES
