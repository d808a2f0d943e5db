"""The line put together from pieces is the line of the document, byte for byte."""

from __future__ import annotations

import io
from itertools import chain
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from replay.document import to_document
from replay.exchange import Body, Exchange
from replay.output import jsonl
from replay.output.usual_line import MAX_PIECES, UsualLines
from replay.pipeline import exchanges
from replay.source import recordings
from tests.http1.cases import CASES
from tests.http1.talk import talk

FIXTURES = sorted((Path(__file__).parents[2] / "fixtures").glob("*.cap"))
GET = b'GET /caf%C3%A9?q=\\"<> HTTP/1.1\r\nHost: h\r\nX-Latin: gr\xfc\xdf "quoted"\r\n\r\n'
OK = b"HTTP/1.1 200 Gr\xfc\xdf\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b"


def usual(body: bytes = b"hello") -> Exchange:
    (exchange,) = talk(("request", GET), ("response", OK % (len(body), body))).exchanges
    return exchange


def document_line(item: object) -> bytes:
    return msgspec.json.encode(to_document(item)) + b"\n"  # type: ignore[arg-type]


@pytest.mark.parametrize("path", FIXTURES, ids=[path.stem for path in FIXTURES])
def test_the_lines_of_every_fixture_are_those_of_its_documents(path: Path) -> None:
    encode = jsonl.encoder(io.BytesIO())
    for item in exchanges(recordings([str(path)])[0]):
        assert encode(item) == document_line(item)


def test_the_lines_of_every_case_are_those_of_its_documents() -> None:
    encode = jsonl.encoder(io.BytesIO())
    for item in chain.from_iterable(talk(*case.steps).exchanges for case in CASES):
        assert encode(item) == document_line(item)


@settings(deadline=None)
@given(body=st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_any_body_makes_the_same_line(body: bytes) -> None:
    exchange = usual(body)
    assert jsonl.encoder(io.BytesIO())(exchange) == document_line(exchange)


@given(started_at=st.integers(-(10**18), 4 * 10**18))
def test_any_time_makes_the_same_line(started_at: int) -> None:
    exchange = replace(usual(), started_at=started_at)
    line = UsualLines().line(exchange)
    assert line == document_line(exchange)


def test_a_usual_exchange_takes_the_way_of_pieces() -> None:
    assert UsualLines().line(usual()) is not None


@pytest.mark.parametrize(
    "body",
    [
        Body(5, 4, b"hell", "0" * 64, gaps=((4, 1),)),
        Body(5, 5, b"hell", "0" * 64),
        Body(1, 1, b"\xff", "0" * 64),
        Body(70_000, 70_000, b"a" * 70_000, "0" * 64),
        Body(5, 5, b"hello", "0" * 64, decoded=b"hi", content_encoding="gzip", decoded_size=2),
        Body(5, 5, b"hello", "0" * 64, content_encoding="cow"),
    ],
)
def test_a_body_that_is_not_text_as_it_stands_is_left_to_the_document(body: Body) -> None:
    exchange = usual()
    assert exchange.response is not None
    unusual = replace(exchange, response=replace(exchange.response, body=body))
    assert UsualLines().line(unusual) is None
    assert jsonl.encoder(io.BytesIO())(unusual) == document_line(unusual)


def test_more_pieces_than_are_kept_and_other_facts_under_the_same_id_make_no_wrong_line() -> None:
    lines = UsualLines()
    for number in range(MAX_PIECES + 10):
        exchange = usual()
        assert exchange.request is not None
        changed = replace(exchange, request=replace(exchange.request, headers=(("N", str(number)),)))
        assert lines.line(changed) == document_line(changed)


@pytest.mark.parametrize("stall", [0, 1, 3_000_000_000])
def test_a_pause_in_the_response_stands_in_the_line(stall: int) -> None:
    exchange = usual()
    assert exchange.response is not None
    paused = replace(exchange, response=replace(exchange.response, longest_stall_ns=stall))
    assert UsualLines().line(paused) == document_line(paused)
