"""Frame sequence numbers in, a verdict on each out: next, ahead of missing ones, late, or a duplicate.

Remembers only the ranges that are missing, at most MAX_MISSING_RANGES of them.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Literal, NamedTuple

from capfile.limits import MAX_MISSING_RANGES


class Verdict(NamedTuple):
    """`missing` frames [first, end) were left out just before this one."""

    kind: Literal["next", "late", "duplicate"]
    first: int = 0
    end: int = 0


class Order:
    """The frames of one segment by their numbers."""

    def __init__(self) -> None:
        self.expected = 0
        self._missing: list[tuple[int, int]] = []  # [first, end), ascending, apart

    def place(self, sequence: int) -> Verdict:
        """Where this frame stands; it counts as seen from now on."""
        expected = self.expected
        if sequence >= expected:
            self.expected = sequence + 1
            if sequence > expected:
                self._missing.append((expected, sequence))
                del self._missing[:-MAX_MISSING_RANGES]
            return Verdict("next", expected, sequence)
        return Verdict("late" if self._found(sequence) else "duplicate")

    def _found(self, sequence: int) -> bool:
        """Take `sequence` out of the missing ranges, if it is in one."""
        at = bisect_right(self._missing, sequence, key=lambda each: each[0]) - 1
        if at < 0 or sequence >= self._missing[at][1]:
            return False
        first, end = self._missing[at]
        self._missing[at : at + 1] = [part for part in ((first, sequence), (sequence + 1, end)) if part[0] < part[1]]
        return True
