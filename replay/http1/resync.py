"""Where in unframed bytes does the next message begin? Pure functions on a buffer (no RFC says how: nobody may do it
but an observer who lost bytes).

A candidate is believed when its whole start line is strict and the line after it is a header field or empty. Whether
the other direction supports it is the caller's question.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from replay.http1.heads import METHODS
from replay.http1.limits import MAX_SOUGHT_LINE_BYTES

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_METHOD: Final = b"|".join(sorted((method.encode() for method in METHODS), reverse=True))
_AFTER: Final = re.compile(rb"(?:" + _TOKEN + rb":[^\r\n]*)?\r?\n")
_AFTER_CUT: Final = re.compile(rb"(?:" + _TOKEN + rb"(?::[^\r\n]*)?)?\r?")

_TOKEN_BYTES: Final = frozenset(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")

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

    def __init__(self, hint: bytes, whole: bytes, cut: bytes) -> None:
        self.hint = re.compile(hint)
        self._whole = re.compile(whole)
        self._cut = re.compile(cut)

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
    _TOKEN + rb" [!-~]+ HTTP/1\.[01]\r?\n",
    _TOKEN + rb"(?: (?:[!-~]+(?: (?:H|HT|HTT|HTTP|HTTP/|HTTP/1|HTTP/1\.|HTTP/1\.[01]\r?)?)?)?)?",
)
STATUS_LINE: Final = StartLine(
    rb"HTTP/1\.",
    rb"HTTP/1\.[01] [1-5][0-9][0-9](?: [^\r\n]*)?\r?\n",
    rb"H|HT|HTT|HTTP|HTTP/|HTTP/1|HTTP/1\.|HTTP/1\.[01](?: (?:[1-5](?:[0-9](?:[0-9](?: [^\r\n]*)?\r?)?)?)?)?",
)


def begins_with_known_method(seen: bytes | bytearray) -> bool:
    """Whether the bytes are, or may become, a request line of a registered method."""
    word = bytes(seen[:HINT_BYTES]).partition(b" ")
    return any(method.startswith(word[0]) if not word[1] else method == word[0] for method in _METHOD.split(b"|"))


class Hunt:
    """Looks for the next start line in what it is fed; keeps no more than what may be the beginning of one.

    `edge` is where the last read or write began: there even an unknown method is a candidate.
    """

    __slots__ = ("_edge", "_gap_end", "_reads", "_start_line", "buffer", "position")

    def __init__(self, start_line: StartLine) -> None:
        self._start_line = start_line
        self.buffer = bytearray()
        self.position = 0  # of the buffer's first byte
        self._edge = -1
        self._reads: list[tuple[int, int]] = []  # where the reads or writes in the buffer begin, and their times
        self._gap_end = -1

    def feed(self, data: bytes, position: int, time: int, believe: Believe, *, edge: bool) -> tuple[bool, int]:
        """`data` was seen at `position` (`edge`: a read or write begins there). Whether the buffer now begins with a
        start line that `believe(position, at an edge)` believes; and how many bytes were passed over."""
        if not self.buffer:
            self.position = position
            self._reads.clear()
        self._reads.append((position, time))
        if edge:
            self._edge = position
        self.buffer += data
        found, passed = self._look(believe)
        del self.buffer[:passed]
        self.position += passed
        while len(self._reads) > 1 and self._reads[1][0] <= self.position:
            del self._reads[0]
        return found, passed

    def settle(self, believe: Believe) -> tuple[bool, int]:
        """Nothing comes behind the buffer: a start line of which only the beginning of the next line, or at an edge
        only its own beginning, was seen is as good as it gets. The same result as of `feed`."""
        for at in self._candidates():
            edge = self.position + at == self._edge
            if self._start_line.begun(self.buffer, at, edge=edge) and believe(self.position + at, edge):
                del self.buffer[:at]
                self.position += at
                return True, at
        return False, 0

    @property
    def time(self) -> int:
        """When the buffer's first byte was seen."""
        return next((time for at, time in reversed(self._reads) if at <= self.position), 0)

    def miss(self, end: int) -> None:
        """What comes next stands at `end`, behind a gap."""
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
            if verdict and believe(self.position + at, self.position + at == self._edge):
                return True, at
        return False, max(len(self.buffer) - HINT_BYTES, 0)

    def _candidates(self) -> Iterator[int]:
        """In order: what looks like a start line, and the edge, unless it stands inside a word."""
        edge = self._edge - self.position
        at_edge = 0 <= edge < len(self.buffer) and not (edge and self.buffer[edge - 1] in _TOKEN_BYTES)
        at_edge = at_edge and self._edge != self._gap_end  # what is left of a word after a gap is no method
        for match in self._start_line.hint.finditer(self.buffer):
            if at_edge and edge <= match.start():
                at_edge = False
                if edge < match.start():
                    yield edge
            yield match.start()
        if at_edge:
            yield edge
