"""The samples of llhttp's test suite: a message ends where llhttp says it ends, whole and byte by byte.

Samples that llhttp refuses (its strict mode), samples for its lenient switches and those that are told to skip a body
are no statement on boundaries; that they do not raise is.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from replay.exchange import Connection
from replay.http1.connection import Http1Connection
from replay.http1.message import Message
from replay.stream import Bytes, Flow
from tests.corpora.corpora import load, needs_corpora

CASES: list[dict[str, Any]] = list(load("llhttp/cases.json"))
COMPLETE = re.compile(r"off=(\d+) message complete")

# Another protocol's version in the request line: llhttp serves ICE and RTSP too, we name the connection (HTTP.md: not
# HTTP at all), so that no exchange is invented.
OTHER_PROTOCOLS = {"SOURCE request with ICE", "OPTIONS request with RTSP", "ANNOUNCE request with RTSP"}


def comparable(case: dict[str, Any]) -> bool:
    refused = any("error" in line for line in case["log"])
    logged = case["log"] and not refused and "skipBody" not in case["meta"]
    return bool(logged) and case["meta"].get("type") in ("request", "response")


def ends(flow: Flow, data: bytes, size: int) -> list[int]:
    """Where the messages end that are complete before the stream is."""
    connection = Http1Connection(Connection("c", "inet", "a", "b", "server"))
    found: list[int] = []
    for start in range(0, len(data), size):
        for exchange in connection.feed(flow, Bytes(start, start, data[start : start + size])):
            message = exchange.request if flow == "request" else exchange.response
            interim = exchange.response.informational if flow == "response" and exchange.response else ()
            found += [each.end_position for each in interim]
            found += [message.end_position] if message else []
    for slot in connection.pairing.order:
        unfinished: Message | None = slot.request if flow == "request" else slot.response
        found += [each.end_position for each in slot.informational]
        found += [unfinished.end_position] if unfinished is not None and unfinished.ended else []
    return found


@needs_corpora
@pytest.mark.parametrize("case", filter(comparable, CASES), ids=lambda case: f"{case['file']}: {case['title']}")
def test_messages_end_where_llhttp_ends_them(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["data"])
    # The samples were written in UTF-8 and the offsets count its bytes; the data were sent in latin-1.
    wide = sum(byte > 127 for byte in data) if "noScan" in case["meta"] else 0
    expected = [int(match[1]) - wide for line in case["log"] if (match := COMPLETE.match(line))]
    flow: Flow = case["meta"]["type"]
    if case["title"] in OTHER_PROTOCOLS:
        expected = []
    assert ends(flow, data, len(data) or 1) == expected
    assert ends(flow, data, 1) == expected


@needs_corpora
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['file']}: {case['title']}")
def test_no_sample_raises(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["data"])
    for flow in ("request", "response"):
        for size in (len(data) or 1, 1):
            assert all(0 < end <= len(data) for end in ends(flow, data, size))  # type: ignore[arg-type]


@needs_corpora
def test_the_corpus_is_whole() -> None:
    assert len(CASES) == 251
    assert sum(map(comparable, CASES)) > 110
