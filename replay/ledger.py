"""What is known to be missing, and when: sequence jumps and damage in, the reason of a hole out.

Knows rings and times; never a socket. A hole in a socket's positions says how much is missing there; this ledger says
why: the records that could have filled it were lost by a full ring, or are unreadable in the file, or nobody knows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from capfile.event import Reason
from capfile.frames import Counters, Ring

RING_FULL: Final = Reason.RING_FULL.label
DAMAGED: Final = Reason.DAMAGED.label
UNKNOWN: Final = Reason.UNKNOWN.label
MAX_LOSSES: Final = 4096  # intervals kept; neighbours are joined beyond it, which can only widen what is uncertain
MAX_MISSING: Final = 1024  # sequence ranges per ring that a late record may still fill
MAX_NOTES: Final = 100  # sentences kept about unreadable chunks; all are counted

RingKey = tuple[int, int]  # (cpu, capfile.frames.Ring)


@dataclass(slots=True)
class Loss:
    """Records that ring `key` should hold between the events at `after` and `before` (ns) and does not."""

    after: int
    before: int
    reason: str
    records: int


@dataclass(slots=True)
class RingTally:
    """One ring's sequence numbers. `next` is None until its first record."""

    next: int | None = None
    records: int = 0
    last_time: int = 0
    perf_lost: int = 0  # as PERF_RECORD_LOST says
    late: int = 0  # came after a record of higher number and filled its place
    unsequenced: int = 0  # repeated a number: written by something that does not count
    damaged: bool = False  # the file is damaged since the last record
    waiting: int = 0  # chunks that were read and not yet decoded to their end
    missing: list[list[int]] = field(default_factory=list)  # [first, end) ranges not seen
    forgotten: int = 0  # missing records whose ranges are no longer kept

    @property
    def lost(self) -> int:
        """Records missing before the last one seen."""
        return self.forgotten + sum(end - first for first, end in self.missing)


class Ledger:
    """Filled while events are decoded; asked while streams are put together."""

    def __init__(self, counters: Counters | None = None) -> None:
        """`counters`: the last of the recording, if they are known before."""
        self.rings: dict[RingKey, RingTally] = {}
        self.losses: list[Loss] = []
        self.counters = counters
        self.all_chunks_read = False
        self.whole_from_start = True  # the first segment is here: sequences begin at 0
        self.unreadable_chunks = 0
        self.skipped: Counter[str] = Counter()  # what a named limit left out
        self.notes: list[str] = []
        self.damaged = False

    def tally(self, key: RingKey) -> RingTally:
        """The tally of one ring, made when it is first asked for."""
        tally = self.rings.get(key)
        if tally is None:
            tally = self.rings[key] = RingTally(next=0 if self.whole_from_start else None, damaged=self.damaged)
        return tally

    def file_damage(self) -> None:
        """A part of the file was skipped here: the next jump of each ring may be its doing."""
        self.damaged = True
        for tally in self.rings.values():
            tally.damaged = True

    def unreadable(self, key: RingKey, note: str) -> None:
        """The rest of a chunk of this ring cannot be read."""
        self.unreadable_chunks += 1
        self.tally(key).damaged = True
        if len(self.notes) < MAX_NOTES:
            self.notes.append(note)

    def jump(self, tally: RingTally, sequence: int, time: int) -> None:
        """A record whose number is not the next one: some are lost, or it is itself late."""
        expected = tally.next
        if expected is None:
            tally.next = sequence + 1
        elif sequence > expected:
            reason = DAMAGED if tally.damaged else RING_FULL
            self._lose(Loss(tally.last_time, time, reason, sequence - expected))
            _remember(tally, expected, sequence)
            tally.next = sequence + 1
        else:
            _fill(tally, sequence)

    def end_of(self, ring: Ring) -> list[list[int]]:
        """Per CPU [next sequence, PERF_FORMAT_LOST] as the recorder last counted them."""
        return [] if self.counters is None else self.counters.rings.get(ring.name.lower(), [])

    def _lost_at_the_end(self) -> Iterator[int]:
        """Since when each data ring lost its last records: no later record jumps over them, only the counters know."""
        if self.all_chunks_read:
            for cpu, row in enumerate(self.end_of(Ring.DATA)):
                tally = self.rings.get((cpu, Ring.DATA)) or RingTally(next=0)
                if not tally.waiting and row and tally.next is not None and row[0] > tally.next:
                    yield tally.last_time

    def _lose(self, loss: Loss) -> None:
        self.losses.append(loss)
        if len(self.losses) > MAX_LOSSES:
            self.losses = [_join(*self.losses[i : i + 2]) for i in range(0, len(self.losses), 2)]

    def reason(self, after: int, before: int) -> str:
        """Why bytes are missing that should have come between two times: "ring-full", "damaged" or "unknown"."""
        reasons = {loss.reason for loss in self.losses if loss.after <= before and loss.before >= after}
        if any(time <= before for time in self._lost_at_the_end()):
            reasons.add(RING_FULL)
        return reasons.pop() if len(reasons) == 1 else UNKNOWN


def _join(first: Loss, second: Loss | None = None) -> Loss:
    if second is None:
        return first
    reason = first.reason if first.reason == second.reason else UNKNOWN
    after, before = min(first.after, second.after), max(first.before, second.before)
    return Loss(after, before, reason, first.records + second.records)


def _remember(tally: RingTally, first: int, end: int) -> None:
    tally.missing.append([first, end])
    if len(tally.missing) > MAX_MISSING:
        oldest = tally.missing.pop(0)
        tally.forgotten += oldest[1] - oldest[0]


def _fill(tally: RingTally, sequence: int) -> None:
    for number, (first, end) in enumerate(tally.missing):
        if first <= sequence < end:
            pieces = [[first, sequence], [sequence + 1, end]]
            tally.missing[number : number + 1] = [piece for piece in pieces if piece[0] < piece[1]]
            tally.late += 1
            return
    tally.unsequenced += 1
