"""Which socket a call of an strace log speaks of, and what the recording has been told of it.

Stands between the calls (`strace_calls`) and the tables of descriptors: knows what -y notes beside a descriptor,
presumes a socket where the log does not explain one, and introduces each to the recording.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from typing import Final

from capfile.event import AF_INET, AF_INET6, AF_UNIX, Flag, SocketFacts
from capfile.frames import Process
from replay.importers import strace_addresses as addresses
from replay.importers.recording import NO_FLAGS, Caller, ImportedSocket, Recording, facts
from replay.importers.strace_buffers import Unreadable, number_of
from replay.importers.strace_descriptors import Descriptors, OpenFile, Task
from replay.importers.strace_lines import Call, Lines
from replay.importers.strace_values import Text, Value, Word, arguments
from replay.recognise import EMPTY, UNDECIDED, UNKNOWN, recognise

STANDARD_STREAMS: Final = 3  # descriptors below it are no sockets unless something says so
FORKS: Final = frozenset(("clone", "clone3", "fork", "vfork"))
OTHER: Final = OpenFile(stream=False)  # all that is no stream socket


class Sockets:
    """The sockets of one log."""

    def __init__(self, recording: Recording, numbers: Mapping[str, int]) -> None:
        """`numbers`: of the system calls."""
        self.recording = recording
        self.descriptors = Descriptors()
        self.lines = Lines(numbers.__contains__, self.bind)
        self.described: set[int] = set()
        self.noted = False  # whether strace notes beside descriptors what they are (-y)
        self.remarks: Counter[tuple[str, str, str]] = Counter()  # code of a mark, what is counted, the rest of its name
        # files whose descriptors were sent, by the Unix socket they come out of; None: not known
        self._travelling: defaultdict[OpenFile, deque[OpenFile | None]] = defaultdict(deque)
        self._numbers = numbers

    def bind(self, pid: int, time: int, name: str, text: str, at: int) -> object:
        """A call begins and another process goes on first. What its descriptor refers to is decided now (fdget in the
        kernel), a closed one is free at once, and a child may appear before its parent's call returns."""
        if name in FORKS:
            return None
        head = text[at:].split(",", 1)[0].strip()
        try:
            value = arguments(head.rstrip() + ")", 0)[0][0]
        except (ValueError, IndexError):
            return None
        number = number_of(value)
        if number is None:
            return None
        task = self.task(pid, uses=number)
        if name == "close":
            self.descriptors.close(task, number)
            self.close_ended(time)
            return OTHER
        file = self._known(task, number, value.note if isinstance(value, Word) else "", network=False)
        if file is not None and file is not OTHER:
            self.descriptors.hold(file)
        return file

    def task(self, pid: int, uses: int | None = None, makes: int | None = None) -> Task:
        """The thread; one that is new may be the child of a call under way."""
        if not self.descriptors.knows(pid):
            for parent, (name, text, _, _) in self.lines.unfinished.items():
                if name in FORKS and parent != pid:
                    self.descriptors.fork(parent, pid, "CLONE_FILES" in text)
                    break
        return self.descriptors.task(pid, uses=uses, makes=makes)

    def file(self, call: Call, descriptor: Value, network: bool = False) -> OpenFile | None:
        """What a descriptor in a successful call refers to."""
        number = number_of(descriptor)
        if number is None:
            raise Unreadable("no descriptor")
        if isinstance(call.bound, OpenFile):
            return call.bound
        note = descriptor.note if isinstance(descriptor, Word) else ""
        return self._known(self.task(call.pid, uses=number), number, note, network)

    def _known(self, task: Task, number: int, note: str, network: bool) -> OpenFile | None:
        self.noted |= bool(note)
        stream = addresses.is_stream(note)
        if stream is False:
            return OTHER
        file = self.descriptors.get(task, number)
        for key in addresses.keys(note):
            file = self.descriptors.noted(task, number, key)
        if file is None and (stream or (network and stream is None)):
            file = OpenFile(True, AF_INET, joined=True)
            self.descriptors.put(task, number, file)
        if file is not None and file.stream:
            self._note(file, note)
        return file

    def _note(self, file: OpenFile, note: str) -> None:
        for key in addresses.keys(note):
            self.descriptors.note(file, key)
        known = addresses.noted(note)
        if known is not None:
            file.family = known[0]
            file.local, file.remote = known[1] or file.local, known[2] or file.remote

    def presume(self, call: Call, descriptor: Value, buffers: Sequence[tuple[Text, int]]) -> OpenFile:
        """A descriptor of which the log does not say where it comes from: a socket if a protocol begins in it."""
        number = number_of(descriptor)
        first = buffers[0][0].data if buffers else b""
        if number is None or number < STANDARD_STREAMS or recognise(first) in (EMPTY, UNDECIDED, UNKNOWN):
            return OTHER
        file = OpenFile(True, AF_INET, joined=True)
        self.descriptors.put(self.task(call.pid), number, file)
        self.introduce(file, call)
        detail = f"descriptor {number} of process {call.pid} is taken for a socket because of its bytes"
        self.recording.mark("presumed-socket", call.time, detail, file.socket, call.pid)
        return file

    def put(self, call: Call, number: int | None, file: OpenFile, note: str, *, cloexec: bool) -> None:
        """The call made the descriptor `number`; None or a negative one: it made none."""
        if number is None or number < 0:
            return
        task = self.task(call.pid, makes=number)
        self.descriptors.put(task, number, file, cloexec)
        if file.stream:
            self._note(file, note)

    def pass_on(self, call: Call, descriptor: Value, carried: Sequence[Word]) -> None:
        """Descriptors were sent through a Unix socket (SCM_RIGHTS). Where its peer is known, so is who gets them."""
        through = self.file(call, descriptor, network=True) if carried else None
        if through is None or through.peer is None:
            return
        for each in carried:
            file = self.file(call._replace(bound=None), each)
            if file is not None:
                self.descriptors.hold(file)
            self._travelling[through.peer].append(file)

    def take(self, call: Call, descriptor: Value, carried: Sequence[Word]) -> None:
        """Descriptors came out of a Unix socket. What one is that nobody was seen to send, a note (-y) has to tell."""
        through = self.file(call, descriptor, network=True) if carried else None
        for each in carried:
            number = number_of(each)
            if number is None:
                continue
            task = self.task(call.pid, makes=number)
            waiting = self._travelling.get(through) if through is not None else None
            file = waiting.popleft() if waiting else None
            if file is not None:
                self.descriptors.put(task, number, file)
                self.descriptors.release(file)
            else:
                self.descriptors.close(task, number)
                if not each.note:
                    self.remarks["descriptor-received", "descriptor", "from a Unix socket, not known without -yy"] += 1

    def introduce(self, file: OpenFile, call: Call) -> ImportedSocket:
        """The recording's socket, made when there is something to say about it."""
        if file.socket is None:
            flags = {"accepted": Flag.ACCEPTED, "connected": Flag.CONNECTED, "pair": Flag.PAIR}.get(file.role, NO_FLAGS)
            flags |= Flag.JOINED if file.joined else NO_FLAGS
            file.told = _facts(file)
            file.socket = self.recording.socket(call.time, _facts(file), flags, self.caller(call, None))
        return file.socket

    def tell(self, file: OpenFile, call: Call) -> None:
        """The addresses became known after the socket."""
        now = _facts(file)
        if file.socket is not None and now != file.told and not file.socket.closed:
            file.told = now
            self.recording.know(file.socket, call.time, now, self.caller(call, None))

    def caller(self, call: Call, descriptor: Value | None) -> Caller:
        """Who made the call, on which descriptor; a process that is new is described to the recording."""
        number = number_of(descriptor) if descriptor is not None else None
        tgid = self.task(call.pid).table.tgid
        if tgid not in self.described:
            self.described.add(tgid)
            self.recording.process(Process(tgid, comm=self.lines.names.get(tgid, ""), time=call.time))
        return Caller(tgid, call.pid, -1 if number is None else number, self._numbers.get(call.name, 0))

    def close_ended(self, time: int) -> None:
        """Sockets that nobody has any more are closed."""
        for file in self.descriptors.ended:
            if file.socket is not None:
                self.recording.close(file.socket, time)
        self.descriptors.ended.clear()


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
