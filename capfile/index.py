"""Where the chunks of a segment are and what is in them: from its Index frames, or found by scanning.

And the use of it: `Selection` says which chunks a reader needs for a stretch of time or for some sockets.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import BinaryIO, Final, NamedTuple

from capfile.errors import CapfileError
from capfile.frames import Chunk, End, FrameKind, Header, Index, Ring
from capfile.payload import decode
from capfile.reader import Reader
from capfile.scan import Scanner
from capfile.source import source_of
from capfile.wire import START

TAIL: Final = 128 << 10  # where the End frame is looked for: with the most offsets it can list it is 74 KB long

_COLUMNS: Final = 6  # of a row in the file today


class ChunkRow(NamedTuple):
    """One chunk. `offset` from the segment's first byte; times in ns; `generations` None: nobody looked."""

    offset: int
    cpu: int
    ring: int
    first_time: int
    last_time: int
    size: int
    generations: frozenset[int] | None = None


class SocketRow(NamedTuple):
    """One socket and, as far as known, when it was first and last seen (ns)."""

    socket: int
    generation: int
    first_time: int = 0
    last_time: int = (1 << 64) - 1


@dataclass(slots=True)
class SegmentIndex:
    """All of a segment's Index frames. `rebuilt`: there were none, the chunks were found by scanning."""

    chunks: list[ChunkRow] = field(default_factory=list)
    sockets: list[SocketRow] = field(default_factory=list)
    rebuilt: bool = False

    def add(self, frame: Index) -> None:
        """Take in one frame; rows that are too short say nothing."""
        known = frame.generations if len(frame.generations) == len(frame.chunks) else [None] * len(frame.chunks)
        self.chunks += [
            ChunkRow._make([*row[:_COLUMNS], None if seen is None else frozenset(seen)])
            for row, seen in zip(frame.chunks, known, strict=True)
            if len(row) >= _COLUMNS
        ]
        self.sockets += [SocketRow(*row[:4]) for row in frame.sockets if len(row) == 2 or len(row) >= 4]


def index_of(file: BinaryIO) -> SegmentIndex:
    """The index of the one segment in the regular file `file`: read, or rebuilt where it is absent."""
    file.seek(0)
    found = read_index(file)
    if found is None:
        file.seek(0)
        found = scan_index(Reader(file, lazy=True))
    file.seek(0)
    return found


def read_index(file: BinaryIO) -> SegmentIndex | None:
    """From the End frame at the end of `file` and the Index frames that it names; None if one is not there."""
    scanner = Scanner(source_of(file))
    end = _end(scanner)
    if end is None or not end.index:
        return None
    found = SegmentIndex()
    try:
        for offset in end.index:
            raw = scanner.examine(offset)
            if raw is None or raw.head.kind != FrameKind.INDEX:
                return None
            frame = decode(Index, raw.prefix(raw.head.length)).frame
            assert isinstance(frame, Index)
            found.add(frame)
    except CapfileError:
        return None
    return found


def _end(scanner: Scanner) -> End | None:
    """The End frame, if it is what the input ends with and the input is one segment."""
    size = scanner.source.end(0)
    start = max(0, size - TAIL)
    tail = scanner.source.read(start, TAIL)
    at = tail.rfind(START)
    while at >= 0:
        try:
            raw = scanner.examine(start + at)
            if raw is not None and raw.head.kind == FrameKind.END and raw.end == size:
                frame = decode(End, raw.prefix(raw.head.length)).frame
                assert isinstance(frame, End)
                return frame
        except CapfileError:
            pass
        at = tail.rfind(START, 0, at)
    return None


def scan_index(frames: Reader) -> SegmentIndex:
    """From the chunks themselves: reads and checks every frame, decompresses none."""
    found = SegmentIndex(rebuilt=True)
    for frame in frames:
        if isinstance(frame, Chunk):
            offset = frames.offset - frames.segment_offset
            times = (frame.first_time, frame.last_time)
            found.chunks.append(ChunkRow(offset, frame.cpu, frame.ring, *times, frame.size))
    return found


@dataclass(frozen=True, slots=True)
class Selection:
    """What is wanted of a recording: events of [first, last] (ns, both included), of some sockets, or both.

    `wanted` is what a Reader asks for each chunk. Control rings are always wanted: they are small, and without them
    nobody would know what a socket is. A chunk is left out only where it certainly holds nothing that is asked for.
    """

    first: int = 0
    last: int = (1 << 64) - 1
    generations: frozenset[int] | None = None

    def reader_filter(self, index: SegmentIndex | None = None) -> ChunkFilter:
        """The test of one segment's chunks; with its index sockets can be told apart."""
        return ChunkFilter(self, {row.offset: row for row in index.chunks} if index else {}, self._life(index))

    def _life(self, index: SegmentIndex | None) -> tuple[int, int]:
        """The stretch of time outside which none of the wanted sockets lived."""
        if index is None or self.generations is None:
            return self.first, self.last
        rows = [row for row in index.sockets if row.generation in self.generations]
        if {row.generation for row in rows} != self.generations:
            return self.first, self.last
        return max(self.first, min(row.first_time for row in rows)), min(self.last, max(r.last_time for r in rows))


@dataclass(frozen=True, slots=True)
class ChunkFilter:
    """Call it as `Reader(wanted=…)` does."""

    selection: Selection
    rows: dict[int, ChunkRow]
    life: tuple[int, int]

    def __call__(self, offset: int, chunk: Chunk) -> bool:
        """Whether the chunk at `offset` of its segment may hold something that is wanted."""
        if chunk.ring == Ring.CONTROL:
            return True
        if chunk.last_time < self.life[0] or chunk.first_time > self.life[1]:
            return False
        row, wanted = self.rows.get(offset), self.selection.generations
        return row is None or row.generations is None or wanted is None or not wanted.isdisjoint(row.generations)


def missing_segments(headers: Iterable[Header]) -> list[int]:
    """Numbers that a set of one recording's segments lacks between its first and last."""
    numbers = {header.segment for header in headers}
    return sorted(set(range(min(numbers, default=0), max(numbers, default=0))) - numbers)
