"""A connection that was recorded at both ends: the results of both in, those of one out.

The server's end is shown, but the client's where that one alone missed nothing. Which it is, is known when both have
ended; what they gave is held until then, or until that is too much: then it counts what was missed by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from replay.stream import Bytes, Eof, Gap, Side, StreamEvent

RESULT_WEIGHT: Final = 1 << 10  # bytes that a result takes beside what passed on the connection meanwhile
MAX_HELD: Final = 4 << 20  # bytes held of one connection
# Connections are in the bucket that the names of their ends sum up to, and each bucket has its own bound: what becomes
# of a connection does not depend on those of other buckets, which another process may have.
BUCKETS: Final = 16
MAX_HELD_IN_BUCKET: Final = 4 << 20


class End:
    """What is to be known of one end."""

    __slots__ = ("ended", "held", "missed", "side")

    def __init__(self) -> None:
        self.side: Side | None = None  # not known yet
        self.missed = False  # bytes that passed
        self.ended = 0  # flows that have had their Eof
        self.held: list[Any] = []

    def note(self, event: StreamEvent) -> None:
        """Something other than bytes came."""
        if type(event) is Gap:
            self.missed |= event.length != 0
        elif type(event) is Eof:
            self.ended += 1


class BothEnds:
    """The two ends of one connection, until it is decided which is shown."""

    __slots__ = ("bucket", "ends", "generation", "weight")

    def __init__(self, ends: Sequence[End], bucket: int, generation: int) -> None:
        """`generation`: of the socket that was found to be the other end."""
        self.ends = ends
        self.bucket = bucket
        self.generation = generation
        self.weight = 0  # bytes that are held

    def hold(self, end: End, event: StreamEvent, results: list[Any]) -> bool:
        """An event came to `end`, and results of it. Whether it is time to decide."""
        end.held += results
        self.weight += RESULT_WEIGHT * len(results)
        if type(event) is Bytes:
            self.weight += len(event.data)
        return self.weight > MAX_HELD or all(each.ended == 2 for each in self.ends)

    def decide(self) -> Side:
        """The side that is shown."""
        missed = {each.side: each.missed for each in self.ends}
        return "client" if missed.get("server") and missed.get("client") is False else "server"

    def release(self) -> list[Any]:
        """What was held of the side that is shown; nothing is held any more."""
        side = self.decide()
        released = [result for each in self.ends if is_shown(each.side, side) for result in each.held]
        for each in self.ends:
            each.held = []
        return released


def bucket_of(name: int, other: int) -> int:
    """Of a connection by the names of its ends (`replay.addresses.names`)."""
    return (name + other) % BUCKETS


def is_shown(side: Side | None, chosen: Side) -> bool:
    """An end of a side that is not known is shown: nothing says that the other end shows the same."""
    return side is None or side == chosen
