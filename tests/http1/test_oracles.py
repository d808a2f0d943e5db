"""What httptools and h11 support, they and we read alike: the same heads and bodies of the same bytes."""

from __future__ import annotations

import itertools
from typing import Any

import h11
import httptools
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.http1.talk import answered, asked, talk

NAMES = st.from_regex(r"X-[A-Za-z0-9-]{1,8}", fullmatch=True)
VALUES = st.from_regex(r"([!-~]([ -~]{0,12}[!-~])?)?", fullmatch=True)
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=4)
TARGETS = st.from_regex(r"/[A-Za-z0-9/._~%-]{0,12}(\?[a-z=&]{0,8})?", fullmatch=True)
METHODS = st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])


def with_body(start: str, fields: list[tuple[str, str]], body: bytes, cuts: list[int] | None) -> bytes:
    """A message with a Content-Length, or in chunks of the given sizes."""
    lines = [start, "Host: h", *(f"{name}: {value}" for name, value in fields)]
    if cuts is None:
        return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body
    head = "\r\n".join([*lines, "Transfer-Encoding: chunked", "", ""]).encode()
    edges = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    pieces = [body[a:b] for a, b in itertools.pairwise(edges)]
    return head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece) + b"0\r\n\r\n"


REQUESTS = st.builds(
    lambda method, target, fields, body, cuts: with_body(f"{method} {target} HTTP/1.1", fields, body, cuts),
    METHODS,
    TARGETS,
    FIELDS,
    st.binary(max_size=40),
    st.none() | st.lists(st.integers(0, 40), max_size=3),
)
RESPONSES = st.builds(
    lambda status, fields, body, cuts: with_body(f"HTTP/1.1 {status} Reason", fields, body, cuts),
    st.sampled_from([200, 201, 301, 404, 500]),
    FIELDS,
    st.binary(max_size=40),
    st.none() | st.lists(st.integers(0, 40), max_size=3),
)


class Collector:
    """What httptools calls back."""

    def __init__(self) -> None:
        self.messages: list[tuple[bytes, list[tuple[bytes, bytes]], bytes]] = []

    def on_message_begin(self) -> None:
        self.url, self.headers, self.body = b"", [], b""

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.messages.append((self.url, self.headers, self.body))


def ours(message: Any) -> tuple[list[tuple[bytes, bytes]], bytes]:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in message.headers]
    return headers, message.body.data


@given(st.lists(REQUESTS, min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_pipelined_requests_are_read_as_httptools_reads_them(requests: list[bytes]) -> None:
    collector = Collector()
    httptools.HttpRequestParser(collector).feed_data(b"".join(requests))
    heard = talk(asked(b"".join(requests)))
    assert [(e.request.target.encode(), *ours(e.request)) for e in heard.exchanges if e.request] == collector.messages
    assert heard.codes == [[]] * len(requests)


@given(st.lists(RESPONSES, min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_responses_are_read_as_httptools_reads_them(responses: list[bytes]) -> None:
    collector = Collector()
    httptools.HttpResponseParser(collector).feed_data(b"".join(responses))
    heard = talk(asked(b"GET / HTTP/1.1\r\n\r\n" * len(responses)), answered(b"".join(responses)))
    assert [ours(e.response) for e in heard.exchanges if e.response] == [m[1:] for m in collector.messages]
    assert all(e.complete for e in heard.exchanges)


def read_with_h11(client: h11.Connection) -> list[Any]:
    seen: list[Any] = []
    while True:
        event = client.next_event()
        if event is h11.NEED_DATA or isinstance(event, (h11.PAUSED, h11.ConnectionClosed)):
            return seen
        seen.append(event)
        if isinstance(event, h11.EndOfMessage):
            return seen


@given(METHODS | st.just("HEAD"), st.sampled_from([200, 204, 304, 404]), FIELDS, st.binary(min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_a_response_is_framed_by_its_request_as_h11_frames_it(
    method: str, status: int, fields: list[tuple[str, str]], body: bytes
) -> None:
    """RFC 9112 §6.3(1), seen by a client that knows what it asked."""
    bodiless = method == "HEAD" or status in (204, 304)
    raw = with_body(f"HTTP/1.1 {status} Reason", fields, body, None)
    raw = raw[: len(raw) - len(body)] if bodiless else raw
    client = h11.Connection(h11.CLIENT)
    sent = client.send(h11.Request(method=method, target="/", headers=[("Host", "h")]))
    sent = (sent or b"") + (client.send(h11.EndOfMessage()) or b"")
    client.receive_data(raw)
    seen = read_with_h11(client)
    heard = talk(asked(sent), answered(raw))
    response = heard.exchanges[0].response
    assert response is not None
    assert response.status == seen[0].status_code
    assert [(n.lower().encode(), v.encode()) for n, v in response.headers] == [tuple(h) for h in seen[0].headers]
    assert response.body.data == b"".join(bytes(e.data) for e in seen if isinstance(e, h11.Data))
    assert heard.exchanges[0].complete == isinstance(seen[-1], h11.EndOfMessage)


@given(REQUESTS, st.integers(0, 400))
@settings(max_examples=60, deadline=None)
def test_a_request_that_is_cut_is_whole_for_both_or_for_neither(request: bytes, cut: int) -> None:
    """RFC 9112 §8."""
    server = h11.Connection(h11.SERVER)
    server.receive_data(request[:cut])
    whole = any(isinstance(event, h11.EndOfMessage) for event in read_with_h11(server))
    heard = talk(asked(request[:cut]), ("request", "fin"), ("response", "fin"))
    assert whole == any(
        e.completeness == "request-only" and "missing-last-crlf" not in c
        for e, c in zip(heard.exchanges, heard.codes, strict=True)
    )
