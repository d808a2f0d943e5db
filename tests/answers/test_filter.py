"""The filter language: what holds, what is refused and where the finger points."""

import contextlib
import itertools
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from replay import filter
from replay.cli import main
from replay.errors import UsageError
from replay.exchange import Problem
from replay.filter import manual
from replay.filter.fields import FIELDS
from replay.filter.lexer import FilterError
from replay.filter.parser import MAX_DEPTH
from tests.answers.examples import CONNECTION, MS, exchange, get, opaque, request, response

ROOT = Path(__file__).resolve().parents[2]
PAY = exchange(
    request("POST", "/api/pay?id=7&debug=", (("Host", "shop.example"), ("X-Trace", "a"), ("x-trace", "b")), data=b"{}"),
    response(503, (("Content-Type", "text/html"),), data=b"<h1>Fehler: \xc3\xbc</h1>"),
    milliseconds=250,
    completeness="gap",
    problems=(Problem("gap", "response"), Problem("bare-lf", "request")),
)
SILENT = exchange(request("GET", "/lost"))


@pytest.mark.parametrize(
    "text",
    [
        'status >= 500 and path ~ "^/api" and duration > 200ms and comm == "gunicorn" and not complete',
        "status == 503",
        "status != 200",
        "status in {500, 502..504}",
        "status in 500..599",
        "status not in {200, 301}",
        "not status in {200, 301}",
        "! status == 200",
        'method in {"PUT", "POST"}',
        'path == "/api/pay"',
        'query == "id=7&debug="',
        'url == "http://shop.example/api/pay?id=7&debug="',
        r'target ~ "id=\d+"',
        'target !~ "^x"',
        "duration == 250ms",
        "duration in 0.2s..0.3s",
        "duration < 1min",
        "wait > 247999us and wait <= 248ms",
        'started > "2025-11-22T10:00:00Z"',
        'started < "2025-11-22T12:00:10+01:00"',
        "request.size == 2",
        "request.size < 1KiB",
        "response.size >= 19B",
        "response.size < 1kB",
        'response.body contains "ü"',
        'response.body ~ "(?i)FEHLER"',
        'header["content-type"] == "text/html"',
        'request.header["X-TRACE"] == "b"',
        'request.header["X-Trace"] == "a"',
        'not request.header["Content-Type"]',
        'problem == "bare-lf"',
        'problem in {"gap"}',
        'completeness == "gap"',
        "complete == false",
        "request and response",
        "pid == 4242 and server.port == 8080 and client.port in 40000..50000",
        'comm == "x" or comm == "gunicorn" and status == 503',
        "not (status == 200 or status == 404)",
        "not not status",
        "comm == 'gunicorn'",
        "command_line contains 'app:app'",
    ],
)
def test_a_filter_that_describes_the_exchange_holds(text):
    assert filter.compile(text)(PAY) is True
    assert filter.compile(f"not ({text})")(PAY) is False


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("status == 200", False),
        ("status < 500", False),
        ("status != 200", True),
        ("status", False),
        ("not response", True),
        ("duration > 0ns", False),
        ("not duration > 0ns", True),
        ('response.body !~ "x"', True),
        ('request.body == ""', True),
        ("container", False),
    ],
)
def test_a_comparison_with_an_unknown_fact_is_false_and_its_negation_true(text, holds):
    assert filter.compile(text)(SILENT) is holds


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("statsu >= 500", 1, "did you mean `status`"),
        ("status >= ", 11, "the filter ends here"),
        ("status >== 5", 10, "expected a value"),
        ("status = 500", 8, "equality is written `==`"),
        ("status == 500 path", 15, "expected `and`, `or` or the end"),
        ("status == 500ms", 11, "whole number"),
        ("duration > 200", 12, "a duration with its unit"),
        ("duration > 2parsec", 12, "a duration with its unit"),
        ("status == 2.5", 11, "whole number"),
        ("response.size > 0.3B", 17, "a size"),
        ("request.size > " + "9" * 30, 16, "a size"),
        ('path > "a"', 6, "needs an order"),
        ('status ~ "5.."', 8, "is for text"),
        ('path ~ "(a"', 8, "missing )"),
        (r'path ~ "(a)\1"', 8, "invalid escape"),
        ("path ~ 5", 8, "regular expression in quotes"),
        ("method == GET", 11, '"GET"'),
        ('method == "GET', 11, "no end"),
        ("(status == 200", 15, "expected `)`"),
        ("status in {}", 12, "expected a value"),
        ("status in {200 201}", 16, "expected `}`"),
        ("status in 200", 14, "a set is written"),
        ("status in 599..500", 11, "ends before it begins"),
        ('path in "a".."b"', 9, "a range needs an order"),
        ("status not 200", 12, "expected `in`"),
        ("header == 'x'", 1, "needs a name"),
        ("status['x'] == 1", 8, "takes no name"),
        ("header[x] == 'x'", 8, "a name in quotes"),
        ("started > 'yesterday'", 11, "UTC time"),
        ("complete == 1", 13, "true or false"),
        ("complete > true", 10, "needs an order"),
        ("and", 1, "expected a field"),
        ("", 1, "expected a field"),
        ("status == 200 ; rm", 15, "no word begins"),
        ("(" * (MAX_DEPTH + 1) + "status" + ")" * (MAX_DEPTH + 1), MAX_DEPTH + 1, "at most"),
        ("x" * 20_000, 1, "at most 10000 characters"),
    ],
)
def test_an_error_names_the_column_and_what_was_expected(text, column, says):
    with pytest.raises(FilterError) as caught:
        filter.compile(text)
    assert (caught.value.column, says in str(caught.value)) == (column, True), str(caught.value)
    assert isinstance(caught.value, UsageError)
    assert str(caught.value).splitlines()[-1] == " " * (column + 1) + "^"


def test_a_deep_but_allowed_nesting_and_many_negations_are_read():
    assert filter.compile("(" * (MAX_DEPTH - 1) + "not " * 1001 + "complete" + ")" * (MAX_DEPTH - 1))(PAY)


def test_an_expression_that_would_backtrack_for_ever_is_fast():
    text = exchange(request(target="/" + "a" * 100_000 + "!"), response())
    began = time.perf_counter()
    assert not filter.compile('path ~ "^/(a+)+$" or path ~ "^/(a|aa)*b"')(text)
    assert time.perf_counter() - began < 2


def test_terminal_escapes_in_a_filter_do_not_reach_the_terminal():
    with pytest.raises(FilterError) as caught:
        filter.compile("\x1b[31m")
    assert "\x1b" not in str(caught.value)


def test_a_connection_that_is_not_http_has_the_facts_of_its_connection_only():
    assert filter.compile('protocol == "tls" and comm == "gunicorn" and server.port == 8080')(opaque())
    assert not filter.compile("status or complete or problem or method")(opaque())


def test_a_unix_socket_has_no_port_and_its_requests_go_to_localhost():
    unix = replace(CONNECTION, family="unix", client="", server="/run/app.sock:80")
    seen = exchange(request(headers=()), response(), connection=unix)
    assert filter.compile('not server.port and family == "unix" and url == "http://localhost/x"')(seen)


@pytest.mark.parametrize(
    ("method", "target", "url"),
    [
        ("GET", "http://other.example/a?b", "http://other.example/a?b"),
        ("GET", "HTTP://other.example?b", "http://other.example/?b"),
        ("GET", "/see?next=http://evil.example/", "http://h/see?next=http://evil.example/"),
        ("OPTIONS", "*", "http://h"),
        ("CONNECT", "other.example:443", "http://other.example:443"),
        ("GET", "", "http://h"),
        ("GET", "=evil.example/x", "http://h/=evil.example/x"),
    ],
)
def test_every_form_of_target_gives_its_url(method, target, url):
    """RFC 9112 §3.2: origin, absolute (which wins over Host), authority and asterisk form."""
    quoted = url.replace('"', '\\"')
    assert filter.compile(f'url == "{quoted}"')(exchange(request(method, target), response()))


@pytest.mark.parametrize("row", FIELDS.values(), ids=lambda row: row.name)
def test_every_field_has_an_example_that_compiles_and_names_it(row):
    predicate = filter.compile(row.example)
    assert row.name in row.example
    assert predicate(PAY) in (True, False)
    assert predicate(SILENT) in (True, False)
    assert predicate(opaque()) in (True, False)


def test_the_page_about_filters_is_what_the_code_says():
    assert (ROOT / "docs" / "filters.md").read_text() == manual.markdown()


def test_filter_help_lists_every_field_and_is_not_decorated(capsys):
    assert main(["filter-help"]) == 0
    out = capsys.readouterr().out
    assert all(row.name in out and row.example in out for row in FIELDS.values())
    assert "\x1b" not in out


ATOMS = {
    "status == 503": lambda e: e.response is not None and e.response.status == 503,
    "duration > 100ms": lambda e: e.duration_ns is not None and e.duration_ns > 100 * MS,
    'path ~ "^/api"': lambda e: e.request.target.startswith("/api"),
    "complete": lambda e: e.complete,
}
TREES = st.recursive(
    st.sampled_from(list(ATOMS.items())),
    lambda inner: st.one_of(
        inner.map(lambda a: (f"not ({a[0]})", lambda e: not a[1](e))),
        st.tuples(inner, inner).map(lambda p: (f"({p[0][0]}) and ({p[1][0]})", lambda e: p[0][1](e) and p[1][1](e))),
        st.tuples(inner, inner).map(lambda p: (f"({p[0][0]}) or ({p[1][0]})", lambda e: p[0][1](e) or p[1][1](e))),
    ),
    max_leaves=12,
)
SAMPLES = [PAY, SILENT, get("/api"), get("/other", 503, milliseconds=500)]


@given(TREES)
def test_any_expression_means_what_the_same_python_means(tree):
    text, model = tree
    predicate = filter.compile(text)
    assert [predicate(sample) for sample in SAMPLES] == [model(sample) for sample in SAMPLES]


def test_not_binds_tighter_than_and_and_and_tighter_than_or():
    names = list(ATOMS)
    for a, b, c in itertools.permutations(names, 3):
        loose, strict = filter.compile(f"not {a} and {b} or {c}"), filter.compile(f"((not ({a})) and ({b})) or ({c})")
        assert [loose(sample) for sample in SAMPLES] == [strict(sample) for sample in SAMPLES]


@given(st.text(max_size=60) | st.text(alphabet="status <>=!~(){}[].,\"'\\0123456789ms and", max_size=60))
def test_any_text_compiles_or_is_a_usage_error(text):
    with contextlib.suppress(FilterError):  # anything else would be a bug
        filter.compile(text)(PAY)
