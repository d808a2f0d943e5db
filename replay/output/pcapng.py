"""What passed on the recorded connections in, a pcapng file out, for tcpdump, tshark and their like.

One interface of raw IP packets with times in ns; the first packet of a connection carries the process facts as its
comment, a packet after bytes that were not captured says how many. Source: draft-ietf-opsawg-pcapng.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final

from capfile.version import VERSION
from replay.exchange import ProcessFacts
from replay.output.escaping import shortened, visible
from replay.output.synthetic_tcp import Conversation, Packet
from replay.pipeline import Passage

SECTION, INTERFACE, PACKET = 0x0A0D0D0A, 1, 6  # block types, §4.1, §4.2, §4.3
LINKTYPE_RAW: Final = 101  # the packet begins with its IP header
END, COMMENT, USER_APPLICATION = 0, 1, 4  # options, §3.5, §4.1
NAME, RESOLUTION = 2, 9  # §4.2
NANOSECONDS: Final = 9  # if_tsresol: 10^-9 s
MAX_COMMENT: Final = 2_000  # bytes; an option holds 65,535, nobody reads them


def write(passages: Iterable[Passage], out: BinaryIO) -> None:
    """Write one file; packets are in the order of the events."""
    out.write(_section())
    for passage, packet in packets(passages):
        out.write(_packet(packet, passage.clock_offset_ns))


def packets(passages: Iterable[Passage]) -> Iterator[tuple[Passage, Packet]]:
    """Each packet beside the passage that it is made from."""
    conversations: dict[str, Conversation] = {}
    for passage in passages:
        connection = passage.connection
        conversation = conversations.get(connection.id)
        if conversation is None:
            comment = f"connection {connection.id}, {connection.side} {_process(passage.process)}"
            conversation = conversations[connection.id] = Conversation(connection, len(conversations) + 1, comment)
        for packet in conversation.feed(passage.flow, passage.event):
            yield passage, packet


def _process(process: ProcessFacts | None) -> str:
    if process is None:
        return "of an unknown process"
    words = [f"{process.comm or '?'}[{process.pid}]", process.exe, " ".join(process.command_line)]
    words += [f"cgroup {process.cgroup}"] if process.cgroup else []
    words += [f"container {process.container}"] if process.container else []
    return ", ".join(word for word in words if word)


def _section() -> bytes:
    section = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)
    interface = struct.pack("<HHI", LINKTYPE_RAW, 0, 0)
    name = _option(NAME, b"recorded sockets") + _option(RESOLUTION, bytes([NANOSECONDS]))
    application = _option(USER_APPLICATION, f"ebpf-replay {VERSION}".encode())
    return _block(SECTION, section + _options(application)) + _block(INTERFACE, interface + _options(name))


def _packet(packet: Packet, clock_offset_ns: int) -> bytes:
    time = max(0, packet.time + clock_offset_ns) % (1 << 64)
    head = struct.pack("<IIIII", 0, time >> 32, time & 0xFFFFFFFF, len(packet.data), len(packet.data))
    comment = _option(COMMENT, _comment(packet.comment)) if packet.comment else b""
    return _block(PACKET, head + _padded(packet.data) + _options(comment))


def _comment(text: str) -> bytes:
    return shortened(visible(text), MAX_COMMENT).encode()


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + length + body + length


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _options(options: bytes) -> bytes:
    return options + struct.pack("<HH", END, 0) if options else b""


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
