"""Recordings whose bytes are cut short (a snap length), joined in the middle, or with bytes that no message has."""

from __future__ import annotations

import io

import pytest

from replay.document import ExchangeDocument, to_document
from replay.exchange import TARGET_CUT, Connection, Exchange
from replay.http1.connection import Http1Connection
from replay.output import curl, har
from replay.sending import NotSent, Sender
from tests.http1.cases import GET, OK2, R, S
from tests.http1.talk import Lost, Step, events, talk

JOINED = Connection("c", "inet", "127.0.0.1:40112", "127.0.0.1:80", "server", joined_midstream=True)


def joined(*steps: Step) -> list[Exchange]:
    connection = Http1Connection(JOINED)
    found = [exchange for flow, event in events(steps) for exchange in connection.feed(flow, event)]
    return found + connection.finish(1000)


@pytest.mark.parametrize(
    ("request_bytes", "target"),
    [
        (b"GET /ebpf/ HTTP/1.1\r\nHost: 192.1", "/ebpf/"),
        (b"GET /ebpf/ HTTP/1.1\r\n", "/ebpf/"),
        (b"GET /whole HT", "/whole"),
        (b"GET /a/long/target/that/is/cut/o", "/a/long/target/that/is/cut/o…"),
    ],
)
def test_a_joined_connection_whose_heads_are_cut_is_an_exchange_with_gaps(request_bytes: bytes, target: str) -> None:
    cut = Lost(300, "snaplen")
    (exchange,) = joined((R, request_bytes), (R, cut), (S, b"HTTP/1.1 200 OK\r\nContent-Type: t"), (S, cut))
    assert exchange.request is not None
    assert exchange.response is not None
    assert (exchange.request.method, exchange.request.target, exchange.response.status) == ("GET", target, 200)
    assert exchange.completeness == "gap"
    assert [(p.side, p.offset, p.length, p.reason) for p in exchange.problems if p.code == "gap"] == [
        (R, len(request_bytes), 300, "snaplen"),
        (S, 32, 300, "snaplen"),
    ]


@pytest.mark.parametrize("end", [Lost(9, "snaplen"), "fin"])
def test_the_beginning_of_a_target_never_looks_like_the_target(end: Lost | str) -> None:
    """It has a mark behind it that is no latin-1, as all targets are that were sent, wherever it is shown."""
    (exchange,) = talk((R, b"GET /a/b?c=d HTTP"[:10]), (R, end), (S, OK2)).exchanges
    assert exchange.request is not None
    assert [(p.code, p.offset, p.detail) for p in exchange.problems if p.code == "target-cut"] == [
        ("target-cut", 4, "/a/b?c")
    ]
    assert exchange.request.target == "/a/b?c" + TARGET_CUT
    with pytest.raises(UnicodeEncodeError):
        TARGET_CUT.encode("latin-1")
    document = to_document(exchange)
    assert isinstance(document, ExchangeDocument)
    assert document.request is not None
    assert document.request.target == "/a/b?c…"
    out_of_curl = b"left out: only the beginning of its target"
    for writer, expected in ((har.write, b"/a/b?c%E2%80%A6"), (curl.write, out_of_curl)):
        out = io.BytesIO()
        writer([exchange], out)
        assert expected in out.getvalue()
    with pytest.raises(NotSent, match="beginning of its target"):
        Sender("http://127.0.0.1:9").send(exchange)


def test_a_joined_connection_that_ends_inside_a_head_keeps_the_start_line() -> None:
    (exchange,) = joined((R, b"GET /x HTTP/1.1\r\nHos"), (R, "fin"), (S, "fin"))
    assert exchange.request is not None
    assert exchange.request.target == "/x"


def test_the_exchanges_of_a_joined_connection_are_complete_if_nothing_is_lost() -> None:
    for count in (1, 2, 3):
        found = joined(*[step for _ in range(count) for step in ((R, GET), (S, OK2))])
        assert [(e.completeness, e.problems) for e in found] == [("complete", ())] * count


def test_what_was_under_way_when_a_connection_was_joined_is_nobody_elses_answer() -> None:
    found = joined((R, GET), (S, OK2), (S, OK2), (R, GET), (S, OK2))
    assert not [e for e in found if e.complete]


def test_words_before_a_gap_in_the_middle_of_a_joined_connection_are_no_request() -> None:
    assert joined((R, b"the verb GET / is cut"), (R, 30), (R, "fin"), (S, "fin")) == []


def test_garbage_before_a_request_does_not_hide_the_response() -> None:
    heard = talk((R, b"\xdd\0\0\0 GET /txt HTTP/1.1\r\nHost: a\r\n\r\n"), (S, OK2), (R, "fin"), (S, "fin"))
    assert heard.pairs == [(None, 200)]
    assert heard.handover is None
    assert [(problem.code, problem.side, problem.length) for problem in heard.exchanges[0].problems] == [
        ("unframed", R, 35),
        ("request-lost", R, None),
    ]


def test_garbage_in_both_directions_is_no_http() -> None:
    heard = talk(
        (R, b"\xdd\0\0\0 GET /txt HTTP/1.1\r\n\r\n"), (S, b"\x01\x02\x03\x04\r\n"), (R, b"GET / HTTP/1.1\r\n\r\n")
    )
    assert heard.exchanges == []
    assert heard.handover is not None
    assert heard.handover.protocol == "unknown"


def test_an_answer_that_is_no_http_is_stated_on_the_request_that_waited() -> None:
    heard = talk((R, b"GET / HTTP/1.1\r\n\r\n"), (S, b"SSH-2.0-OpenSSH\r\nInvalid\r\n"), (S, "fin"))
    assert heard.pairs == [("/", None)]
    assert [(p.code, p.side, p.length) for p in heard.exchanges[0].problems] == [("unframed", S, 26)]


def test_every_exchange_of_a_connection_is_known_when_each_call_is_cut_after_32_bytes() -> None:
    """As a log of strace has it by default, with a server that reads the next request's first byte alone."""
    cut = Lost(60, "snaplen")
    steps: list[Step] = []
    for number in range(5):
        line = b"GET /bytes/%d HTTP/1.1\r\nHost: server" % number
        steps += [(R, line[:1]), (R, line[1:33]), (R, cut), (S, b"HTTP/1.1 200 OK\r\nContent-Length:"), (S, cut)]
    heard = talk(*steps, (R, "fin"), (S, "fin"))
    assert heard.pairs == [(f"/bytes/{number}", 200) for number in range(5)]
    assert heard.completeness == ["gap"] * 5
    assert [p.length for exchange in heard.exchanges for p in exchange.problems if p.code == "gap"] == [60] * 10
