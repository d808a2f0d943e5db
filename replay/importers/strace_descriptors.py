"""Descriptors of the processes in an strace log: which socket a number means, for which thread, at which time.

Knows open, dup, fork, threads and close (dup(2), fork(2), clone(2), close(2)) and nothing of bytes. A log with
`-e trace=network,desc` does not say which threads are one process. What -y and -yy note beside a descriptor decides;
without it threads are believed to share their descriptors until a call shows that they do not: the kernel never gives
a number that is open, and never lets a closed one be used.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from replay.importers.recording import ImportedSocket

MAX_PROCESSES: Final = 1 << 17  # remembered at once; Linux' pid_max is 2^22, but its threads-max is below this
MAX_TABLES: Final = 4096  # of descriptors, one per process
MAX_DESCRIPTORS: Final = 1 << 20  # in one table: fs.nr_open


@dataclass(slots=True, eq=False)
class OpenFile:
    """What a descriptor refers to: an open file description. Only stream sockets have an interest here."""

    stream: bool  # a stream socket, known or presumed
    family: int = 0
    local: tuple[bytes, int] | bytes | None = None
    remote: tuple[bytes, int] | bytes | None = None
    peer: OpenFile | None = None  # of a socketpair
    role: str = ""  # "accepted", "connected", "pair", "listening"
    joined: bool = False  # existed before the log began
    socket: ImportedSocket | None = None
    told: object = None  # the facts that the recording has
    handles: int = 0  # descriptors that are certain
    keys: set[str] = field(default_factory=set)  # notes of -y and -yy


@dataclass(slots=True)
class Handle:
    """One descriptor. `certain` is False where a table was split on suspicion: it may not be in this one."""

    file: OpenFile
    certain: bool = True
    close_on_exec: bool = False


@dataclass(slots=True, eq=False)
class Table:
    """The descriptors that threads share. `gone` are closed ones whose number was not given out again."""

    tgid: int
    open: dict[int, Handle] = field(default_factory=dict)
    gone: dict[int, OpenFile] = field(default_factory=dict)
    tasks: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Task:
    """A thread. `guessed`: nobody saw it made, so its table is a presumption."""

    pid: int
    table: Table
    guessed: bool


class Descriptors:
    """All tables. `ended` collects the sockets that nobody has any more; the caller empties it."""

    def __init__(self) -> None:
        self._tasks: OrderedDict[int, Task] = OrderedDict()
        self._tables: list[Table] = []  # most recently joined last
        self._notes: dict[str, OpenFile] = {}
        self.presumed = 0  # threads that were given another's table because nobody was seen to make them
        self.ended: list[OpenFile] = []

    # -- processes

    def knows(self, pid: int) -> bool:
        """Whether the thread was seen before."""
        return pid in self._tasks

    def task(self, pid: int, *, uses: int | None = None, makes: int | None = None) -> Task:
        """The thread `pid`, which now successfully uses one descriptor and is given another."""
        task = self._tasks.get(pid)
        if task is None:
            task = self._adopt(pid, uses, makes)
        elif task.guessed and len(task.table.tasks) > 1 and not _possible(task.table, uses, makes):
            self._split(task, uses)
        return task

    def fork(self, parent: int, child: int, shares: bool) -> None:
        """`parent` made `child`: a thread (CLONE_FILES), or a process with a copy of the descriptors."""
        task = self._tasks.get(parent) or self._adopt(parent, None, None)
        known = self._tasks.get(child)
        if known is not None and (not known.guessed or (known.table is task.table) == shares):
            known.guessed = False
            return
        table = task.table if shares else self._copy(task.table, child, certain=True)
        self._place(child, table, guessed=False)

    def exit(self, pid: int) -> None:
        """The thread is gone, and with the last one of its table the descriptors."""
        task = self._tasks.pop(pid, None)
        if task is None:
            return
        task.table.tasks.discard(pid)
        if task.table.tasks:
            return
        for number in list(task.table.open):
            self.close(task, number)
        self._tables.remove(task.table)
        self._end_all(task.table)

    def execute(self, pid: int) -> None:
        """execve(2): descriptors marked close-on-exec are closed."""
        task = self.task(pid)
        for number in [number for number, handle in task.table.open.items() if handle.close_on_exec]:
            self.close(task, number)

    def _adopt(self, pid: int, uses: int | None, makes: int | None) -> Task:
        """A thread that nobody saw made: of the youngest table in which its call is possible."""
        for demand in (True, False):
            for table in reversed(self._tables):
                known = uses is None or uses in table.open or not demand
                if known and _possible(table, uses, makes):
                    self.presumed += 1
                    return self._place(pid, table, guessed=True)
        task = self._place(pid, Table(pid), guessed=True)
        if len(self._tables) > 1:
            task.table = self._tables[-2]
            self._split(task, uses)
        return task

    def _place(self, pid: int, table: Table, guessed: bool) -> Task:
        if len(self._tasks) >= MAX_PROCESSES and pid not in self._tasks:
            self.exit(next(iter(self._tasks)))
        before = self._tasks.pop(pid, None)
        if before is not None:
            before.table.tasks.discard(pid)
        if table not in self._tables[-1:]:
            if table in self._tables:
                self._tables.remove(table)
            self._tables.append(table)
        if len(self._tables) > MAX_TABLES:
            for each in list(self._tables[0].tasks):
                self.exit(each)
        table.tasks.add(pid)
        task = self._tasks[pid] = Task(pid, table, guessed)
        return task

    def _split(self, task: Task, uses: int | None) -> None:
        """The thread is a process of its own after all: it has what was open, but perhaps not all of it."""
        before = task.table
        before.tasks.discard(task.pid)
        table = self._copy(before, task.pid, certain=False)
        task.table = table
        table.tasks.add(task.pid)
        self._tables.append(table)
        if uses is not None and uses not in table.open and uses in before.gone:
            self._put(table, uses, Handle(before.gone.pop(uses)))

    @staticmethod
    def _copy(table: Table, pid: int, certain: bool) -> Table:
        copy = Table(pid)
        for number, handle in table.open.items():
            copy.open[number] = Handle(handle.file, certain and handle.certain, handle.close_on_exec)
            handle.file.handles += copy.open[number].certain
        return copy

    # -- descriptors

    def put(self, task: Task, number: int, file: OpenFile, close_on_exec: bool = False) -> None:
        """`number` now refers to `file`, whatever it was before."""
        if len(task.table.open) < MAX_DESCRIPTORS:
            self._put(task.table, number, Handle(file, True, close_on_exec))

    def _put(self, table: Table, number: int, handle: Handle) -> None:
        self._drop(table, number)
        ended = table.gone.pop(number, None)
        if ended is not None and ended is not handle.file and not ended.handles:
            self._end(ended)
        table.open[number] = handle
        handle.file.handles += 1

    def close(self, task: Task, number: int) -> None:
        """close(2). Whether the socket is over is known when its number is given out again: until then another
        process may turn out to have it too."""
        file = self._drop(task.table, number)
        if file is not None:
            task.table.gone[number] = file

    def get(self, task: Task, number: int) -> OpenFile | None:
        """What the descriptor refers to; None where the log does not say."""
        handle = task.table.open.get(number)
        if handle is None:
            return None
        if not handle.certain:
            handle.certain = True
            handle.file.handles += 1
        return handle.file

    def handle(self, task: Task, number: int) -> Handle | None:
        """The descriptor itself."""
        return task.table.open.get(number)

    def noted(self, task: Task, number: int, key: str) -> OpenFile | None:
        """What the descriptor refers to when strace noted `key` beside it: the note is right and the table may not be.

        The note of a socket changes when it is connected, from its inode number to its addresses; so a file has up
        to one of each kind.
        """
        file = self.get(task, number)
        if file is not None and (key in file.keys or not any(_kind(each) == _kind(key) for each in file.keys)):
            other = self._notes.get(key)
            if other is None or other is file:
                self.note(file, key)
                return file
        file = self._notes.get(key)
        if file is not None:
            self.put(task, number, file)
        elif number in task.table.open:
            self.close(task, number)
        return file

    def note(self, file: OpenFile, key: str) -> None:
        """From now on `key` means `file`."""
        file.keys.add(key)
        self._notes[key] = file

    def hold(self, file: OpenFile) -> None:
        """A call that uses it is under way: closing the descriptor does not end it (fdget in the kernel)."""
        file.handles += 1

    def release(self, file: OpenFile) -> None:
        """The call has returned."""
        file.handles -= 1
        if not file.handles and not any(file in table.gone.values() for table in self._tables):
            self._end(file)

    def finish(self) -> None:
        """The log is over: closed sockets that nobody used again are over, the others stay open."""
        for table in self._tables:
            self._end_all(table)

    def _end_all(self, table: Table) -> None:
        for file in table.gone.values():
            if not file.handles:
                self._end(file)

    def _drop(self, table: Table, number: int) -> OpenFile | None:
        handle = table.open.pop(number, None)
        if handle is None:
            return None
        handle.file.handles -= handle.certain
        return handle.file

    def _end(self, file: OpenFile) -> None:
        for key in file.keys:
            if self._notes.get(key) is file:
                del self._notes[key]
        self.ended.append(file)


def _possible(table: Table, uses: int | None, makes: int | None) -> bool:
    """Whether a call of a thread of this table can use the one descriptor and be given the other."""
    return (uses is None or uses in table.open or uses not in table.gone) and (makes is None or makes not in table.open)


def _kind(key: str) -> bool:
    return "->" in key
