"""A recording in, its exchanges out: the stages of the house in their order. Read this first.

    frames → events in one order → streams per socket and direction → conversations → exchanges

Each stage is a module of its own and knows nothing of its neighbours but the vocabulary between them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from replay.connections import Connections, MakeListener, SidePolicy
from replay.dispatch import Conversation, Result
from replay.events import Decode, Unnamed, decoded, named, ordered_runs
from replay.exchange import Connection, ProcessFacts
from replay.ledger import Ledger
from replay.processes import Processes
from replay.source import LookedAhead, Recording
from replay.stream import Flow, StreamEvent
from replay.streams import Streams

if TYPE_CHECKING:
    from replay.follow import Followed, Turns


class Passage(NamedTuple):
    """One event of one flow of a connection: what an output that wants the bytes and not the messages gets."""

    connection: Connection
    process: ProcessFacts | None
    clock_offset_ns: int
    flow: Flow
    event: StreamEvent


def exchanges(recording: Recording | Followed, side: SidePolicy = "auto", prefix: str = "") -> Iterator[Result]:
    """Every exchange and every opaque connection of one recording, as they end. `prefix` goes before all ids."""
    return listen(recording, side, prefix, Conversation)


def passages(recording: Recording | Followed, side: SidePolicy = "auto", prefix: str = "") -> Iterator[Passage]:
    """Everything that passed on every connection of one recording, in order, without the HTTP stages."""
    return listen(recording, side, prefix, _Tap)


def listen(recording: Recording | Followed, side: SidePolicy, prefix: str, listener: MakeListener) -> Iterator[Any]:
    """What listeners of your making give back: one is made for each connection, and hears its two flows."""
    runs, processes, streams, connections = stages(recording, recording.outlook(), side, prefix, listener)
    for run in runs:
        for item in run:
            if type(item) is tuple and (next_step := streams.next_in_order(item)) is not None:
                if results := connections.feed(next_step):
                    yield from results
                continue
            event = named(item)
            processes.feed(event)
            for step in streams.carefully(event):
                yield from connections.feed(step)
    for step in streams.finish():
        yield from connections.feed(step)
    for both in connections.undecided():
        yield from connections.decide(both)


class Stages(NamedTuple):
    """Those before the conversations."""

    runs: Iterator[Sequence[Unnamed]]
    processes: Processes
    streams: Streams
    connections: Connections


def stages(
    recording: Recording | Followed,
    outlook: LookedAhead | Turns,
    side: SidePolicy,
    prefix: str,
    listener: MakeListener = Conversation,
    decode: Decode = decoded,
) -> Stages:
    """The stages of one recording, ready to begin."""
    ledger = Ledger(outlook.counters)
    processes = Processes(outlook.processes)
    patient = isinstance(recording, Recording)  # one that is followed is shown as it comes
    connections = Connections(processes, recording.clock_offset_ns, side, prefix, listener, patient=patient)
    return Stages(ordered_runs(recording.frames(), outlook, ledger, decode), processes, Streams(ledger), connections)


class _Tap:
    """A listener that hands on every event as it comes."""

    def __init__(self, connection: Connection, process: ProcessFacts | None, clock_offset_ns: int) -> None:
        self.connection = connection
        self._process = process
        self._clock_offset_ns = clock_offset_ns

    def feed(self, flow: Flow, event: StreamEvent) -> list[Passage]:
        return [Passage(self.connection, self._process, self._clock_offset_ns, flow, event)]
