"""An strace log in, a capture file out: the calls that move bytes through stream sockets, and those that make, share,
address and end them.

One table says which call means what (`CALLS`); what a descriptor is, `strace_descriptors` knows. Strings that strace
cut (-s) are gaps of exact size, for the reason "snaplen". A call that failed moved nothing; a peek moves nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from capfile.event import Direction, Flag, Reason, SocketFacts
from capfile.frames import Process
from replay.importers import strace_addresses as addresses
from replay.importers.errors import InputError, WrongKind
from replay.importers.recording import AF_INET, AF_INET6, AF_UNIX, NO_FLAGS, Caller, ImportedSocket, Recording, facts
from replay.importers.source import Source
from replay.importers.strace_buffers import Unreadable, buffers_of, flags_of, message_buffers, number_of
from replay.importers.strace_descriptors import Descriptors, OpenFile, Task
from replay.importers.strace_lines import Call, Exited, Lines, Result, result
from replay.importers.strace_values import Items, Structure, Text, Value, Word, arguments
from replay.recognise import EMPTY, UNDECIDED, UNKNOWN, recognise

MAX_LINE: Final = 64 << 20  # -s of 16 MiB with four characters a byte
NOTHING_MOVED: Final = frozenset(("MSG_PEEK", "MSG_OOB", "MSG_ERRQUEUE"))
STANDARD_STREAMS: Final = 3  # descriptors below it are no sockets unless something says so

_OTHER: Final = OpenFile(stream=False)  # all that is no stream socket


class StraceLog:
    """`feed` lines, then `finish`."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._descriptors = Descriptors()
        self.lines = Lines(CALLS.__contains__, self._bind)
        self._described: set[int] = set()
        self.remarks: Counter[str] = Counter()

    def feed(self, line: str) -> None:
        """One line without its end."""
        call = self.lines.feed(line)
        if isinstance(call, Exited):
            self._descriptors.exit(call.pid)
            self._close_ended(call.time)
        elif call is not None:
            try:
                values, at = arguments(call.text, call.at)
                CALLS[call.name](self, call, values, result(call.text, at))
            except (ValueError, IndexError):
                self.remarks["lines with arguments that could not be read"] += 1
            if isinstance(call.bound, OpenFile) and call.bound is not _OTHER:
                self._descriptors.release(call.bound)
            self._close_ended(call.time)

    def finish(self) -> None:
        """The log is over: what was closed and not used again is closed."""
        self._descriptors.finish()
        self._close_ended(self.lines.clock.now)

    # -- calls that move bytes

    def receive(self, call: Call, values: list[Value], outcome: Result) -> None:
        """read(2), recv(2) and their relatives."""
        flags = flags_of(values, {"recvfrom": 3, "recv": 3, "recvmsg": 2}.get(call.name))
        buffers, size = buffers_of(call.name, values)
        self._move(call, values[0], Direction.RECEIVE, buffers, size, flags, outcome)

    def send(self, call: Call, values: list[Value], outcome: Result) -> None:
        """write(2), send(2) and their relatives."""
        flags = flags_of(values, {"sendto": 3, "send": 3, "sendmsg": 2}.get(call.name))
        buffers, size = buffers_of(call.name, values)
        self._move(call, values[0], Direction.SEND, buffers, size, flags, outcome)

    def messages(self, call: Call, values: list[Value], outcome: Result) -> None:
        """recvmmsg(2), sendmmsg(2): `outcome` messages, each with its own length."""
        direction = Direction.RECEIVE if call.name == "recvmmsg" else Direction.SEND
        flags = flags_of(values, 3)
        vector = values[1]
        for message in vector.values[: outcome.value or 0] if isinstance(vector, Items) else ():
            if isinstance(message, Structure):
                header, length = message.fields.get("msg_hdr"), message.fields.get("msg_len")
                buffers, size = message_buffers(header)
                moved = Result(length.number if isinstance(length, Word) else 0, "", outcome.error)
                self._move(call, values[0], direction, buffers, size, flags, moved)

    def sendfile(self, call: Call, values: list[Value], outcome: Result) -> None:
        """sendfile(2): bytes that never were in user memory."""
        self._unseen(call, values[0], Direction.SEND, outcome, Reason.SENDFILE)

    def splice(self, call: Call, values: list[Value], outcome: Result) -> None:
        """splice(2): one end is a pipe, the other may be a socket."""
        self._unseen(call, values[0], Direction.RECEIVE, outcome, Reason.SPLICE)
        self._unseen(call, values[2], Direction.SEND, outcome, Reason.SPLICE)

    def _move(
        self,
        call: Call,
        descriptor: Value,
        direction: Direction,
        buffers: Sequence[tuple[Text, int]],
        size: int | None,
        flags: Sequence[str],
        outcome: Result,
    ) -> None:
        """`outcome` bytes through `buffers` (each with its length), `size` asked for."""
        moved = outcome.value
        if moved is None or moved < 0 or outcome.error or not NOTHING_MOVED.isdisjoint(flags):
            return
        file = self._file(call, descriptor, network=call.name.startswith(("recv", "send")))
        if file is None:
            file = self._presume(call, descriptor, buffers)
        if not file.stream:
            return
        socket = self._introduce(file, call)
        caller = self._caller(call, descriptor)
        if direction == Direction.RECEIVE and moved == 0:
            if size != 0 and not socket.closed:
                self._recording.eof(socket, call.time, caller)
            return
        if direction == Direction.RECEIVE and "MSG_TRUNC" in flags and file.family != AF_UNIX:
            self._data(file, call, direction, b"", moved, Reason.MSG_TRUNC, caller)  # tcp(7): the bytes are discarded
            return
        zero_copy = Flag.ZEROCOPY if "MSG_ZEROCOPY" in flags else NO_FLAGS
        for text, length in buffers:
            part = min(length, moved)
            self._data(file, call, direction, text.data[:part], part, Reason.SNAPLEN, caller, zero_copy)
            moved -= part
        self._data(file, call, direction, b"", moved, Reason.SNAPLEN, caller)

    def _unseen(self, call: Call, descriptor: Value, direction: Direction, outcome: Result, reason: Reason) -> None:
        file = self._file(call, descriptor) if outcome.value and outcome.value > 0 else None
        if file is not None and file.stream:
            self._introduce(file, call)
            self._data(file, call, direction, b"", outcome.value or 0, reason, self._caller(call, descriptor))

    def _data(
        self,
        file: OpenFile,
        call: Call,
        direction: Direction,
        data: bytes,
        size: int,
        reason: Reason,
        caller: Caller,
        flags: Flag = NO_FLAGS,
    ) -> None:
        if size and file.socket is not None and not file.socket.closed:
            self._recording.data(
                file.socket, direction, call.time, data, size=size, reason=reason, caller=caller, flags=flags
            )

    # -- calls that make and address sockets

    def socket(self, call: Call, values: list[Value], outcome: Result) -> None:
        """socket(2)."""
        self._put(call, outcome.value, _made(values), outcome.note, cloexec=_closes_on_exec(values))

    def socketpair(self, call: Call, values: list[Value], outcome: Result) -> None:
        """socketpair(2): two sockets that are each other's peer."""
        pair = values[3]
        numbers = [each for each in pair.values if isinstance(each, Word)] if isinstance(pair, Items) else []
        if outcome.value != 0 or len(numbers) != 2:
            return
        files = [_made(values), _made(values)]
        for file, other, number in zip(files, reversed(files), numbers, strict=True):
            file.peer, file.role, file.local = other, "pair", b""
            self._put(call, number.number, file, number.note, cloexec=_closes_on_exec(values))

    def accept(self, call: Call, values: list[Value], outcome: Result) -> None:
        """accept(2), accept4(2): the address is the peer's; the own one is the listening socket's."""
        if outcome.value is None or outcome.value < 0:
            return
        listening = self._file(call, values[0])
        remote = addresses.sockaddr(values[1])
        family = remote[0] if remote else listening.family if listening else 0
        if listening is not None and not listening.stream and not remote:
            return
        file = OpenFile(True, family or AF_INET, role="accepted", remote=remote[1] if remote else None)
        file.local = listening.local if listening else None
        self._put(call, outcome.value, file, outcome.note, cloexec=_closes_on_exec(values[3:]))
        if file.stream:
            self._introduce(file, call)

    def bind(self, call: Call, values: list[Value], outcome: Result) -> None:
        """bind(2) and getsockname(2): the own address."""
        known = addresses.sockaddr(values[1]) if outcome.value == 0 else None
        file = self._file(call, values[0]) if known else None
        if file is not None and known is not None and file.stream:
            file.family, file.local = known
            self._tell(file, call)

    def connect(self, call: Call, values: list[Value], outcome: Result) -> None:
        """connect(2): also when it is only under way."""
        known = addresses.sockaddr(values[1])
        file = self._file(call, values[0]) if known and (outcome.value == 0 or outcome.error == "EINPROGRESS") else None
        if file is not None and known is not None and file.stream:
            file.family, file.remote = known
            file.role = file.role or "connected"
            self._introduce(file, call)
            self._tell(file, call)

    def getpeername(self, call: Call, values: list[Value], outcome: Result) -> None:
        """getpeername(2)."""
        known = addresses.sockaddr(values[1]) if outcome.value == 0 else None
        file = self._file(call, values[0]) if known else None
        if file is not None and known is not None and file.stream:
            file.family, file.remote = known
            self._tell(file, call)

    def other(self, call: Call, values: list[Value], outcome: Result) -> None:
        """A call that gives a descriptor of something else."""
        self._put(call, outcome.value, _OTHER, "", cloexec=_closes_on_exec(values))

    def pipe(self, call: Call, values: list[Value], outcome: Result) -> None:
        """pipe(2)."""
        ends = values[0]
        for end in ends.values if isinstance(ends, Items) and outcome.value == 0 else ():
            self._put(call, end.number if isinstance(end, Word) else None, _OTHER, "", cloexec=_closes_on_exec(values))

    # -- calls that share and end descriptors

    def shutdown(self, call: Call, values: list[Value], outcome: Result) -> None:
        """shutdown(2)."""
        how = values[1]
        named = {"SHUT_RD": Direction.RECEIVE, "SHUT_WR": Direction.SEND, "SHUT_RDWR": Direction.BOTH}
        direction = named.get(how.text) if isinstance(how, Word) else None
        file = self._file(call, values[0]) if outcome.value == 0 and direction else None
        if file is not None and direction is not None and file.socket is not None and not file.socket.closed:
            self._recording.shutdown(file.socket, direction, call.time, self._caller(call, values[0]))

    def close(self, call: Call, values: list[Value], outcome: Result) -> None:
        """close(2). On Linux the descriptor is gone whatever it returned, but for EBADF."""
        number = number_of(values[0])
        if number is not None and outcome.error != "EBADF" and call.bound is None:
            self._descriptors.close(self._descriptors.task(call.pid), number)

    def close_range(self, call: Call, values: list[Value], outcome: Result) -> None:
        """close_range(2)."""
        first, last = number_of(values[0]), number_of(values[1])
        flags = values[2]
        if outcome.value != 0 or first is None or last is None:
            return
        task = self._descriptors.task(call.pid)
        only_mark = isinstance(flags, Word) and "CLOSE_RANGE_CLOEXEC" in flags.names
        for number in [number for number in task.table.open if first <= number <= last]:
            if only_mark:
                task.table.open[number].close_on_exec = True
            else:
                self._descriptors.close(task, number)

    def dup(self, call: Call, values: list[Value], outcome: Result) -> None:
        """dup(2), dup2(2), dup3(2)."""
        cloexec = call.name == "dup3" and _closes_on_exec(values[2:])
        self._duplicate(call, values[0], outcome.value, cloexec)

    def fcntl(self, call: Call, values: list[Value], outcome: Result) -> None:
        """fcntl(2): F_DUPFD, F_DUPFD_CLOEXEC and F_SETFD."""
        command = values[1].text if isinstance(values[1], Word) else ""
        number = number_of(values[0])
        if command.startswith("F_DUPFD"):
            self._duplicate(call, values[0], outcome.value, command == "F_DUPFD_CLOEXEC")
        elif command == "F_SETFD" and outcome.value == 0 and number is not None:
            handle = self._descriptors.handle(self._descriptors.task(call.pid), number)
            if handle is not None:
                handle.close_on_exec = isinstance(values[2], Word) and "FD_CLOEXEC" in values[2].names

    def _duplicate(self, call: Call, old: Value, new: int | None, cloexec: bool) -> None:
        if new is None or new < 0 or new == number_of(old):
            return
        file = self._file(call, old)
        if file is not None:
            self._descriptors.put(self._descriptors.task(call.pid), new, file, cloexec)

    def fork(self, call: Call, values: list[Value], outcome: Result) -> None:
        """clone(2), clone3(2), fork(2), vfork(2): with CLONE_FILES the descriptors are shared."""
        if outcome.value is not None and outcome.value > 0:
            self._forked(call, outcome.value)

    def execute(self, call: Call, values: list[Value], outcome: Result) -> None:
        """execve(2): the process is named, and descriptors marked so are closed."""
        path, words = values[0], values[1]
        if outcome.value != 0 or not isinstance(path, Text):
            return
        self._descriptors.execute(call.pid)
        texts = [each for each in words.values if isinstance(each, Text)] if isinstance(words, Items) else []
        exe = path.data.decode("utf-8", "backslashreplace")
        command_line = [each.data.decode("utf-8", "backslashreplace") for each in texts]
        pid = self._descriptors.task(call.pid).table.tgid
        self._described.add(pid)
        comm = exe.rpartition("/")[2][:15]
        self._recording.process(Process(pid, comm=comm, exe=exe, command_line=command_line, time=call.time))

    def io_uring(self, call: Call, values: list[Value], outcome: Result) -> None:
        """io_uring_setup(2): what moves through the ring is in no log."""
        self.other(call, values, outcome)
        if outcome.value is not None and outcome.value >= 0:
            self._recording.mark("io_uring", call.time, "bytes moved by io_uring are not in the log", pid=call.pid)

    # -- helpers

    def _bind(self, pid: int, time: int, name: str, text: str, at: int) -> object:
        """A call begins and another process goes on first. What its descriptor refers to is decided now (fdget in the
        kernel), a closed one is free at once, and a child may appear before its parent's call returns."""
        if CALLS[name] is StraceLog.fork:
            return None
        head = text[at:].split(",", 1)[0].strip()
        try:
            value = arguments(head.rstrip() + ")", 0)[0][0]
        except (ValueError, IndexError):
            return None
        number = number_of(value)
        if number is None:
            return None
        task = self._task(pid, uses=number)
        if name == "close":
            self._descriptors.close(task, number)
            self._close_ended(time)
            return _OTHER
        file = self._known(task, number, value.note if isinstance(value, Word) else "", network=False)
        if file is not None and file is not _OTHER:
            self._descriptors.hold(file)
        return file

    def _task(self, pid: int, uses: int | None = None, makes: int | None = None) -> Task:
        """The thread; one that is new may be the child of a call under way."""
        if not self._descriptors.knows(pid):
            for parent, (name, text, _, _) in self.lines.unfinished.items():
                if CALLS[name] is StraceLog.fork and parent != pid:
                    self._descriptors.fork(parent, pid, "CLONE_FILES" in text)
                    break
        return self._descriptors.task(pid, uses=uses, makes=makes)

    def _forked(self, call: Call, child: int) -> None:
        self._descriptors.fork(call.pid, child, "CLONE_FILES" in call.text[: call.text.rfind("=")])

    def _file(self, call: Call, descriptor: Value, network: bool = False) -> OpenFile | None:
        """What a descriptor in a successful call refers to."""
        number = number_of(descriptor)
        if number is None:
            raise Unreadable("no descriptor")
        if isinstance(call.bound, OpenFile):
            return call.bound
        note = descriptor.note if isinstance(descriptor, Word) else ""
        return self._known(self._task(call.pid, uses=number), number, note, network)

    def _known(self, task: Task, number: int, note: str, network: bool) -> OpenFile | None:
        stream = addresses.is_stream(note)
        if stream is False:
            return _OTHER
        file = self._descriptors.get(task, number)
        for key in addresses.keys(note):
            file = self._descriptors.noted(task, number, key)
        if file is None and (stream or (network and stream is None)):
            file = OpenFile(True, AF_INET, joined=True)
            self._descriptors.put(task, number, file)
        if file is not None and file.stream:
            self._note(file, note)
        return file

    def _note(self, file: OpenFile, note: str) -> None:
        for key in addresses.keys(note):
            self._descriptors.note(file, key)
        known = addresses.noted(note)
        if known is not None:
            file.family = known[0]
            file.local, file.remote = known[1] or file.local, known[2] or file.remote

    def _presume(self, call: Call, descriptor: Value, buffers: Sequence[tuple[Text, int]]) -> OpenFile:
        """A descriptor of which the log does not say where it comes from: a socket if a protocol begins in it."""
        number = number_of(descriptor)
        first = buffers[0][0].data if buffers else b""
        if number is None or number < STANDARD_STREAMS or recognise(first) in (EMPTY, UNDECIDED, UNKNOWN):
            return _OTHER
        file = OpenFile(True, AF_INET, joined=True)
        self._descriptors.put(self._task(call.pid), number, file)
        self._introduce(file, call)
        detail = f"descriptor {number} of process {call.pid} is taken for a socket because of its bytes"
        self._recording.mark("presumed-socket", call.time, detail, file.socket, call.pid)
        return file

    def _put(self, call: Call, number: int | None, file: OpenFile, note: str, *, cloexec: bool) -> None:
        if number is None or number < 0:
            return
        task = self._task(call.pid, makes=number)
        self._descriptors.put(task, number, file, cloexec)
        if file.stream:
            self._note(file, note)

    def _introduce(self, file: OpenFile, call: Call) -> ImportedSocket:
        if file.socket is None:
            flags = {"accepted": Flag.ACCEPTED, "connected": Flag.CONNECTED, "pair": Flag.PAIR}.get(file.role, NO_FLAGS)
            flags |= Flag.JOINED if file.joined else NO_FLAGS
            file.told = _facts(file)
            file.socket = self._recording.socket(call.time, _facts(file), flags, self._caller(call, None))
        return file.socket

    def _tell(self, file: OpenFile, call: Call) -> None:
        """The addresses became known after the socket."""
        now = _facts(file)
        if file.socket is not None and now != file.told and not file.socket.closed:
            file.told = now
            self._recording.know(file.socket, call.time, now, self._caller(call, None))

    def _caller(self, call: Call, descriptor: Value | None) -> Caller:
        number = number_of(descriptor) if descriptor is not None else None
        tgid = self._task(call.pid).table.tgid
        if tgid not in self._described:
            self._described.add(tgid)
            self._recording.process(Process(tgid, comm=self.lines.names.get(tgid, ""), time=call.time))
        return Caller(tgid, call.pid, -1 if number is None else number, NUMBERS.get(call.name, 0))

    def _close_ended(self, time: int) -> None:
        for file in self._descriptors.ended:
            if file.socket is not None:
                self._recording.close(file.socket, time)
        self._descriptors.ended.clear()


def _made(values: list[Value]) -> OpenFile:
    """What socket(2) and socketpair(2) make."""
    family = addresses.FAMILIES.get(values[0].text, 0) if isinstance(values[0], Word) else 0
    stream = isinstance(values[1], Word) and "SOCK_STREAM" in values[1].names
    return OpenFile(True, family) if stream and family else _OTHER


def _closes_on_exec(values: list[Value]) -> bool:
    return any(isinstance(each, Word) and "CLOEXEC" in each.text for each in values)


def _facts(file: OpenFile) -> SocketFacts:
    """Ends that are not known are zero, as the kernel has it."""
    family = file.family or AF_INET
    empty: tuple[bytes, int] | bytes = b"" if family == AF_UNIX else (bytes(16 if family == AF_INET6 else 4), 0)
    local, remote = (
        end if end is not None and isinstance(end, bytes) == (family == AF_UNIX) else empty
        for end in (file.local, file.remote)
    )
    peer = file.peer.socket.number if file.peer and file.peer.socket else 0
    return facts(family, local, remote, peer_socket=peer)


Handler = Callable[[StraceLog, Call, list[Value], Result], None]

# system call -> (what it means here, its number on x86-64)
_TABLE: Final[tuple[tuple[str, Handler, int], ...]] = (
    ("read", StraceLog.receive, 0),
    ("readv", StraceLog.receive, 19),
    ("recv", StraceLog.receive, 45),
    ("recvfrom", StraceLog.receive, 45),
    ("recvmsg", StraceLog.receive, 47),
    ("recvmmsg", StraceLog.messages, 299),
    ("write", StraceLog.send, 1),
    ("writev", StraceLog.send, 20),
    ("send", StraceLog.send, 44),
    ("sendto", StraceLog.send, 44),
    ("sendmsg", StraceLog.send, 46),
    ("sendmmsg", StraceLog.messages, 307),
    ("sendfile", StraceLog.sendfile, 40),
    ("sendfile64", StraceLog.sendfile, 40),
    ("splice", StraceLog.splice, 275),
    ("socket", StraceLog.socket, 41),
    ("socketpair", StraceLog.socketpair, 53),
    ("accept", StraceLog.accept, 43),
    ("accept4", StraceLog.accept, 288),
    ("bind", StraceLog.bind, 49),
    ("getsockname", StraceLog.bind, 51),
    ("getpeername", StraceLog.getpeername, 52),
    ("connect", StraceLog.connect, 42),
    ("shutdown", StraceLog.shutdown, 48),
    ("close", StraceLog.close, 3),
    ("close_range", StraceLog.close_range, 436),
    ("dup", StraceLog.dup, 32),
    ("dup2", StraceLog.dup, 33),
    ("dup3", StraceLog.dup, 292),
    ("fcntl", StraceLog.fcntl, 72),
    ("fcntl64", StraceLog.fcntl, 72),
    ("clone", StraceLog.fork, 56),
    ("fork", StraceLog.fork, 57),
    ("vfork", StraceLog.fork, 58),
    ("clone3", StraceLog.fork, 435),
    ("execve", StraceLog.execute, 59),
    ("execveat", StraceLog.execute, 322),
    ("pipe", StraceLog.pipe, 22),
    ("pipe2", StraceLog.pipe, 293),
    ("io_uring_setup", StraceLog.io_uring, 425),
    ("open", StraceLog.other, 2),
    ("creat", StraceLog.other, 85),
    ("openat", StraceLog.other, 257),
    ("openat2", StraceLog.other, 437),
    ("open_by_handle_at", StraceLog.other, 304),
    ("epoll_create", StraceLog.other, 213),
    ("epoll_create1", StraceLog.other, 291),
    ("eventfd", StraceLog.other, 284),
    ("eventfd2", StraceLog.other, 290),
    ("timerfd_create", StraceLog.other, 283),
    ("signalfd", StraceLog.other, 282),
    ("signalfd4", StraceLog.other, 289),
    ("inotify_init", StraceLog.other, 253),
    ("inotify_init1", StraceLog.other, 294),
    ("memfd_create", StraceLog.other, 319),
    ("userfaultfd", StraceLog.other, 323),
    ("pidfd_open", StraceLog.other, 434),
    ("perf_event_open", StraceLog.other, 298),
)
CALLS: Final[dict[str, Handler]] = {name: handler for name, handler, _ in _TABLE}
NUMBERS: Final[dict[str, int]] = {name: number for name, _, number in _TABLE}


def read_strace(source: Source, recording: Recording) -> list[str]:
    """Import a whole log. Returns what the user should know; `InputError` when no line of it is strace's."""
    log = StraceLog(recording)
    number = 0
    while line := source.line(MAX_LINE):
        number += 1
        if len(line) == MAX_LINE and not line.endswith(b"\n"):
            raise InputError(f"longer than {MAX_LINE} bytes", line=number)
        log.feed(line.decode("latin-1").rstrip("\r\n"))
    if not log.lines.calls:
        raise WrongKind(source.damage or "no line of it is a system call as strace prints it")
    log.finish()
    if log.lines.skipped:
        log.remarks["lines that are not strace's"] = log.lines.skipped
    for what, count in log.remarks.items():
        recording.mark("lines-skipped", log.lines.clock.now, f"{count} {what}")
    recording.finish("input-cut" if source.damage else "imported")
    remarks = [f"{count} {what} skipped" for what, count in log.remarks.items()]
    return [*remarks, source.damage] if source.damage else remarks
