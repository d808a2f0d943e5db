"""Control events looked at as they pass: which processes and connections there are. Few, so Python may see each.

Turns a control chunk into Process frames to write, and keeps the counts that the summary and the status line show.
Decodes only what it needs; the chunk itself has gone to the file untouched.
"""

from __future__ import annotations

import os
import struct
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from capfile.event import FIELDS, PERF_HEADER, PERF_RECORD_SAMPLE, Kind, MarkCode
from capfile.frames import Process
from recorder.processes import facts, text

MAX_OPEN: Final = 1 << 17  # open sockets remembered, oldest forgotten first: twice the kernel program's map
MAX_PROCESSES: Final = 1 << 14
COMM_BYTES: Final = 16

_RAW: Final = PERF_HEADER.size + 4
_OFFSET: Final = {name: _RAW + offset for name, _, offset in FIELDS}
_NUMBER: Final = struct.Struct("<Q")
_PAIR: Final = struct.Struct("<QQ")
_SIGNED: Final = struct.Struct("<q")
_TGID: Final = struct.Struct("<I")
_PAYLOAD: Final = _OFFSET["depth"] + 4

# kind -> method: the others need no look
Handler = Callable[["Control", bytes, int], None]


class Control:
    """What the control ring has told so far.

    `read(pid, time)` reads a process's facts; new Process frames are in `frames` until they are taken.
    """

    def __init__(self, read: Callable[[int, int], Process | None] = facts) -> None:
        self._read = read
        self.frames: list[Process] = []
        self.processes: OrderedDict[int, Process] = OrderedDict()
        self.live: set[int] = set()
        self.connections = 0
        self.marks: Counter[str] = Counter()
        # What /proc no longer tells without root: (pid, start time) -> executable, and the file that a command runs.
        self.executables: dict[tuple[int, int], str] = {}
        self.expected: dict[int, str] = {}
        self._open: OrderedDict[tuple[int, int], None] = OrderedDict()

    @property
    def open(self) -> int:
        """Sockets that were seen and not yet closed."""
        return len(self._open)

    def take(self) -> list[Process]:
        """The frames since the last call."""
        frames, self.frames = self.frames, []
        return frames

    def feed(self, chunk: bytes) -> None:
        """Look at every event of a control chunk."""
        offset, end = 0, len(chunk)
        kind_offset = _OFFSET["kind"]
        while offset + PERF_HEADER.size <= end:
            record, _, size = PERF_HEADER.unpack_from(chunk, offset)
            if record == PERF_RECORD_SAMPLE and size >= _PAYLOAD:
                handler = _HANDLERS.get(chunk[offset + kind_offset])
                if handler is not None:
                    handler(self, chunk, offset)
            offset += max(size, PERF_HEADER.size)

    def _socket(self, chunk: bytes, offset: int) -> None:
        key = _PAIR.unpack_from(chunk, offset + _OFFSET["socket"])
        if key not in self._open:
            self.connections += 1
            self._open[key] = None
            if len(self._open) > MAX_OPEN:
                self._open.popitem(last=False)
        tgid = _tgid(chunk, offset)
        if tgid not in self.processes:
            self.live.add(tgid)
            self.learn(tgid, _time(chunk, offset))

    def _close(self, chunk: bytes, offset: int) -> None:
        self._open.pop(_PAIR.unpack_from(chunk, offset + _OFFSET["socket"]), None)

    def _fork(self, chunk: bytes, offset: int) -> None:
        """The child is the same program until it calls exec."""
        parent, child = _tgid(chunk, offset), _SIGNED.unpack_from(chunk, offset + _OFFSET["ret"])[0]
        time = _time(chunk, offset)
        self.live.add(child)
        like = self.processes.get(parent)
        now = self._read(child, time)
        if now is None and like is not None:
            now = replace(like, pid=child, parent=parent, start_time=0, time=time)
        elif now is not None and like is not None and not now.exe and now.comm == like.comm:
            now = replace(now, exe=like.exe)
        if now is not None:
            self._remember(now)

    def _exec(self, chunk: bytes, offset: int) -> None:
        pid, time = _tgid(chunk, offset), _time(chunk, offset)
        comm = text(chunk[offset + _PAYLOAD : offset + _PAYLOAD + COMM_BYTES].split(b"\0")[0])
        self.live.add(pid)
        process = self._read(pid, time) or Process(pid=pid, comm=comm, time=time)
        file = self.expected.get(pid, "")
        if not process.exe and os.path.basename(file)[: COMM_BYTES - 1] == comm:
            process = replace(process, exe=file)
        self._remember(process)

    def _exit(self, chunk: bytes, offset: int) -> None:
        self.live.discard(_tgid(chunk, offset))

    def _mark(self, chunk: bytes, offset: int) -> None:
        code = _SIGNED.unpack_from(chunk, offset + _OFFSET["ret"])[0]
        known = code in MarkCode._value2member_map_
        self.marks[MarkCode(code).name.lower().replace("_", "-") if known else f"mark-{code}"] += 1

    def learn(self, pid: int, time: int) -> None:
        """Read what there is to know of a process now."""
        process = self._read(pid, time)
        if process is not None:
            exe = process.exe or self.executables.get((pid, process.start_time), "")
            self._remember(replace(process, exe=exe))

    def _remember(self, process: Process) -> None:
        self.processes[process.pid] = process
        self.processes.move_to_end(process.pid)
        if len(self.processes) > MAX_PROCESSES:
            self.processes.popitem(last=False)
        self.frames.append(process)

    def forget_dead(self, is_alive: Callable[[int], bool]) -> None:
        """Take processes that are gone from `live`: an EXIT event may have been lost."""
        self.live = {pid for pid in self.live if is_alive(pid)}

    def known(self) -> Iterable[Process]:
        """The processes that a new segment has to introduce; those that have ended are not in the one after."""
        snapshot = list(self.processes.values())
        for process in snapshot:
            if process.pid not in self.live:
                self.processes.pop(process.pid, None)
        return snapshot


def _tgid(chunk: bytes, offset: int) -> int:
    return int(_TGID.unpack_from(chunk, offset + _OFFSET["tgid"])[0])


def _time(chunk: bytes, offset: int) -> int:
    return int(_NUMBER.unpack_from(chunk, offset + _OFFSET["time"])[0])


_HANDLERS: Final[dict[int, Handler]] = {
    Kind.SOCKET: Control._socket,
    Kind.CLOSE: Control._close,
    Kind.FORK: Control._fork,
    Kind.EXEC: Control._exec,
    Kind.EXIT: Control._exit,
    Kind.MARK: Control._mark,
}
