"""Captures without a kernel: say what processes did, get the bytes of a real capture file.

    capture = Capture()
    nginx = capture.process(100, comm="nginx")
    nginx.accept("127.0.0.1:80").receive(b"GET / HTTP/1.1\\r\\n\\r\\n").send(b"HTTP/1.1 204 OK\\r\\n\\r\\n").close()
    exchanges = list(replay(io.BytesIO(capture.bytes())))

Every call moves the clock by one microsecond and goes to the CPU of its turn (`Capture(cpus=…)`), or to the one that
`spread` chooses. `lose` is a record that the ring had no room for, `gap` a part that the kernel program left out.
"""

from __future__ import annotations

import os
import socket as sockets
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from capfile.event import (
    EVENT_ABI,
    EVENT_SIZE,
    SOCKET_AUDIT,
    Direction,
    Event,
    Flag,
    Kind,
    MarkCode,
    Reason,
    SocketFacts,
    encode,
    encode_lost,
    layout,
)
from capfile.frames import FORMAT_VERSION, Chunk, Counters, End, Frame, Header, Process, Ring, Socket
from capfile.writer import Writer

START = 1_000_000_000  # CLOCK_MONOTONIC of the first event, ns
WALL_OFFSET = 1_790_000_000_000_000_000  # CLOCK_REALTIME - CLOCK_MONOTONIC, ns
STEP = 1_000  # ns between two calls
PART = 16_384  # bytes per event; larger transfers are several events, as the kernel program makes them
CLIENT = "127.0.0.1:40000"
SERVER = "127.0.0.1:80"


@dataclass(frozen=True)
class Record:
    """One event before its ring gives it a sequence number; `lost` if the ring had no room."""

    event: Event
    lost: bool = False

    @property
    def ring(self) -> Ring:
        return Ring.DATA if self.event.kind == Kind.DATA else Ring.CONTROL


@dataclass
class Capture:
    """A recording in the making. `records` is what happened in order; `frames` and `bytes` are the file of it."""

    cpus: int = 1
    drain_every: int = 64  # records between two drains of all rings
    perf_lost: bool = True  # whether the kernel also leaves a PERF_RECORD_LOST where records are missing
    time: int = START
    log: list[Record | Frame] = field(default_factory=list)
    header: Header = field(
        default_factory=lambda: Header(
            version=FORMAT_VERSION,
            layout=[list(row) for row in layout()],
            event_size=EVENT_SIZE,
            host="host",
            wall_time=START + WALL_OFFSET,
            monotonic_time=START,
            recording_id="built",
        )
    )
    choose_cpu: Callable[[int], int] | None = None
    _generation: int = 0

    def process(self, pid: int, comm: str = "server", exe: str = "", **facts: object) -> Target:
        """A process that the recorder saw now."""
        self.log.append(Process(pid=pid, comm=comm, exe=exe or f"/usr/bin/{comm}", time=self.time, **facts))  # type: ignore[arg-type]
        return Target(self, pid)

    def pair(self, client: Target, server: Target, at: str = SERVER, client_at: str = CLIENT) -> BothEnds:
        """A connection recorded at both its ends."""
        connecting, accepting = self._new(), self._new()
        one = client.connect(at, client_at, number=connecting, peer=1000 + accepting)
        return BothEnds(one, server.accept(at, client_at, number=accepting, peer=1000 + connecting))

    def wait(self, nanoseconds: int) -> Self:
        """Let time pass."""
        self.time += nanoseconds
        return self

    def spread(self, choose: Callable[[int], int]) -> Self:
        """Give record number i to CPU `choose(i)`."""
        self.choose_cpu = choose
        return self

    def add(self, event: Event, lost: bool = False) -> None:
        """Append any event, one step later; its time and ABI are filled in."""
        self.time += STEP
        self.log.append(Record(event._replace(abi=EVENT_ABI, time=event.time or self.time), lost))

    def _new(self) -> int:
        self._generation += 1
        return self._generation

    def frames(self, end: bool = True) -> list[Frame]:
        """The file's frames; without the Counters and End frames if not `end`: the recorder was killed."""
        return _Layout(self).frames(end)

    def bytes(self, end: bool = True) -> bytes:
        """The file."""
        return file_bytes(self.frames(end))

    def write(self, path: Path, end: bool = True) -> Path:
        """The file at `path`."""
        path.write_bytes(self.bytes(end))
        return path


def file_bytes(frames: list[Frame]) -> bytes:
    """Any frames, as capfile.writer writes them."""
    with tempfile.TemporaryFile() as file:
        writer = Writer(file.fileno(), tag=zlib.crc32(repr(frames[:1]).encode()))  # the same each time
        for frame in frames:
            writer.write(frame)
        return os.pread(file.fileno(), writer.bytes, 0)


@dataclass
class Target:
    """A traced process."""

    capture: Capture
    pid: int

    def accept(self, at: str = SERVER, client: str = CLIENT, **more: int) -> RecordedSocket:
        """A connection that this process accepted on `at` ("1.2.3.4:80", "[::1]:80", "/run/path" or "@abstract")."""
        return self._open(at, client, Flag.ACCEPTED, **more)

    def connect(self, to: str = SERVER, client: str = CLIENT, **more: int) -> RecordedSocket:
        """A connection that this process made."""
        return self._open(client if to[0] not in "/@" else "", to, Flag.CONNECTED, **more)

    def joined(self, local: str = SERVER, remote: str = CLIENT, **more: int) -> RecordedSocket:
        """A connection that was there before the recording: nobody knows who accepted it."""
        return self._open(local, remote, Flag.JOINED, **more)

    def fork(self, pid: int) -> Target:
        """A child of this process."""
        self._control(Kind.FORK, ret=pid)
        return Target(self.capture, pid)

    def exec(self, comm: str) -> Self:
        """This process replaced its program."""
        self._control(Kind.EXEC, payload=comm.encode().ljust(16, b"\0"))
        return self

    def exit(self) -> Self:
        """This process is gone."""
        self._control(Kind.EXIT)
        return self

    def mark(self, code: MarkCode) -> Self:
        """A blind spot."""
        self._control(Kind.MARK, ret=code)
        return self

    def _control(self, kind: Kind, ret: int = 0, payload: bytes = b"") -> None:
        self.capture.add(_event(kind, tgid=self.pid, tid=self.pid, ret=ret, payload=payload))

    def _open(
        self, local: str, remote: str, flags: int, number: int = 0, peer: int = 0, netns: int = 1
    ) -> RecordedSocket:
        number = number or self.capture._new()
        return RecordedSocket(self, 1000 + number, number, facts(local, remote, peer, netns), flags).announce()


@dataclass
class RecordedSocket:
    """One socket of a traced process. Every call returns the socket, so that a life is one chain."""

    process: Target
    socket: int
    generation: int
    facts: SocketFacts
    flags: int
    received: int = 0
    sent: int = 0

    def announce(self) -> Self:
        """The SOCKET event."""
        return self._add(_event(Kind.SOCKET, flags=self.flags, payload=self.facts.pack()))

    def by(self, process: Target) -> Self:
        """The following calls are another process's, on the same socket."""
        self.process = process
        return self

    def send(self, data: bytes) -> Self:
        """The process wrote `data`."""
        return self._transfer(Direction.SEND, data)

    def receive(self, data: bytes) -> Self:
        """The process read `data`."""
        return self._transfer(Direction.RECEIVE, data)

    def eof(self) -> Self:
        """A read returned 0: the peer sent FIN."""
        return self._data(Direction.RECEIVE, 0, flags=Flag.EOF)

    def lose(self, size: int, direction: Direction = Direction.SEND) -> Self:
        """A call of `size` bytes whose record the ring had no room for."""
        return self._data(direction, size, payload=bytes(size), lost=True)

    def gap(self, size: int, reason: Reason = Reason.SENDFILE, direction: Direction = Direction.SEND) -> Self:
        """A call of `size` bytes that were counted and not captured."""
        return self._data(direction, size, reason=reason)

    def sendfile(self, size: int, name: str) -> Self:
        """A sendfile(2) of `size` bytes from the file `name`."""
        return self._data(Direction.SEND, size, reason=Reason.SENDFILE, payload=name.encode(), flags=Flag.FILE_NAME)

    def snap(self, direction: Direction, data: bytes, size: int) -> Self:
        """A call of `size` bytes of which only `data` was kept (snap length)."""
        return self._data(direction, size, payload=data, reason=Reason.SNAPLEN)

    def shutdown(self, direction: Direction = Direction.SEND) -> Self:
        """shutdown(2) of one half, or both."""
        return self._add(_event(Kind.SHUTDOWN, direction=direction))

    def state(self, old: int, new: int) -> Self:
        """A TCP state change."""
        return self._add(_event(Kind.STATE, ret=old << 8 | new))

    def close(self, flags: int = 0) -> Self:
        """The last descriptor is gone."""
        return self._add(_event(Kind.CLOSE, flags=flags))

    def audit(self, received: int | None = None, sent: int | None = None) -> Self:
        """The kernel's own counts; as they were unless told."""
        counts = (self.received if received is None else received, self.sent if sent is None else sent)
        return self._add(_event(Kind.AUDIT, payload=SOCKET_AUDIT.pack(*counts, 1, 0)))

    def as_frame(self, counted_by: int = 0) -> Socket:
        """The Socket frame that a rotated segment starts with; with `counted_by`, one that a recording ends with."""
        return Socket(
            socket=self.socket,
            generation=self.generation,
            facts=self.facts.pack(),
            flags=self.flags,
            received=self.received,
            sent=self.sent,
            tgid=self.process.pid,
            time=self.process.capture.time,
            counted_by=counted_by,
            counted_received=self.received if counted_by else 0,
            counted_sent=self.sent if counted_by else 0,
        )

    def _transfer(self, direction: Direction, data: bytes) -> Self:
        for start in range(0, len(data), PART):
            part = data[start : start + PART]
            self._data(direction, len(part), payload=part)
        return self

    def _data(
        self,
        direction: Direction,
        size: int,
        payload: bytes = b"",
        reason: int = 0,
        flags: int = 0,
        lost: bool = False,
    ) -> Self:
        sending = direction == Direction.SEND
        position = self.sent if sending else self.received
        event = _event(Kind.DATA, direction, size=size, payload=payload, reason=reason, flags=flags, position=position)
        if sending:
            self.sent += size
        else:
            self.received += size
        return self._add(event._replace(ret=size), lost)

    def _add(self, event: Event, lost: bool = False) -> Self:
        pid = self.process.pid
        event = event._replace(socket=self.socket, generation=self.generation, tgid=pid, tid=pid, fd=3)
        self.process.capture.add(event, lost)
        return self


@dataclass
class BothEnds:
    """The two recorded ends of one connection: what one sends the other receives, one call later."""

    client: RecordedSocket
    server: RecordedSocket

    def request(self, data: bytes) -> Self:
        self.client.send(data)
        self.server.receive(data)
        return self

    def response(self, data: bytes) -> Self:
        self.server.send(data)
        self.client.receive(data)
        return self

    def close(self) -> Self:
        self.client.close()
        self.server.eof().close()
        return self


class _Layout:
    """Records into rings, rings into chunks: sequence numbers, drains, counters."""

    def __init__(self, capture: Capture) -> None:
        self.capture = capture
        self.pending: dict[tuple[int, int], list[bytes]] = {}
        self.times: dict[tuple[int, int], list[int]] = {}
        self.sequence: dict[tuple[int, int], int] = {}
        self.unsaid: dict[tuple[int, int], int] = {}  # lost records since the last that had room
        self.lost: dict[tuple[int, int], int] = {}
        self.out: list[Frame] = [capture.header]
        self.cpus = 1

    def frames(self, end: bool) -> list[Frame]:
        choose = self.capture.choose_cpu or (lambda number: number % self.capture.cpus)
        count = 0
        for item in self.capture.log:
            if not isinstance(item, Record):
                self.out.append(item)
                continue
            self._place(item, choose(count))
            count += 1
            if count % self.capture.drain_every == 0:
                self._drain(item.event.time)
        self._drain(self.capture.time)
        if end:
            self.out += [self._counters(), End(time=self.capture.time, reason="interrupt", frames=len(self.out) + 1)]
        return self.out

    def _place(self, record: Record, cpu: int) -> None:
        self.cpus = max(self.cpus, cpu + 1)
        key = (cpu, int(record.ring))
        sequence = self.sequence.get(key, 0)
        self.sequence[key] = sequence + 1
        if record.lost:
            self.unsaid[key] = self.unsaid.get(key, 0) + 1
            self.lost[key] = self.lost.get(key, 0) + 1
            return
        ring = self.pending.setdefault(key, [])
        if self.unsaid.get(key) and self.capture.perf_lost:
            ring.append(encode_lost(self.unsaid[key]))
        self.unsaid[key] = 0
        event = record.event
        ring.append(encode(event._replace(sequence=sequence, captured=len(event.payload))))
        self.times.setdefault(key, []).append(event.time)

    def _drain(self, now: int) -> None:
        # one turn of the recorder: the control rings, then the data rings, each in the order of CPUs
        for (cpu, ring), records in sorted(self.pending.items(), key=lambda item: (-item[0][1], item[0][0])):
            data, times = b"".join(records), self.times.pop((cpu, ring))
            self.out.append(Chunk(cpu, ring, times[0], max(now, *times), len(data), data=data))
        self.pending.clear()

    def _counters(self) -> Counters:
        def rings(ring: Ring) -> list[list[int]]:
            keys = [(cpu, int(ring)) for cpu in range(self.cpus)]
            return [[self.sequence.get(key, 0), self.lost.get(key, 0)] for key in keys]

        data, control = rings(Ring.DATA), rings(Ring.CONTROL)
        failed = {"data_lost": [lost for _, lost in data], "control_lost": [n for _, n in control]}
        return Counters(time=self.capture.time, counters=failed, rings={"data": data, "control": control})


def _event(
    kind: Kind,
    direction: int = Direction.NONE,
    *,
    size: int = 0,
    position: int = 0,
    ret: int = 0,
    tgid: int = 0,
    tid: int = 0,
    reason: int = 0,
    flags: int = 0,
    payload: bytes = b"",
) -> Event:
    return Event(0, kind, direction, 0, 0, 0, 0, 0, position, size, ret, tgid, tid, -1, 0, reason, flags, 0, payload)


def facts(local: str, remote: str, peer: int = 0, netns: int = 1) -> SocketFacts:
    """`struct socket_facts` of a connection between two addresses as people write them."""
    unix = any(address[:1] in ("/", "@") for address in (local, remote))
    empty = SocketFacts(sockets.AF_UNIX, 1, 0, 1, 0, 0, netns, bytes(16), bytes(16), peer, 0, bytes(108), bytes(108))
    if unix:
        return empty._replace(local_path=_path(local), remote_path=_path(remote))
    family, local_address, local_port = _inet(local)
    _, remote_address, remote_port = _inet(remote)
    return empty._replace(
        family=family,
        protocol=sockets.IPPROTO_TCP,
        local_port=local_port,
        remote_port=remote_port,
        local_address=local_address,
        remote_address=remote_address,
        peer_socket=0,
    )


def _path(path: str) -> bytes:
    if path[:1] not in ("/", "@"):
        return bytes(108)
    return (b"\0" + path[1:].encode() if path[0] == "@" else path.encode()).ljust(108, b"\0")


def _inet(address: str) -> tuple[int, bytes, int]:
    host, _, port = address.rpartition(":")
    family = sockets.AF_INET6 if host.startswith("[") else sockets.AF_INET
    return family, sockets.inet_pton(family, host.strip("[]")).ljust(16, b"\0"), int(port)


def without(frames: list[Frame], number: int) -> bytes:
    """The file with one bit of frame `number` flipped: damaged, and everything else intact."""
    before = len(file_bytes(frames[:number]))
    data = bytearray(file_bytes(frames))
    data[before + len(file_bytes(frames[number : number + 1])) - 1] ^= 1
    return bytes(data)


def segments(capture: Capture, cut: int) -> tuple[bytes, bytes]:
    """The same recording rotated after frame `cut`: two files, the second without any Socket frame of its own."""
    frames = capture.frames()
    first = [*frames[:cut], End(time=capture.time, reason="rotated", next_segment=True)]
    return file_bytes(first), file_bytes([replace(capture.header, segment=1), *frames[cut:]])
