"""Exchanges as an enemy would have them, and strategies for any exchange at all."""

from hypothesis import strategies as st
from msgspec.structs import replace

from replay.exchange import Informational, Problem, ProcessFacts
from tests.answers.examples import CONNECTION, body, exchange, get, opaque, request, response

ESCAPES = "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x9b31m\x7f"
HTML = "<script>alert(1)</script><img src=x onerror=alert(1)>"
FORMULA = '=HYPERLINK("http://evil.example","x")'
PATHS = ("/../../../../etc/passwd", "/..\\..\\windows", "/%2e%2e/%00", "/\x00/nul", "//etc/passwd", "/a\nb\rc")
SHELL = "'; touch /tmp/owned; $(touch /tmp/owned) `touch /tmp/owned` \\' \" !! #"
INVALID = b"\xff\xfe\xc3\x28\xed\xa0\x80\x00\x80"
BIG = 10 << 20

EVIL_PROCESS = ProcessFacts(1, ESCAPES, "/tmp/" + HTML, (SHELL, "\n"), FORMULA, "../../x")
EVIL_CONNECTION = replace(CONNECTION, id="../../etc/cron.d/x", family="unix", server="/run/\x1b[31m'; ls\n", client="")


def exchanges():
    evil = (("X", ESCAPES), ("Y", HTML), ("Z", FORMULA), ("@/etc/passwd", "x"), ("W", SHELL), ("Empty", ""))
    texts = [ESCAPES, HTML, FORMULA, SHELL, *PATHS]
    yield from (exchange(request(target=text), response(), number) for number, text in enumerate(texts, 1))
    yield exchange(request(method="-o/tmp/owned"), response(200, reason=ESCAPES), 20)
    yield exchange(request(method=SHELL, headers=evil, data=INVALID), response(404, evil, data=INVALID), 21)
    yield exchange(request(headers=(("Host", SHELL), *evil)), response(500, evil, data=HTML.encode()), 22)
    yield exchange(request("POST", headers=evil, data=SHELL.encode()), response(), 23)
    yield exchange(request("POST", headers=evil, data=ESCAPES.encode("latin-1")), response(), 24)
    yield exchange(
        request(),
        response(302, (("Location", ESCAPES), ("Content-Type", "../../x"), ("Set-Cookie", "a;Expires=x"))),
        25,
    )
    yield exchange(request(), response(), 26, process=EVIL_PROCESS, connection=EVIL_CONNECTION)
    problem = Problem("gap", "response", 3, 4, "sendfile", ESCAPES)
    yield exchange(request(), response(data=b"half"), 27, completeness="gap", problems=(problem,))
    yield opaque(ESCAPES)


def big():
    """A header of 10 MB, which no argument list and no table column can hold."""
    return exchange(request(headers=(("Host", "h"), ("X-Big", "a" * BIG))), response(headers=(("X-Big", "b" * BIG),)))


def ordinary():
    yield get("/users/7?x=1&y=%20+", data=b'{"a": 1}')
    yield exchange(request("POST", "/pay", data=b"\x00\x01\x02"), response(201, data="ü".encode()), 2)
    gzip = body(b"\x1f\x8bzipped", decoded=b"x" * 100, decoded_size=100, content_encoding="gzip")
    yield exchange(request(), response(headers=(("Content-Encoding", "gzip"),), body=gzip), 3)
    yield exchange(request(), None, 4, completeness="open")
    yield exchange(None, response(408), 5)
    yield exchange(request("CONNECT", "other.example:443"), response(), 6)
    yield exchange(request("OPTIONS", "*"), response(204), 7)
    early = Informational(103, "Early Hints", (("Link", "</a.css>"),), 3)
    yield exchange(request("HEAD"), response(informational=(early,)), 8, process=None)
    yield exchange(request(target="http://other.example?q"), response(trailers=(("X-Sum", "1"),)), 9)
    six = replace(CONNECTION, id="c2", family="inet6", server="[::1]:8080", client="[::1]:40000", tls=True)
    yield exchange(request(), response(), 1, connection=six)
    unix = replace(CONNECTION, id="c3", family="unix", server="/run/app.sock", client="")
    yield exchange(request(), response(), 1, connection=unix)
    gap = body(b"ab", size=10, captured=2, gaps=((1, 8),))
    yield exchange(request(), response(body=gap), 10, completeness="gap", problems=(Problem("gap", "response", 1, 8),))
    yield opaque()


LATIN = st.text(st.characters(max_codepoint=255), max_size=20)
HEADERS = st.lists(
    st.tuples(st.sampled_from(["Host", "Content-Type", "Cookie", "Set-Cookie", "Location"]) | LATIN, LATIN), max_size=4
).map(tuple)
BODIES = st.binary(max_size=30)
MESSAGES = st.tuples(LATIN, LATIN, HEADERS, BODIES)
REQUESTS = MESSAGES.map(lambda m: request(m[0], m[1], m[2], data=m[3]))
RESPONSES = st.tuples(st.integers(0, 999), MESSAGES).map(
    lambda m: response(m[0], m[1][2], data=m[1][3], reason=m[1][0])
)
ANY = st.one_of(st.tuples(REQUESTS, RESPONSES), st.tuples(REQUESTS, st.none()), st.tuples(st.none(), RESPONSES)).map(
    lambda pair: exchange(*pair)
)
