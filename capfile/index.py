"""Where the chunks of a segment are and what is in them: from its Index frames, or found by scanning.

And the use of it: `chunk_filter` says which chunks a reader needs for stretches of time or for some sockets.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from typing import BinaryIO, Final, NamedTuple

from capfile.errors import CapfileError
from capfile.frames import Chunk, End, FrameKind, Header, Index, Ring
from capfile.payload import decode
from capfile.reader import Reader, Wanted
from capfile.scan import RawFrame, Scanner
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
    """From the End frame at the end of `file` and the Index frames that it names; None if one is not there, or if the
    file is several segments put end to end (their offsets are not the file's)."""
    scanner = Scanner(source_of(file))
    found = SegmentIndex()
    try:
        first = scanner.examine(0)
        last = _last(scanner)
        if first is None or last is None or first.head.tag != last.head.tag:
            return None
        end = decode(End, last.prefix(last.head.length)).frame
        assert isinstance(end, End)
        for offset in end.index:
            raw = scanner.examine(offset)
            if raw is None or raw.head.kind != FrameKind.INDEX or raw.head.tag != last.head.tag:
                return None
            frame = decode(Index, raw.prefix(raw.head.length)).frame
            assert isinstance(frame, Index)
            found.add(frame)
    except CapfileError:
        return None
    return found if end.index else None


def _last(scanner: Scanner) -> RawFrame | None:
    """The End frame, if it is what the input ends with."""
    size = scanner.source.end(0)
    start = max(0, size - TAIL)
    tail = scanner.source.read(start, TAIL)
    at = tail.rfind(START)
    while at >= 0:
        with contextlib.suppress(CapfileError):
            raw = scanner.examine(start + at)
            if raw is not None and raw.head.kind == FrameKind.END and raw.end == size:
                return raw
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


def chunk_filter(
    intervals: Sequence[tuple[int, int]], generations: Set[int] | None = None, index: SegmentIndex | None = None
) -> Wanted:
    """For a Reader: the chunks that may hold an event of these intervals of time and of these sockets.

    `intervals`: [first, last] in ns, ascending and apart. Control chunks are always wanted: they are small, and without
    them nobody would know what a socket is. A chunk is left out only where it certainly holds nothing that is
    asked for.
    """
    begins, ends = [begin for begin, _ in intervals], [end for _, end in intervals]
    rows = {row.offset: row.generations for row in index.chunks} if index and generations is not None else {}

    def wanted(offset: int, chunk: Chunk) -> bool:
        if chunk.ring == Ring.CONTROL:
            return True
        at = bisect_left(ends, chunk.first_time)
        if at == len(begins) or begins[at] > chunk.last_time:
            return False
        inside = rows.get(offset)
        return inside is None or generations is None or not generations.isdisjoint(inside)

    return wanted


def missing_segments(headers: Iterable[Header]) -> list[int]:
    """Numbers that a set of one recording's segments lacks between its first and last."""
    numbers = {header.segment for header in headers}
    return sorted(set(range(min(numbers, default=0), max(numbers, default=0))) - numbers)
