"""The calls of an strace log that share, inherit and end descriptors, and end the directions of sockets."""

from __future__ import annotations

from capfile.event import Direction
from capfile.frames import Process
from replay.importers.strace_buffers import closes_on_exec, number_of
from replay.importers.strace_lines import Call, Result
from replay.importers.strace_sockets import Sockets
from replay.importers.strace_values import Items, Text, Value, Word


def shutdown(sockets: Sockets, call: Call, values: list[Value], outcome: Result) -> None:
    """shutdown(2)."""
    how = values[1]
    named = {"SHUT_RD": Direction.RECEIVE, "SHUT_WR": Direction.SEND, "SHUT_RDWR": Direction.BOTH}
    direction = named.get(how.text) if isinstance(how, Word) else None
    file = sockets.file(call, values[0]) if outcome.value == 0 and direction else None
    if file is not None and direction is not None and file.socket is not None and not file.socket.closed:
        sockets.recording.shutdown(file.socket, direction, call.time, sockets.caller(call, values[0]))


def close(sockets: Sockets, call: Call, values: list[Value], outcome: Result) -> None:
    """close(2). On Linux the descriptor is gone whatever it returned, but for EBADF."""
    number = number_of(values[0])
    if number is not None and outcome.error != "EBADF" and call.bound is None:
        sockets.descriptors.close(sockets.descriptors.task(call.pid), number)


def close_range(sockets: Sockets, call: Call, values: list[Value], outcome: Result) -> None:
    """close_range(2)."""
    first, last = number_of(values[0]), number_of(values[1])
    flags = values[2]
    if outcome.value != 0 or first is None or last is None:
        return
    task = sockets.descriptors.task(call.pid)
    only_mark = isinstance(flags, Word) and "CLOSE_RANGE_CLOEXEC" in flags.names
    for number in [number for number in task.table.open if first <= number <= last]:
        if only_mark:
            task.table.open[number].close_on_exec = True
        else:
            sockets.descriptors.close(task, number)


def dup(sockets: Sockets, call: Call, values: list[Value], outcome: Result) -> None:
    """dup(2), dup2(2), dup3(2)."""
    cloexec = call.name == "dup3" and closes_on_exec(values[2:])
    _duplicate(sockets, call, values[0], outcome.value, cloexec)


def fcntl(sockets: Sockets, call: Call, values: list[Value], outcome: Result) -> None:
    """fcntl(2): F_DUPFD, F_DUPFD_CLOEXEC and F_SETFD."""
    command = values[1].text if isinstance(values[1], Word) else ""
    number = number_of(values[0])
    if command.startswith("F_DUPFD"):
        _duplicate(sockets, call, values[0], outcome.value, command == "F_DUPFD_CLOEXEC")
    elif command == "F_SETFD" and outcome.value == 0 and number is not None:
        handle = sockets.descriptors.handle(sockets.descriptors.task(call.pid), number)
        if handle is not None:
            handle.close_on_exec = isinstance(values[2], Word) and "FD_CLOEXEC" in values[2].names


def _duplicate(sockets: Sockets, call: Call, old: Value, new: int | None, cloexec: bool) -> None:
    if new is None or new < 0 or new == number_of(old):
        return
    file = sockets.file(call, old)
    if file is not None:
        sockets.descriptors.put(sockets.descriptors.task(call.pid), new, file, cloexec)


def fork(sockets: Sockets, call: Call, values: list[Value], outcome: Result) -> None:
    """clone(2), clone3(2), fork(2), vfork(2): with CLONE_FILES the descriptors are shared."""
    if outcome.value is not None and outcome.value > 0:
        sockets.descriptors.fork(call.pid, outcome.value, "CLONE_FILES" in call.text[: call.text.rfind("=")])


def execute(sockets: Sockets, call: Call, values: list[Value], outcome: Result) -> None:
    """execve(2): the process is named, and descriptors marked so are closed."""
    path, words = values[0], values[1]
    if outcome.value != 0 or not isinstance(path, Text):
        return
    sockets.descriptors.execute(call.pid)
    texts = [each for each in words.values if isinstance(each, Text)] if isinstance(words, Items) else []
    exe = path.data.decode("utf-8", "backslashreplace")
    command_line = [each.data.decode("utf-8", "backslashreplace") for each in texts]
    pid = sockets.descriptors.task(call.pid).table.tgid
    sockets.described.add(pid)
    comm = exe.rpartition("/")[2][:15]
    sockets.recording.process(Process(pid, comm=comm, exe=exe, command_line=command_line, time=call.time))
