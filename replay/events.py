"""Frames in, events out in one order: by time across all CPUs and rings. Positions settle the rest (streams.py).

A chunk is what one drain took from one ring, so a ring's events are in order and the rings are not. An event is let go
when nothing still to come can be earlier: there is no window of time or bytes that could be too short. The `Outlook`
knows what is to come, because it looked through the file before (or, on a pipe, because rings are drained in turns).
Of the chunks of that stretch only one event per ring is in memory; what cannot be an event is counted.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Protocol

from capfile.codec import pieces
from capfile.damage import Damage
from capfile.errors import CapfileError
from capfile.event import SEQUENCE_AT, TIME_AT, Event, LostRecord, Row
from capfile.frames import Chunk, Counters, Frame, Header, Mark, Process, Ring, Socket
from capfile.layout import EventLayout
from capfile.records import Batch, batches_of
from capfile.source import Region
from replay.ledger import Ledger, RingKey, RingTally

FOREVER: Final = 1 << 64  # later than any u64 time
MAX_RINGS: Final = 16_384  # two per CPU of the largest x86 kernel (NR_CPUS is at most 8,192)
# Chunks held in memory (a file's stay in the file) before events are let go although earlier ones might still come. A
# turn of the drain is at most the rings' size: 64 MiB per CPU.
MAX_BUFFERED: Final = 2 << 30
# Damage that may have swallowed events; a frame that came twice or late has not.
_SWALLOWS: Final = frozenset({"cut", "damaged", "missing", "limit"})
Facts = Process | Socket | Mark
Item = Event | Facts
Unnamed = Row | Facts  # a plain tuple is the row of an event
Decode = Callable[[Chunk, EventLayout | None], Iterator[Batch]]


class Quiet:
    """Among the frames of a recording that is still being written: none has come for a while."""


class Outlook(Protocol):
    """Knows what the frames still to be read can bring."""

    def after(self, frame: Frame | Damage | Quiet) -> int:
        """No event in the frames after this one is earlier than the time returned (ns); FOREVER: there is none."""
        ...


def decoded(chunk: Chunk, layout: EventLayout | None) -> Iterator[Batch]:
    """All records of a chunk."""
    return batches_of(pieces(chunk), layout)


def ordered(frames: Iterable[Frame | Damage | Quiet], outlook: Outlook, ledger: Ledger) -> Iterator[Item]:
    """Every event of the recording in one order, and the facts that the recorder wrote beside them at their times."""
    for run in ordered_runs(frames, outlook, ledger):
        yield from map(named, run)


def named(item: Unnamed) -> Item:
    """The event of a row; a fact as it is."""
    return Event._make(item) if isinstance(item, tuple) else item


def ordered_runs(
    frames: Iterable[Frame | Damage | Quiet], outlook: Outlook, ledger: Ledger, decode: Decode = decoded
) -> Iterator[Sequence[Unnamed]]:
    """The same in the pieces in which they come, without names, for whoever counts the nanoseconds of each event."""
    merge = _Merge(ledger, decode)
    for frame in frames:
        merge.add(frame)
        bound = outlook.after(frame)
        ledger.all_chunks_read = bound >= FOREVER
        yield from merge.release(bound)
    ledger.all_chunks_read = True
    yield from merge.release(FOREVER)


class _Merge:
    """A heap of rings, each with its next event; facts are a ring of their own kind."""

    def __init__(self, ledger: Ledger, decode: Decode) -> None:
        self._ledger = ledger
        self._decode = decode
        self._rings: dict[RingKey, _RingQueue] = {}
        # (time, rank, number, ring or None, item): facts before control events before data of the same instant
        self._heap: list[tuple[int, int, int, _RingQueue | None, Unnamed]] = []
        self._facts = 0
        self._buffered = 0  # bytes of chunks in memory since the last time that all were let go
        self._layout: EventLayout | None = None

    def add(self, frame: Frame | Damage | Quiet) -> None:
        """Take in one frame of the file."""
        if isinstance(frame, Chunk):
            self._chunk(frame)
        elif isinstance(frame, Process | Socket | Mark):
            self._facts += 1
            heapq.heappush(self._heap, (frame.time, 0, self._facts, None, frame))
        elif isinstance(frame, Counters):
            self._ledger.counters = frame
        elif isinstance(frame, Damage):
            if frame.kind in _SWALLOWS:
                self._ledger.file_damage()
        elif isinstance(frame, Header):
            self._layout = EventLayout(frame.layout, frame.event_size)
            if frame.segment and not self._rings:
                self._ledger.whole_from_start = False

    def _chunk(self, chunk: Chunk) -> None:
        key = (chunk.cpu, chunk.ring)
        ring = self._rings.get(key)
        if ring is None:
            if len(self._rings) >= MAX_RINGS:
                self._ledger.skipped["chunks of rings beyond the limit"] += 1
                return
            ring = self._rings[key] = _RingQueue(key, self._ledger, self._decode)
        ring.chunks.append((chunk, self._layout))
        ring.tally.waiting += 1
        self._buffered += 0 if isinstance(chunk.data, Region) else len(chunk.data)
        if ring.idle:
            self._push(ring)

    def _push(self, ring: _RingQueue) -> None:
        if ring.advance():
            self._wait(ring, 0)

    def _wait(self, ring: _RingQueue, at: int) -> None:
        """The next event of the ring is that at index `at` of its run."""
        ring.at = at
        event = ring.run[at]
        heapq.heappush(self._heap, (event[TIME_AT], ring.rank, ring.number, ring, event))

    def release(self, bound: int) -> Iterator[Sequence[Unnamed]]:
        """Everything earlier than `bound`, in order."""
        heap = self._heap
        if self._buffered > MAX_BUFFERED:
            self._buffered = 0
            if bound < FOREVER:
                self._ledger.skipped["times that the order of events was not waited for, to bound the memory"] += 1
                bound = FOREVER
        while heap and heap[0][0] < bound:
            _, _, _, ring, item = heapq.heappop(heap)
            if ring is None:
                yield (item,)
                continue
            # Most of the time the same ring has the next events too: no need to go through the heap for them.
            limit = min(bound, heap[0][0]) if heap else bound
            start, end = ring.at, ring.at + 1
            while True:
                run = ring.run
                while end < len(run) and run[end][TIME_AT] < limit:
                    end += 1
                yield run[start:end]
                if end < len(run):
                    self._wait(ring, end)
                    break
                if not ring.advance():
                    break
                if ring.run[0][TIME_AT] >= limit:
                    self._wait(ring, 0)
                    break
                start, end = 0, 1
        if not heap:
            self._buffered = 0


class _RingQueue:
    """The chunks of one ring that were read and not yet decoded, and the run of its events that is being let go."""

    __slots__ = ("_decode", "_runs", "at", "chunks", "idle", "key", "ledger", "number", "rank", "run", "tally")

    def __init__(self, key: RingKey, ledger: Ledger, decode: Decode) -> None:
        self.key = key
        self._decode = decode
        self.rank = 1 if key[1] == Ring.CONTROL else 2
        self.number = (key[0] << 64) + key[1]  # its own among all rings: a heap never has to compare what follows it
        self.ledger = ledger
        self.tally: RingTally = ledger.tally(key)
        self.chunks: deque[tuple[Chunk, EventLayout | None]] = deque()
        self.idle = True
        self.run: Sequence[Row] = ()
        self.at = 0  # index in `run` of the next event
        self._runs = self._walk()

    def advance(self) -> bool:
        """Go on to the next run; whether there is one."""
        run = next(self._runs, None)
        self.idle = run is None
        if run is None:
            self._runs = self._walk()  # a finished generator stays finished; the next chunk needs a new one
            return False
        self.run = run
        return True

    def _walk(self) -> Iterator[Sequence[Row]]:
        """The events of the queued chunks, each checked against the ring's sequence."""
        while self.chunks:
            chunk, layout = self.chunks.popleft()
            try:
                for batch in self._decode(chunk, layout):
                    if isinstance(batch, LostRecord):
                        self.tally.perf_lost += batch.lost
                    elif self._follows(batch):
                        yield batch
                    else:
                        yield from self._one_by_one(batch)
            except CapfileError as error:
                self.ledger.unreadable(self.key, f"chunk of CPU {self.key[0]} unreadable: {error}")
            self.tally.waiting -= 1

    def _follows(self, batch: list[Row]) -> bool:
        """Count a batch of events whose numbers follow each other and what came before, as nearly all do."""
        tally = self.tally
        number = tally.next
        if number is None:
            return False
        for row in batch:
            if row[SEQUENCE_AT] != number:
                return False
            number += 1
        tally.next = number
        tally.damaged = False
        tally.records += len(batch)
        tally.last_time = batch[-1][TIME_AT]
        return True

    def _one_by_one(self, batch: list[Row]) -> Iterator[Sequence[Row]]:
        """Whatever is the matter with it is noted when the events before it are gone."""
        tally = self.tally
        for row in batch:
            number, time = row[SEQUENCE_AT], row[TIME_AT]
            if number == tally.next:
                tally.next = number + 1
            else:
                self.ledger.jump(tally, number, time)
            tally.damaged = False
            tally.records += 1
            tally.last_time = time
            yield (row,)
