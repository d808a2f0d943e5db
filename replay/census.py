"""Which sockets are whose where several processes read one recording: the control rings in, a `Division` out.

Sockets that may be the two ends of one connection, or that share a bound, have one owner, whatever becomes of them: all
facts count that the recording gives of any socket at any time.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import accumulate
from typing import Final

from capfile.codec import pieces
from capfile.damage import Damage
from capfile.errors import CapfileError, EventError
from capfile.event import AF_UNIX, KIND_AT, Event, Kind, LostRecord, SocketFacts
from capfile.frames import Chunk, Frame, Header, Ring, Socket
from capfile.layout import EventLayout
from capfile.records import batches_of
from replay.addresses import names
from replay.both_ends import BUCKETS, bucket_of

MAX_UNIX: Final = 1 << 17  # Unix sockets whose connections are told apart
# Generations are numbers from 1 on (FORMAT.md): a byte for each, in pages, as far as they may matter.
_PAGE: Final = 1 << 16
MAX_PAGES: Final = 1 << 8
_SLOTS: Final = 1 << 20  # names that are told apart for certain; where two fall together sockets may share an owner
_SOCKET: Final = int(Kind.SOCKET)
_GOLDEN: Final = 40503  # 65,536 times the golden ratio's fraction


class Indivisible(Exception):
    """This recording has something in it that only a single reader can judge."""


class Census:
    """All sockets of which the recording says anything, and which of them may belong together."""

    def __init__(self) -> None:
        self._layout: EventLayout | None = None
        # generations, and the names of both ends: of Unix sockets their inodes
        self._tcp = array("Q"), array("I"), array("I")
        self._unix = array("Q"), array("Q"), array("Q")

    def of(self, frames: Iterable[Frame | Damage]) -> Iterator[Frame | Damage]:
        """The same frames: on their way they are looked at."""
        for frame in frames:
            if isinstance(frame, Header):
                self._layout = EventLayout(frame.layout, frame.event_size)
            elif isinstance(frame, Chunk):
                if frame.ring == Ring.CONTROL:
                    self._chunk(frame)
            elif isinstance(frame, Socket):
                if min(frame.socket, frame.generation) < 0:
                    raise Indivisible("a socket has a number that no event could give it")
                self._facts(frame.socket, frame.generation, frame.facts)
            yield frame

    def _chunk(self, chunk: Chunk) -> None:
        with suppress(CapfileError):  # who reads the events says so
            for batch in batches_of(pieces(chunk), self._layout):
                for row in () if isinstance(batch, LostRecord) else batch:
                    if row[KIND_AT] == _SOCKET:
                        event = Event._make(row)
                        self._facts(event.socket, event.generation, event.payload)

    def _facts(self, inode: int, generation: int, payload: bytes | memoryview) -> None:
        try:
            facts = SocketFacts.unpack(payload)
        except EventError:
            return
        generations, here, there = self._unix if facts.family == AF_UNIX else self._tcp
        name, other = names(inode, facts)
        generations.append(generation)
        here.append(name)
        there.append(other)

    def division(self, weights: Sequence[float]) -> Division:
        """Who owns what; `Indivisible`."""
        buckets = _Buckets()
        generations, here, there = self._tcp
        seen = bytearray(_SLOTS)
        for name in here:
            seen[name % _SLOTS] = 1
        for generation, name, other in zip(generations, here, there, strict=True):
            if other and seen[other % _SLOTS]:  # or there is no other end in this recording
                buckets.put(generation, bucket_of(name, other))
        self._divide_unix(buckets)
        return Division(weights, buckets)

    def _divide_unix(self, buckets: _Buckets) -> None:
        """A server knows its client's inode, the client perhaps not its server's: so it goes where the server goes."""
        generations, inodes, peers = self._unix
        of_inode: dict[int, int] = {}
        if len(inodes) > MAX_UNIX:
            for bucket in range(BUCKETS):
                buckets.unite(0, bucket)
            for generation in generations:
                buckets.put(generation, 0)
            return
        here = set(inodes)
        for inode, peer in zip(inodes, peers, strict=True):
            if peer in here:
                bucket = bucket_of(inode, peer)
                for each in (inode, peer):
                    buckets.unite(bucket, of_inode.setdefault(each, bucket))
        for generation, inode in zip(generations, inodes, strict=True):
            if inode in of_inode:
                buckets.put(generation, of_inode[inode])


class _Buckets:
    """Which bucket each generation is in, and which buckets have a socket in common."""

    def __init__(self) -> None:
        self.pages: dict[int, bytearray] = {}  # bucket + 1 of each generation; 0: none
        self._parents = list(range(BUCKETS))
        self._sockets = [0] * BUCKETS

    def put(self, generation: int, bucket: int) -> None:
        """Into one bucket; if it is in another already, they are one."""
        number, place = divmod(generation, _PAGE)
        page = self.pages.get(number)
        if page is None:
            if len(self.pages) >= MAX_PAGES:
                raise Indivisible("more generations than are told apart")
            page = self.pages[number] = bytearray(_PAGE)
        if page[place]:
            self.unite(page[place] - 1, bucket)
        else:
            page[place] = bucket + 1
            self._sockets[bucket] += 1

    def unite(self, one: int, other: int) -> None:
        """Give both to one owner."""
        self._parents[self._root(other)] = self._root(one)

    def _root(self, bucket: int) -> int:
        while self._parents[bucket] != bucket:
            bucket = self._parents[bucket]
        return bucket

    def owners(self, weights: Sequence[float]) -> list[int]:
        """Of each bucket: the largest first, each to whom lacks most."""
        sizes = dict.fromkeys(map(self._root, range(BUCKETS)), 0)
        for bucket, sockets in enumerate(self._sockets):
            sizes[self._root(bucket)] += sockets
        room = [weight * sum(self._sockets) for weight in weights]
        owners: dict[int, int] = {}
        for root in sorted(sizes, key=sizes.__getitem__, reverse=True):
            owners[root] = owner = room.index(max(room))
            room[owner] -= sizes[root]
        return [owners[self._root(bucket)] for bucket in range(BUCKETS)]


class Division:
    """Who of several processes owns a socket."""

    def __init__(self, weights: Sequence[float], buckets: _Buckets) -> None:
        """`weights` of the processes: how much each is to have; 1 in all."""
        self.jobs = len(weights)
        self._pages = buckets.pages
        self._owners = buckets.owners(weights)
        self._bounds = [round(0x10000 * bound) for bound in accumulate(weights)][:-1]

    def owner(self, generation: int) -> int:
        """From 0 on."""
        number, place = divmod(generation, _PAGE)
        page = self._pages.get(number)
        if page is not None and page[place]:
            return self._owners[page[place] - 1]
        # Neighbours, and those two or three apart, go different ways: multiples of the golden ratio spread evenly.
        return bisect_right(self._bounds, generation * _GOLDEN & 0xFFFF)
