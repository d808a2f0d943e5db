"""The frames of a capture file, one class each: what a frame says, not how it is written (FORMAT.md §2).

A frame is one msgpack array of six, written so that its first 36 bytes have a fixed shape (capfile/wire.py); the
payload is a msgpack map of the fields below, but for Chunk, whose payload is that map followed by the ring's bytes as
one bin. The annotations are the law: a value of another type is a damaged frame, and `int` means a number that is not
negative.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Annotated, Any, Final

from capfile.source import Region

FORMAT_VERSION: Final = 1
# A high bit, both line ends and ^Z, so that a copy made in text mode is noticed (as PNG does).
SYNC_MARKER: Final = b"\xebREC\r\n\x1a\n"


SIGNED: Final = "may be negative"


class FrameKind(IntEnum):
    """The second element of a frame."""

    HEADER = 1
    CHUNK = 2
    PROCESS = 3
    SOCKET = 4
    COUNTERS = 5
    MARK = 6
    INDEX = 7
    END = 8


class Ring(IntEnum):
    """Which ring a chunk was copied from."""

    DATA = 0
    CONTROL = 1


@dataclass(frozen=True, slots=True)
class Header:
    """First frame of every segment."""

    version: int
    layout: list[list[Any]]  # [name, struct code, offset] rows of the event
    event_size: int
    boot_id: str = ""
    host: str = ""
    kernel: str = ""
    machine: str = ""
    wall_time: int = 0  # CLOCK_REALTIME, ns since 1970, at the same instant as
    monotonic_time: int = 0  # CLOCK_MONOTONIC, ns: the events' clock
    command_line: list[str] = field(default_factory=list)
    filters: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=dict)
    probes: list[str] = field(default_factory=list)
    recorder: str = ""  # program and version
    recorder_pid: int = 0
    segment: int = 0  # 0, 1, 2 … of a rotated recording
    recording_id: str = ""  # the same in all segments of one recording
    redaction: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one drain took from one ring, verbatim: whole perf records in the ring's order."""

    cpu: int
    ring: int
    first_time: int  # ns of CLOCK_MONOTONIC, of its first event; 0 if unknown
    last_time: int  # no event of it is later: the time of the drain
    size: int  # bytes of `data` once decompressed
    codec: str = "none"  # or "zstd"
    # One buffer, or (in a large chunk of a seekable file) where it stands: use `capfile.codec.pieces` or `decompressed`
    data: bytes | memoryview | Region = b""


@dataclass(frozen=True, slots=True)
class Process:
    """A process when it was first seen (or, again, after exec)."""

    pid: int
    start_time: int = 0  # clock ticks since boot: /proc/PID/stat field 22
    parent: int = 0
    comm: str = ""
    exe: str = ""
    command_line: list[str] = field(default_factory=list)
    cgroup: str = ""
    container: str = ""
    uid: Annotated[int, SIGNED] = -1
    time: int = 0  # CLOCK_MONOTONIC, ns


@dataclass(frozen=True, slots=True)
class Socket:
    """A socket known without a SOCKET event in this segment: still open at rotation, or imported."""

    socket: int
    generation: int
    facts: bytes  # struct socket_facts
    flags: int = 0
    received: int = 0  # position of the next byte in each direction
    sent: int = 0
    tgid: int = 0
    time: int = 0
    # The kernel's own count since the socket was first seen, when the recording is over: who counted, as
    # `struct socket_audit.source` says (0: nobody), and how many bytes.
    counted_by: int = 0
    counted_received: int = 0
    counted_sent: int = 0


@dataclass(frozen=True, slots=True)
class Counters:
    """The loss ledger so far: totals since the recording began. Later frames replace earlier ones."""

    time: int
    # counter name -> per-CPU values; names are listed in FORMAT.md ("data_submit_failed", "fault", …)
    counters: dict[str, list[int]] = field(default_factory=dict)
    # ring ("data", "control") -> per-CPU [next sequence number, PERF_FORMAT_LOST]
    rings: dict[str, list[list[int]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Mark:
    """A blind spot or a remark of the recorder."""

    code: str
    time: int = 0
    pid: int = 0
    socket: int = 0
    generation: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Index:
    """Where the chunks before it are. A segment has as many Index frames as it needs; its End frame says where."""

    # [offset from the segment's first byte, cpu, ring, first_time, last_time, size]
    chunks: list[list[int]]
    # [socket, generation] or [socket, generation, first time, last time]: sockets and their lives, as far as known
    sockets: list[list[int]] = field(default_factory=list)
    # One entry for each row of `chunks`: the generations of the sockets in it, or None where nobody looked. Empty:
    # nobody looked at all (a live recorder does not).
    generations: list[list[int] | None] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class End:
    """Last frame of a segment that was closed in order."""

    time: int
    reason: str = ""  # "interrupt", "duration", "child-exit", "rotated", …
    frames: int = 0  # of the segment, this one included
    next_segment: bool = False
    index: list[int] = field(default_factory=list)  # offsets of the Index frames from the segment's first byte


Frame = Header | Chunk | Process | Socket | Counters | Mark | Index | End

FRAME_TYPES: Final[dict[FrameKind, type[Frame]]] = {
    FrameKind.HEADER: Header,
    FrameKind.CHUNK: Chunk,
    FrameKind.PROCESS: Process,
    FrameKind.SOCKET: Socket,
    FrameKind.COUNTERS: Counters,
    FrameKind.MARK: Mark,
    FrameKind.INDEX: Index,
    FrameKind.END: End,
}
