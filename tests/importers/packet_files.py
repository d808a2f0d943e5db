"""Packets and packet files made by hand, for tests: every layer is one small function over `struct`."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
START = 1_600_000_000_000_000_000  # ns: 2020-09-13

CLIENT4 = ("10.0.0.1", 40000)
SERVER4 = ("10.0.0.2", 80)
CLIENT6 = ("2001:db8::1", 40000)
SERVER6 = ("2001:db8::2", 80)


def tcp(source: int, target: int, sequence: int, acknowledgement: int, flags: int, data: bytes = b"") -> bytes:
    options = b"\x01\x01\x08\x0a" + b"\0" * 8  # timestamps, so that the header is not the shortest
    fixed = struct.pack(
        ">HHIIBBHHH", source, target, sequence & 0xFFFFFFFF, acknowledgement & 0xFFFFFFFF, 8 << 4, flags, 65535, 0, 0
    )
    return fixed + options + data


def udp(source: int, target: int, data: bytes) -> bytes:
    return struct.pack(">HHHH", source, target, 8 + len(data), 0) + data


def ipv4(source: str, target: str, data: bytes, *, protocol: int = 6, fragment: int = 0, number: int = 7) -> bytes:
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(data), number, fragment, 64, protocol, 0) + ends + data


def ipv6(source: str, target: str, data: bytes, *, protocol: int = 6) -> bytes:
    ends = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, target)
    return struct.pack(">IHBB", 6 << 28, len(data), protocol, 64) + ends + data


def ip(source: str, target: str, data: bytes, protocol: int = 6) -> bytes:
    return (ipv6 if ":" in source else ipv4)(source, target, data, protocol=protocol)


def ethertype(packet: bytes) -> bytes:
    return b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\x00"


def ethernet(packet: bytes, tags: bytes = b"") -> bytes:
    """Padded to the least frame length, as a card delivers it."""
    return (b"\2" * 6 + b"\4" * 6 + tags + ethertype(packet) + packet).ljust(60, b"\0")


@dataclass
class Frame:
    """One frame of a file: `data` may be cut by `snap`."""

    data: bytes
    time: int = START
    snap: int = 1 << 20

    @property
    def captured(self) -> bytes:
        return self.data[: self.snap]


def pcap(frames: Iterable[Frame], link: int = 1, *, order: str = "<", nanoseconds: bool = False) -> bytes:
    magic, tick = (0xA1B23C4D, 1) if nanoseconds else (0xA1B2C3D4, 1000)
    out = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 262144, link)]
    for frame in frames:
        seconds, rest = divmod(frame.time, 1_000_000_000)
        out.append(struct.pack(order + "IIII", seconds, rest // tick, len(frame.captured), len(frame.data)))
        out.append(frame.captured)
    return b"".join(out)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += b"\0" * (-len(body) % 4)
    return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(order + "I", len(body) + 12)


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def option(code: int, value: bytes, order: str = "<") -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + b"\0" * (-len(value) % 4)


def interface(link: int, order: str = "<", snaplen: int = 0, options: bytes = b"") -> bytes:
    return block(1, struct.pack(order + "HHI", link, 0, snaplen) + options + b"\0" * 4, order)


def enhanced(index: int, ticks: int, frame: Frame, order: str = "<") -> bytes:
    data = frame.captured
    head = struct.pack(order + "IIIII", index, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(frame.data))
    return block(6, head + data, order)


def simple(frame: Frame, order: str = "<") -> bytes:
    return block(3, struct.pack(order + "I", len(frame.data)) + frame.captured, order)


@dataclass
class Talk:
    """A TCP connection in the making: each call adds a segment; `frames` are what a capture would hold."""

    client: tuple[str, int] = CLIENT4
    server: tuple[str, int] = SERVER4
    initial: tuple[int, int] = (1000, 5000)
    time: int = START
    step: int = 1_000_000
    packets: list[Frame] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.next = [self.initial[0] + 1, self.initial[1] + 1]

    def segment(
        self, sender: int, flags: int, data: bytes = b"", *, sequence: int | None = None, ack: int | None = None
    ) -> None:
        ends = (self.client, self.server) if sender == 0 else (self.server, self.client)
        number = self.next[sender] if sequence is None else sequence
        answer = (self.next[1 - sender] if ack is None else ack) if flags & ACK else 0
        body = tcp(ends[0][1], ends[1][1], number, answer, flags, data)
        self.packets.append(Frame(ip(ends[0][0], ends[1][0], body), self.time))
        self.time += self.step

    def open(self) -> Talk:
        self.segment(0, SYN, sequence=self.initial[0])
        self.segment(1, SYN | ACK, sequence=self.initial[1])
        self.segment(0, ACK)
        return self

    def send(self, sender: int, data: bytes, size: int = 1000) -> Talk:
        """Data in segments of `size`, then the other side's acknowledgement."""
        for start in range(0, len(data), size):
            part = data[start : start + size]
            self.segment(sender, ACK | PSH, part)
            self.next[sender] += len(part)
        self.segment(1 - sender, ACK)
        return self

    def close(self, first: int = 0) -> Talk:
        for sender in (first, 1 - first):
            self.segment(sender, FIN | ACK)
            self.next[sender] += 1
        self.segment(first, ACK)
        return self

    def reset(self, sender: int) -> Talk:
        self.segment(sender, RST)
        return self

    def file(self) -> bytes:
        """The capture of it, with raw IP as its link layer."""
        return pcap(self.packets, 101)
