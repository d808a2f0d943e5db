"""A head in, the kind of body that follows it out: RFC 9112 §6.3, step by step. Pure functions.

`declare` reads what the header fields say about the message; `request_framing` and `response_framing` apply the
numbered steps to it. Nothing here touches a body's bytes.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final

from msgspec import Struct

from replay.exchange import Headers, Problem
from replay.http1.heads import RequestHead, ResponseHead
from replay.http1.limits import MAX_LENGTH
from replay.stream import Flow


class Kind(Enum):
    """How the end of a body is found."""

    NONE = auto()
    LENGTH = auto()  # after `length` bytes
    CHUNKED = auto()  # after the last chunk and the trailers
    CLOSE = auto()  # when the direction ends
    UNKNOWN = auto()  # not at all: the next believable start line ends it
    TUNNEL = auto()  # HTTP/1 ends here


class Framing(Struct, frozen=True, gc=False):
    """Which body follows a head."""

    kind: Kind
    length: int = 0
    certain: bool = True  # False: only if the request was not a HEAD, which nobody knows


class Declared(Struct, frozen=True, gc=False):
    """What the header fields of one message say about its framing, its codings and its connection."""

    framing: Framing | None  # what Transfer-Encoding and Content-Length say (steps 3 to 6); None if neither is there
    transfer_codings: tuple[str, ...] = ()  # without chunked, in the order in which they were applied
    content_codings: tuple[str, ...] = ()  # likewise
    close: bool = False
    keep_alive: bool = False
    upgrade: str = ""
    expects_continue: bool = False
    problems: tuple[Problem, ...] = ()
    simple: bool = True  # nothing but, perhaps, a length and that the connection goes on


NO_BODY: Final = Framing(Kind.NONE)
UNTIL_CLOSE: Final = Framing(Kind.CLOSE)
UNKNOWN: Final = Framing(Kind.UNKNOWN)
TUNNEL: Final = Framing(Kind.TUNNEL)
CHUNKED: Final = Framing(Kind.CHUNKED)
NOTHING_DECLARED: Final = Declared(None)

# The fields that are read here, in lower case.
INTERESTING: Final = frozenset(
    ["content-length", "transfer-encoding", "connection", "content-encoding", "upgrade", "expect", "proxy-connection"]
)
_DIGITS: Final = re.compile(r"[0-9]+")
_SIGNED_DIGITS: Final = re.compile(r"\+[0-9]+")


def request_framing(declared: Declared) -> Framing:
    """§6.3 for a request."""
    if declared.framing is None:
        return NO_BODY  # step 7
    return declared.framing


def response_framing(status: int, method: str, declared: Declared) -> Framing:
    """§6.3 for a response to `method` ("" where the request is not known)."""
    if method == "HEAD" or 100 <= status < 200 or status in (204, 304):
        return NO_BODY  # step 1
    if method == "CONNECT" and status < 300:
        return TUNNEL  # step 2
    if declared.framing is None:
        return UNTIL_CLOSE  # step 8
    return declared.framing


def declare_request(head: RequestHead) -> Declared:
    """What a request's header fields declare."""
    return declare(head.headers, head.version, "request")


def declare_response(head: ResponseHead) -> Declared:
    """What a response's header fields declare."""
    return declare(head.headers, head.version, "response")


def declare(headers: Headers, version: str, side: Flow) -> Declared:
    """What the header fields of a message of this version declare."""
    fields = [
        (name, value) for name, value in [(name.lower(), value) for name, value in headers] if name in INTERESTING
    ]
    return _Declaration(fields, version, side).read() if fields else NOTHING_DECLARED


class _Declaration:
    """The reading of one message's interesting fields."""

    def __init__(self, fields: list[tuple[str, str]], version: str, side: Flow) -> None:
        self._side: Flow = side
        self._version = version
        self._fields = fields
        self._problems: list[Problem] = []

    def read(self) -> Declared:
        """All that the fields declare."""
        options = self._list("connection") + self._list("proxy-connection")
        transfer = self._list("transfer-encoding")
        framing = self._framing(transfer)
        content = tuple(coding for coding in self._list("content-encoding") if coding != "identity")
        upgrade = ", ".join(value for name, value in self._fields if name == "upgrade")
        expects = self._list("expect")
        return Declared(
            framing,
            tuple(coding for coding in transfer if coding not in ("chunked", "identity")),
            content,
            close="close" in options,
            keep_alive="keep-alive" in options,
            upgrade=upgrade,
            expects_continue="100-continue" in expects,
            problems=tuple(self._problems),
            simple=not (transfer or content or "close" in options or upgrade or expects or self._problems),
        )

    def _list(self, wanted: str) -> list[str]:
        """The members of a comma-separated field (RFC 9110 §5.6.1), lower case, parameters cut off."""
        members = (member for name, value in self._fields if name == wanted for member in value.split(","))
        return [word for word in (member.partition(";")[0].strip(" \t").lower() for member in members) if word]

    def _framing(self, transfer: list[str]) -> Framing | None:
        lengths = [value for name, value in self._fields if name == "content-length"]
        if any(name == "transfer-encoding" for name, _ in self._fields):
            if lengths:
                self._problem("te-and-cl")  # step 3: Transfer-Encoding overrides Content-Length
            if self._version == "HTTP/1.0":
                self._problem("te-in-http10")
            if framing := self._transfer_framing(transfer):
                return framing
        return self._length_framing(lengths) if lengths else None

    def _transfer_framing(self, transfer: list[str]) -> Framing | None:
        """Step 4. None where the codings say nothing about framing."""
        if "identity" in transfer:
            self._problem("te-identity")
        codings = [coding for coding in transfer if coding != "identity"]
        if not codings:
            if not transfer:
                self._problem("te-empty")
            return None
        for coding in codings:
            if coding not in ("chunked", "gzip", "x-gzip", "deflate", "compress", "x-compress"):
                self._problem("te-unknown", coding)
        if codings.count("chunked") > 1:
            self._problem("te-chunked-twice")
        if codings[-1] == "chunked":
            return CHUNKED
        if "chunked" in codings:
            self._problem("te-chunked-not-last")
        elif self._side == "request":
            self._problem("te-without-chunked")
        return UNTIL_CLOSE

    def _length_framing(self, lengths: list[str]) -> Framing:
        """Step 5: one number, perhaps repeated; the first readable one where they differ."""
        words = [word.strip(" \t") for value in lengths for word in value.split(",")]
        numbers = [number for number in (self._length(word) for word in words) if number is not None]
        if not numbers:
            return UNKNOWN
        if len(set(numbers)) > 1:
            self._problem("cl-differs", ", ".join(words))
        elif len(words) > 1:
            self._problem("cl-repeated", ", ".join(words))
        return Framing(Kind.LENGTH, numbers[0]) if numbers[0] else NO_BODY

    def _length(self, word: str) -> int | None:
        if _SIGNED_DIGITS.fullmatch(word):
            self._problem("cl-invalid", word)
        elif not _DIGITS.fullmatch(word):
            self._problem("cl-invalid", word or "empty")
            return None
        digits = word.lstrip("+0") or "0"
        if len(digits) > 19 or int(digits) > MAX_LENGTH:
            self._problem("cl-overflow", word)
            return None
        return int(digits)

    def _problem(self, code: str, detail: str = "") -> None:
        self._problems.append(Problem(code, self._side, detail=detail[:120]))
