"""Bytes in until a head is whole (RFC 9112 §2.2, §3, §5); gathers, judges the start line early, and bounds both.

It never looks behind the head's end. A head with a hole in it can be gone on with: lines after the hole that are not
header fields say that the hole was larger than the head.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final

from replay.exchange import Problem
from replay.http1.grammar import Grammar, Head
from replay.http1.heads import RequestHead
from replay.http1.limits import MAX_HEAD_BYTES, MAX_START_LINE_BYTES
from replay.http1.resync import END

_VERSION: Final = b" HTTP/1.1"
_HEAD_END: Final = re.compile(rb"\n\r?\n")
_FIELD_LINE: Final = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\r\n\0]*|[ \t][^\r\n\0]*)\r?\n")
_TEXT_LINE: Final = re.compile(rb"[^\0-\x08\x0a-\x1f\x7f]*\r?\n")
_FIELD_BEGINS: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+[ \t]*:")
_FIELD_MAY_BEGIN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+[ \t]*|\r?")


class Gathered(Enum):
    """What is known of the head so far."""

    MORE = auto()  # it is not whole
    WHOLE = auto()
    NOT_A_START = auto()  # its first line is no start line
    TOO_LARGE = auto()
    LOST = auto()  # it had a hole, and what came after the hole is not the rest of it


class HeadReader:
    """Gathers one head at a time."""

    __slots__ = ("_grammar", "_hole", "_line_end", "_scanned", "_simple", "buffer", "head", "size")

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self.buffer = bytearray()  # what was seen, without the hole
        self._clear()

    def _clear(self) -> None:
        self.head: Head | None = None
        self.size = 0  # of the whole head, where it is WHOLE
        self._scanned = 0
        self._line_end = 0  # of the start line, once it was judged
        self._simple = False  # a request line without a version: is it HTTP/0.9, with no fields to follow?
        self._hole: int | None = None

    def clear(self) -> None:
        """Forget the head."""
        self.buffer.clear()
        self._clear()

    def take(self) -> bytes:
        """All that was gathered; the reader is empty after it."""
        gathered = bytes(self.buffer)
        self.clear()
        return gathered

    def feed(self, data: bytes | memoryview) -> Gathered:
        """More of the head was seen."""
        self.buffer += data
        if not self._line_end and self._hole is None:
            refused = self._read_start_line()
            if refused is not None:
                return refused
        if self._simple:
            return self._read_simple()
        match = _HEAD_END.search(self.buffer, self._resume())
        self._scanned = len(self.buffer)
        if match is None:
            return Gathered.TOO_LARGE if len(self.buffer) > MAX_HEAD_BYTES else Gathered.MORE
        return self._whole(match.end())

    def _resume(self) -> int:
        """Where to look for the empty line: from the start line's own end on, or after the hole."""
        return max(self._scanned - 2, self._line_end - 1 if self._hole is None else self._hole, 0)

    def _read_start_line(self) -> Gathered | None:
        stop = self.buffer.find(b"\n", self._scanned) + 1
        if not stop:
            self._scanned = len(self.buffer)
            if not self._grammar.may_start(self.buffer):
                return Gathered.NOT_A_START
            return Gathered.TOO_LARGE if len(self.buffer) > MAX_START_LINE_BYTES else Gathered.MORE
        head = self._grammar.parse(bytes(self.buffer[:stop]))
        if head is None:
            return Gathered.NOT_A_START
        self._line_end = stop
        self._scanned = stop
        self._simple = not head.version
        return None

    def _read_simple(self) -> Gathered:
        """HTTP/0.9 (RFC 1945 §5.1): a request line without a version that no header field follows."""
        after = self.buffer[self._line_end : self._line_end + MAX_START_LINE_BYTES]
        if _FIELD_BEGINS.match(after):
            self._simple = False
            return self.feed(b"")
        if _FIELD_MAY_BEGIN.fullmatch(after):
            return Gathered.MORE
        return self.settle_simple(2 if after[:2] == b"\r\n" else 1 if after[:1] == b"\n" else 0)

    def settle_simple(self, empty_line: int = 0) -> Gathered:
        """Nothing more can come: a request line without a version stands alone."""
        if not self._simple:
            return Gathered.MORE
        head = self._grammar.parse(bytes(self.buffer[: self._line_end]))
        assert isinstance(head, RequestHead)
        others = tuple(problem for problem in head.problems if problem.code != "missing-version")
        self.head = RequestHead(head.method, head.target, "HTTP/0.9", (), (Problem("http-0.9", "request"), *others))
        self.size = self._line_end + empty_line
        return Gathered.WHOLE

    def to_the_end(self) -> int:
        """At least so many bytes are missing from the end of the head."""
        seen = bytes(self.buffer[-len(_VERSION) - len(END) :])
        end = END if b"\n" in self.buffer or not self._grammar.start_line.version_last else _VERSION + END
        if end is not END and seen[-len(_VERSION) : -1] == _VERSION[:-1]:
            end = END  # HTTP/1.0 and the like
        return next(len(end) - length for length in range(len(end) - 1, -1, -1) if seen.endswith(end[:length]))

    def miss(self) -> bool:
        """A hole in the head; whether the head can be gone on with after it."""
        if self._hole is not None or (not self._line_end and self._grammar.parse_cut_line(bytes(self.buffer)) is None):
            return False
        self._hole = len(self.buffer)
        self._scanned = self._hole
        self._simple = False
        return True

    def _whole(self, stop: int) -> Gathered:
        self.size = stop
        if self._hole is None:
            self.head = self._grammar.parse(bytes(self.buffer[:stop]))
            return Gathered.WHOLE if self.head else Gathered.NOT_A_START
        after = bytes(self.buffer[self._hole : stop])
        if not self._is_rest_of_head(after):
            return Gathered.LOST
        self.head = self.partial(after[after.find(b"\n") + 1 :])
        return Gathered.WHOLE

    def _is_rest_of_head(self, after: bytes) -> bool:
        """Whether what follows a hole reads as the end of a header line, whole header lines and the empty line."""
        at = after.find(b"\n") + 1
        if not _TEXT_LINE.fullmatch(after[:at]) or self._holds_start_line(after):
            return False
        while (line := _FIELD_LINE.match(after, at)) is not None:
            at = line.end()
        return after[at:] in (b"\r\n", b"\n")

    def _holds_start_line(self, after: bytes) -> bool:
        start_line = self._grammar.start_line
        return any(start_line.judge(after, match.start()) for match in start_line.hint.finditer(after))

    def partial(self, rest: bytes = b"") -> Head | None:
        """What a head that was cut still tells: its start line, the fields whose lines are whole, and `rest`."""
        seen = bytes(self.buffer if self._hole is None else self.buffer[: self._hole])
        whole = seen[: seen.rfind(b"\n") + 1]
        if whole:
            return self._grammar.parse(whole + rest)
        cut = self._grammar.parse_cut_line(seen)
        return cut and self._grammar.with_fields(cut, rest)

    @property
    def after_hole(self) -> int:
        """The index in the buffer of the first byte after the hole."""
        return self._hole or 0
