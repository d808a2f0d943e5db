"""Timing: what is measured from which byte to which, seen from either side."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from replay.exchange import Connection
from replay.http1.connection import Http1Connection
from replay.stream import Bytes, Eof, Flow, Gap
from tests.http1.talk import SERVER

CLIENT = replace(SERVER, side="client")


@pytest.mark.parametrize("connection", [SERVER, CLIENT])
def test_phases_are_measured_between_the_bytes_that_bound_them(connection: Connection) -> None:
    reader = Http1Connection(connection, None, 1_000_000)
    steps: list[tuple[Flow, int, bytes]] = [
        ("request", 100, b"PUT / HTTP/1.1\r\n"),
        ("request", 130, b"Content-Length: 3\r\n\r\na"),
        ("request", 180, b"b"),
        ("request", 190, b"c"),
        ("response", 200, b"HTTP/1.1 102 Processing\r\n\r\n"),
        ("response", 260, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"),
        ("response", 300, b"o"),
        ("response", 310, b"k"),
    ]
    position = {"request": 0, "response": 0}
    exchanges = []
    for flow, time, data in steps:
        exchanges += reader.feed(flow, Bytes(position[flow], time, data))
        position[flow] += len(data)
    (exchange,) = exchanges
    assert exchange.started_at == 1_000_100
    assert (exchange.request_ns, exchange.wait_ns, exchange.response_ns, exchange.duration_ns) == (90, 70, 50, 210)
    assert exchange.request is not None
    assert exchange.response is not None
    assert [interim.time for interim in exchange.response.informational] == [200]
    assert (exchange.request.longest_stall_ns, exchange.request.longest_stall_position) == (50, 38)
    assert (exchange.response.longest_stall_ns, exchange.response.longest_stall_position) == (40, 65)


def test_where_the_ends_of_messages_are_lost_the_times_are_those_of_what_was_seen() -> None:
    """And the gaps say so: a hole is noticed later than its bytes passed, so that its time is nobody's."""
    reader = Http1Connection(SERVER)
    head = b"PUT / HTTP/1.1\r\nContent-Length: 10\r\n\r\n"
    reader.feed("request", Bytes(0, 100, head))
    reader.feed("request", Bytes(len(head), 120, b"abc"))
    reader.feed("request", Gap(len(head) + 3, 150, 7, "ring-full"))
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabcde"
    reader.feed("response", Bytes(0, 170, answer))
    (exchange,) = reader.feed("response", Gap(len(answer), 900, 5, "ring-full"))
    assert (exchange.request_ns, exchange.wait_ns, exchange.response_ns, exchange.duration_ns) == (20, 50, 0, 70)
    assert exchange.completeness == "gap"
    assert [(problem.side, problem.length) for problem in exchange.problems] == [("request", 7), ("response", 5)]


def test_a_response_that_begins_in_a_loss_is_timed_from_its_first_byte_that_was_seen() -> None:
    """Its start line came in two reads, the second of which made it known."""
    reader = Http1Connection(SERVER)
    request = b"GET /1 HTTP/1.1\r\n\r\n"
    reader.feed("request", Bytes(0, 100, request + request))
    reader.feed("response", Gap(0, 200, 300, "ring-full"))
    reader.feed("response", Bytes(300, 200, b"HTTP/1.1 20"))
    reader.feed("response", Bytes(311, 250, b"4 No\r\n\r\n"))
    found = reader.finish(1000)
    assert [(e.response.first_byte_time, e.response.last_byte_time) for e in found if e.response] == [(200, 250)]


def test_an_early_response_waits_for_nothing() -> None:
    """RFC 9110 §7.5: the response begins before the request has ended."""
    reader = Http1Connection(SERVER)
    reader.feed("request", Bytes(0, 10, b"PUT / HTTP/1.1\r\nContent-Length: 1\r\n\r\n"))
    reader.feed("response", Bytes(0, 20, b"HTTP/1.1 204 No\r\n\r\n"))
    (exchange,) = reader.feed("request", Bytes(37, 50, b"x"))
    assert (exchange.wait_ns, exchange.request_ns, exchange.duration_ns) == (0, 40, 40)


@pytest.mark.parametrize(
    ("connection", "how", "completeness"),
    [
        (SERVER, "fin", "complete"),
        (SERVER, "close", "complete"),
        (SERVER, "process-exit", "complete"),
        (SERVER, "reset", "truncated-by-close"),
        (SERVER, "end-of-capture", "truncated-by-end"),
        (CLIENT, "fin", "complete"),
        (CLIENT, "close", "truncated-by-close"),
        (CLIENT, "process-exit", "truncated-by-close"),
    ],
)
def test_a_body_until_close_is_whole_if_its_sender_ended_it(
    connection: Connection, how: str, completeness: str
) -> None:
    """§6.3 step 8: the traced process is the sender of responses on the server's side only."""
    reader = Http1Connection(connection)
    reader.feed("request", Bytes(0, 10, b"GET / HTTP/1.0\r\n\r\n"))
    reader.feed("response", Bytes(0, 20, b"HTTP/1.0 200 OK\r\n\r\nabc"))
    (exchange,) = reader.feed("response", Eof(22, 30, how))  # type: ignore[arg-type]
    assert exchange.completeness == completeness
