"""The one list of problem codes: what a code means, which rule it names, an example. docs/problems.md is made from it.

    python -m replay.problems > docs/problems.md

A code is raised where its rule is implemented; a test compares this list with the source, the page and the tests.
"""

from __future__ import annotations

import sys
from typing import Final, NamedTuple

_LEAD: Final = """# Problems

<!-- Made by `python -m replay.problems > docs/problems.md`. Do not edit. -->

An exchange lists every deviation that was tolerated and every loss as a *problem*: a code from this page, the side
(`request` or `response`) and, where they are known, the offset from the message's first byte, the length in bytes, the
reason of a loss, and a detail from the wire. The offset is negative for what lies before the message. At most 64 are
listed for one exchange. A problem does not make an exchange incomplete; `completeness` says whether it is.
"""


class ProblemCode(NamedTuple):
    """One row of the page."""

    name: str
    meaning: str
    rule: str  # "9112 §2.2": an RFC and its section; "" where no RFC speaks of it
    example: str


# Losses first, then the order of RFC 9112.
PROBLEMS: Final[tuple[ProblemCode, ...]] = (
    ProblemCode("gap", "Bytes passed that were not captured; `reason` says why.", "", "ring-full, sendfile, snaplen"),
    ProblemCode("truncated", "The direction ended inside the message; what was seen is kept.", "9112 §8", "reset"),
    ProblemCode(
        "unframed",
        "Bytes were seen that cannot be given their place, because the framing before them is lost or is none.",
        "9112 §6.3",
        "the rest of a chunked body after a gap in a chunk-size line",
    ),
    ProblemCode(
        "joined-midstream",
        "What the connection carried before the first start line that could be believed.",
        "",
        "the end of a body",
    ),
    ProblemCode("response-lost", "The response to this request lies in a gap.", "9112 §9.3.2", ""),
    ProblemCode(
        "request-lost",
        "The request of this response lies in a gap, or in bytes that could not be framed.",
        "9112 §9.3.2",
        "",
    ),
    ProblemCode(
        "paired-by-inference",
        "After a loss more than one request may be the one that is answered; times and positions decided.",
        "9112 §9.3.2",
        "",
    ),
    ProblemCode(
        "undecided-pair",
        "After a loss nothing decides whether this request and the response behind it belong together: listed apart.",
        "9112 §9.3.2",
        "a response was lost before it, and a request may be lost behind its request",
    ),
    ProblemCode(
        "too-many-waiting",
        "So many requests waited for a response that this one is listed without.",
        "9112 §9.3.2",
        "a million pipelined requests",
    ),
    ProblemCode(
        "request-listed-before",
        "The request of this response was listed before (`too-many-waiting`).",
        "9112 §9.3.2",
        "",
    ),
    ProblemCode("undecided-tunnel", "Bytes after a CONNECT that was never answered.", "9110 §9.3.6", "a TLS hello"),
    ProblemCode("body-not-kept", "The body is larger than what is kept; its size and hash are of the whole.", "", ""),
    ProblemCode(
        "no-final-response",
        "Only interim responses came; the last of them is listed as the response.",
        "9110 §15.2",
        "",
    ),
    ProblemCode(
        "more-interim", "More interim responses than are listed for one exchange.", "9110 §15.2", "a million 102"
    ),
    ProblemCode("more-problems", "More problems than are listed for one exchange.", "", ""),
    ProblemCode("empty-lines", "Empty lines before a start line, skipped.", "9112 §2.2", r"\r\n before GET"),
    ProblemCode("bare-lf", "A line ends with LF alone, which is accepted.", "9112 §2.2", r"GET / HTTP/1.1\n"),
    ProblemCode("lone-cr", "A CR without LF, which ends no line.", "9112 §2.2", r"a\rb"),
    ProblemCode("control-byte", "A control byte in a head, NUL for one.", "9110 §5.5", r"a\0b"),
    ProblemCode(
        "whitespace-before-header",
        "A line that begins with whitespace follows the start line; it is passed over, never folded into it.",
        "9112 §2.2",
        "",
    ),
    ProblemCode(
        "head-too-large", "A head or trailer section over 256 KiB, or a start line over 64 KiB.", "9112 §5.4", ""
    ),
    ProblemCode(
        "odd-whitespace", "More whitespace in a start line than the grammar has.", "9112 §3", "GET  / HTTP/1.1"
    ),
    ProblemCode("space-in-target", "A request target with whitespace in it.", "9112 §3.2", "GET /a b HTTP/1.1"),
    ProblemCode(
        "target-cut",
        "Only the beginning of the request target was seen: it is listed with `…`, which no target has, behind it.",
        "9112 §3.2",
        "",
    ),
    ProblemCode("invalid-target", "A request target with bytes that no URI has.", "9112 §3.2", r"GET /\xff HTTP/1.1"),
    ProblemCode("unknown-method", "A method that is not registered, or in lower case.", "9110 §9.1", "get / HTTP/1.1"),
    ProblemCode("missing-version", "A request line without a version, before header fields.", "9112 §3", "GET /"),
    ProblemCode("http-0.9", "A request line without a version and without header fields.", "1945 §4.1", "GET /"),
    ProblemCode("odd-version", "A version other than HTTP/1.0 and HTTP/1.1.", "9112 §2.3", "HTTP/1.2, http/1.1"),
    ProblemCode("missing-space-after-status", "A status line that ends with its status.", "9112 §4", "HTTP/1.1 200"),
    ProblemCode("no-colon", "A header line without a colon; it is no field.", "9112 §5", ""),
    ProblemCode(
        "space-before-colon", "Whitespace between name and colon; the field counts.", "9112 §5.1", "Content-Length : 5"
    ),
    ProblemCode("invalid-header-name", "A field name that is no token.", "9110 §5.1", "a b: c"),
    ProblemCode("obs-fold", "A field continued on the next line, joined by one space.", "9112 §5.2", ""),
    ProblemCode("te-and-cl", "Both Transfer-Encoding and Content-Length: Transfer-Encoding counts.", "9112 §6.1", ""),
    ProblemCode("te-in-http10", "Transfer-Encoding in HTTP/1.0: it counts all the same.", "9112 §6.1", ""),
    ProblemCode("te-unknown", "A transfer coding that is not registered.", "9112 §7", "Transfer-Encoding: cow"),
    ProblemCode("te-identity", "The coding `identity`, which is no more; it is ignored.", "9112 §7", ""),
    ProblemCode("te-empty", "A Transfer-Encoding without a coding; it is ignored.", "9112 §6.1", ""),
    ProblemCode("te-chunked-twice", "Chunked named more than once; it is undone once.", "9112 §6.1", ""),
    ProblemCode(
        "te-chunked-not-last", "Chunked is not the last coding: the body ends with the direction.", "9112 §6.3", ""
    ),
    ProblemCode(
        "te-without-chunked",
        "A request whose codings do not end in chunked: it cannot be read further than its head.",
        "9112 §6.3",
        "Transfer-Encoding: gzip",
    ),
    ProblemCode("cl-repeated", "Content-Length given more than once with one value.", "9112 §6.3", "5, 5"),
    ProblemCode("cl-differs", "Content-Length with several values: the first counts.", "9112 §6.3", "5, 6"),
    ProblemCode(
        "cl-invalid",
        "A Content-Length that is no number. After a plus sign the digits count; otherwise the next believable start "
        "line ends the body.",
        "9110 §8.6",
        "-1, 0x5, +5, empty",
    ),
    ProblemCode("cl-overflow", "A Content-Length over 2^63 - 1; as one that is no number.", "9110 §8.6", ""),
    ProblemCode("chunk-size-invalid", "A chunk-size line that is none.", "9112 §7.1", "xyz"),
    ProblemCode("chunk-size-overflow", "A chunk size over 2^63 - 1.", "9112 §7.1", "8000000000000000"),
    ProblemCode("chunk-size-whitespace", "Whitespace around a chunk size.", "9112 §7.1.1", ""),
    ProblemCode("chunk-line-too-long", "A chunk-size line over 16 KiB.", "9112 §7.1.1", ""),
    ProblemCode("chunk-data-without-crlf", "No line end after a chunk's data.", "9112 §7.1", ""),
    ProblemCode("missing-last-crlf", "The message ends after the last chunk, without the empty line.", "9112 §7.1", ""),
    ProblemCode(
        "coding-error",
        "A content or transfer coding could not be undone, or only in part. The body is kept as it was.",
        "9110 §8.4",
        "Content-Encoding: gzip on plain text",
    ),
    ProblemCode("after-close", "A message after one that said it was the last.", "9112 §9.6", "Connection: close"),
    ProblemCode(
        "body-withheld", "The final status came before the expected body, which was never sent.", "9110 §10.1.1", ""
    ),
    ProblemCode("unexpected-upgrade", "A 101 for a request that asked for no upgrade.", "9110 §15.2.2", ""),
)


def page() -> str:
    """The text of docs/problems.md."""
    lines = [_LEAD, "| code | meaning | rule | example |", "|---|---|---|---|"]
    for code in PROBLEMS:
        rule = f"RFC {code.rule}" if code.rule else ""
        example = f"`{code.example}`" if code.example else ""
        lines.append(f"| `{code.name}` | {code.meaning} | {rule} | {example} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
