"""Capture files in, frames out: opens what the user named, and looks ahead so that events can be put in order.

The only stage that touches files. Segments of one recording are read as one; what the reader had to skip appears among
the frames as `Damage`, in its place.
"""

from __future__ import annotations

import os
import stat
import sys
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from capfile.damage import Damage
from capfile.errors import CapfileError
from capfile.event import EVENT_SIZE, layout
from capfile.frames import FORMAT_VERSION, Chunk, Counters, Frame, Header, Process
from capfile.index import chunk_filter, read_index
from capfile.reader import Reader, Wanted
from replay.errors import UsageError
from replay.events import FOREVER, Quiet
from replay.narrowing import Lives, intervals, only_control

SPOOL_MEMORY: Final = 64 << 20  # bytes of standard input kept in memory before they go to a temporary file


def frames(reader: Reader) -> Iterator[Frame | Damage]:
    """The frames of one file from where `reader` is, and its damage where it was met."""
    seen = len(reader.damage)
    for frame in reader:
        yield from reader.damage[seen:]
        seen = len(reader.damage)
        yield frame
    yield from reader.damage[seen:]


def opened(name: str) -> BinaryIO:
    """The file `name`, or standard input for "-". What cannot be read twice is kept aside first. OSError as `open`."""
    if name != "-":
        file = open(name, "rb")  # noqa: SIM115  (the recording closes it)
        return file if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else _spooled(file)
    return _spooled(sys.stdin.buffer)


def _spooled(stream: BinaryIO) -> BinaryIO:
    import shutil  # only a stream needs these two, which cost each start 5 ms
    import tempfile

    spool = tempfile.SpooledTemporaryFile(SPOOL_MEMORY)  # noqa: SIM115  (the recording closes it)
    shutil.copyfileobj(stream, spool)
    spool.seek(0)
    return spool  # type: ignore[return-value]  # it has every method that the reader uses


@dataclass
class Segment:
    """One file of a recording."""

    name: str
    file: BinaryIO
    header: Header
    reader: Reader  # the last that read it: knows how that went
    wanted: Wanted | None = None  # which chunks are read; None: all
    sound: int = 0  # up to here a reader has found nothing wrong: later ones need not compare the checksums
    until: int | None = None  # its size when it was first read: what is appended later is for later, so that all agree

    def chunks_of(self, lives: Mapping[int, Sequence[int]]) -> Wanted:
        """The chunks in which these sockets may be; the file's index, if it has one, knows more than their times."""
        self.file.seek(0)
        return chunk_filter(intervals(lives.values()), lives.keys(), read_index(self.file))

    def frames(self) -> Iterator[Frame | Damage]:
        """The file from its beginning."""
        self.file.seek(0)
        if self.until is None:
            self.until = os.fstat(self.file.fileno()).st_size
        # chunks stay in the file until they are decoded
        self.reader = Reader(self.file, lazy=True, wanted=self.wanted, sound=self.sound, until=self.until)
        yield from frames(self.reader)
        self.sound = max(self.sound, self.reader.sound)


@dataclass
class Recording:
    """The segments of one recording, in order."""

    segments: list[Segment] = field(default_factory=list)

    @property
    def header(self) -> Header:
        """Of its first segment."""
        return self.segments[0].header

    @property
    def clock_offset_ns(self) -> int:
        """What must be added to CLOCK_MONOTONIC to have ns since 1970."""
        return self.header.wall_time - self.header.monotonic_time

    def frames(self) -> Iterator[Frame | Damage]:
        """All segments one after the other."""
        for segment in self.segments:
            yield from segment.frames()

    def outlook(self) -> LookedAhead:
        """Look through all of it."""
        return LookedAhead(self.frames())

    def narrow(self, generations: Collection[int] | None, first: int = 0, last: int = FOREVER) -> None:
        """From now on read only what the whole of these sockets needs, or of those that lived in [first, last] (ns of
        CLOCK_MONOTONIC). Everything is still read where it is not certain what can be left out."""
        lives = Lives()
        for segment in self.segments:
            segment.wanted = only_control
        lives.feed(self.frames())
        found = lives.of(generations, first, last)
        for segment in self.segments:
            segment.wanted = None if found is None else segment.chunks_of(found)

    def close(self) -> None:
        """Close its files."""
        for segment in self.segments:
            segment.file.close()


def recordings(names: Sequence[str]) -> list[Recording]:
    """The recordings that these files are segments of, in the order of their first file. `CapfileError`, OSError;
    UsageError where a segment is given twice: everything in it would count twice."""
    by_id: dict[object, Recording] = {}
    given: dict[tuple[object, ...], str] = {}
    for number, name in enumerate(names):
        file = opened(name)
        reader = Reader(file)
        header = _header(reader, name)
        segment = Segment(name, file, header, reader)
        identity = _identity(segment)
        if (twin := given.get(identity)) is not None:
            what = f"{name} is given twice" if twin == name else f"{twin} and {name} are one segment of one recording"
            raise UsageError(f"{what}: everything in it would count twice")
        given[identity] = name
        by_id.setdefault(header.recording_id or number, Recording()).segments.append(segment)
    for recording in by_id.values():
        recording.segments.sort(key=lambda segment: segment.header.segment)
    return list(by_id.values())


def _identity(segment: Segment) -> tuple[object, ...]:
    """What several names of one segment have in common: its place in its recording or, without one, its file."""
    if segment.header.recording_id:
        return segment.header.recording_id, segment.header.segment
    if segment.name == "-":
        return ("-",)
    facts = os.stat(segment.name)
    return facts.st_dev, facts.st_ino


def prefixes(count: int) -> list[str]:
    """What goes before the ids of each of `count` recordings, so that ids are unique: nothing if there is one."""
    return [f"{number}:" for number in range(1, count + 1)] if count > 1 else [""]


def _header(reader: Reader, name: str) -> Header:
    """The first Header. Where damage took it, one that knows nothing: what follows it can be read all the same."""
    with naming(name):
        for frame in reader:
            if isinstance(frame, Header):
                return frame
    return Header(FORMAT_VERSION, [list(row) for row in layout()], EVENT_SIZE)


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Errors of a file say its name."""
    try:
        yield
    except CapfileError as error:
        raise type(error)(f"{name}: {error}", error.offset) from None


class LookedAhead:
    """An `Outlook` that knows every chunk still to come, because it has seen the file before."""

    def __init__(self, coming: Iterable[Frame | Damage]) -> None:
        """Reads all of `coming`; keeps 8 bytes per chunk, the Process frames and the last Counters."""
        self.processes: list[Process] = []
        self.counters: Counters | None = None  # the last
        times = array("Q")
        before: dict[tuple[int, int], int] = {}
        for frame in coming:
            if isinstance(frame, Chunk):
                # A chunk that does not say (it begins with a PERF_RECORD_LOST) is later than its ring's previous one.
                key = (frame.cpu, frame.ring)
                before[key] = min(frame.first_time, FOREVER - 1) or before.get(key, 0)
                times.append(before[key])
            elif isinstance(frame, Process):
                self.processes.append(frame)
            elif isinstance(frame, Counters):
                self.counters = frame
        # earliest[i]: no event in chunk i or after it is earlier
        self._earliest = _running_minimum(times)
        self._read = 0

    def after(self, frame: Frame | Damage | Quiet) -> int:
        """See `replay.events.Outlook`."""
        if isinstance(frame, Chunk):
            self._read += 1
        return self._earliest[self._read] if self._read < len(self._earliest) else FOREVER


def _running_minimum(times: array[int]) -> array[int]:
    for number in range(len(times) - 2, -1, -1):
        times[number] = min(times[number], times[number + 1])
    return times
