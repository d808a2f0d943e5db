"""A recording in, its exchanges out: the stages of the house in their order. Read this first.

    frames → events in one order → streams per socket and direction → conversations → exchanges

Each stage is a module of its own and knows nothing of its neighbours but the vocabulary between them.
"""

from __future__ import annotations

from collections.abc import Iterator

from replay.connections import Connections, SidePolicy
from replay.dispatch import Result
from replay.events import ordered
from replay.follow import Followed
from replay.ledger import Ledger
from replay.processes import Processes
from replay.source import Recording
from replay.streams import Streams


def exchanges(recording: Recording | Followed, side: SidePolicy = "auto", prefix: str = "") -> Iterator[Result]:
    """Every exchange and every opaque connection of one recording, as they end. `prefix` goes before all ids."""
    outlook = recording.outlook()
    ledger = Ledger(outlook.counters)
    processes = Processes(outlook.processes)
    streams = Streams(ledger)
    connections = Connections(processes, recording.clock_offset_ns, side, prefix)
    for item in ordered(recording.frames(), outlook, ledger):
        processes.feed(item)
        for step in streams.feed(item):
            yield from connections.feed(step)
    for step in streams.finish():
        yield from connections.feed(step)
