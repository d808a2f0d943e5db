"""RFC 9110 §8.4: content codings are undone beside the body, never instead of it, within bounds."""

from __future__ import annotations

import gzip
import hashlib
import zlib

import brotli
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from replay.exchange import Body
from replay.http1.codings import CODINGS, decode
from replay.http1.limits import MAX_DECODED_BYTES
from tests.http1.talk import Talk, get, ok, talk

TEXT = b"what was said, and said again, and said again" * 20


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


ENCODERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd.compress,
}


def body_of(heard: Talk) -> Body:
    response = heard.exchanges[0].response
    assert response is not None
    return response.body


@pytest.mark.parametrize("coding", ENCODERS)
def test_a_coding_is_undone_and_the_raw_bytes_stay(coding: str) -> None:
    coded = ENCODERS[coding](TEXT)
    body = body_of(talk(get(), ok(coded, 200, f"Content-Encoding: {coding.upper()}")))
    assert (body.data, body.decoded, body.content_encoding, body.decoded_size) == (coded, TEXT, coding, len(TEXT))
    assert body.sha256 == hashlib.sha256(coded).hexdigest()


def test_deflate_without_its_zlib_wrapper() -> None:
    """RFC 9110 §8.4.1.2, note."""
    assert decode(raw_deflate(TEXT), ("deflate",)) == (TEXT, "")


def test_layers_are_undone_from_the_outside() -> None:
    coded = brotli.compress(gzip.compress(TEXT))
    assert body_of(talk(get(), ok(coded, 200, "Content-Encoding: gzip, br"))).decoded == TEXT


def test_a_transfer_coding_is_undone_after_the_chunks() -> None:
    """RFC 9112 §7.2."""
    coded = gzip.compress(TEXT)
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(coded), coded)
    body = body_of(talk(get(), ("response", raw)))
    assert (body.data, body.decoded, body.content_encoding) == (coded, TEXT, "")


@pytest.mark.parametrize("coding", ENCODERS)
def test_a_wrong_label_is_a_note(coding: str) -> None:
    heard = talk(get(), ok(b"plain text, no coding at all", 200, f"Content-Encoding: {coding}"))
    assert body_of(heard).decoded is None
    assert heard.codes == [["coding-error"]]
    assert heard.exchanges[0].complete


@pytest.mark.parametrize("coding", ENCODERS)
def test_a_cut_body_is_decoded_as_far_as_it_goes(coding: str) -> None:
    data = hashlib.sha256(b"x").digest() * 3000 + bytes(range(256)) * 100
    coded = ENCODERS[coding](data)
    decoded, remark = decode(coded[: len(coded) * 9 // 10], (coding,))
    assert decoded is not None
    assert data.startswith(decoded)
    assert remark


def test_an_unknown_coding_and_too_many_layers_are_notes() -> None:
    assert decode(b"x", ("cow",)) == (None, "unknown coding 'cow'")
    assert decode(b"x", ("gzip",) * 9) == (None, "9 layers of coding")


def test_identity_is_no_coding() -> None:
    body = body_of(talk(get(), ok(b"ok", 200, "Content-Encoding: identity")))
    assert (body.decoded, body.content_encoding) == (None, "")


def test_a_body_with_a_hole_is_decoded_up_to_it() -> None:
    coded = gzip.compress(bytes(range(256)) * 50, 0)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(coded)
    heard = talk(get(), ("response", head + coded[:5000]), ("response", 100), ("response", coded[5100:]))
    decoded = body_of(heard).decoded
    assert decoded is not None
    assert (bytes(range(256)) * 50).startswith(decoded)
    assert len(decoded) > 4000
    assert "coding-error" in heard.codes[0]


@pytest.mark.parametrize("coding", ENCODERS)
def test_output_is_bounded(coding: str) -> None:
    bomb = ENCODERS[coding](bytes(MAX_DECODED_BYTES + 1000))
    decoded, remark = decode(bomb, (coding,))
    assert decoded is not None
    assert len(decoded) == MAX_DECODED_BYTES
    assert "cut" in remark


def test_gzip_of_gzip_of_zeros_is_bounded() -> None:
    bomb = gzip.compress(gzip.compress(bytes(8 * MAX_DECODED_BYTES)))
    decoded, remark = decode(bomb, ("gzip", "gzip"))
    assert decoded is not None
    assert len(decoded) <= MAX_DECODED_BYTES
    assert remark


@given(st.binary(max_size=300), st.sampled_from(sorted(CODINGS)))
def test_no_bytes_raise(data: bytes, coding: str) -> None:
    decoded, remark = decode(data, (coding,))
    assert decoded is not None or remark or not data


@given(st.binary(max_size=2000), st.lists(st.sampled_from(sorted(ENCODERS)), max_size=4))
def test_what_was_coded_comes_back(data: bytes, codings: list[str]) -> None:
    coded = data
    for coding in codings:
        coded = ENCODERS[coding](coded)
    assert decode(coded, tuple(codings)) == (data, "")
