"""The catalogue of conversations: each is what an RFC sentence says, and what must come out.

Every case without a gap is also run byte by byte, in random pieces and with bytes behind it (test_chunking), and every
one feeds the test that each problem code is raised somewhere (test_problems).
"""

from __future__ import annotations

from typing import NamedTuple

from tests.http1.talk import Step

R, S = "request", "response"
CRLF = b"\r\n"
OK2 = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET /1 HTTP/1.1\r\nHost: h\r\n\r\n"
GET2 = b"GET /2 HTTP/1.1\r\nHost: h\r\n\r\n"
GET3 = b"GET /3 HTTP/1.1\r\nHost: h\r\n\r\n"


class Case(NamedTuple):
    name: str
    rule: str  # where it is written
    steps: tuple[Step, ...]
    pairs: tuple[tuple[str | None, int | None], ...]
    codes: tuple[str, ...] = ()  # all codes of all exchanges, sorted, without repetition
    completeness: tuple[str, ...] = ()  # () for all complete
    bodies: tuple[bytes, ...] | None = None  # of the responses


def request(line: bytes, *fields: bytes, body: bytes = b"") -> bytes:
    return b"".join(part + CRLF for part in (line, *fields, b"")) + body


def case_request(name: str, rule: str, raw: bytes, target: str, *codes: str) -> Case:
    """A request that is answered, and another after it to see that the framing held."""
    steps = ((R, raw), (S, OK2), (R, GET2), (S, OK2))
    return Case(name, rule, steps, ((target, 200), ("/2", 200)), codes)


def case_response(
    name: str, rule: str, raw: bytes, status: int, body: bytes, *codes: str, method: bytes = b"GET"
) -> Case:
    """A response, and another exchange after it."""
    ask = GET.replace(b"GET", method, 1)
    steps = ((R, ask), (S, raw), (R, GET2), (S, OK2))
    return Case(name, rule, steps, (("/1", status), ("/2", 200)), codes, bodies=(body, b"ok"))


def chunked(*lines: bytes, head: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + head + CRLF + b"".join(lines)


def until_close(name: str, rule: str, raw: bytes, status: int, body: bytes, *codes: str) -> Case:
    return Case(name, rule, ((R, GET), (S, raw), (S, "fin")), (("/1", status),), codes, bodies=(body,))


HEADS = (
    case_request("empty lines before a request", "9112 §2.2", b"\r\n\r\n" + GET, "/1", "empty-lines"),
    case_request("bare LF ends lines", "9112 §2.2", b"GET /1 HTTP/1.1\nHost: h\n\n", "/1", "bare-lf"),
    case_request("LF and CRLF mixed", "9112 §2.2", b"GET /1 HTTP/1.1\r\nHost: h\n\r\n", "/1", "bare-lf"),
    case_request("lone CR is no line end", "9112 §2.2", b"GET /1 HTTP/1.1\r\nA: b\rC: d\r\n\r\n", "/1", "lone-cr"),
    case_request("NUL in a value", "9110 §5.5", b"GET /1 HTTP/1.1\r\nA: b\0c\r\n\r\n", "/1", "control-byte"),
    case_request(
        "whitespace after the start line",
        "9112 §2.2",
        b"GET /1 HTTP/1.1\r\n Host: h\r\nA: b\r\n\r\n",
        "/1",
        "whitespace-before-header",
    ),
    case_request("several spaces", "9112 §3", b"GET   /1  HTTP/1.1\r\n\r\n", "/1", "odd-whitespace"),
    case_request("space in the target", "9112 §3.2", b"GET /a b HTTP/1.1\r\n\r\n", "/a b", "space-in-target"),
    case_request("raw bytes in the target", "9112 §3.2", b"GET /\xff HTTP/1.1\r\n\r\n", "/\xff", "invalid-target"),
    case_request("lower-case method", "9110 §9.1", b"get /1 HTTP/1.1\r\n\r\n", "/1", "unknown-method"),
    case_request("unknown method", "9110 §9.1", b"FROB /1 HTTP/1.1\r\n\r\n", "/1", "unknown-method"),
    case_request("lower-case version", "9112 §2.3", b"GET /1 http/1.1\r\n\r\n", "/1", "odd-version"),
    case_request("version 1.2", "9112 §2.3", b"GET /1 HTTP/1.2\r\n\r\n", "/1", "odd-version"),
    case_request("no version but fields", "9112 §3", b"GET /1\r\nHost: h\r\n\r\n", "/1", "missing-version"),
    case_request("absolute form", "9112 §3.2.2", b"GET http://h/1 HTTP/1.1\r\nHost: x\r\n\r\n", "http://h/1"),
    case_request("asterisk form", "9112 §3.2.4", b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "*"),
    case_request(
        "space before the colon",
        "9112 §5.1",
        request(b"POST /1 HTTP/1.1", b"Content-Length : 3", body=b"abc"),
        "/1",
        "space-before-colon",
    ),
    case_request("obs-fold", "9112 §5.2", b"GET /1 HTTP/1.1\r\nA: b\r\n  c\r\n\r\n", "/1", "obs-fold"),
    case_request("line without a colon", "9112 §5", b"GET /1 HTTP/1.1\r\nA\r\n\r\n", "/1", "no-colon"),
    case_request("name with a space", "9112 §5.1", b"GET /1 HTTP/1.1\r\nA b: c\r\n\r\n", "/1", "invalid-header-name"),
    case_response("empty reason", "9112 §4", b"HTTP/1.1 204 \r\n\r\n", 204, b""),
    case_response(
        "no space before the empty reason", "9112 §4", b"HTTP/1.1 204\r\n\r\n", 204, b"", "missing-space-after-status"
    ),
    case_response("two spaces before the status", "9112 §4", b"HTTP/1.1  204 No\r\n\r\n", 204, b"", "odd-whitespace"),
    case_response("version 2.0", "9112 §2.3", b"HTTP/2.0 204 No\r\n\r\n", 204, b"", "odd-version"),
    case_response("empty line before a status line", "9112 §2.2", b"\r\n" + OK2, 200, b"ok", "empty-lines"),
)

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: %b\r\n\r\n"
LENGTHS = (
    case_response(
        "equal lengths", "9112 §6.3(5)", LENGTH % b"2\r\nContent-Length: 2" + b"ab", 200, b"ab", "cl-repeated"
    ),
    case_response("a list of equal lengths", "9110 §8.6", LENGTH % b"2, 2" + b"ab", 200, b"ab", "cl-repeated"),
    case_response(
        "different lengths: the first",
        "9112 §6.3(5)",
        LENGTH % b"2\r\nContent-Length: 3" + b"ab",
        200,
        b"ab",
        "cl-differs",
    ),
    case_response("signed length: its digits", "9110 §8.6", LENGTH % b"+2" + b"ab", 200, b"ab", "cl-invalid"),
    case_response("leading zeros", "9110 §8.6", LENGTH % b"0002" + b"ab", 200, b"ab"),
    Case(
        "negative length in a request: the next start line ends the body",
        "9112 §6.3(5)",
        ((R, request(b"POST /1 HTTP/1.1", b"Content-Length: -5", body=b"hello") + GET2), (S, OK2), (S, OK2)),
        (("/1", 200), ("/2", 200)),
        ("cl-invalid", "unframed"),
        ("gap", "complete"),
    ),
    case_response(
        "negative length: unknown", "9112 §6.3(5)", LENGTH % b"-2" + b"ab", 200, b"", "cl-invalid", "unframed"
    )._replace(completeness=("gap", "complete")),
    case_response(
        "hexadecimal length: unknown", "9112 §6.3(5)", LENGTH % b"0x2" + b"ab", 200, b"", "cl-invalid", "unframed"
    )._replace(completeness=("gap", "complete")),
    case_response(
        "length over 2^63: unknown",
        "9112 §6.3(5)",
        LENGTH % b"9223372036854775808" + b"ab",
        200,
        b"",
        "cl-overflow",
        "unframed",
    )._replace(completeness=("gap", "complete")),
    case_response(
        "empty length: unknown", "9112 §6.3(5)", LENGTH % b"" + b"ab", 200, b"", "cl-invalid", "unframed"
    )._replace(completeness=("gap", "complete")),
    case_response("HEAD", "9112 §6.3(1)", LENGTH % b"2", 200, b"", method=b"HEAD"),
    case_response("HEAD, chunked", "9112 §6.3(1)", chunked(), 200, b"", method=b"HEAD"),
    case_response("204 with a length", "9112 §6.3(1)", b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", 204, b""),
    case_response("304 with a length", "9112 §6.3(1)", b"HTTP/1.1 304 Not\r\nContent-Length: 5\r\n\r\n", 304, b""),
    case_response(
        "304 that says chunked", "9112 §6.3(1)", b"HTTP/1.1 304 N\r\nTransfer-Encoding: chunked\r\n\r\n", 304, b""
    ),
    case_response(
        "102, 103, then 200",
        "9110 §15.2",
        b"HTTP/1.1 102 P\r\nContent-Length: 4\r\n\r\nHTTP/1.1 103 E\r\n\r\n" + OK2,
        200,
        b"ok",
    ),
    case_request(
        "length in a request", "9112 §6.3(6)", request(b"PUT /1 HTTP/1.1", b"Content-Length: 3", body=b"abc"), "/1"
    ),
    case_request("neither: no body", "9112 §6.3(7)", request(b"POST /1 HTTP/1.1", b"Host: h"), "/1"),
    until_close("neither: until close", "9112 §6.3(8)", b"HTTP/1.0 200 OK\r\n\r\nabc", 200, b"abc"),
    Case(
        "reset inside until-close",
        "9112 §6.3(8)",
        ((R, GET), (S, b"HTTP/1.0 200 OK\r\n\r\nabc"), (S, "reset")),
        (("/1", 200),),
        ("truncated",),
        ("truncated-by-close",),
        (b"abc",),
    ),
    Case(
        "end of capture inside until-close",
        "9112 §6.3(8)",
        ((R, GET), (S, b"HTTP/1.0 200 OK\r\n\r\nabc")),
        (("/1", 200),),
        ("truncated",),
        ("truncated-by-end",),
        (b"abc",),
    ),
    Case(
        "close inside a length",
        "9112 §8",
        ((R, GET), (S, LENGTH % b"9" + b"abc"), (S, "fin")),
        (("/1", 200),),
        ("truncated",),
        ("truncated-by-close",),
        (b"abc",),
    ),
    Case(
        "close inside chunks",
        "9112 §8",
        ((R, GET), (S, chunked(b"5\r\nabc")), (S, "fin")),
        (("/1", 200),),
        ("truncated",),
        ("truncated-by-close",),
        (b"abc",),
    ),
    Case(
        "close inside a head",
        "9112 §8",
        ((R, GET), (S, b"HTTP/1.1 200 OK\r\nContent-Le"), (S, "fin")),
        (("/1", 200),),
        ("truncated",),
        ("truncated-by-close",),
        (b"",),
    ),
    Case(
        "close inside a request",
        "9112 §8",
        ((R, request(b"PUT /1 HTTP/1.1", b"Content-Length: 9", body=b"abc")), (R, "fin")),
        (("/1", None),),
        ("truncated",),
        ("truncated-by-close",),
    ),
    Case(
        "close inside a request line",
        "9112 §8",
        ((R, b"GET /1 HT"), (R, "fin")),
        (("/1", None),),
        ("truncated",),
        ("truncated-by-close",),
    ),
)

TE = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: %b\r\n\r\n"
TRANSFER = (
    case_response("chunks", "9112 §7.1", chunked(b"2\r\nab\r\n", b"3\r\ncde\r\n", b"0\r\n\r\n"), 200, b"abcde"),
    case_response("chunk extensions", "9112 §7.1.1", chunked(b'2;a=b;c="d"\r\nab\r\n', b"0;x\r\n\r\n"), 200, b"ab"),
    case_response("trailers", "9112 §7.1.2", chunked(b"2\r\nab\r\n", b"0\r\nDigest: x\r\nEtag: y\r\n\r\n"), 200, b"ab"),
    case_response(
        "hex case, leading zeros",
        "9112 §7.1",
        chunked(b"00A\r\n0123456789\r\n", b"0a\r\n0123456789\r\n", b"000\r\n\r\n"),
        200,
        b"0123456789" * 2,
    ),
    case_response("chunk lines ended by LF", "9112 §2.2", chunked(b"2\nab\n", b"0\n\n"), 200, b"ab", "bare-lf"),
    case_response(
        "spaces after a chunk size",
        "9112 §7.1.1",
        chunked(b"2  \r\nab\r\n", b"0\r\n\r\n"),
        200,
        b"ab",
        "chunk-size-whitespace",
    ),
    case_response("spaces before an extension", "9112 §7.1.1", chunked(b"2 ;a\r\nab\r\n", b"0\r\n\r\n"), 200, b"ab"),
    case_response(
        "chunk size of 2^63",
        "9112 §7.1",
        chunked(b"8000000000000000\r\nab"),
        200,
        b"",
        "chunk-size-overflow",
        "unframed",
    )._replace(completeness=("gap", "complete")),
    case_response(
        "chunk size of 40 digits",
        "9112 §7.1",
        chunked(b"f" * 40 + b"\r\nab"),
        200,
        b"",
        "chunk-size-overflow",
        "unframed",
    )._replace(completeness=("gap", "complete")),
    case_response(
        "chunk size that is none", "9112 §7.1", chunked(b"2\r\nab\r\nxyz\r\n"), 200, b"ab", "chunk-size-invalid"
    )._replace(completeness=("gap", "complete")),
    case_response(
        "chunk longer than it says",
        "9112 §7.1",
        chunked(b"2\r\nabc\r\n0\r\n\r\n"),
        200,
        b"ab",
        "chunk-data-without-crlf",
        "unframed",
    )._replace(completeness=("gap", "complete")),
    case_response(
        "last CRLF missing before the next response",
        "9112 §7.1",
        chunked(b"2\r\nab\r\n0\r\n"),
        200,
        b"ab",
        "missing-last-crlf",
    ),
    Case(
        "last CRLF missing before the end",
        "9112 §7.1",
        ((R, GET), (S, chunked(b"2\r\nab\r\n0\r\n")), (S, "fin")),
        (("/1", 200),),
        ("missing-last-crlf",),
        (),
        (b"ab",),
    ),
    case_response(
        "both TE and CL: TE wins",
        "9112 §6.1",
        chunked(b"2\r\nab\r\n0\r\n\r\n", head=b"Content-Length: 9\r\n"),
        200,
        b"ab",
        "te-and-cl",
    ),
    case_request(
        "both in a request",
        "9112 §6.1",
        request(b"POST /1 HTTP/1.1", b"Content-Length: 9", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        "/1",
        "te-and-cl",
    ),
    case_response(
        "TE in HTTP/1.0",
        "9112 §6.1",
        chunked(b"2\r\nab\r\n0\r\n\r\n").replace(b"HTTP/1.1", b"HTTP/1.0"),
        200,
        b"ab",
        "te-in-http10",
    ),
    case_response(
        "chunked twice", "9112 §6.1", TE % b"chunked, chunked" + b"2\r\nab\r\n0\r\n\r\n", 200, b"ab", "te-chunked-twice"
    ),
    case_response("chunked in capitals", "9112 §7", TE % b"Chunked" + b"2\r\nab\r\n0\r\n\r\n", 200, b"ab"),
    case_response(
        "gzip, chunked", "9112 §7.2", TE % b"gzip, chunked" + b"2\r\nab\r\n0\r\n\r\n", 200, b"ab", "coding-error"
    ),
    case_response(
        "identity says nothing",
        "9112 §6.1",
        TE.replace(b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\n") % b"identity" + b"ab",
        200,
        b"ab",
        "te-and-cl",
        "te-identity",
    ),
    case_response(
        "empty TE says nothing",
        "9112 §6.1",
        TE.replace(b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\n") % b"" + b"ab",
        200,
        b"ab",
        "te-and-cl",
        "te-empty",
    ),
    until_close(
        "unknown TE: until close", "9112 §6.3(4)", TE % b"cow" + b"ab", 200, b"ab", "coding-error", "te-unknown"
    ),
    until_close(
        "chunked not last: until close",
        "9112 §6.3(4)",
        TE % b"chunked, gzip" + b"2\r\nab",
        200,
        b"2\r\nab",
        "coding-error",
        "te-chunked-not-last",
    ),
    Case(
        "request without final chunked: unreadable",
        "9112 §6.3(4)",
        (
            (R, request(b"POST /1 HTTP/1.1", b"Transfer-Encoding: gzip", body=b"ab")),
            (S, b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n"),
            (R, b"GET /2 HTTP/1.1\r\n\r\n"),
            (R, "fin"),
        ),
        (("/1", 400),),
        ("coding-error", "te-without-chunked"),
    ),
)

CONNECTIONS = (
    Case(
        "keep-alive",
        "9112 §9.3",
        ((R, GET), (S, OK2), (R, GET2), (S, OK2), (R, GET3), (S, OK2)),
        (("/1", 200), ("/2", 200), ("/3", 200)),
    ),
    Case(
        "pipelined",
        "9112 §9.3.2",
        ((R, GET + GET2 + GET3), (S, OK2 + OK2 + OK2)),
        (("/1", 200), ("/2", 200), ("/3", 200)),
    ),
    Case(
        "HTTP/1.0 keep-alive",
        "9112 §9.3",
        ((R, b"GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), (S, OK2), (R, GET2), (S, OK2)),
        (("/1", 200), ("/2", 200)),
    ),
    Case(
        "request after close",
        "9112 §9.6",
        ((R, b"GET /1 HTTP/1.1\r\nConnection: close\r\n\r\n"), (S, OK2), (R, GET2), (S, OK2)),
        (("/1", 200), ("/2", 200)),
        ("after-close",),
    ),
    Case(
        "response after close",
        "9112 §9.6",
        ((R, GET + GET2), (S, OK2.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + OK2)),
        (("/1", 200), ("/2", 200)),
        ("after-close",),
    ),
    Case(
        "early response",
        "9110 §7.5",
        (
            (R, request(b"PUT /1 HTTP/1.1", b"Content-Length: 6", body=b"abc")),
            (S, OK2),
            (R, b"def"),
            (R, GET2),
            (S, OK2),
        ),
        (("/1", 200), ("/2", 200)),
    ),
    Case(
        "100-continue, then the body",
        "9110 §10.1.1",
        (
            (R, request(b"PUT /1 HTTP/1.1", b"Expect: 100-continue", b"Content-Length: 3")),
            (S, b"HTTP/1.1 100 C\r\n\r\n"),
            (R, b"abc"),
            (S, OK2),
        ),
        (("/1", 200),),
    ),
    Case(
        "final status first, no body",
        "9110 §10.1.1",
        (
            (R, request(b"PUT /1 HTTP/1.1", b"Expect: 100-continue", b"Content-Length: 3")),
            (S, OK2.replace(b"200", b"417")),
            (R, GET2),
            (S, OK2),
        ),
        (("/1", 417), ("/2", 200)),
        ("body-withheld",),
    ),
    Case(
        "final status first, body all the same",
        "9110 §10.1.1",
        (
            (R, request(b"PUT /1 HTTP/1.1", b"Expect: 100-continue", b"Content-Length: 3")),
            (S, OK2.replace(b"200", b"417")),
            (R, b"abc"),
            (R, GET2),
            (S, OK2),
        ),
        (("/1", 417), ("/2", 200)),
    ),
    Case(
        "final status first, then the end",
        "9110 §10.1.1",
        (
            (R, request(b"PUT /1 HTTP/1.1", b"Expect: 100-continue", b"Transfer-Encoding: chunked")),
            (S, OK2.replace(b"200", b"417")),
            (R, "fin"),
            (S, "fin"),
        ),
        (("/1", 417),),
        ("body-withheld",),
    ),
    Case(
        "408 on an idle connection",
        "9110 §15.5.9",
        ((R, GET), (S, OK2), (S, OK2.replace(b"200", b"408")), (R, GET2), (S, OK2)),
        (("/1", 200), (None, 408), ("/2", 200)),
        (),
        ("complete", "response-only", "complete"),
    ),
    Case(
        "408 for a request that never became whole",
        "9110 §15.5.9",
        ((R, b"GET /1 HTTP/1.1\r\nHo"), (S, OK2.replace(b"200", b"408")), (S, "fin")),
        (("/1", 408),),
        ("truncated",),
        ("truncated-by-end",),
    ),
    Case("no response", "9112 §8", ((R, GET), (S, "fin")), (("/1", None),), (), ("request-only",)),
    Case(
        "only interim responses, then the end",
        "9110 §15.2",
        ((R, GET), (S, b"HTTP/1.1 102 P\r\n\r\n"), (S, b"HTTP/1.1 103 E\r\n\r\n"), (S, "fin")),
        (("/1", 103),),
        ("no-final-response",),
        ("request-only",),
    ),
    Case(
        "only an interim response so far",
        "9110 §15.2",
        ((R, GET), (S, b"HTTP/1.1 102 P\r\n\r\n")),
        (("/1", 102),),
        ("no-final-response",),
        ("open",),
    ),
    Case("still waiting", "9112 §8", ((R, GET),), (("/1", None),), (), ("open",)),
    Case(
        "upgrade ignored",
        "9110 §7.8",
        ((R, request(b"GET /1 HTTP/1.1", b"Upgrade: h2c", b"Connection: upgrade")), (S, OK2), (R, GET2), (S, OK2)),
        (("/1", 200), ("/2", 200)),
    ),
    Case(
        "101 ends HTTP",
        "9110 §7.8",
        (
            (R, request(b"GET /1 HTTP/1.1", b"Upgrade: websocket", b"Connection: upgrade")),
            (S, b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x05hello"),
            (R, b"\x81\x85...."),
        ),
        (("/1", 101),),
    ),
    Case(
        "101 that nobody asked for",
        "9110 §15.2.2",
        ((R, GET), (S, b"HTTP/1.1 101 S\r\n\r\nxyz"), (R, b"abc")),
        (("/1", 101),),
        ("unexpected-upgrade",),
    ),
    Case(
        "101 before the end of the request's body",
        "9110 §7.8",
        (
            (R, request(b"PUT /1 HTTP/1.1", b"Upgrade: x", b"Content-Length: 5", body=b"ab")),
            (S, b"HTTP/1.1 101 S\r\nUpgrade: x\r\n\r\nxyz"),
            (R, b"cde" + GET2),
        ),
        (("/1", 101),),
    ),
    Case(
        "101 for a request line that is not whole",
        "9110 §7.8",
        ((R, b"GET /1 HT"), (S, b"HTTP/1.1 101 S\r\nUpgrade: x\r\n\r\n"), (R, b"TP/1.1\r\nHost: h\r\n\r\nabc")),
        (("/1", 101),),
        ("unexpected-upgrade",),
    ),
    Case(
        "garbage that is answered before it is known to be garbage",
        "9112 §2.2",
        ((R, GET), (S, OK2), (R, b"garbage"), (S, OK2.replace(b"200", b"400")), (R, b" \0\r\n"), (R, GET2), (S, OK2)),
        (("/1", 200), (None, 400), ("/2", 200)),
        ("request-lost", "unframed"),
        ("complete", "gap", "complete"),
    ),
    Case(
        "CONNECT, 200",
        "9112 §6.3(2)",
        (
            (R, b"CONNECT h:443 HTTP/1.1\r\n\r\n"),
            (R, b"\x16\x03\x01"),
            (S, b"HTTP/1.1 200 C\r\nContent-Length: 5\r\n\r\n\x16\x03\x03"),
        ),
        (("h:443", 200),),
    ),
    Case(
        "CONNECT refused",
        "9112 §6.3(2)",
        ((R, b"CONNECT h:443 HTTP/1.1\r\n\r\n" + GET2), (S, OK2.replace(b"200", b"403")), (S, OK2)),
        (("h:443", 403), ("/2", 200)),
    ),
    Case(
        "CONNECT never answered",
        "9112 §6.3(2)",
        ((R, b"CONNECT h:443 HTTP/1.1\r\n\r\n"), (R, b"\x16\x03\x01"), (S, "fin")),
        (("h:443", None),),
        (),
        ("request-only",),
    ),
    Case(
        "HTTP/0.9",
        "1945 §4.1",
        ((R, b"GET /1\r\n"), (S, b"<p>hello"), (S, "fin")),
        (("/1", 0),),
        ("http-0.9",),
        (),
        (b"<p>hello",),
    ),
    Case(
        "HTTP/0.9 with an empty line",
        "1945 §4.1",
        ((R, b"GET /1\r\n\r\n"), (S, b"<p>hello"), (S, "fin")),
        (("/1", 0),),
        ("http-0.9",),
        (),
        (b"<p>hello",),
    ),
    Case(
        "HTTP/0.9 answered by HTTP/1.1",
        "9112 §3",
        ((R, b"GET /1\r\n"), (S, OK2)),
        (("/1", 200),),
        ("http-0.9",),
        (),
        (b"ok",),
    ),
    Case(
        "no version, answered by a body alone",
        "1945 §6",
        ((R, b"GET /1\r\nHost: h\r\n\r\n"), (S, b"<p>hello"), (S, "fin")),
        (("/1", 0),),
        ("missing-version",),
        (),
        (b"<p>hello",),
    ),
    Case(
        "garbage between responses",
        "9112 §2.2",
        ((R, GET), (S, OK2 + b"garbage"), (R, GET2), (S, OK2)),
        (("/1", 200), ("/2", 200)),
        ("unframed",),
    ),
    Case(
        "garbage between requests",
        "9112 §2.2",
        ((R, GET + b"\x01\x02\x03\x04"), (S, OK2), (R, GET2), (S, OK2)),
        (("/1", 200), ("/2", 200)),
        ("unframed",),
    ),
)

CASES = HEADS + LENGTHS + TRANSFER + CONNECTIONS
