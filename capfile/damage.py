"""What could not be read, and why: a bounded report in file order."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from capfile.limits import MAX_DAMAGE, MAX_UNKNOWN_NAMES

# "cut": the file ends before its frame does; "damaged": bytes that are no frame, or not the one that was written;
# "missing": frame numbers that never came; "duplicate": a frame that was there before, not yielded again;
# "reordered": a frame that came late (it is yielded); "limit": skipped, because a named limit says so.
DamageKind = Literal["cut", "damaged", "missing", "duplicate", "reordered", "limit"]


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes [offset, offset + length) of the input, and what is wrong there. `length` is 0 where frames are absent."""

    offset: int
    length: int
    kind: DamageKind
    detail: str


@dataclass(slots=True)
class Report:
    """All damage of one input. `beyond` counts what MAX_DAMAGE left no room for."""

    entries: list[Damage] = field(default_factory=list)
    beyond: int = 0
    unknown: Counter[str] = field(default_factory=Counter)  # "frame kind 42", "Chunk.colour", "event.mood" -> how often

    def add(self, offset: int, length: int, kind: DamageKind, detail: str) -> None:
        """Note one thing."""
        if len(self.entries) < MAX_DAMAGE:
            self.entries.append(Damage(offset, length, kind, detail))
        else:
            self.beyond += 1

    def skipped(self, name: str) -> None:
        """Note something that a newer writer wrote and this program does not know: no damage."""
        if name in self.unknown or len(self.unknown) < MAX_UNKNOWN_NAMES:
            self.unknown[name] += 1
        else:
            self.unknown["others"] += 1
