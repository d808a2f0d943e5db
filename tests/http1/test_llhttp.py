"""llhttp's own samples: where its log says that a message is complete, ours ends too; where not, a reason is given."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.http1.talk import Step, Talk, talk

CORPUS = Path("shared/corpora/llhttp/cases.json")
FOUND = [parent / CORPUS for parent in Path(__file__).resolve().parents if (parent / CORPUS).exists()]
CASES: list[dict[str, Any]] = json.loads(FOUND[0].read_text()) if FOUND else []
IDS = [f"{case['file']}: {case['title']} ({case['meta']['type']})" for case in CASES]

NO_LOG = "the sample has no log of its messages"
LAST_CRLF = "the empty line after the last chunk is missing: we end the message with the direction (missing-last-crlf)"
LATIN = "the log counts bytes of UTF-8, the sample holds one byte for the character"
OTHER = "RTSP and ICE are not HTTP; llhttp reads them with its HTTP parser"
SKIP = "the sample tells llhttp to skip the body that Content-Length announces"
LONE_CR = "llhttp is told to take a lone CR for a line end, which RFC 9112 §2.2 forbids"
# What llhttp and we answer differently, and why.
EXPLAINED = {
    "CRLF between requests, implicit `keep-alive`": NO_LOG,
    "CRLF between requests, explicit `close`": NO_LOG,
    "CRLF between requests, explicit `close` followed by tab": NO_LOG,
    "CRLF between requests, explicit `close` (lenient)": NO_LOG,
    "Content-Length reset when no body is received": SKIP,
    "Missing CRLF-CRLF before body (lenient)": LONE_CR,
    "Only LFs present (lenient)": "RFC 9112 §7.1.2: the first empty line ends the trailers; llhttp reads on",
    "Empty headers separated by CR (lenient)": LAST_CRLF,
    "SOURCE request with ICE": OTHER,
    "OPTIONS request with RTSP": OTHER,
    "ANNOUNCE request with RTSP": OTHER,
    "Extended Characters": LATIN,
    "255 ASCII in header value": LATIN,
    "Non ASCII in status line": LATIN,
    "Chunk extensions": LAST_CRLF,
    "Chunk extensions quoting": LAST_CRLF,
    "POST with `Transfer-Encoding` and `Content-Length` (lenient)": "identity is no coding: Content-Length counts",
    "Chunk header not terminated by CRLF (lenient)": LONE_CR,
    "HTTP 304 with Transfer-Encoding": LAST_CRLF,
    "It should be safe to finish with cb after empty response": "the end completes a body until close (§6.3 step 8)",
    "Bare CR after response line (lenient)": LONE_CR,
}

# What llhttp refuses and we read without a remark, and why.
UNREMARKED = {"No extension after semicolon": "RFC 9112 §7.1.1: a recipient ignores extensions it does not know"}

needs_corpus = pytest.mark.skipif(not CASES, reason="shared/corpora/llhttp/cases.json is not beside the repository")


def read(case: dict[str, Any]) -> Talk:
    data = bytes.fromhex(case["data"])
    if case["meta"]["type"].startswith("request"):
        return talk(("request", data))
    end: list[Step] = [("response", "fin")] if "finish" in case["meta"]["type"] else []
    return talk(("request", b"GET / HTTP/1.1\r\n\r\n" * 20), ("response", data), *end)


def ends(case: dict[str, Any], heard: Talk) -> list[int]:
    """Where messages were complete, interim ones included."""
    if case["meta"]["type"].startswith("request"):
        return [e.request.end_position for e in heard.exchanges if e.request and e.completeness == "open"]
    responses = [e.response for e in heard.exchanges if e.response]
    interim = [each.end_position for response in responses for each in response.informational]
    return sorted(interim + [e.response.end_position for e in heard.exchanges if e.response and e.complete])


def logged_ends(case: dict[str, Any]) -> list[int]:
    matches = (re.match(r"off=(\d+) message complete", line) for line in case["log"])
    return [int(match[1]) for match in matches if match]


@needs_corpus
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_messages_end_where_llhttp_ends_them(case: dict[str, Any]) -> None:
    heard = read(case)
    if any("error code" in line for line in case["log"]):
        return  # refused by a server; what an observer makes of it has its own tests
    assert ends(case, heard) == logged_ends(case) or case["title"] in EXPLAINED


@needs_corpus
def test_every_explanation_is_needed() -> None:
    differing = {c["title"] for c in CASES if ends(c, read(c)) != logged_ends(c)}
    assert set(EXPLAINED) <= differing


@needs_corpus
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_what_llhttp_refuses_has_a_problem_or_is_no_http(case: dict[str, Any]) -> None:
    """Nothing that its strict mode refuses goes by without a word of ours, unless it is its own limit."""
    errors = [line for line in case["log"] if "error code" in line]
    if not errors or "Pause" in errors[0] or case["title"] in UNREMARKED:
        return
    heard = read(case)
    remarks = [code for codes in heard.codes for code in codes] + [loss.code for loss in heard.unplaced]
    assert remarks or heard.handover
