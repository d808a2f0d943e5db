"""Packet captures of Zeek's test suite: what two tools agree on we say too; the others have their row here, with the
reason in docs/corpora.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay.dispatch import Result
from replay.exchange import OpaqueConnection
from tests.corpora.corpora import brief, load, needs_corpora, ours, results

EXPECTED = load("zeek/expected.json")
Row = tuple[list[list[str | int | None]], list[tuple[str, list[str]]], list[str]]


# trace -> ([method, target, status] of every exchange, (completeness, problem codes) of those that are not faultless,
# protocols of opaque connections)
EXPLAINED: dict[str, Row] = {
    "traces/http/261/variant-09-te_obs_fold.pcap": (
        [["POST", "/", None], ["GET", "/smuggled-obsfold", None]],
        [("request-only", ["obs-fold"]), ("request-only", [])],
        [],
    ),
    "traces/http/connect-with-smtp.pcap": (
        [["CONNECT", "mailin03.sul.t-online.de:25 /", 200]],
        [("complete", ["space-in-target", "no-colon"])],
        ["tunnel"],
    ),
    "traces/http/content-range-gap.pcap": (
        [["GET", "/images/misc/static/2012/11/ifdata-welcome-0.png", 206]],
        [("gap", ["gap"])],
        [],
    ),
    "traces/http/entity_gap.pcap": ([["GET", "/download/CHANGES.bro-aux.txt", 200]], [("gap", ["gap"])], []),
    "traces/http/entity_gap2.pcap": ([["GET", "/download/CHANGES.bro-aux.txt", 200]], [("gap", ["gap"])], []),
    "traces/http/http-11-request-then-cruft.pcap": (
        [["GET", "/", 301], [None, None, 400]],
        [("complete", ["bare-lf"]), ("response-only", ["unframed"])],
        [],
    ),
    "traces/http/http-bad-request-with-version.pcap": (
        [[None, None, 200]],
        [("gap", ["unframed", "request-lost"])],
        [],
    ),
    "traces/http/http-lower-case.pcap": (
        [["GET", "/index.html", 200]],
        [("truncated-by-close", ["odd-version", "truncated"])],
        [],
    ),
    "traces/http/http-single-conn-22.pcap": ([["GET", "/", 200]], [], []),
    "traces/http/http-to-ssh.pcap": ([["GET", "/", None]], [("request-only", ["unframed"])], []),
    "traces/http/no-version.pcap": (
        [
            [
                "GET",
                "/cgi-bin/formmail.pl?email=f2@aol.com&subject=www-nrg.ee/cgi-bin/formmail.pl"
                "&recipient=unknownz@buy2save.com&msg=w00t",
                None,
            ]
        ],
        [("complete", ["http-0.9"])],
        [],
    ),
    "traces/http/query-method-non-standard-port.pcap": ([["QUERY", "/users", 200]], [], []),
    "traces/http/query-method.pcap": ([["QUERY", "/users", 200]], [], []),
}
# Explained by tests of their own below.
LARGE = {
    "traces/http/1000-requests-one-dropped-response.pcap.gz",
    "traces/http/bro.org.pcap",
    "traces/http/http-inner-transfer-encoding-ossfuzz.pcap",
}


def imported(trace: str, folder: Path) -> list[Result]:
    return results("pcap", f"zeek/{trace}", folder)


@needs_corpora
@pytest.mark.parametrize("trace", [trace for trace, row in EXPECTED.items() if row["agreed_by_two_tools"]])
def test_where_two_tools_agree_we_say_the_same(trace: str, tmp_path: Path) -> None:
    found, expected = ours(imported(trace, tmp_path)), EXPECTED[trace]["exchanges"]
    said = [brief(each) for each in found]
    if len({each.connection.id for each in found}) > 1:  # the expectations have connections in an order of their own
        said, expected = sorted(said, key=str), sorted(expected, key=str)
    assert said == expected


@needs_corpora
@pytest.mark.parametrize("trace", EXPLAINED)
def test_where_they_do_not_our_answer_is_the_explained_one(trace: str, tmp_path: Path) -> None:
    assert not EXPECTED[trace]["agreed_by_two_tools"]
    found = imported(trace, tmp_path)
    exchanges, faults, opaque = EXPLAINED[trace]
    assert [brief(each) for each in ours(found)] == exchanges
    told = [(each.completeness, [problem.code for problem in each.problems]) for each in ours(found)]
    assert (told if faults else [row for row in told if row != ("complete", [])]) == faults
    assert [each.protocol for each in found if isinstance(each, OpaqueConnection)] == opaque


@needs_corpora
def test_every_trace_is_agreed_on_or_explained() -> None:
    disagreed = {trace for trace, row in EXPECTED.items() if not row["agreed_by_two_tools"]}
    assert disagreed == set(EXPLAINED) | LARGE
    assert len(EXPECTED) == 51


@needs_corpora
def test_a_dropped_response_among_a_thousand_moves_no_other(tmp_path: Path) -> None:
    found = ours(imported("traces/http/1000-requests-one-dropped-response.pcap.gz", tmp_path))
    statuses = [each.response and each.response.status for each in found]
    assert len(found) == 1000
    assert statuses.count(200) == 999
    lost = found[statuses.index(None)]
    assert lost.completeness == "gap"
    assert ("gap", "response", 238) in [(problem.code, problem.side, problem.length) for problem in lost.problems]
    assert all(each.complete and each.response and each.response.body.size == 615 for each in found if each is not lost)


@needs_corpora
def test_a_page_with_a_lost_packet_has_all_its_responses_and_one_gap_of_exact_size(tmp_path: Path) -> None:
    found = ours(imported("traces/http/bro.org.pcap", tmp_path))
    assert len(found) == 31
    assert {each.response and each.response.status for each in found} == {200}
    (damaged,) = (each for each in found if not each.complete)
    assert damaged.request is not None
    assert damaged.request.target == "/js/jquery.cycle.all.min.js"
    assert [(problem.code, problem.length) for problem in damaged.problems] == [("gap", 7240)]
    assert damaged.response is not None
    assert (damaged.response.body.size, damaged.response.body.captured) == (31052, 31052 - 7240)


@needs_corpora
def test_fuzzed_bytes_are_one_odd_request_and_no_invented_response(tmp_path: Path) -> None:
    (exchange,) = ours(imported("traces/http/http-inner-transfer-encoding-ossfuzz.pcap", tmp_path))
    assert exchange.request is not None
    assert (exchange.request.method, exchange.response) == ("ETA", None)
    codes = {problem.code for problem in exchange.problems}
    assert {"unknown-method", "space-in-target", "control-byte", "lone-cr", "bare-lf"} <= codes


@needs_corpora
def test_the_page_of_the_corpora_has_a_row_for_every_trace_that_is_explained() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "corpora.md").read_text()
    rows = {line.split("|")[1].strip(" `"): line for line in page.splitlines() if line.startswith("| `")}
    for trace in [*EXPLAINED, *LARGE]:
        row = rows[trace.removeprefix("traces/")]
        for _, codes in EXPLAINED.get(trace, ([], [], []))[1]:
            assert all(f"`{code}`" in row for code in codes), trace
