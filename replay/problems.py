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

Each example is read by a test. `>` is what the client sends, `<` what the server sends; `(40)` are so many bytes that
passed and were not captured, `(joined)` a recording that began in the middle of the
connection, `{65}` says how often it passed.
"""


class ProblemCode(NamedTuple):
    """One row of the page."""

    name: str
    meaning: str
    rule: str  # "9112 §2.2": an RFC and its section, or where else it is written
    example: tuple[str, ...]  # what passed, as the page's lead says it; tests have the reader read it


_ASKED: Final = r"> GET / HTTP/1.1\r\n\r\n"
_ANSWERED: Final = r"< HTTP/1.1 204 No\r\n\r\n"

# Losses first, then the order of RFC 9112.
PROBLEMS: Final[tuple[ProblemCode, ...]] = (
    ProblemCode(
        "gap",
        "Bytes passed that were not captured; `reason` says why.",
        "9112 §8",
        (r"> POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n", "> (5)"),
    ),
    ProblemCode(
        "truncated",
        "The direction ended inside the message; what was seen is kept.",
        "9112 §8",
        ("> GET / HT",),
    ),
    ProblemCode(
        "unframed",
        "Bytes were seen that cannot be given their place, because the framing before them is lost or is none.",
        "9112 §6.3",
        (_ASKED, r"< SSH-2.0\r\n"),
    ),
    ProblemCode(
        "joined-midstream",
        "What the connection carried before the first start line that could be believed.",
        "[Losses](http1.md#losses)",
        ("(joined)", "> of a body", _ASKED),
    ),
    ProblemCode(
        "response-lost",
        "The response to this request lies in a gap.",
        "9112 §9.3.2",
        (_ASKED, "< (40)", _ASKED, _ANSWERED),
    ),
    ProblemCode(
        "request-lost",
        "The request of this response lies in a gap, or in bytes that could not be framed.",
        "9112 §9.3.2",
        ("> (40)", _ANSWERED),
    ),
    ProblemCode(
        "paired-by-inference",
        "After a loss more than one request may be the one that is answered; times and positions decided.",
        "9112 §9.3.2",
        (_ASKED, _ASKED, _ASKED, "< (40)", _ANSWERED),
    ),
    ProblemCode(
        "undecided-pair",
        "After a loss nothing decides whether this request and the response behind it belong together: listed apart.",
        "9112 §9.3.2",
        (_ASKED, "< (15)", _ANSWERED, "> (40)"),
    ),
    ProblemCode(
        "too-many-waiting",
        "So many requests waited for a response that this one is listed without.",
        "9112 §9.3.2",
        (r"> GET / HTTP/1.1\r\n\r\n {4097}",),
    ),
    ProblemCode(
        "request-listed-before",
        "The request of this response was listed before (`too-many-waiting`).",
        "9112 §9.3.2",
        (r"> GET / HTTP/1.1\r\n\r\n {4097}", _ANSWERED),
    ),
    ProblemCode(
        "undecided-tunnel",
        "Bytes after a CONNECT that was never answered.",
        "9110 §9.3.6",
        (r"> CONNECT h:1 HTTP/1.1\r\n\r\n", "> abc"),
    ),
    ProblemCode(
        "body-not-kept",
        "The body is larger than what is kept; its size and hash are of the whole.",
        "`MAX_BODY_KEPT` in replay/http1/limits.py",
        (r"< HTTP/1.1 200 OK\r\nContent-Length: 16777217\r\n\r\n", "< a {16777217}"),
    ),
    ProblemCode(
        "no-final-response",
        "Only interim responses came; the last of them is listed as the response.",
        "9110 §15.2",
        (r"< HTTP/1.1 103 E\r\n\r\n",),
    ),
    ProblemCode(
        "more-interim",
        "More interim responses than are listed for one exchange.",
        "9110 §15.2",
        (r"< HTTP/1.1 102 P\r\n\r\n {1025}",),
    ),
    ProblemCode(
        "more-problems",
        "More problems than are listed for one exchange.",
        "`MAX_PROBLEMS` in replay/http1/limits.py",
        (r"> GET / HTTP/1.1\r\n", r"> A b: c\r\n {65}"),
    ),
    ProblemCode(
        "empty-lines", "Empty lines before a start line, skipped.", "9112 §2.2", (r"> \r\nGET / HTTP/1.1\r\n\r\n",)
    ),
    ProblemCode("bare-lf", "A line ends with LF alone, which is accepted.", "9112 §2.2", (r"> GET / HTTP/1.1\n\n",)),
    ProblemCode(
        "lone-cr", "A CR without LF, which ends no line.", "9112 §2.2", (r"> GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",)
    ),
    ProblemCode(
        "control-byte", "A control byte in a head, NUL for one.", "9110 §5.5", (r"> GET / HTTP/1.1\r\nA: b\0c\r\n\r\n",)
    ),
    ProblemCode(
        "whitespace-before-header",
        "A line that begins with whitespace follows the start line; it is passed over, never folded into it.",
        "9112 §2.2",
        (r"> GET / HTTP/1.1\r\n A: b\r\n\r\n",),
    ),
    ProblemCode(
        "head-too-large",
        "A head or trailer section over 256 KiB, or a start line over 64 KiB.",
        "9112 §5.4",
        (r"> GET / HTTP/1.1\r\n", r"> A: b\r\n {50000}"),
    ),
    ProblemCode(
        "odd-whitespace",
        "More whitespace in a start line than the grammar has.",
        "9112 §3",
        (r"> GET  / HTTP/1.1\r\n\r\n",),
    ),
    ProblemCode(
        "space-in-target", "A request target with whitespace in it.", "9112 §3.2", (r"> GET /a b HTTP/1.1\r\n\r\n",)
    ),
    ProblemCode(
        "target-cut",
        "Only the beginning of the request target was seen: it is listed with `…`, which no target has, behind it.",
        "9112 §3.2",
        ("> GET /a",),
    ),
    ProblemCode(
        "invalid-target",
        "A request target with bytes that no URI has.",
        "9112 §3.2",
        (r"> GET /\xff HTTP/1.1\r\n\r\n",),
    ),
    ProblemCode(
        "unknown-method",
        "A method that is not registered, or in lower case.",
        "9110 §9.1",
        (r"> get / HTTP/1.1\r\n\r\n",),
    ),
    ProblemCode(
        "missing-version",
        "A request line without a version, before header fields.",
        "9112 §3",
        (r"> GET /\r\nA: b\r\n\r\n",),
    ),
    ProblemCode(
        "http-0.9", "A request line without a version and without header fields.", "1945 §4.1", (r"> GET /\r\n",)
    ),
    ProblemCode(
        "odd-version", "A version other than HTTP/1.0 and HTTP/1.1.", "9112 §2.3", (r"> GET / HTTP/1.2\r\n\r\n",)
    ),
    ProblemCode(
        "missing-space-after-status",
        "A status line that ends with its status.",
        "9112 §4",
        (r"< HTTP/1.1 204\r\n\r\n",),
    ),
    ProblemCode(
        "no-colon", "A header line without a colon; it is no field.", "9112 §5", (r"> GET / HTTP/1.1\r\nA\r\n\r\n",)
    ),
    ProblemCode(
        "space-before-colon",
        "Whitespace between name and colon; the field counts.",
        "9112 §5.1",
        (r"> GET / HTTP/1.1\r\nA : b\r\n\r\n",),
    ),
    ProblemCode(
        "invalid-header-name", "A field name that is no token.", "9110 §5.1", (r"> GET / HTTP/1.1\r\nA b: c\r\n\r\n",)
    ),
    ProblemCode(
        "obs-fold",
        "A field continued on the next line, joined by one space.",
        "9112 §5.2",
        (r"> GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",),
    ),
    ProblemCode(
        "te-and-cl",
        "Both Transfer-Encoding and Content-Length: Transfer-Encoding counts.",
        "9112 §6.1",
        (r"> POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",),
    ),
    ProblemCode(
        "te-in-http10",
        "Transfer-Encoding in HTTP/1.0: it counts all the same.",
        "9112 §6.1",
        (r"> POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",),
    ),
    ProblemCode(
        "te-unknown",
        "A transfer coding that is not registered.",
        "9112 §7",
        (r"> POST / HTTP/1.1\r\nTransfer-Encoding: cow, chunked\r\n\r\n0\r\n\r\n",),
    ),
    ProblemCode(
        "te-identity",
        "The coding `identity`, which is no more; it is ignored.",
        "9112 §7",
        (r"> POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n",),
    ),
    ProblemCode(
        "te-empty",
        "A Transfer-Encoding without a coding; it is ignored.",
        "9112 §6.1",
        (r"> POST / HTTP/1.1\r\nTransfer-Encoding:\r\n\r\n",),
    ),
    ProblemCode(
        "te-chunked-twice",
        "Chunked named more than once; it is undone once.",
        "9112 §6.1",
        (r"> POST / HTTP/1.1\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",),
    ),
    ProblemCode(
        "te-chunked-not-last",
        "Chunked is not the last coding: the body ends with the direction.",
        "9112 §6.3",
        (r"> POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",),
    ),
    ProblemCode(
        "te-without-chunked",
        "A request whose codings do not end in chunked: it cannot be read further than its head.",
        "9112 §6.3",
        (r"> POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",),
    ),
    ProblemCode(
        "cl-repeated",
        "Content-Length given more than once with one value.",
        "9112 §6.3",
        (r"> POST / HTTP/1.1\r\nContent-Length: 0, 0\r\n\r\n",),
    ),
    ProblemCode(
        "cl-differs",
        "Content-Length with several values: the first counts.",
        "9112 §6.3",
        (r"> POST / HTTP/1.1\r\nContent-Length: 0, 1\r\n\r\n",),
    ),
    ProblemCode(
        "cl-invalid",
        "A Content-Length that is no number. After a plus sign the digits count; otherwise the next "
        "believable start line ends the body.",
        "9110 §8.6",
        (r"> POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",),
    ),
    ProblemCode(
        "cl-overflow",
        "A Content-Length over 2^63 - 1; as one that is no number.",
        "9110 §8.6",
        (r"> POST / HTTP/1.1\r\nContent-Length: 9223372036854775808\r\n\r\n",),
    ),
    ProblemCode(
        "chunk-size-invalid",
        "A chunk-size line that is none.",
        "9112 §7.1",
        (r"> POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",),
    ),
    ProblemCode(
        "chunk-size-overflow",
        "A chunk size over 2^63 - 1.",
        "9112 §7.1",
        (r"> POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n8000000000000000\r\n",),
    ),
    ProblemCode(
        "chunk-size-whitespace",
        "Whitespace around a chunk size.",
        "9112 §7.1.1",
        (r"> POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0 \r\n\r\n",),
    ),
    ProblemCode(
        "chunk-line-too-long",
        "A chunk-size line over 16 KiB.",
        "9112 §7.1.1",
        (r"> POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0;", "> a {16384}"),
    ),
    ProblemCode(
        "chunk-data-without-crlf",
        "No line end after a chunk's data.",
        "9112 §7.1",
        (r"> POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",),
    ),
    ProblemCode(
        "missing-last-crlf",
        "The message ends after the last chunk, without the empty line.",
        "9112 §7.1",
        (r"> POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",),
    ),
    ProblemCode(
        "coding-error",
        "A content or transfer coding could not be undone, or only in part. The body is kept as it was.",
        "9110 §8.4",
        (r"< HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\na",),
    ),
    ProblemCode(
        "after-close",
        "A message after one that said it was the last.",
        "9112 §9.6",
        (r"> GET / HTTP/1.1\r\nConnection: close\r\n\r\n", _ASKED),
    ),
    ProblemCode(
        "body-withheld",
        "The final status came before the expected body, which was never sent.",
        "9110 §10.1.1",
        (
            r"> PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
            r"< HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n",
        ),
    ),
    ProblemCode(
        "unexpected-upgrade",
        "A 101 for a request that asked for no upgrade.",
        "9110 §15.2.2",
        (_ASKED, r"< HTTP/1.1 101 S\r\n\r\n"),
    ),
)


def page() -> str:
    """The text of docs/problems.md."""
    lines = [_LEAD, "| code | meaning | rule | example |", "|---|---|---|---|"]
    for code in PROBLEMS:
        rule = f"RFC {code.rule}" if code.rule[0].isdigit() else code.rule
        example = " ".join(f"`{step}`" for step in code.example)
        lines.append(f"| `{code.name}` | {code.meaning} | {rule} | {example} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
