"""The results of some sockets of a recording, where several processes read it, each all of it.

Every process decodes and orders everything and hears of every process and of every loss; of the sockets it takes only
its own (`replay.census`). So it knows of its own whatever a single reader would know of them, and the number that an
event has is the same in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from capfile.codec import pieces
from capfile.event import GENERATION_AT, KIND_AT, TIME_AT, Kind, LostRecord
from capfile.frames import Chunk, Ring, Socket
from capfile.layout import EventLayout
from capfile.records import Batch, batches_of
from capfile.sifting import PASSED, sifter
from replay.census import Division, Indivisible
from replay.connections import SidePolicy
from replay.dispatch import Result
from replay.events import named
from replay.pipeline import stages
from replay.source import LookedAhead, Recording
from replay.streams import MAX_SOCKETS, Step

MAX_ANSWERS: Final = 1 << 16  # to the question whose a socket is, about 100 bytes each
PATIENCE: Final = 8192  # events after which it is said how far the results go
_OF_SOCKETS: Final = {Kind.DATA, Kind.SOCKET, Kind.SHUTDOWN, Kind.CLOSE, Kind.STATE, Kind.AUDIT}
_OF_PROCESSES: Final = frozenset({int(Kind.FORK), int(Kind.EXEC), int(Kind.EXIT)})

Found = tuple[int, int, Result | None]


class Share:
    """The part of process `index`."""

    def __init__(self, division: Division, index: int) -> None:
        self._division = division
        self._index = index
        self._known: dict[int, bool] = {}
        self._control = sifter(self._known, self._own, _OF_SOCKETS, lambda _: None)
        self._data = sifter(self._known, self._own, {Kind.DATA}, _not_facts)

    def _own(self, generation: int) -> bool:
        if len(self._known) >= MAX_ANSWERS:
            self._known.clear()
        own = self._known[generation] = self._division.owner(generation) == self._index
        return own

    def _decode(self, chunk: Chunk, layout: EventLayout | None) -> Iterator[Batch]:
        if chunk.ring == Ring.CONTROL:
            return batches_of(pieces(chunk), layout, samples=self._control)
        return _without_facts(batches_of(pieces(chunk), layout, samples=self._data))

    def results(self, recording: Recording, outlook: LookedAhead, side: SidePolicy, prefix: str) -> Iterator[Found]:
        """The results of its own sockets, each with the number of what finished it, counted alike in every process, and
        the generation of the socket of that: by these two the results of all processes are in the order of one. Now and
        then None, when all results up to a number have been given."""
        runs, processes, streams, connections = stages(recording, outlook, side, prefix, decode=self._decode)
        unsettled = streams.unsettled  # a list that changes
        most = MAX_SOCKETS // self._division.jobs
        number = said = 0
        steps: Sequence[Step]
        for run in runs:
            for number, item in enumerate(run, number + 1):  # noqa: B020  (what it was counts only at the beginning)
                if type(item) is tuple:
                    if len(item) == PASSED:
                        if not unsettled:
                            continue
                        steps = streams.pass_by(item[TIME_AT])
                    elif (step := streams.next_in_order(item)) is not None:
                        if results := connections.feed(step):
                            for result in results:
                                yield number, step[0].generation, result
                        continue
                    elif item[KIND_AT] in _OF_PROCESSES:
                        event = named(item)
                        processes.feed(event)
                        steps = streams.carefully(event)
                    elif self._own(item[GENERATION_AT]):
                        steps = streams.carefully(named(item))
                    else:
                        steps = streams.pass_by(item[TIME_AT])
                else:
                    fact = named(item)
                    processes.feed(fact)
                    steps = streams.carefully(fact) if type(fact) is not Socket or self._own(fact.generation) else ()
                if streams.open > most:
                    raise Indivisible("many sockets are open at once")
                for step in steps:
                    for result in connections.feed(step):
                        yield number, step[0].generation, result
            if number - said >= PATIENCE:
                said = number
                yield number, 0, None
        number += 1
        for step in streams.finish():
            for result in connections.feed(step):
                yield number, step[0].generation, result
        number += 1
        for both in connections.undecided():
            for result in connections.decide(both):
                yield number, both.generation, result


def _without_facts(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches; `Indivisible` where a socket is introduced, of which the census knows nothing. Those of several
    events have been looked at by the sifter."""
    for batch in batches:
        if len(batch) == 1 and not isinstance(batch, LostRecord):
            _not_facts(batch[0][KIND_AT])
        yield batch


def _not_facts(kind: int) -> None:
    if kind == Kind.SOCKET:
        raise Indivisible("a data ring introduces a socket")
