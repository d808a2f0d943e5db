"""What an importer saw, written as the live recorder would have written it: sockets, bytes, gaps, ends.

Knows what a capture file says and nothing of the source. Importers report in their own order, each observation with its
time; `event_file` puts them into the order of their times.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from capfile import event
from capfile.event import AF_UNIX, EVENT_ABI, Direction, Event, Flag, Kind, Reason, SocketFacts
from capfile.frames import Mark, Process
from capfile.writer import Writer
from replay.importers.event_file import EventFile, clamped

SOCK_STREAM: Final = 1
IPPROTO_TCP: Final = 6
TCP_ESTABLISHED: Final = 1

PART_BYTES: Final = 32 << 10  # the kernel program's parts are no larger, and a perf record ends at 64 KiB
NO_SYSCALL: Final = 0xFFFF_FFFF  # the source is not a log of system calls


@dataclass(slots=True)
class ImportedSocket:
    """One socket of the recording: its identity, its owner and the position of the next byte in each direction."""

    number: int
    flags: Flag
    tgid: int = 0
    opened: int = 0
    received: int = 0
    sent: int = 0
    received_time: int = 0
    sent_time: int = 0
    closed: bool = False

    def not_before(self, direction: Direction, time: int) -> int:
        """`time`, or the time of what was last said about `direction` if that is later: positions follow the clock."""
        if direction & Direction.RECEIVE:
            time = self.received_time = max(time, self.received_time)
        if direction & Direction.SEND:
            time = self.sent_time = max(time, self.sent_time)
        return time


@dataclass(frozen=True, slots=True)
class Caller:
    """Which thread and call an observation belongs to; the default is a source that knows of none."""

    tgid: int = 0
    tid: int = 0
    fd: int = -1
    syscall: int = NO_SYSCALL


NOBODY: Final = Caller()
NO_FLAGS: Final = Flag(0)
_BLANK: Final = Event._make((EVENT_ABI, *([0] * (len(event.FIELDS) - 1)), b""))


class Recording:
    """A capture file in the making. `finish` must be called for the file to be whole."""

    def __init__(self, writer: Writer, source: str) -> None:
        """`source` names the kind of recording ("pcap", "strace", "streams"): the Header says so."""
        self._file = EventFile(writer, source)
        self.sockets = 0
        self.marks: Counter[str] = Counter()  # by code

    def socket(self, time: int, facts: SocketFacts, flags: Flag, caller: Caller = NOBODY) -> ImportedSocket:
        """Introduce a socket; its positions count from 0 in both directions."""
        self.sockets += 1
        socket = ImportedSocket(self.sockets, flags, caller.tgid, time, received_time=time, sent_time=time)
        self._file.add(time, _of(socket, caller)._replace(kind=Kind.SOCKET, payload=facts.pack(), flags=flags))
        return socket

    def know(self, socket: ImportedSocket, time: int, facts: SocketFacts, caller: Caller = NOBODY) -> None:
        """The addresses of a socket that was introduced before became known."""
        known = _of(socket, caller)._replace(kind=Kind.SOCKET, payload=facts.pack(), flags=socket.flags)
        self._file.add(max(time, socket.opened), known)

    def data(
        self,
        socket: ImportedSocket,
        direction: Direction,
        time: int,
        data: bytes | memoryview,
        *,
        size: int | None = None,
        reason: Reason = Reason.NONE,
        flags: Flag = NO_FLAGS,
        caller: Caller = NOBODY,
    ) -> None:
        """`size` bytes passed, of which the first `len(data)` are here; the rest is missing for `reason`."""
        total = len(data) if size is None else size
        for start in range(0, max(len(data), 1), PART_BYTES):
            part = bytes(data[start : start + PART_BYTES])
            last = start + PART_BYTES >= len(data)
            length = total - start if last else len(part)
            if length:
                why = reason if length > len(part) else Reason.NONE
                self._move(socket, direction, time, part, length, why, flags, caller)

    def eof(self, socket: ImportedSocket, time: int, caller: Caller = NOBODY) -> None:
        """The peer ended its direction: a receive returned 0."""
        ended = _of(socket, caller)._replace(kind=Kind.DATA, direction=Direction.RECEIVE, flags=Flag.EOF)
        self._file.add(socket.not_before(Direction.RECEIVE, time), ended._replace(position=socket.received))

    def shutdown(self, socket: ImportedSocket, direction: Direction, time: int, caller: Caller = NOBODY) -> None:
        """The traced side ended one direction or both."""
        position = socket.received if direction == Direction.RECEIVE else socket.sent
        ended = _of(socket, caller)._replace(kind=Kind.SHUTDOWN, direction=direction)
        self._file.add(socket.not_before(direction, time), ended._replace(position=position))

    def close(self, socket: ImportedSocket, time: int, flags: Flag = NO_FLAGS, caller: Caller = NOBODY) -> None:
        """The socket is gone (`Flag.RESET`: by a reset). Said once, later calls are ignored."""
        if not socket.closed:
            socket.closed = True
            closed = _of(socket, caller)._replace(kind=Kind.CLOSE, flags=flags)
            self._file.add(max(time, socket.received_time, socket.sent_time), closed)

    def process_event(self, kind: Kind, time: int, caller: Caller, *, ret: int = 0, payload: bytes = b"") -> None:
        """FORK (`ret`: the child), EXEC (`payload`: its comm) or EXIT of a process."""
        self._file.add(time, _of(None, caller)._replace(kind=kind, ret=ret, payload=payload))

    def process(self, process: Process) -> None:
        """Describe a process; stands in the file before the events that follow."""
        self._file.write(process.time, process)

    def mark(self, code: str, time: int, detail: str, socket: ImportedSocket | None = None, pid: int = 0) -> None:
        """A remark on the source: what it could not say, or what was decided about it."""
        number = socket.number if socket else 0
        self.marks[code] += 1
        self._file.write(time, Mark(code, clamped(time), pid, number, number, detail))

    def finish(self, reason: str) -> None:
        """Write what is held and the end of the file."""
        self._file.finish(reason)

    def _move(
        self,
        socket: ImportedSocket,
        direction: Direction,
        time: int,
        part: bytes,
        size: int,
        reason: Reason,
        flags: Flag,
        caller: Caller,
    ) -> None:
        if direction == Direction.RECEIVE:
            position, socket.received = socket.received, socket.received + size
        else:
            position, socket.sent = socket.sent, socket.sent + size
        moved = _of(socket, caller)._replace(
            kind=Kind.DATA, direction=direction, position=position, size=size, ret=size
        )
        moved = moved._replace(payload=part, reason=reason, flags=flags)
        self._file.add(socket.not_before(direction, time), moved)


def _of(socket: ImportedSocket | None, caller: Caller) -> Event:
    """An event of this socket and caller that says nothing yet."""
    number = socket.number if socket else 0
    return _BLANK._replace(
        socket=number, generation=number, tgid=caller.tgid, tid=caller.tid, fd=caller.fd, syscall=caller.syscall
    )


def facts(
    family: int,
    local: tuple[bytes, int] | bytes,
    remote: tuple[bytes, int] | bytes,
    *,
    peer_socket: int = 0,
) -> SocketFacts:
    """Socket facts from (address, port) pairs in network and host order, or from the paths of a Unix socket."""
    local_address, local_port, local_path = _endpoint(local)
    remote_address, remote_port, remote_path = _endpoint(remote)
    return SocketFacts(
        family,
        SOCK_STREAM,
        0 if family == AF_UNIX else IPPROTO_TCP,
        TCP_ESTABLISHED,
        local_port,
        remote_port,
        0,
        local_address,
        remote_address,
        peer_socket,
        0,
        local_path,
        remote_path,
    )


def _endpoint(end: tuple[bytes, int] | bytes) -> tuple[bytes, int, bytes]:
    return (b"", 0, end[:108]) if isinstance(end, bytes) else (*end, b"")
