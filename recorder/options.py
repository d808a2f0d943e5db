"""What the command line asks of a recording, what a session needs of the kernel program, what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from capfile.frames import Socket
from recorder.limits import RecordingLimits


class KernelProgram(Protocol):
    """What the session needs of recorder.program.Program."""

    probes: list[str]  # what is attached

    @property
    def data_map_fd(self) -> int:
        """The perf event array for the data rings."""

    @property
    def control_map_fd(self) -> int:
        """The perf event array for the control rings."""

    def attach(self) -> None:
        """Begin to see system calls."""

    def add_target(self, tgid: int) -> None:
        """Record this process too."""

    def counters(self, *, last: bool = False) -> dict[str, list[int]]:
        """Counter name -> value per CPU; `last`: after `detach`."""

    def next_sequences(self) -> dict[str, list[int]]:
        """Ring -> next sequence number per CPU."""

    def open_sockets(self, *, counted: bool = False) -> Sequence[Socket]:
        """The sockets that are open, with their positions."""

    def detach(self) -> None:
        """See nothing any more; the maps stay readable."""

    def close(self) -> None:
        """Detach and free everything."""


@dataclass(frozen=True, slots=True)
class Options:
    """What to record, where to, and how much."""

    output: str
    command: Sequence[str] = ()
    pids: Sequence[int] = ()
    follow_forks: bool = True
    filters: dict[str, Any] = field(default_factory=dict)
    limits: RecordingLimits = field(default_factory=RecordingLimits)
    kernel_limits: dict[str, int] = field(default_factory=dict)  # snaplen, turn_limit: kept by the kernel program
    ring_size: int | None = None
    compress: bool = True
    force: bool = False
    debug: bool = False
    user: str | None = None
    redact: Sequence[str] = ()  # the headers whose values are replaced before they are written
    environment: dict[str, str] = field(default_factory=dict)
    words: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a recording went; sizes in bytes, times in seconds."""

    reason: str
    status: int
    seconds: float
    events: int
    bytes: int
    segments: int
    kept: int  # segments that --keep left
    connections: int
    counters: dict[str, list[int]]
    perf_lost: int
    marks: dict[str, int]
    user: str
    ended: bool
    high_water: float
    redacted: int | None = None  # values replaced; None if nobody asked for it
    capability: str = ""  # what was kept of root's power while recording, in words
