"""The same HTTP traffic twice, as a capture file and as a pcap: readers of one or the other can be compared.

Keep-alive connections with a fixed number of exchanges each, interleaved; every response has its own body.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from capfile.event import EVENT_ABI, EVENT_SIZE, Direction, Event, Flag, Kind, Reason, SocketFacts, encode, layout
from capfile.frames import FORMAT_VERSION, Chunk, End, Header, Process, Ring
from capfile.writer import Writer

START: Final = 1_000_000_000
WALL: Final = 1_790_000_000_000_000_000
PART: Final = 32_000  # bytes per event and per packet: what the recorder and a loopback interface carry at once
CHUNK: Final = 1 << 20
SERVER: Final = ("127.0.0.1", 8080)


@dataclass(frozen=True)
class Call:
    """One transfer: `client` sends or receives on connection `number`."""

    time: int
    number: int
    to_server: bool
    data: bytes
    opens: bool = False
    closes: bool = False


@dataclass(frozen=True)
class Traffic:
    """`exchanges` in all, `per_connection` on each, `at_once` connections open together, `body` bytes per response.

    `varied`: no head is like another, as from many users: paths, cookies, dates and lengths differ. `snaplen`: bytes
    that the capture keeps of each call.
    """

    exchanges: int
    per_connection: int = 100
    at_once: int = 16
    body: int = 200
    varied: bool = False
    snaplen: int = 1 << 30

    def calls(self) -> Iterator[Call]:
        """Every transfer, in the order of time."""
        time, done, first = START, 0, 0
        while done < self.exchanges:
            count = min(self.at_once, -(-(self.exchanges - done) // self.per_connection))
            for turn in range(self.per_connection):
                for number in range(first, first + count):
                    if done == self.exchanges:
                        return
                    done += 1
                    last = turn == self.per_connection - 1
                    yield Call(time, number, True, self._request(done), opens=turn == 0)
                    yield Call(time + 20_000, number, False, self._response(done), closes=last)
                    time += 50_000
            first += count

    def _request(self, ordinal: int) -> bytes:
        if self.varied:
            user = ordinal * 2654435761 % 2**32
            return (
                f"GET /users/{user:08x}/orders/{ordinal}?page={ordinal % 9} HTTP/1.1\r\nHost: localhost:8080\r\n"
                f"User-Agent: bench/1.0\r\nAccept: application/json\r\nCookie: session={user:08x}{ordinal:08x}\r\n"
                f"X-Request-Id: {ordinal:016x}\r\n\r\n"
            ).encode()
        return (
            f"GET /items/{ordinal}?page=2 HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: bench/1.0\r\n"
            "Accept: application/json\r\nAccept-Encoding: identity\r\n\r\n"
        ).encode()

    def _response(self, ordinal: int) -> bytes:
        size = self.body + ordinal % 97 if self.varied else self.body
        start = f'{{"id":{ordinal},"name":"item {ordinal * 7919 % 10007}","text":"'.encode()
        body = start + (b"%08x" % (ordinal * 2654435761 % 2**32) * (size // 8 + 1))[: max(0, size - len(start))]
        varied = f"Date: Sun, 22 Nov 2026 10:{ordinal // 6000 % 60:02d}:{ordinal // 100 % 60:02d} GMT\r\n"
        varied += f'ETag: "{ordinal:x}"\r\n'
        head = (
            f"HTTP/1.1 200 OK\r\nServer: bench\r\n{varied if self.varied else ''}"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


def write_capture(traffic: Traffic, path: Path) -> None:
    """The capture file that a recorder of the server would have written."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    writer = Writer(fd)
    rows = [list(row) for row in layout()]
    writer.write(Header(FORMAT_VERSION, rows, EVENT_SIZE, wall_time=WALL, monotonic_time=START, recording_id="bench"))
    writer.write(Process(pid=4242, comm="server", time=START))
    rings = {Ring.DATA: _Ring(writer, Ring.DATA), Ring.CONTROL: _Ring(writer, Ring.CONTROL)}
    positions: dict[tuple[int, bool], int] = {}
    time = START
    for call in traffic.calls():
        time = call.time
        if call.opens:
            facts = SocketFacts(2, 1, 6, 1, SERVER[1], _port(call.number), 0, _IP, _IP, 0, 0, b"", b"")
            rings[Ring.CONTROL].add(time, call.number, Kind.SOCKET, 0, 0, facts.pack(), Flag.ACCEPTED)
        for start in range(0, len(call.data), PART):
            part = call.data[start : start + PART]
            direction = Direction.RECEIVE if call.to_server else Direction.SEND
            position = positions.get((call.number, call.to_server), 0)
            rings[Ring.DATA].add(time, call.number, Kind.DATA, direction, position, part, 0, traffic.snaplen)
            positions[call.number, call.to_server] = position + len(part)
        if call.closes:
            rings[Ring.CONTROL].add(time + 1_000, call.number, Kind.CLOSE, 0, 0, b"", 0)
            del positions[call.number, True], positions[call.number, False]
    for ring in rings.values():
        ring.flush()
    writer.write(End(time=time, reason="interrupt", frames=writer.frames + 1))
    os.close(fd)


_IP: Final = socket.inet_aton("127.0.0.1").ljust(16, b"\0")


def _port(number: int) -> int:
    return 10_000 + number % 50_000


class _Ring:
    """Events of one ring, written as chunks like drains of about 1 MiB."""

    def __init__(self, writer: Writer, ring: Ring) -> None:
        self._writer, self._ring = writer, ring
        self._records: list[bytes] = []
        self._size = self._sequence = self._first = self._last = 0

    def add(
        self,
        time: int,
        number: int,
        kind: Kind,
        direction: int,
        position: int,
        payload: bytes,
        flags: int,
        snaplen: int = 1 << 30,
    ) -> None:
        size = len(payload) if kind is Kind.DATA else 0
        kept = payload[:snaplen]
        reason = Reason.SNAPLEN if len(kept) < size else Reason.NONE
        event = Event(
            EVENT_ABI, kind, direction, len(kept), self._sequence, time, 5000 + number, number + 1, position, size,
            size, 4242, 4242, 7, 0, reason, flags, 0, kept,
        )  # fmt: skip
        record = encode(event)
        self._records.append(record)
        self._first = self._first or time
        self._last = time
        self._sequence += 1
        self._size += len(record)
        if self._size >= CHUNK:
            self.flush()

    def flush(self) -> None:
        if self._records:
            data = b"".join(self._records)
            self._writer.write(Chunk(0, self._ring, self._first, self._last, len(data), data=data))
            self._records, self._size, self._first = [], 0, 0


def write_pcap(traffic: Traffic, path: Path) -> None:
    """The pcap (ns, Ethernet) that a packet recorder on the loopback interface would have written."""
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262_144, 1))
        sent: dict[tuple[int, bool], int] = {}
        for call in traffic.calls():
            if call.opens:
                sent[call.number, True] = sent[call.number, False] = 1
                _packet(file, call.time - 3_000, call.number, True, 0, 0, 0x02)
                _packet(file, call.time - 2_000, call.number, False, 0, 1, 0x12)
                _packet(file, call.time - 1_000, call.number, True, 1, 1, 0x10)
            for start in range(0, len(call.data), PART):
                part = call.data[start : start + PART]
                here, there = sent[call.number, call.to_server], sent[call.number, not call.to_server]
                _packet(file, call.time, call.number, call.to_server, here, there, 0x18, part)
                sent[call.number, call.to_server] = here + len(part)
                _packet(file, call.time + 500, call.number, not call.to_server, there, here + len(part), 0x10)
            if call.closes:
                here, there = sent.pop((call.number, False)), sent.pop((call.number, True))
                _packet(file, call.time + 1_000, call.number, False, here, there, 0x11)
                _packet(file, call.time + 2_000, call.number, True, there, here + 1, 0x11)
                _packet(file, call.time + 3_000, call.number, False, here + 1, there + 1, 0x10)


def _packet(
    file: object,
    time: int,
    number: int,
    to_server: bool,
    sequence: int,
    acknowledged: int,
    flags: int,
    data: bytes = b"",
) -> None:
    ports = (_port(number), SERVER[1]) if to_server else (SERVER[1], _port(number))
    tcp = struct.pack(">HHIIBBHHH", *ports, sequence, acknowledged, 0x50, flags, 65_535, 0, 0) + data
    address = _IP[:4]
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, 6, 0, address, address) + tcp
    frame = bytes(12) + b"\x08\x00" + ip
    seconds, nanoseconds = divmod(time - START + WALL, 1_000_000_000)
    file.write(struct.pack("<IIII", seconds, nanoseconds, len(frame), len(frame)) + frame)  # type: ignore[attr-defined]
