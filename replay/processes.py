"""Process frames, forks and execs in, the facts of a process at a time out.

The recorder reads /proc a little after the kernel says that a process forked or ran a new program, so a frame speaks of
the program that runs at *its* time: facts hold from the last exec or fork before them to the next. Knows no socket.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from capfile.event import Event, Kind
from capfile.frames import Process
from replay.events import Item
from replay.exchange import ProcessFacts

MAX_PROCESSES: Final = 1 << 20  # later ones are named by their number alone
MAX_FRAMES_PER_PROCESS: Final = 1 << 10  # a process that runs ever new programs


_KINDS: Final = frozenset({int(Kind.FORK), int(Kind.EXEC), int(Kind.EXIT)})


class Processes:
    """What is known of every process."""

    def __init__(self, frames: Iterable[Process] = ()) -> None:
        """`frames` are those that are known to come; `feed` takes those that come."""
        self._frames: dict[int, list[tuple[int, ProcessFacts]]] = {}  # ascending times
        self._since: dict[int, tuple[int, ProcessFacts]] = {}  # last fork or exec, and what that alone says
        for frame in frames:
            self.note(frame)

    def feed(self, item: Item) -> None:
        """Take whatever the recording says about processes; the rest is passed over."""
        if type(item) is Event:
            if item[1] in _KINDS:  # the kind: by its place, because every event comes by
                self.event(item)
        elif isinstance(item, Process):
            self.note(item)

    def note(self, frame: Process) -> None:
        """A Process frame, whenever it comes; the same one twice counts once."""
        if frame.pid not in self._frames and len(self._frames) >= MAX_PROCESSES:
            return
        known = self._frames.setdefault(frame.pid, [])
        at = bisect_left(known, frame.time, key=lambda row: row[0])
        if len(known) < MAX_FRAMES_PER_PROCESS and not (at < len(known) and known[at][0] == frame.time):
            known.insert(at, (frame.time, _facts(frame)))

    def event(self, event: Event) -> None:
        """A FORK, EXEC or EXIT event, in the order of time."""
        if event.kind == Kind.FORK:
            child = replace(self.facts(event.tgid, event.time), pid=event.ret)
            self._begin(event.ret, event.time, child)
        elif event.kind == Kind.EXEC:
            comm = bytes(event.payload).partition(b"\0")[0].decode("utf-8", "backslashreplace")
            self._begin(event.tgid, event.time, ProcessFacts(event.tgid, comm))
        elif event.kind == Kind.EXIT:
            self._since.pop(event.tgid, None)

    def _begin(self, pid: int, time: int, facts: ProcessFacts) -> None:
        if len(self._since) < MAX_PROCESSES:
            self._since[pid] = (time, facts)

    def facts(self, pid: int, time: int) -> ProcessFacts:
        """Who `pid` is at `time` (ns), which must not be before the last event."""
        since, fallback = self._since.get(pid, (0, ProcessFacts(pid)))
        rows = self._frames.get(pid, [])
        after = bisect_left(rows, since, key=lambda row: row[0])
        if after == len(rows):
            return fallback
        latest = bisect_right(rows, time, key=lambda row: row[0]) - 1
        return rows[max(after, latest)][1]


def _facts(frame: Process) -> ProcessFacts:
    return ProcessFacts(frame.pid, frame.comm, frame.exe, tuple(frame.command_line), frame.cgroup, frame.container)
