"""Numbers with their nouns, for sentences that people read."""

from __future__ import annotations


def counted(number: int, noun: str, rest: str = "") -> str:
    """`1 event`, `2 events`, `1,000 events lost`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}{' ' if rest else ''}{rest}"
