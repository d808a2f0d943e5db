"""Any order of the two directions' reads that causality allows gives the same exchanges."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.http1.talk import Step, answered, asked, talk


@st.composite
def pipelined(draw: st.DrawFn) -> tuple[list[bytes], list[bytes]]:
    """Requests and their responses, of all framings."""
    requests, responses = [], []
    for number in range(draw(st.integers(1, 5))):
        method = draw(st.sampled_from([b"GET", b"HEAD", b"POST"]))
        body = draw(st.binary(max_size=8)) if method == b"POST" else b""
        requests.append(b"%b /%d HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (method, number, len(body), body))
        answer = draw(st.binary(min_size=1, max_size=8))
        interim = b"HTTP/1.1 103 E\r\n\r\n" * draw(st.integers(0, 2))
        if draw(st.booleans()):
            head, framed = b"Content-Length: %d" % len(answer), answer
        else:
            head, framed = b"Transfer-Encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (len(answer), answer)
        responses.append(
            interim + b"HTTP/1.1 %d OK\r\n%b\r\n\r\n%b" % (200 + number, head, b"" if method == b"HEAD" else framed)
        )
    return requests, responses


@given(pipelined(), st.data())
@settings(max_examples=100, deadline=None)
def test_any_interleaving_that_causality_allows(
    conversation: tuple[list[bytes], list[bytes]], data: st.DataObject
) -> None:
    """A response may begin once its request's head was seen; reads are cut anywhere."""
    requests, responses = conversation
    heads = [request.index(b"\r\n\r\n") + 4 for request in requests]
    starts = [sum(map(len, requests[:number])) for number in range(len(requests))]
    needed = [start + head for start, head in zip(starts, heads, strict=True)]  # request bytes before response n
    sent, all_requests = 0, b"".join(requests)
    received, all_responses = 0, b"".join(responses)
    ends = [sum(map(len, responses[: number + 1])) for number in range(len(responses))]
    steps: list[Step] = []
    while sent < len(all_requests) or received < len(all_responses):
        allowed = max([end for end, need in zip(ends, needed, strict=True) if need <= sent], default=0)
        if received < allowed and (sent == len(all_requests) or data.draw(st.booleans())):
            stop = data.draw(st.integers(received + 1, allowed))
            steps.append(answered(all_responses[received:stop]))
            received = stop
        else:
            stop = data.draw(st.integers(sent + 1, len(all_requests)))
            steps.append(asked(all_requests[sent:stop]))
            sent = stop
    serial = [step for pair in zip(requests, responses, strict=True) for step in (asked(pair[0]), answered(pair[1]))]
    heard, expected = talk(*steps), talk(*serial)
    assert facts(heard) == facts(expected)
    assert all(exchange.complete for exchange in heard.exchanges)


def facts(heard: object) -> list[tuple[object, ...]]:
    return [
        (
            e.request.target,
            e.request.body,
            e.response.status,
            e.response.body,
            len(e.response.informational),
            e.problems,
        )
        for e in heard.exchanges  # type: ignore[attr-defined]
    ]
