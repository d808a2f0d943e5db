"""What passed on a connection in, TCP segments that would have carried it out: packets never sent, with true times.

The recorder saw calls, not packets: addresses and bytes are the recorded ones, the segments are made here. Positions
become sequence numbers, so that bytes that were not captured are a hole that every TCP reader sees. A Unix socket, or
an end whose address is not known, gets an address of the discard prefix (RFC 6666); a comment says so.
"""

from __future__ import annotations

import ipaddress
import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from replay.exchange import Connection
from replay.stream import Bytes, Eof, Flow, Gap, StreamEvent

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10  # RFC 9293 §3.1
SEGMENT: Final = 16_384  # bytes: under IPv4's 65,535 with its headers, few packets
# A segment that is not answered counts against the window of 65,535 (there is no scaling here).
UNANSWERED: Final = 32_768
WINDOW: Final = 65_535
MSS: Final = struct.pack(">BBH", 2, 4, SEGMENT)  # an option of SYN segments only
HTTP_PORT: Final = 80
_MODULUS: Final = 1 << 32
_OTHER: Final[dict[Flow, Flow]] = {"request": "response", "response": "request"}


@dataclass(frozen=True, slots=True)
class Packet:
    """An IP packet at `time` (ns of CLOCK_MONOTONIC); `flow` is the direction it goes in."""

    time: int
    flow: Flow
    data: bytes
    comment: str = ""


Family = Literal[4, 6]
Address = tuple[bytes, int]  # packed address, port


class Conversation:
    """One connection's packets, in the order of its events."""

    def __init__(self, connection: Connection, number: int, comment: str) -> None:
        self._family, client, server, remark = endpoints(connection, number)
        self._ends: dict[Flow, tuple[Address, Address]] = {"request": (client, server), "response": (server, client)}
        # Numbers that differ between connections: a port that is used again must not look like a retransmission.
        first = number * 0x9E3779B1 % _MODULUS
        self._initial: dict[Flow, int] = {"request": first, "response": (first ^ 0x55555555) % _MODULUS}
        self._next: dict[Flow, int] = {"request": 0, "response": 0}  # position
        self._skew: dict[Flow, int] = {"request": 0, "response": 0}  # for gaps of unknown length
        self._answered: dict[Flow, int] = {"request": 0, "response": 0}
        self._ended: set[Flow] = set()
        self._comment = "; ".join(part for part in (comment, remark) if part)
        self._connection = connection
        self._begun = False

    def feed(self, flow: Flow, event: StreamEvent) -> Iterator[Packet]:
        """The packets of one event."""
        if not self._begun:
            self._begun = True
            yield from self._handshake(event)
        if isinstance(event, Bytes):
            yield from self._bytes(flow, event)
        elif isinstance(event, Gap):
            self._gap(flow, event)
        else:
            yield from self._end(flow, event)

    def _handshake(self, event: StreamEvent) -> Iterator[Packet]:
        if self._connection.joined_midstream:
            return
        time = min(self._connection.opened_at or event.time, event.time)
        for flow, flags in (("request", SYN), ("response", SYN | ACK), ("request", ACK)):
            yield self._packet(flow, time, flags, position=-1 if flags & SYN else None)  # type: ignore[arg-type]  # a literal

    def _bytes(self, flow: Flow, event: Bytes) -> Iterator[Packet]:
        self._next[flow] = event.position
        for start in range(0, len(event.data), SEGMENT):
            part = event.data[start : start + SEGMENT]
            yield self._packet(flow, event.time, PSH | ACK, part)
            self._next[flow] += len(part)
            if self._next[flow] - self._answered[flow] >= UNANSWERED:
                yield self._packet(_OTHER[flow], event.time, ACK)

    def _gap(self, flow: Flow, event: Gap) -> None:
        length = f"{event.length} bytes" if event.length is not None else "an unknown number of bytes"
        self._note(f"not captured: {length} of the {flow} direction ({event.reason})")
        self._next[flow] = event.position + (event.length or 0)
        if event.length is None:
            self._skew[flow] += 1  # a hole there must be, or a reader would join what does not belong together

    def _end(self, flow: Flow, event: Eof) -> Iterator[Packet]:
        self._next[flow] = max(self._next[flow], event.position)
        if event.how == "end-of-capture":
            if self._comment:
                yield self._packet(flow, event.time, ACK)  # carries the last remark, and the end of a hole
            return
        reset = event.how == "reset"
        yield self._packet(flow, event.time, RST | ACK if reset else FIN | ACK)
        self._ended.add(flow)
        if not reset and len(self._ended) == 2:
            yield self._packet(_OTHER[flow], event.time, ACK)

    def _note(self, text: str) -> None:
        self._comment = f"{self._comment}; {text}" if self._comment else text

    def _packet(self, flow: Flow, time: int, flags: int, data: bytes = b"", position: int | None = None) -> Packet:
        source, target = self._ends[flow]
        sequence = self._sequence(flow, self._next[flow] if position is None else position)
        if flow in self._ended:
            sequence += 1  # the FIN has taken a number
        answer = self._sequence(_OTHER[flow], self._next[_OTHER[flow]]) + (_OTHER[flow] in self._ended)
        answer = answer if flags & ACK else 0
        self._answered[_OTHER[flow]] = self._next[_OTHER[flow]]
        segment = tcp(source[1], target[1], sequence, answer, flags, data)
        comment, self._comment = self._comment, ""
        return Packet(time, flow, ip(self._family, source[0], target[0], segment), comment)

    def _sequence(self, flow: Flow, position: int) -> int:
        return self._initial[flow] + 1 + position + self._skew[flow]


def tcp(source: int, target: int, sequence: int, answer: int, flags: int, data: bytes) -> bytes:
    """A TCP segment with a zero checksum (RFC 9293 §3.1)."""
    options = MSS if flags & SYN else b""
    length = (20 + len(options)) // 4 << 4
    head = struct.pack(
        ">HHIIBBHHH", source, target, sequence % _MODULUS, answer % _MODULUS, length, flags, WINDOW, 0, 0
    )
    return head + options + data


def ip(family: Family, source: bytes, target: bytes, segment: bytes) -> bytes:
    """The segment in an IP packet, both checksums right (RFC 791 §3.1, RFC 8200 §3, RFC 9293 §3.1)."""
    pseudo = source + target + struct.pack(">II", len(segment), 6)
    total = checksum(pseudo + segment)
    segment = segment[:16] + struct.pack(">H", total) + segment[18:]
    if family == 6:
        return struct.pack(">IHBB", 6 << 28, len(segment), 6, 64) + source + target + segment
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(segment), 0, 0x4000, 64, 6, 0) + source + target
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + segment


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071): the one's complement of the one's complement sum of 16-bit words."""
    words = array("H", data + b"\0" * (len(data) % 2))
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    # RFC 1071 §2(B): the sum does not depend on the byte order, but for that of the result.
    return int.from_bytes(struct.pack("=H", ~total & 0xFFFF), "big")


def endpoints(connection: Connection, number: int) -> tuple[Family, Address, Address, str]:
    """IP version, client, server, and what is not as it was recorded."""
    client, server = _address(connection.client), _address(connection.server)
    if client is None or server is None or len(client[0]) != len(server[0]):
        # 100::/64 (RFC 6666): nobody's address; the port tells connections apart, 80 tells readers what to expect.
        made = (_discard(1 + (number >> 15)), 32_768 + number % 32_768), (_discard(0), HTTP_PORT)
        return 6, *made, f"addresses are made up: {connection.family} {connection.client or '-'} to {connection.server}"
    family: Family = 4 if len(server[0]) == 4 else 6
    if connection.tls:
        return family, client, (server[0], HTTP_PORT), f"inside TLS on port {server[1]}"
    return family, client, server, ""


def _discard(number: int) -> bytes:
    return (0x0100 << 112 | number % (1 << 64)).to_bytes(16, "big")


def _address(text: str) -> Address | None:
    host, _, port = text.rpartition(":")
    if not (port.isdecimal() and port.isascii() and int(port) < 65_536):
        return None
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0]).packed, int(port)
    except ValueError:
        return None
