"""Bombs end in bounded time and memory, are named, and what follows is still read."""

from __future__ import annotations

import gzip
import resource
import time
import tracemalloc
from collections.abc import Iterator

import pytest

from replay.exchange import Exchange
from replay.http1.connection import Http1Connection
from replay.http1.limits import (
    MAX_DECODED_BYTES,
    MAX_HEAD_BYTES,
    MAX_INFORMATIONAL,
    MAX_WAITING,
    MAX_WAITING_BYTES,
    OBJECT_WEIGHT,
)
from replay.stream import Bytes, Flow
from tests.http1.cases import GET, GET2, OK2, R, S
from tests.http1.talk import SERVER, Step, get, ok, talk

MIB = 1024 * 1024
SECONDS = 20  # of processor time; each takes under one on a quiet machine


def read(pieces: Iterator[tuple[Flow, bytes]], keep: bool = True) -> tuple[list[Exchange], int]:
    """The exchanges, and the peak of memory allocated meanwhile. Without `keep` only every 1000th exchange is kept."""
    reader = Http1Connection(SERVER)
    position = {R: 0, S: 0}
    exchanges: list[Exchange] = []
    started = time.process_time()
    tracemalloc.start()
    for flow, data in pieces:
        finished = reader.feed(flow, Bytes(position[flow], position[R] + position[S], data))
        position[flow] += len(data)
        exchanges += finished if keep else finished[:1]
    exchanges += reader.finish(10**9)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.process_time() - started < SECONDS
    return exchanges, peak


def flood(piece: bytes, times: int, size: int = 64 * 1024) -> Iterator[tuple[Flow, bytes]]:
    each = max(size // len(piece), 1)
    for _ in range(times // each):
        yield R, piece * each


def then_an_exchange() -> Iterator[tuple[Flow, bytes]]:
    yield from [(R, GET2), (S, OK2)]


def test_a_header_without_end() -> None:
    def pieces() -> Iterator[tuple[Flow, bytes]]:
        yield R, b"GET /1 HTTP/1.1\r\nA: "
        yield from flood(b"x", 32 * MIB)
        yield from then_an_exchange()

    exchanges, peak = read(pieces())
    assert [e.request.target for e in exchanges if e.request] == ["/1", "/2"]
    assert "head-too-large" in {problem.code for problem in exchanges[0].problems}
    assert peak < 8 * MIB


def test_a_million_header_fields() -> None:
    def pieces() -> Iterator[tuple[Flow, bytes]]:
        yield R, b"GET /1 HTTP/1.1\r\n"
        yield from flood(b"A: b\r\n", 1_000_000)
        yield R, b"\r\n"
        yield from then_an_exchange()

    exchanges, peak = read(pieces())
    assert [e.request.target for e in exchanges if e.request] == ["/1", "/2"]
    assert "head-too-large" in {problem.code for problem in exchanges[0].problems}
    assert peak < 64 * MIB


def test_a_line_without_end_that_looks_like_a_request() -> None:
    def pieces() -> Iterator[tuple[Flow, bytes]]:
        yield R, b"GET /"
        yield from flood(b"x", 32 * MIB)
        yield from then_an_exchange()

    exchanges, peak = read(pieces())
    assert [e.request.target for e in exchanges if e.request][-1] == "/2"
    assert peak < 8 * MIB


def test_a_flood_of_pipelined_requests() -> None:
    count = 12_000  # tracemalloc makes a million take minutes; the memory does not grow with the number

    def pieces() -> Iterator[tuple[Flow, bytes]]:
        yield from flood(b"GET / HTTP/1.1\r\n\r\n", count)

    exchanges, peak = read(pieces(), keep=False)
    assert exchanges[-1].completeness == "open"
    assert {"too-many-waiting"} == {problem.code for problem in exchanges[0].problems}
    assert peak < 64 * MIB


def test_requests_of_many_small_fields_that_wait_are_bounded_by_what_they_take() -> None:
    """Six bytes of a field are two hundred in memory, and so are its problems."""
    for line in (b"A: b\r\n", b" c\r\n"):
        count = MAX_HEAD_BYTES // len(line) - 10
        head = b"GET / HTTP/1.1\r\nA: b\r\n" + line * count + b"\r\n"
        room = MAX_WAITING_BYTES // (count * OBJECT_WEIGHT)
        reader = Http1Connection(SERVER)
        found = [e for n in range(room + 2) for e in reader.feed("request", Bytes(n * len(head), n, head))]
        assert 1 <= len(found) <= 3
        assert found[0].problems[-1].code in ("too-many-waiting", "more-problems")


def test_responses_to_requests_that_waited_too_long_are_not_given_to_others() -> None:
    heard = talk((R, GET * MAX_WAITING + GET2 * 2), (S, OK2.replace(b"200", b"201") * 3), (S, OK2))
    assert heard.pairs[:5] == [("/1", None), ("/1", None), (None, 201), (None, 201), ("/1", 201)]
    assert ("/1", 200) in heard.pairs


def test_a_flood_of_interim_responses() -> None:
    def pieces() -> Iterator[tuple[Flow, bytes]]:
        yield R, GET
        for _ in range(300):
            yield S, b"HTTP/1.1 102 Processing\r\n\r\n" * 100
        yield S, OK2

    (exchange,), peak = read(pieces())
    assert exchange.complete
    assert exchange.response is not None
    assert len(exchange.response.informational) == MAX_INFORMATIONAL
    assert [problem.code for problem in exchange.problems] == ["more-interim"]
    assert peak < 4 * MIB


def test_a_flood_of_responses_that_nobody_asked_for() -> None:
    def pieces() -> Iterator[tuple[Flow, bytes]]:
        for _ in range(120):
            yield S, OK2 * 100

    exchanges, peak = read(pieces(), keep=False)
    assert exchanges[0].completeness == "response-only"
    assert peak < 32 * MIB


def test_losses_in_every_exchange_cost_no_more_the_more_there_are() -> None:
    """Nothing of what is in doubt is kept for ever."""

    def cost(count: int) -> float:
        lossy: list[Step] = [(R, GET), (S, 300), (S, OK2), (R, 60)]
        started = time.process_time()
        assert len(talk(*lossy * count).exchanges) >= count
        return time.process_time() - started

    assert cost(2000) < max(cost(500) * 16, 2)


def test_a_flood_of_chunks_of_one_byte() -> None:
    def pieces() -> Iterator[tuple[Flow, bytes]]:
        yield R, GET
        yield S, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        for _ in range(2):
            yield S, b"1\r\nx\r\n" * 10_000
        yield S, b"0\r\n\r\n"
        yield from then_an_exchange()

    exchanges, peak = read(pieces())
    assert exchanges[0].response is not None
    assert exchanges[0].response.body.size == 20_000
    assert peak < 4 * MIB


def test_a_body_of_a_gibibyte_is_hashed_and_not_kept() -> None:
    piece = bytes(MIB)

    def pieces() -> Iterator[tuple[Flow, bytes]]:
        yield R, GET
        yield S, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (256 * MIB)
        for _ in range(256):
            yield S, piece
        yield from then_an_exchange()

    exchanges, peak = read(pieces())
    assert [e.completeness for e in exchanges] == ["complete", "complete"]
    assert exchanges[0].response is not None
    assert exchanges[0].response.body.size == 256 * MIB
    assert "body-not-kept" in {problem.code for problem in exchanges[0].problems}
    assert peak < 64 * MIB


def test_gzip_of_gzip_of_zeros() -> None:
    bomb = gzip.compress(gzip.compress(bytes(128 * MIB), 9), 9)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    heard = talk(get(), ok(bomb, 200, "Content-Encoding: gzip, gzip"), get("/2"), ok())
    assert heard.exchanges[0].response is not None
    decoded = heard.exchanges[0].response.body.decoded
    assert decoded is not None
    assert len(decoded) <= MAX_DECODED_BYTES
    assert "coding-error" in heard.codes[0]
    assert heard.pairs[1] == ("/2", 200)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 256 * 1024  # KiB


@pytest.mark.parametrize("piece", [b"\r\n", b"GET", b"GET / ", b"HTTP/1.1 200", b"\n", b"GET / HTTP/1.1\r\nA"])
@pytest.mark.parametrize("lost", [True, False])
def test_no_repetition_is_quadratic(piece: bytes, lost: bool) -> None:
    """Hostile repetitions in small reads, in step and after a loss."""

    def pieces(size: int) -> Iterator[tuple[Flow, bytes]]:
        yield R, GET + (b"\x01" if lost else b"")
        for _ in range(size):
            yield R, piece * 40

    def cost(size: int) -> float:
        started = time.process_time()
        read(pieces(size))
        return time.process_time() - started

    assert cost(800) < max(cost(200) * 16, 2)


def test_heads_just_under_the_bound_are_read() -> None:
    fields = b"A: b\r\n" * ((MAX_HEAD_BYTES - 100) // 6)
    heard = talk((R, b"GET /1 HTTP/1.1\r\n" + fields + b"\r\n"), (S, OK2))
    assert heard.completeness == ["complete"]
    assert heard.codes == [[]]


def test_what_was_handed_out_weighs_nothing_any_more() -> None:
    """Released or answered, each request is taken off once: otherwise the bound would drift away."""
    reader = Http1Connection(SERVER)
    asked = GET * (MAX_WAITING + 10)
    reader.feed(R, Bytes(0, 1, asked))
    reader.feed(S, Bytes(0, 2, OK2 * 20))
    assert reader.pairing._weight > 0
    reader.finish(10**9)
    assert reader.pairing._weight == 0
