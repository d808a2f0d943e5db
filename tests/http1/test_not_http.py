"""What is not HTTP/1 gives no exchange and is called what it looks like."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.recognise import recognise
from tests.http1.cases import GET, OK2, R, S, request
from tests.http1.talk import talk

FIRST_BYTES = [
    ("tls", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    ("http/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x12\x04\0"),
    ("proxy-protocol", b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\nGET / HTTP/1.1\r\n\r\n"),
    ("proxy-protocol", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c"),
    ("ssh", b"SSH-2.0-OpenSSH_9.2\r\n"),
    ("smtp", b"220 mail.example.org ESMTP Postfix\r\n"),
    ("smtp", b"EHLO client.example.org\r\n"),
    ("ftp", b"220 (vsFTPd 3.0.3)\r\n"),
    ("pop3", b"+OK ready\r\n"),
    ("imap", b"* OK IMAP4rev1 ready\r\n"),
    ("memcached", b"get key\r\n"),
    ("memcached", b"set key 0 0 5\r\nhello\r\n"),
    ("memcached", b"\x80\x00\x00\x03"),
    ("redis", b"*1\r\n$4\r\nPING\r\n"),
    ("rtsp", b"OPTIONS rtsp://h/a RTSP/1.0\r\nCSeq: 1\r\n\r\n"),
    ("sip", b"INVITE sip:bob@h SIP/2.0\r\n\r\n"),
    ("unknown", b"\x00\x01\x02\x03 GET / HTTP/1.1\r\n\r\n"),
]
HTTP = [
    b"GET / HTTP/1.1\r\n",
    b"\r\nPOST /a b HTTP/1.0\r\n",
    b"get / HTTP/1.1\r\n",
    b"GET /\r\n",
    b"HTTP/1.1 200 OK\r\n",
]


@pytest.mark.parametrize(("protocol", "first"), FIRST_BYTES)
def test_first_bytes_are_recognised(protocol: str, first: bytes) -> None:
    assert recognise(first) == protocol


@pytest.mark.parametrize("first", HTTP)
def test_http1_is_recognised_with_its_oddities(first: bytes) -> None:
    assert recognise(first) == "http/1"


@pytest.mark.parametrize("first", [b"G", b"GET", b"GET /", b"HTTP/1.", b"SSH", b"PROXY", b"PRI * ", b"\x16", b"\r\n"])
def test_a_beginning_is_undecided(first: bytes) -> None:
    assert recognise(first) == "undecided"


def test_nothing_is_empty() -> None:
    assert recognise(b"") == "empty"


@given(st.binary(max_size=64))
def test_a_verdict_once_given_stays(seen: bytes) -> None:
    """More bytes never change a verdict other than "undecided"."""
    verdicts = [recognise(seen[:length]) for length in range(1, len(seen) + 1)]
    decided = [verdict for verdict in verdicts if verdict != "undecided"]
    assert "unknown" not in decided or decided[-1] == "unknown" or decided[0] != "unknown"


@pytest.mark.parametrize(
    ("protocol", "first"), [row for row in FIRST_BYTES if row[1][:3] not in (b"220", b"+OK", b"* O")]
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_client_that_does_not_speak_http_makes_no_exchange(protocol: str, first: bytes, size: int) -> None:
    pieces = [(R, first[at : at + size]) for at in range(0, len(first), size)]
    heard = talk(*pieces, (S, b"\x15\x03\x01 anything\r\n"), (R, GET), (S, OK2))
    assert heard.exchanges == []
    assert heard.handover is not None
    assert heard.handover.cause == "not-http"
    if size == 1000 and not first.startswith(b"\r\n"):  # whose empty lines HTTP/1 skips
        assert heard.handover.protocol == protocol


@pytest.mark.parametrize("banner", [b"220 mail ESMTP\r\n", b"SSH-2.0-x\r\n", b"+OK ready\r\n"])
def test_a_server_that_speaks_first_makes_no_exchange(banner: bytes) -> None:
    heard = talk((S, banner), (R, b"EHLO me\r\n"), (S, b"250 ok\r\n"))
    assert heard.exchanges == []
    assert heard.handover is not None


def test_a_stream_of_garbage_is_unknown() -> None:
    heard = talk((R, bytes(range(256)) * 10), (S, b"\0\1\2"))
    assert heard.exchanges == []
    assert heard.handover is not None
    assert heard.handover.protocol == "unknown"


def test_upgrade_and_connect_hand_over_where_the_next_protocol_begins() -> None:
    """RFC 9110 §7.8, §9.3.6."""
    ask = b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"
    answer = b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\n\r\n"
    heard = talk((R, ask), (S, answer + b"\x81\x00"), (R, b"GET / HTTP/1.1\r\n\r\n"))
    assert heard.handover is not None
    assert heard.handover.protocol == "websocket"
    assert (heard.handover.request_position, heard.handover.response_position) == (len(ask), len(answer))
    assert heard.pairs == [("/ws", 101)]
    heard = talk((R, b"CONNECT h:1 HTTP/1.1\r\n\r\n" + GET), (S, b"HTTP/1.1 204 N\r\n\r\n" + OK2))
    assert heard.handover is not None
    assert (heard.handover.protocol, heard.handover.request_position, heard.handover.response_position) == (
        "tunnel",
        24,
        18,
    )
    assert heard.pairs == [("h:1", 204)]


def test_the_next_protocol_begins_behind_the_request_that_asked_for_it() -> None:
    """RFC 9110 §7.8, also where the 101 came before the request's end."""
    ask = request(b"PUT /1 HTTP/1.1", b"Upgrade: x", b"Content-Length: 5", body=b"abcde")
    answer = b"HTTP/1.1 101 S\r\n\r\n"
    for cut in (3, 20, len(ask) - 2, len(ask)):
        heard = talk((R, ask[:cut]), (S, answer + b"xyz"), (R, ask[cut:] + b"abc"))
        assert heard.handover is not None
        assert (heard.handover.request_position, heard.handover.response_position) == (len(ask), len(answer))


def test_requests_taken_before_the_101_belong_to_the_next_protocol() -> None:
    ask = b"GET /ws HTTP/1.1\r\nUpgrade: x\r\n\r\n"
    heard = talk((R, ask + GET), (S, b"HTTP/1.1 101 S\r\n\r\n"))
    assert heard.pairs == [("/ws", 101)]
    assert heard.handover is not None
    assert heard.handover.request_position == len(ask)
