"""The exerciser's log and a recording of it, in the same terms: per socket and direction, runs of bytes and of gaps."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from capfile.codec import decompressed
from capfile.event import SOCKET_AUDIT, Direction, Event, Flag, Kind, Reason, SocketFacts
from capfile.frames import Chunk, Counters
from capfile.reader import Reader
from capfile.records import records
from recorder.host import kernel_version, needs_classic

SOURCES = Path(__file__).parent / "exerciser"
# How long anything may take; an emulated machine says by which factor it is slower.
SECONDS = 60 * int(os.environ.get("EBPF_REC_SLOWNESS", "1"))
# pattern() of exerciser/main.c: 256 bytes of a stream are one of these rows, turned by their place and the stream.
ROWS = [bytes((start + index * 131) & 255 for index in range(256)) for start in range(256)]


def pattern(stream: int, position: int, count: int) -> bytes:
    """Bytes [position, position + count) of a stream."""
    first = position >> 8
    blocks = range(first, (position + count + 255) >> 8)
    start = position - (first << 8)
    return b"".join(ROWS[(block * 17 + stream * 29) & 255] for block in blocks)[start : start + count]


class Run(NamedTuple):
    """Bytes [start, end) of one direction: `kind` is "data" or a gap's reason."""

    kind: str
    start: int
    end: int


def joined(runs: list[Run]) -> list[Run]:
    """Neighbours of one kind become one run; empty ones vanish."""
    result: list[Run] = []
    for run in runs:
        if result and result[-1].kind == run.kind and result[-1].end == run.start:
            result[-1] = Run(run.kind, result[-1].start, run.end)
        elif run.end > run.start:
            result.append(run)
    return result


@dataclass
class Flow:
    """One direction of one socket."""

    runs: list[Run] = field(default_factory=list)
    content: list[tuple[int, bytes]] = field(default_factory=list)  # (position, bytes)

    @property
    def total(self) -> int:
        return self.runs[-1].end if self.runs else 0

    def bytes(self) -> bytes:
        return b"".join(part for _, part in self.content)


Flows = dict[tuple[int, str], Flow]


@dataclass
class Log:
    """What the exerciser says it moved."""

    flows: Flows = field(default_factory=lambda: defaultdict(Flow))
    notes: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    process: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, path: Path) -> Log:
        log = cls()
        for line in path.read_text().splitlines():
            log._line(*line.split())
        return log

    def _line(self, who: str, what: str, kind: str, *numbers: str) -> None:
        if what == "process":
            self.process.add(kind)
        elif what == "note":
            self.notes[int(who)].add(kind)
        else:
            count, stream, position = map(int, numbers)
            flow = self.flows[int(who), what]
            start = flow.total
            flow.runs = joined([*flow.runs, Run(kind, start, start + count)])
            if kind == "data":
                flow.content.append((start, pattern(stream, position, count)))


@dataclass
class Recording:
    """What the capture file holds, by inode number."""

    flows: Flows = field(default_factory=lambda: defaultdict(Flow))
    audits: dict[int, tuple[int, int]] = field(default_factory=dict)
    facts: dict[int, SocketFacts] = field(default_factory=dict)
    flags: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    ends: dict[int, list[Kind]] = field(default_factory=lambda: defaultdict(list))
    marks: list[tuple[int, int]] = field(default_factory=list)  # (socket, mark code)
    names: set[str] = field(default_factory=set)  # files that sendfile gaps name
    flow_flags: dict[tuple[int, str], int] = field(default_factory=lambda: defaultdict(int))
    counters: dict[str, int] = field(default_factory=dict)
    generations: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    twice: set[tuple[int, str]] = field(default_factory=set)  # flows with places that two events claim

    @classmethod
    def read(cls, path: Path) -> Recording:
        recording = cls()
        events: list[Event] = []
        with Reader.open(path) as reader:
            for frame in reader:
                if isinstance(frame, Chunk):
                    events += [record for record in records(decompressed(frame)) if isinstance(record, Event)]
                elif isinstance(frame, Counters):
                    recording.counters = {name: sum(values) for name, values in frame.counters.items()}
        for event in sorted(events, key=lambda event: (event.socket, event.direction, event.position, event.size)):
            recording._take(event)
        return recording

    def _take(self, event: Event) -> None:
        self.flags[event.socket] |= event.flags
        if event.socket:
            self.generations[event.socket].add(event.generation)
        if event.kind == Kind.DATA:
            self._data(event)
        elif event.kind == Kind.SOCKET:
            self.facts[event.socket] = SocketFacts.unpack(event.payload)
        elif event.kind == Kind.AUDIT:
            self.audits[event.socket] = SOCKET_AUDIT.unpack(event.payload)[:2]
        elif event.kind == Kind.MARK:
            self.marks.append((event.socket, event.ret))
        self.ends[event.socket].append(Kind(event.kind))

    def _data(self, event: Event) -> None:
        key = (event.socket, Direction(event.direction).name.lower())
        flow = self.flows[key]
        self.flow_flags[key] |= event.flags
        named = event.flags & Flag.FILE_NAME
        if named:
            self.names.add(bytes(event.payload).decode())
        if event.position < flow.total:
            self.twice.add(key)
        if event.position > flow.total:
            flow.runs.append(Run("hole", flow.total, event.position))
        captured = event.position + (0 if named else event.captured)
        end = event.position + event.size
        gap = Run(Reason(event.reason).label, captured, end)
        flow.runs = joined([*flow.runs, Run("data", event.position, captured), gap])
        if not named:
            flow.content.append((event.position, bytes(event.payload)))


def build(folder: Path) -> Path:
    """The exerciser, compiled."""
    program = folder / "exerciser"
    sources = sorted(str(path) for path in SOURCES.glob("*.c"))
    command = ["gcc", "-O1", "-Wall", "-Wextra", "-Werror", "-o", str(program), *sources, "-lpthread"]
    subprocess.run(command, check=True, timeout=SECONDS)
    return program


CAPTURE = [sys.executable, "-I", "-m", "recorder", "capture", "--quiet"]
OTHER_WAY = [sys.executable, "-I", str(Path(__file__).parent / "ways.py")]

# What a recording cannot know where the kernel lacks sock_send_length and sock_recv_length, and what it holds instead.
OLDER_LACKS = {
    "io-uring": "its bytes are the result of no call: none is recorded, but TCP's counters show in the audit how many",
    "reused-while-blocked": "the descriptor names the socket when the call has returned: its bytes are the next one's",
    "urgent": "tcp_sock.copied_seq steps over the urgent byte too: TCP has received one more than its stream holds",
    "unix-audit": "nothing in the kernel counts the bytes of a Unix socket: no AUDIT event tells of them",
}
# Before 5.12 no instruction of BPF's adds and returns what was there before.
OLDEST_LACKS = {"shared-place": "two threads in one direction of one socket may be given the same place"}


KERNEL = kernel_version(os.uname().release)
HAS_LENGTHS = KERNEL >= (6, 3)
# This kernel's own way first, then those of other kernels that can be tried on it.
OWN = "newer" if HAS_LENGTHS else "older"
MODES = (OWN, *(["classic"] if HAS_LENGTHS and not needs_classic() else []), *(["older"] if HAS_LENGTHS else []))


class Exercised(NamedTuple):
    """What was done, what was recorded of it, and what the recording could not know and why."""

    log: Log
    recording: Recording
    lacks: dict[str, str]


def capture_command(mode: str) -> list[str]:
    """`ebpf-rec capture` with all that this kernel has, or as on another one."""
    return CAPTURE if mode == OWN else [*OTHER_WAY, mode, "capture", "--quiet"]


def lacks(mode: str) -> dict[str, str]:
    """What recordings in this mode cannot know."""
    if mode != "older":
        return {}
    return OLDER_LACKS | (OLDEST_LACKS if KERNEL < (5, 12) else {})


def exercise(program: Path, folder: Path, part: str, mode: str) -> Exercised:
    """Run one part of the exerciser under the recorder."""
    log, output = folder / f"{part}-{mode}.log", folder / f"{part}-{mode}.cap"
    command = [*capture_command(mode), "-o", str(output), "--", str(program), str(log), part]
    subprocess.run(command, input=b"go\n", check=True, timeout=SECONDS, stdout=subprocess.DEVNULL)
    return Exercised(Log.read(log), Recording.read(output), lacks(mode))
