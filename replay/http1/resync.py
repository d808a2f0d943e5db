"""Where in unframed bytes does the next message begin? Pure functions on a buffer (no RFC says how: nobody may do it
but an observer who lost bytes).

A candidate is believed when its whole start line is strict and the line after it is a header field or empty. Whether
the other direction supports it is the caller's question.
"""

from __future__ import annotations

import re
from typing import Final

from replay.http1.heads import METHODS
from replay.http1.limits import MAX_START_LINE_BYTES

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_METHOD: Final = b"|".join(sorted((method.encode() for method in METHODS), reverse=True))
_AFTER: Final = re.compile(rb"(?:" + _TOKEN + rb":[^\r\n]*)?\r?\n")
_AFTER_CUT: Final = re.compile(rb"(?:" + _TOKEN + rb"(?::[^\r\n]*)?)?\r?")

# How many bytes at a buffer's end may be the beginning of a hint: the longest method and a space.
HINT_BYTES: Final = max(map(len, METHODS)) + 1


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
            cut = len(buffer) - at <= MAX_START_LINE_BYTES and self._cut.fullmatch(buffer, at)
            return None if cut else False
        if _AFTER.match(buffer, line.end()):
            return True
        cut = len(buffer) - at <= 2 * MAX_START_LINE_BYTES and _AFTER_CUT.fullmatch(buffer, line.end())
        return None if cut else False


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
