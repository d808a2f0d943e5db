"""Where in unframed bytes does the next message begin? Pure functions on a buffer (no RFC says how: nobody may do it
but an observer who lost bytes).

A candidate is believed when its whole start line is strict and the line after it is a header field or empty. Whether
the other direction supports it is the caller's question.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

from replay.http1.heads import METHODS
from replay.http1.limits import MAX_SOUGHT_LINE_BYTES

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_METHOD: Final = b"|".join(sorted((method.encode() for method in METHODS), reverse=True))
# A method that is not registered is believed here if it looks like all others; a longer word is the end of a body.
_UNKNOWN: Final = rb"[A-Z][A-Z_-]{0,19}"
_WORD: Final = re.compile(_UNKNOWN)
_AFTER: Final = re.compile(rb"(?:" + _TOKEN + rb":[^\r\n]*)?\r?\n")
_AFTER_CUT: Final = re.compile(rb"(?:" + _TOKEN + rb"(?::[^\r\n]*)?)?\r?")

_TOKEN_BYTES: Final = frozenset(
    byte.encode() for byte in "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

END: Final = b"\r\n\r\n"  # of a head
_LAST_CHUNK: Final = b"0\r\n\r\n"  # RFC 9112 §7.1, without trailers

# How many bytes at a buffer's end may be the beginning of a hint: the longest method and a space.
HINT_BYTES: Final = max(map(len, METHODS)) + 1


Believe = Callable[[int, bool], bool]  # of a position and whether it is an edge
# Enough of a start line that breaks off: a registered method and the beginning of its target, or a status.
_CUT_LINE: Final = re.compile(
    rb"(?:" + _METHOD + rb") (?:/|\*|https?://)[!-~]*(?: [HTP/.0-9]*)?|HTTP/1\.[01] [1-5][0-9][0-9][^\r\n]*"
)


class StartLine:
    """How a direction's start lines are found: `hint` where one may begin, `whole` what it must be, `cut` what its
    beginning must look like while the rest has not come."""

    def __init__(
        self, hint: bytes, whole: bytes, cut: bytes, words: Iterable[bytes], ends: Iterable[bytes], least: int
    ) -> None:
        self.hint = re.compile(hint)
        self._words = tuple(words)  # what it begins with
        self._ends = tuple(ends)  # what it ends with; anything if this is empty
        self.least = least  # bytes of one
        self.version_last = bool(self._ends)
        self._whole = re.compile(whole)
        self._cut = re.compile(cut)

    def may_begin(self, seen: bytes | bytearray) -> bool:
        """Whether the bytes begin, as far as they go, with a word that start lines begin with."""
        return any(word.startswith(bytes(seen[: len(word)])) for word in self._words)

    def may_end(self, after: bytes) -> bool:
        """Whether a start line that began in a hole may end in the bytes behind it."""
        line, end, _ = after.partition(b"\n")
        if self._whole.match(after):
            return False
        line = line.removesuffix(b"\r")
        return not end or not self._ends or any(line.endswith(word) or word.endswith(line) for word in self._ends)

    def judge(self, buffer: bytes | bytearray, at: int) -> bool | None:
        """Whether a start line stands at `at`; None while too little of it was seen."""
        line = self._whole.match(buffer, at)
        if line is None:
            cut = len(buffer) - at <= MAX_SOUGHT_LINE_BYTES and self._cut.fullmatch(buffer, at)
            return None if cut else False
        if _AFTER.match(buffer, line.end()):
            return True
        cut = len(buffer) - at <= 2 * MAX_SOUGHT_LINE_BYTES and _AFTER_CUT.fullmatch(buffer, line.end())
        return None if cut else False

    def begun(self, buffer: bytes | bytearray, at: int, *, edge: bool) -> bool:
        """Whether what stands at `at` is a start line as far as it goes, when nothing was seen behind the buffer."""
        line = self._whole.match(buffer, at)
        if line is None:
            return edge and _CUT_LINE.fullmatch(buffer, at) is not None
        return _AFTER.match(buffer, line.end()) is not None or _AFTER_CUT.fullmatch(buffer, line.end()) is not None


REQUEST_LINE: Final = StartLine(
    rb"(?:" + _METHOD + rb") [!-~]",
    _UNKNOWN + rb" [!-~]+ HTTP/1\.[01]\r?\n",
    _UNKNOWN + rb"(?: (?:[!-~]+(?: (?:H|HT|HTT|HTTP|HTTP/|HTTP/1|HTTP/1\.|HTTP/1\.[01]\r?)?)?)?)?",
    (method.encode() + b" " for method in METHODS),
    (b"HTTP/1.0", b"HTTP/1.1"),
    len(b"GET / HTTP/1.1\r\n"),
)
STATUS_LINE: Final = StartLine(
    rb"HTTP/1\.",
    rb"HTTP/1\.[01] [1-5][0-9][0-9](?: [^\r\n]*)?\r?\n",
    rb"H|HT|HTT|HTTP|HTTP/|HTTP/1|HTTP/1\.|HTTP/1\.[01](?: (?:[1-5](?:[0-9](?:[0-9](?: [^\r\n]*)?\r?)?)?)?)?",
    (b"HTTP/1.",),
    (),
    len(b"HTTP/1.1 200\r\n"),
)


class Hunt:
    """Looks for the next start line in what it is fed; keeps no more than what may be the beginning of one.

    Where a read or write began is an edge: there even an unknown method is a candidate.
    """

    __slots__ = ("_edges", "_gap_end", "_reads", "_start_line", "before", "buffer", "position", "refused")

    def __init__(self, start_line: StartLine) -> None:
        self._start_line = start_line
        self.buffer = bytearray()
        self.before = b""  # the last bytes that were passed over
        self.position = 0  # of the buffer's first byte
        self.refused = 0  # start lines that were not believed, in all
        self._edges: dict[int, bool] = {}  # in the buffer, in order; whether it is behind a gap
        self._reads: list[tuple[int, int]] = []  # where the reads or writes in the buffer begin, and their times
        self._gap_end = -1

    def feed(self, data: bytes, position: int, time: int, believe: Believe, *, edge: bool) -> tuple[bool, int]:
        """`data` was seen at `position` (`edge`: a read or write begins there). Whether the buffer now begins with a
        start line that `believe(position, at an edge)` believes; and how many bytes were passed over."""
        if not self.buffer:
            self.position = position
            self._reads.clear()
            self._edges.clear()
        self._reads.append((position, time))
        if edge:
            self._edges[position] = position == self._gap_end
        self.buffer += data
        found, passed = self._look(believe)
        if passed:
            self.before = self._last_before(passed)
        del self.buffer[:passed]
        self.position += passed
        while len(self._reads) > 1 and self._reads[1][0] <= self.position:
            del self._reads[0]
        while self._edges and (first := next(iter(self._edges))) < self.position:
            del self._edges[first]
        return found, passed

    def settle(self, believe: Believe) -> tuple[bool, int]:
        """Nothing comes behind the buffer: a start line of which only the beginning of the next line, or at an edge
        only its own beginning, was seen is as good as it gets. The same result as of `feed`."""
        for at in self._candidates():
            edge = self.position + at in self._edges
            if self._start_line.begun(self.buffer, at, edge=edge):
                if believe(self.position + at, edge):
                    del self.buffer[:at]
                    self.position += at
                    return True, at
                self.refused += 1
        return False, 0

    @property
    def time(self) -> int:
        """When the buffer's first byte was seen."""
        return next((time for at, time in reversed(self._reads) if at <= self.position), 0)

    def _last_before(self, at: int) -> bytes:
        """The last bytes before that index, as many as a last chunk has."""
        return (self.before + bytes(self.buffer[max(at - len(_LAST_CHUNK), 0) : at]))[-len(_LAST_CHUNK) :]

    @property
    def passed_a_body(self) -> bool:
        """Whether the bytes before the buffer cannot be the end of a head."""
        last = self.before[-len(END) :]
        return bool(last) and not END.endswith(last)

    def miss(self, end: int) -> None:
        """What comes next stands at `end`, behind a gap."""
        self.before = b""
        self._gap_end = end

    def take(self) -> bytes:
        """What is in the buffer; it is empty after it."""
        taken = bytes(self.buffer)
        self.buffer.clear()
        return taken

    def _look(self, believe: Believe) -> tuple[bool, int]:
        for at in self._candidates():
            verdict = self._start_line.judge(self.buffer, at)
            if verdict is None:
                return False, at
            if verdict and self._is_believed(at, believe):
                return True, at
            self.refused += bool(verdict)
        return False, max(len(self.buffer) - HINT_BYTES, 0)

    def _is_believed(self, at: int, believe: Believe) -> bool:
        """Behind a last chunk nothing else can stand."""
        return self._last_before(at) == _LAST_CHUNK or believe(self.position + at, self.position + at in self._edges)

    def _candidates(self) -> list[int]:
        """In order: what looks like a start line, and the edges, unless they stand inside a word."""
        found = {match.start() for match in self._start_line.hint.finditer(self.buffer)}
        for position, behind_gap in self._edges.items():
            edge = position - self.position
            if not 0 <= edge < len(self.buffer) or behind_gap or self._last_before(edge)[-1:] in _TOKEN_BYTES:
                continue  # what is left of a word after a gap is no method
            word = _WORD.match(self.buffer, edge)
            if word is None or not any(at in found for at in range(edge + 1, word.end())):
                found.add(edge)
        return sorted(found)
