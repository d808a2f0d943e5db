"""A line with large bodies, put together from pieces, is the line of the document, byte for byte."""

from __future__ import annotations

import gzip
import io
import random
from base64 import b64decode

import msgspec
import pytest

from replay.document import to_document
from replay.exchange import Exchange
from replay.output import jsonl
from replay.output.long_line import LARGE, PIECE, pieces
from tests.http1.talk import talk

ANY = random.Random(7).randbytes(5 * PIECE + 1)
TEXT = bytes(32 + byte % 95 for byte in ANY)
BODIES = {
    "empty": b"",
    "small": b"a" * LARGE,
    "ASCII": TEXT,
    "ASCII with all its control characters": bytes(range(128)) * 2000,
    "whole pieces": b"0" * 3 * PIECE,
    "letters of two bytes across the edges of pieces": b"x" + "\u00e9".encode() * PIECE,
    "letters beyond 16 bits": "\U0001f600\u2028\uffff\0".encode() * PIECE,
    "bytes that are no text": ANY,
    "in another charset": "gr\u00fc\u00dfe ".encode("latin-1") * PIECE,
}


def exchange(asked: bytes, answered: bytes, fields: bytes = b"") -> Exchange:
    request = b"POST /x HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(asked), asked)
    response = b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (fields, len(answered), answered)
    (found,) = talk(("request", request), ("response", response)).exchanges
    return found


def assert_same(item: Exchange) -> None:
    expected = msgspec.json.encode(to_document(item)) + b"\n"
    out = io.BytesIO()
    jsonl.write([item], out)
    assert out.getvalue() == b"".join(pieces(item)) == jsonl.encoder(out)(item) == expected


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("fields", [b"", b"Content-Type: text/plain; charset=latin-1\r\n"], ids=["bare", "latin-1"])
def test_a_large_body_of_any_kind_on_either_side(body: bytes, fields: bytes) -> None:
    assert_same(exchange(b"", body, fields))
    assert_same(exchange(body, b"no", fields))
    assert_same(exchange(body, TEXT, fields))


@pytest.mark.parametrize("content", [TEXT, ANY], ids=["text", "no text"])
def test_a_body_with_a_coding_stands_as_it_came_and_undone(content: bytes) -> None:
    coded = gzip.compress(content, 1)
    item = exchange(TEXT, coded, b"Content-Encoding: gzip\r\n")
    assert_same(item)
    line = msgspec.json.decode(b"".join(pieces(item)))
    assert b64decode(line["response"]["body"]["raw"]) == coded


def test_no_piece_is_as_large_as_the_body() -> None:
    sizes = [len(piece) for piece in pieces(exchange(TEXT, ANY))]
    assert sum(sizes) > len(TEXT) + len(ANY)
    assert max(sizes) < 2 * PIECE
