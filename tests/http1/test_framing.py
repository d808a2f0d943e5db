"""RFC 9112 §6.3, step by step: which body follows which head."""

from __future__ import annotations

from tests.http1.talk import answered, asked, get, ok, talk


def test_step_1_a_response_to_head_has_no_body_whatever_its_length_says() -> None:
    """§6.3 step 1."""
    heard = talk(get("/1", method="HEAD"), answered(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), get("/2"), ok())
    assert heard.pairs == [("/1", 200), ("/2", 200)]
    assert heard.completeness == ["complete", "complete"]
    first = heard.exchanges[0].response
    assert first is not None
    assert first.body.size == 0


def test_step_1_a_pipelined_head_among_gets() -> None:
    """§6.3 step 1: the request must be known before its response is framed."""
    heard = talk(
        asked(b"GET /1 HTTP/1.1\r\n\r\nHEAD /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\n\r\n"),
        answered(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"),
        answered(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nc"),
    )
    assert [e.response and e.response.body.data for e in heard.exchanges] == [b"a", b"", b"c"]


def test_step_8_a_response_without_length_ends_with_the_connection() -> None:
    """§6.3 step 8."""
    heard = talk(get(), answered(b"HTTP/1.1 200 OK\r\n\r\n"), answered(b"abc"), ("response", "fin"))
    assert heard.completeness == ["complete"]
    response = heard.exchanges[0].response
    assert response is not None
    assert response.body.data == b"abc"


def test_step_8_a_reset_is_no_orderly_end() -> None:
    """§6.3 step 8 and §8: a response ended by a reset is incomplete."""
    assert talk(get(), answered(b"HTTP/1.1 200 OK\r\n\r\nabc"), ("response", "reset")).completeness == [
        "truncated-by-close"
    ]
    assert talk(get(), answered(b"HTTP/1.1 200 OK\r\n\r\nabc")).completeness == ["truncated-by-end"]


def test_several_interim_responses_come_before_the_final_one() -> None:
    """RFC 9110 §15.2."""
    heard = talk(
        get(),
        answered(b"HTTP/1.1 100 Continue\r\n\r\n"),
        answered(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
        ok(),
    )
    response = heard.exchanges[0].response
    assert response is not None
    assert [(i.status, i.time) for i in response.informational] == [(100, 20), (103, 30)]
    assert heard.exchanges[0].wait_ns == 30


def test_chunks_are_undone_and_trailers_kept_apart() -> None:
    """§7.1."""
    heard = talk(
        get(),
        answered(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n00\r\nDigest: z\r\n\r\n"),
        get("/2"),
        ok(),
    )
    response = heard.exchanges[0].response
    assert response is not None
    assert response.body.data == b"hello"
    assert response.trailers == (("Digest", "z"),)
    assert heard.pairs == [("/", 200), ("/2", 200)]
