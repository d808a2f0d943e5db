"""The 102 conversations of libhtp's test suite: what libhtp makes of them we make too, but where it is wrong or only
tolerant in another way; those have their row here, with the reason in docs/corpora.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from replay.exchange import Exchange
from tests.corpora.corpora import load, needs_corpora, ours, results

EXPECTED = load("libhtp/expected-libhtp-0.5.42.json")
# [method, target, status, bytes of the request's body, of the response's] of an exchange, and its problem codes
Row = tuple[list[str | int | None], list[str]]
LONG_TARGET = next((each["uri"] for each in EXPECTED.get("95-compressed-response-gzipasdeflate.t", ())), "")

EXPLAINED: dict[str, list[Row]] = {
    "07-pipelined-connection.t": [
        (["GET", "/first", 200, 0, 12], []),
        (["GET", "/second", 200, 0, 12], ["empty-lines"]),
    ],
    "16-connect-extra.t": [
        (["CONNECT", "www.feistyduck.com:80", 301, 0, 235], []),
        (["HEAD", "/", 301, 0, 0], ["empty-lines"]),
    ],
    "23-http09-multiple.t": [
        (["GET", "/?foo=bar", 0, 0, 195], ["http-0.9"]),
        (["GET", "/?foo=bar", 0, 0, 0], ["http-0.9"]),
    ],
    "38-invalid-request-3-invalid-t-e.t": [
        (["POST", "/", 200, 38, 12], ["te-unknown", "te-without-chunked", "coding-error"])
    ],
    "42-unknown-method_only.t": [],
    "43-invalid-protocol.t": [],
    "63-post-chunked-invalid-1.t": [(["POST", "/", 200, 35, 12], ["truncated"])],
    "70-response-invalid-chunk-length.t": [
        (["GET", "/", 200, 0, 0], ["te-in-http10", "chunk-size-invalid", "unframed"])
    ],
    "75-response-invalid-cl.t": [(["GET", "/", 200, 0, 0], ["cl-invalid", "unframed"])],
    "78-response-no-status-headers.t": [(["GET", "/", 0, 0, 0], ["unframed"])],
    "79-connect-invalid-hostport.t": [
        (["CONNECT", "[:80", 301, 0, 235], []),
        (["HEAD", "/", 301, 0, 0], ["unframed"]),
    ],
    "84-response-no-status-headers-2.t": [(["GET", "/", 0, 0, 0], ["unframed"])],
    "85-zero-byte-request-timeout.t": [([None, None, 408, 0, 218], ["bare-lf"])],
    "86-partial-request-timeout.t": [([None, None, 408, 0, 218], ["truncated", "bare-lf"])],
    "90-request-uri-too-large.t": [
        (["GET", "/blaaaaaaaaaaaaaaaaaaaaaaaaa…", 414, 0, 139], ["target-cut", "truncated", "bare-lf"])
    ],
    "91-request-unexpected-body.t": [
        (["POST", "/", 200, 0, 0], []),
        (["GET", "/", 0, 0, 0], ["unframed"]),
    ],
    "92-http_0_9-method_only.t": [(["GET", "/", 0, 0, 0], ["http-0.9"])],
    "93-compressed-response-deflateasgzip.t": [(["GET", "/", 200, 0, 755], ["coding-error"])],
    "94-compressed-response-multiple.t": [
        (["GET", "/index.html", 200, 0, 51], ["missing-space-after-status", "coding-error"])
    ],
    "95-compressed-response-gzipasdeflate.t": [(["GET", LONG_TARGET, 302, 0, 187], ["coding-error"])],
    "96-compressed-response-lzma.t": [(["GET", "/compressed/eicar.txt/ce%3Alzma;lzma1", 200, 0, 90], ["coding-error"])],
    "100-response-body-data.t": [],
}


def told(exchange: Exchange) -> list[str | int | None]:
    """[method, target, status, bytes of both bodies as they were framed]."""
    request, response = exchange.request, exchange.response
    return [
        request and request.method,
        request and request.target,
        response.status if response else 0,
        request.body.size if request else 0,
        response.body.size if response else 0,
    ]


def same(exchange: Exchange, theirs: dict[str, Any]) -> bool:
    """Whether libhtp says the same. It counts the bytes of a body after its content codings were undone."""
    mine = told(exchange)
    if mine[:3] != [theirs["method"], theirs["uri"], theirs["status"]]:
        return False
    sizes = []
    for message in (exchange.request, exchange.response):
        body = message.body if message else None
        sizes.append({0} if body is None else {body.size, body.decoded_size})
    return theirs["req_body_decoded"] in sizes[0] and theirs["resp_body_decoded"] in sizes[1]


@needs_corpora
@pytest.mark.parametrize("name", [name for name in EXPECTED if name not in EXPLAINED])
def test_we_say_what_libhtp_says(name: str, tmp_path: Path) -> None:
    found = ours(results("streams", f"libhtp/{name}.jsonl.gz", tmp_path))
    assert [told(each)[:3] for each in found] == [
        [each["method"], each["uri"], each["status"]] for each in EXPECTED[name]
    ]
    assert all(same(mine, theirs) for mine, theirs in zip(found, EXPECTED[name], strict=True))


@needs_corpora
@pytest.mark.parametrize("name", EXPLAINED)
def test_where_we_differ_our_answer_is_the_explained_one(name: str, tmp_path: Path) -> None:
    found = ours(results("streams", f"libhtp/{name}.jsonl.gz", tmp_path))
    assert [(told(each), [problem.code for problem in each.problems]) for each in found] == EXPLAINED[name]
    assert len(found) != len(EXPECTED[name]) or not all(map(same, found, EXPECTED[name])), "no longer a difference"


@needs_corpora
def test_all_of_them_are_there_and_explained_ones_are_on_the_page() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "corpora.md").read_text()
    rows = {line.split("|")[1].strip(" `"): line for line in page.splitlines() if line.startswith("| `")}
    assert len(EXPECTED) == 102
    for name, expected in EXPLAINED.items():
        assert all(f"`{code}`" in rows[name] for _, codes in expected for code in codes), name
