"""Which stretches of time a question needs: sockets or a window in, intervals out; chunks outside are not read.

The lives of sockets come from the control rings alone, which are small and read whole. Where anything of those is
missing nothing is narrowed: an answer must not depend on how much was read for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from capfile.codec import pieces
from capfile.damage import Damage
from capfile.errors import CapfileError
from capfile.event import Event, Flag, Kind
from capfile.frames import Chunk, Counters, Frame, Header, Ring, Socket
from capfile.layout import EventLayout
from capfile.records import records_of

SLACK_NS: Final = 1_000_000_000  # events of other CPUs and threads around an opening or a close: far less
FOREVER: Final = (1 << 64) - 1
MAX_INTERVALS: Final = 100_000  # more than that are joined to one
_ENDS: Final = frozenset({Kind.CLOSE})

Interval = tuple[int, int]


def only_control(_: int, chunk: Chunk) -> bool:
    """For a reader: the chunks that `Lives` needs."""
    return chunk.ring == Ring.CONTROL


class Lives:
    """When each socket of a recording lived, by generation."""

    def __init__(self) -> None:
        self.spans: dict[int, list[int]] = {}
        self.whole = True  # whether nothing of the control rings is missing
        self._next: dict[int, int] = {}  # CPU -> number of its next control event
        self._layout: EventLayout | None = None

    def feed(self, frames: Iterable[Frame | Damage]) -> None:
        """Read the recording's frames; data chunks may be left out of them."""
        for frame in frames:
            if isinstance(frame, Header):
                self._layout = EventLayout(frame.layout, frame.event_size)
            elif isinstance(frame, Chunk) and frame.ring == Ring.CONTROL:
                self._control(frame)
            elif isinstance(frame, Socket):
                self.spans.setdefault(frame.generation, [0, FOREVER])
            elif isinstance(frame, Damage):
                self.whole = False
            elif isinstance(frame, Counters):
                counted = dict(enumerate(frame.rings.get(Ring.CONTROL.name.lower(), [])))
                self.whole &= all(self._next.get(cpu, 0) >= row[0] for cpu, row in counted.items() if row)

    def _control(self, chunk: Chunk) -> None:
        try:
            for record in records_of(pieces(chunk), self._layout):
                if not isinstance(record, Event) or record.sequence != self._next.get(chunk.cpu, 0):
                    self.whole = False
                    continue
                self._next[chunk.cpu] = record.sequence + 1
                if record.generation:
                    self._event(record)
        except CapfileError:
            self.whole = False

    def _event(self, event: Event) -> None:
        begin = 0 if event.flags & Flag.JOINED else event.time
        span = self.spans.setdefault(event.generation, [begin, FOREVER])
        span[0] = min(span[0], begin)
        if event.kind in _ENDS:
            span[1] = event.time

    def of(self, generations: Collection[int] | None, first: int, last: int) -> dict[int, list[int]] | None:
        """The lives of these sockets, or of those that lived in [first, last]; None: that is not certain."""
        if not self.whole:
            return None
        if generations is None:
            near, far = first - SLACK_NS, last + SLACK_NS
            return {each: span for each, span in self.spans.items() if span[0] <= far and span[1] >= near}
        known = {each: self.spans[each] for each in generations if each in self.spans}
        return known if len(known) == len(set(generations)) else None


def intervals(lives: Iterable[Sequence[int]]) -> list[Interval]:
    """The stretches of time in which any of these lived: ascending and apart."""
    return _joined((begin - SLACK_NS, end + SLACK_NS) for begin, end in lives)


def _joined(intervals: Iterable[Interval]) -> list[Interval]:
    """Ascending and apart."""
    joined: list[Interval] = []
    for begin, end in sorted(intervals):
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((begin, end))
    return joined if len(joined) <= MAX_INTERVALS else [(joined[0][0], joined[-1][1])]
