"""Bytes of one head in, start line and header fields out (RFC 9112 §2.2, §3, §4, §5). Pure functions.

Knows nothing of streams, bodies or pairing. What the grammar forbids and practice tolerates becomes a named problem;
what cannot be a start line is None. The strict grammar is a few tests of a request line, a regular expression for a
status line and one for field lines; only heads that do not match are read by the loose one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from replay.exchange import Headers, Problem
from replay.http1.limits import MAX_DETAIL
from replay.stream import Flow

# The IANA method registry (RFC 9110 §16.1), without PRI, which only the HTTP/2 preface uses.
_METHOD_REGISTRY: Final = (
    "ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT CONNECT COPY DELETE GET HEAD LABEL LINK LOCK MERGE MKACTIVITY "
    "MKCALENDAR MKCOL MKREDIRECTREF MKWORKSPACE MOVE OPTIONS ORDERPATCH PATCH POST PROPFIND PROPPATCH PUT QUERY "
    "REBIND REPORT SEARCH TRACE UNBIND UNCHECKOUT UNLINK UNLOCK UPDATE UPDATEREDIRECTREF VERSION-CONTROL"
)
METHODS: Final = frozenset(_METHOD_REGISTRY.split())

_TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_STRICT_RESPONSE: Final = re.compile(r"(HTTP/1\.[01]) ([1-9][0-9][0-9]) ([^\0-\x08\x0a-\x1f\x7f]*)")
# The + behind each quantifier makes it possessive: it gives nothing back, and no line takes longer than its length.
_STRICT_FIELDS: Final = re.compile(rf"^({_TOKEN}+):[ \t]*+([^\0-\x08\x0a-\x1f\x7f]*+)\r\n", re.MULTILINE)

_VERSION: Final = re.compile(r"HTTP/[0-9]+\.[0-9]+", re.IGNORECASE)
_IS_TOKEN: Final = re.compile(_TOKEN)
_LOOSE_STATUS: Final = re.compile(
    r"(HTTP/[0-9]+\.[0-9]+)([ \t]+)([0-9]{3})(?:([ \t]+)(.*)|(?![0-9])(.+))?", re.IGNORECASE | re.DOTALL
)
_LINES: Final = re.compile(r"[^\n]*\n|[^\n]+")
_OWS: Final = " \t"
_BLANKS: Final = re.compile(r"[ \t\v\f\r]+")
_BLANK: Final = " \t\v\f\r"


class RequestHead(Struct, frozen=True, gc=False):
    """A request line and its header fields. `version` is "" where the line has none."""

    method: str
    target: str
    version: str
    headers: Headers
    problems: tuple[Problem, ...] = ()


class ResponseHead(Struct, frozen=True, gc=False):
    """A status line and its header fields."""

    status: int
    reason: str
    version: str
    headers: Headers
    problems: tuple[Problem, ...] = ()


def parse_trailers(raw: bytes, side: Flow, offset: int) -> tuple[Headers, tuple[Problem, ...]]:
    """Read a trailer section (§7.1.2) that stands at `offset` in its message."""
    problems: list[Problem] = []
    text = raw.decode("latin-1")
    _note_line_ends(text, side, offset, problems)
    return _loose_fields(text, side, offset, problems, first=False), tuple(problems)


def strict_request_line(line: bytes) -> tuple[str, str, str] | None:
    """Method, target and version of a request line without its line end, if it keeps to the grammar in every byte."""
    parts = line.decode("latin-1").split(" ")
    if len(parts) != 3:
        return None
    method, target, version = parts
    strict = (
        (version == "HTTP/1.1" or version == "HTTP/1.0")
        and (method in METHODS or _IS_TOKEN.fullmatch(method))
        and (target and target.isascii() and target.isprintable())
    )
    return (method, target, version) if strict else None


def strict_status_line(line: bytes) -> tuple[str, int, str] | None:
    """Version, status and reason of a status line without its line end, if it keeps to the grammar in every byte."""
    match = _STRICT_RESPONSE.fullmatch(line.decode("latin-1"))
    return match and (match[1], int(match[2]), match[3])


def strict_fields(lines: bytes) -> Headers | None:
    """Name and value of each of these field lines, ends included, if all keep to the grammar in every byte."""
    text = lines.decode("latin-1")
    fields = _STRICT_FIELDS.findall(text)
    if len(fields) < text.count("\n"):  # each match takes one, its last character
        return None
    if " \r" in text or ("\t" in text and "\t\r" in text):  # one character is found six times as fast as two
        return tuple([(name, value.rstrip(_OWS)) for name, value in fields])
    return tuple(fields)


def request_head(method: str, target: str, version: str, headers: Headers) -> RequestHead:
    """A head without any deviation but, perhaps, a method that nobody registered."""
    return RequestHead(method, target, version, headers, _method_problems(method))


def loose_request(raw: bytes) -> RequestHead | None:
    """Read a head from its first byte to the empty line that ends it; None if its first line is no request line."""
    text = raw.decode("latin-1")
    line, _, rest = text.partition("\n")
    problems: list[Problem] = []
    start = read_request_line(line.removesuffix("\r"), problems)
    if start is None:
        return None
    method, target, version = start
    _note_line_ends(text, "request", 0, problems)
    headers = _loose_fields(rest, "request", len(line) + 1, problems)
    return RequestHead(method, target, version, headers, (*_method_problems(method), *problems))


def loose_response(raw: bytes) -> ResponseHead | None:
    """Read a head from its first byte to the empty line that ends it; None if its first line is no status line."""
    text = raw.decode("latin-1")
    line, _, rest = text.partition("\n")
    problems: list[Problem] = []
    start = read_status_line(line.removesuffix("\r"), problems)
    if start is None:
        return None
    version, status, reason = start
    _note_line_ends(text, "response", 0, problems)
    return ResponseHead(
        status, reason, version, _loose_fields(rest, "response", len(line) + 1, problems), tuple(problems)
    )


def read_request_line(line: str, problems: list[Problem]) -> tuple[str, str, str] | None:
    """Split a request line (§3) without its line end into method, target and version ("" where it has none)."""
    stripped = line.strip(_BLANK)
    method = _BLANKS.split(stripped, 1)[0]
    rest = stripped[len(method) :].lstrip(_BLANK)
    if not _IS_TOKEN.fullmatch(method) or not rest:
        return None
    target, version = _split_version(rest)
    if not version and (method not in METHODS or not _is_target(target)):
        return None  # a line of SMTP, FTP or memcached
    if not target or (method, version) == ("PRI", "HTTP/2.0"):
        return None
    if f"{method} {target} {version}".rstrip(" ") != line:
        problems.append(Problem("odd-whitespace", "request", 0, detail=shown(line)))
    if any(character in target for character in _BLANK):
        problems.append(Problem("space-in-target", "request", len(method) + 1, detail=shown(target)))
    elif not target.isascii() or not target.isprintable():
        problems.append(Problem("invalid-target", "request", len(method) + 1, detail=shown(target)))
    _note_version(version, "request", problems)
    return method, target, version


def _split_version(rest: str) -> tuple[str, str]:
    words = rest.rsplit(None, 1)
    if len(words) == 2 and _VERSION.fullmatch(words[1]):
        return words[0], words[1]
    return rest, ""


def _is_target(target: str) -> bool:
    """Whether a line without HTTP's version may be a request line: one word (RTSP and SIP have another version)."""
    return (target[0] == "/" or target == "*" or "://" in target) and not _BLANKS.search(target)


def read_status_line(line: str, problems: list[Problem]) -> tuple[str, int, str] | None:
    """Split a status line (§4) without its line end into version, status and reason."""
    match = _LOOSE_STATUS.fullmatch(line.rstrip("\r"))
    if match is None:
        return None
    version, before, status, between, reason, attached = match.groups()
    if status < "100":
        return None
    if before != " " or (between or " ")[0] != " ":
        problems.append(Problem("odd-whitespace", "response", 0, detail=shown(line)))
    if between is None:
        problems.append(Problem("missing-space-after-status", "response", match.end(3)))
    _note_version(version, "response", problems)
    return version, int(status), ((between or "")[1:] + (reason or attached or "")).rstrip(_BLANK)


def _note_version(version: str, side: Flow, problems: list[Problem]) -> None:
    if not version:
        problems.append(Problem("missing-version", side))
    elif version not in ("HTTP/1.1", "HTTP/1.0"):
        problems.append(Problem("odd-version", side, detail=shown(version)))


def _method_problems(method: str) -> tuple[Problem, ...]:
    return () if method in METHODS else (Problem("unknown-method", "request", 0, detail=shown(method)),)


def _note_line_ends(text: str, side: Flow, offset: int, problems: list[Problem]) -> None:
    """§2.2: a lone LF may end a line; a lone CR may not, and control bytes may stand nowhere (RFC 9110 §5.5)."""
    bare = text.count("\n") - text.count("\r\n")
    if bare:
        first = next(match.start() for match in re.finditer(r"(?<!\r)\n", text))
        problems.append(Problem("bare-lf", side, offset + first, detail=f"{bare} line ends"))
    for code, pattern in (("lone-cr", "\r(?!\n)"), ("control-byte", "[\0-\x08\x0b\x0c\x0e-\x1f\x7f]")):
        if found := re.search(pattern, text):
            problems.append(Problem(code, side, offset + found.start()))


def _loose_fields(text: str, side: Flow, offset: int, problems: list[Problem], *, first: bool = True) -> Headers:
    headers: list[tuple[str, list[str]]] = []
    for at, line in _lines(text, offset):
        if not line:
            break
        if line[0] in _OWS:
            _fold(headers, line, Problem("obs-fold", side, at) if headers or not first else None, side, at, problems)
        else:
            field = _loose_field(line, side, at, problems)
            headers.append((field[0], [field[1]]))
    return tuple([(name, " ".join(values).strip(_OWS)) for name, values in headers if name or values != [""]])


def _fold(
    headers: list[tuple[str, list[str]]], line: str, fold: Problem | None, side: Flow, at: int, problems: list[Problem]
) -> None:
    """§5.2: a continued value is joined by one space. §2.2: a line that starts with whitespace right after the start
    line belongs to nothing, and is passed over."""
    if fold is None or not headers:
        problems.append(Problem("whitespace-before-header", side, at, detail=shown(line)))
    else:
        headers[-1][1].append(line.strip(_BLANK))
        problems.append(fold)


def _loose_field(line: str, side: Flow, at: int, problems: list[Problem]) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon:
        problems.append(Problem("no-colon", side, at, detail=shown(line)))
        return "", ""
    bare = name.rstrip(_BLANK)
    if bare != name:
        problems.append(Problem("space-before-colon", side, at, detail=shown(name)))
    if not _IS_TOKEN.fullmatch(bare):
        problems.append(Problem("invalid-header-name", side, at, detail=shown(bare)))
    return bare, value.strip(_BLANK)


def _lines(text: str, offset: int) -> Iterator[tuple[int, str]]:
    for match in _LINES.finditer(text):
        yield offset + match.start(), match.group().removesuffix("\n").removesuffix("\r")


def shown(text: str) -> str:
    """Text from the wire as a problem's detail."""
    return text if len(text) <= MAX_DETAIL else text[: MAX_DETAIL - 1] + "…"
