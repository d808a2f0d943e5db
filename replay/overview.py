"""A capture file in, a summary out: one pass in constant memory, every event counted and none kept."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final

from capfile.codec import pieces
from capfile.errors import CapfileError
from capfile.event import Event, Flag, Kind, Reason
from capfile.frames import Chunk, Counters, Frame, Header, Mark, Process, Socket
from capfile.reader import Reader
from capfile.records import records_of

MAX_LISTED: Final = 1000  # processes, and kinds of marks, named one by one
MAX_SOCKETS: Final = 1 << 20  # told apart when they are counted
MAX_DATE: Final = 253_402_300_799  # s: the end of the year 9999
# Counters that say something was lost or given up; a new one is shown by its name in `dump`
_LOSSES: Final = ("data_lost", "control_lost", "lost_bytes", "gap_bytes", "faults", "scratch_busy", "control_busy")
_LOSSES_MORE: Final = ("map_sockets_full", "map_descriptors_full", "unplaced_calls", "tail_call_failed")
_LEFT_OUT: Final = ("runs_left_out", "sockets_forgotten")
_DATA: Final = int(Kind.DATA)
_FILE_NAME: Final = int(Flag.FILE_NAME)


@dataclass
class Overview:
    """All numbers are totals over the file; `processes` is cut at MAX_LISTED, `processes_beyond` says by how much."""

    state: str = ""
    version: int | None = None
    recorder: str = ""
    command_line: str = ""
    host: str = ""
    kernel: str = ""
    machine: str = ""
    boot_id: str = ""
    recording_id: str = ""
    segments: str = ""
    started: str = ""
    duration: str = ""
    duration_ns: int | None = None
    end_reason: str = ""
    frames: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    ring_bytes: int = 0
    stored_bytes: int = 0
    captured_bytes: int = 0
    missing_bytes: Counter[str] = field(default_factory=Counter)
    sockets: Counter[str] = field(default_factory=Counter)
    processes: list[dict[str, Any]] = field(default_factory=list)
    processes_beyond: int = 0
    losses: dict[str, int] = field(default_factory=dict)
    marks: Counter[str] = field(default_factory=Counter)
    unknown: dict[str, int] = field(default_factory=dict)
    damage: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, in this order."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: dict(value) if isinstance(value, Counter) else value for name, value in values.items()}


def overview(file: BinaryIO) -> Overview:
    """Read the whole of `file`; `CapfileError` if it is no capture."""
    reader = Reader(file, lazy=True)
    collector = _Collector()
    for frame in reader:
        collector.frame(frame, reader)
    return collector.finish(reader)


class _Collector:
    def __init__(self) -> None:
        self.found = Overview()
        self._headers: list[int] = []
        self._first: Header | None = None
        self._times: list[int] = []  # the earliest and the latest so far
        self._seen: set[tuple[int, int]] = set()
        self._counters: Counters | None = None

    def frame(self, frame: Frame, reader: Reader) -> None:
        found = self.found
        found.frames[type(frame).__name__] += 1
        match frame:
            case Header():
                self._first = self._first or frame
                self._headers.append(frame.segment)
            case Chunk():
                self._chunk(frame, reader)
            case Process():
                self._process(frame)
            case Socket():
                self._socket(frame.socket, frame.generation, "introduced")
            case Counters():
                self._counters = frame
            case Mark():
                name = frame.code if len(found.marks) < MAX_LISTED or frame.code in found.marks else "others"
                found.marks[name] += 1

    def _process(self, frame: Process) -> None:
        if len(self.found.processes) < MAX_LISTED:
            self.found.processes.append({"pid": frame.pid, "comm": frame.comm, "exe": frame.exe})
        else:
            self.found.processes_beyond += 1

    def _socket(self, socket: int, generation: int, how: str) -> None:
        if (socket, generation) not in self._seen and len(self._seen) < MAX_SOCKETS:
            self._seen.add((socket, generation))
            self.found.sockets[how] += 1

    def _chunk(self, chunk: Chunk, reader: Reader) -> None:
        found = self.found
        found.ring_bytes += chunk.size
        found.stored_bytes += len(chunk.data)
        try:
            for record in records_of(pieces(chunk), reader.layout):
                if isinstance(record, Event):
                    self._event(record)
                else:
                    found.events["lost-records"] += record.lost
        except CapfileError as error:
            detail = f"chunk of CPU {chunk.cpu}: {error}"
            found.damage.append({"kind": "unreadable", "offset": reader.offset, "length": 0, "detail": detail})

    def _event(self, event: Event) -> None:
        found = self.found
        if event.kind == _DATA:
            found.events["data"] += 1
            captured = 0 if event.flags & _FILE_NAME else event.captured  # a file's name is no byte of the stream
            found.captured_bytes += captured
            if event.size > captured:
                found.missing_bytes[_label(event.reason)] += event.size - captured
        else:
            found.events[Kind(event.kind).name.lower() if event.kind in _KINDS else f"kind-{event.kind}"] += 1
        if event.generation:
            self._socket(event.socket, event.generation, "seen")
        if not self._times:
            self._times = [event.time, event.time]
        elif event.time > self._times[1]:
            self._times[1] = event.time
        elif event.time < self._times[0]:
            self._times[0] = event.time

    def finish(self, reader: Reader) -> Overview:
        found, header = self.found, self._first
        found.state = reader.state
        if header is not None:
            _describe(found, header)
        numbers = sorted(set(self._headers))
        found.segments = ", ".join(map(str, numbers[:20])) + ("…" if len(numbers) > 20 else "")
        if reader.end is not None:
            found.end_reason = reader.end.reason + (" (goes on in another segment)" if reader.end.next_segment else "")
        if self._times:
            found.duration_ns = self._times[1] - self._times[0]
            found.duration = f"{found.duration_ns / 1e9:.6f} s from the first event to the last"
        counters = self._counters.counters if self._counters else {}
        totals = {name: sum(counters.get(name, [])) for name in (*_LOSSES, *_LOSSES_MORE, *_LEFT_OUT)}
        found.losses = {name: total for name, total in totals.items() if total}
        found.unknown = dict(reader.report.unknown)
        listed = [{n: getattr(each, n) for n in ("kind", "offset", "length", "detail")} for each in reader.damage]
        found.damage = sorted([*found.damage, *listed], key=lambda each: each["offset"])
        if reader.report.beyond:
            found.unknown["damage beyond what is listed"] = reader.report.beyond
        return found


_KINDS: Final = frozenset(int(kind) for kind in Kind)


def _label(reason: int) -> str:
    try:
        return Reason(reason).label
    except ValueError:
        return f"reason-{reason}"


def _describe(found: Overview, header: Header) -> None:
    """The Header's plain facts."""
    found.version = header.version
    for name in ("recorder", "host", "kernel", "machine", "boot_id", "recording_id"):
        setattr(found, name, getattr(header, name))
    found.command_line = " ".join(header.command_line)
    seconds, rest = divmod(header.wall_time, 1_000_000_000)
    if 0 < seconds <= MAX_DATE:
        found.started = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
