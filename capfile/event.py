"""The event, as bpf/event.h defines it: perf records in, `Event` tuples out, and back.

Knows the layout only. Never opens a file, never judges a value: what the kernel or a stranger's file says is kept
as it stands, and a record that cannot be an event raises `EventError`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import IntEnum, IntFlag
from typing import Final, NamedTuple

from capfile.errors import EventError

EVENT_ABI: Final = 1


class Kind(IntEnum):
    """`enum event_kind`."""

    DATA = 1
    SOCKET = 2
    SHUTDOWN = 3
    CLOSE = 4
    STATE = 5
    FORK = 6
    EXEC = 7
    EXIT = 8
    MARK = 9
    AUDIT = 10


class Direction(IntEnum):
    """`enum event_direction`, seen from the traced process."""

    NONE = 0
    RECEIVE = 1
    SEND = 2
    BOTH = 3


class Reason(IntEnum):
    """`enum event_reason`: why bytes are missing. `label` is the word that users see."""

    NONE = 0
    SNAPLEN = 1
    RING_FULL = 2
    FAULT = 3
    SENDFILE = 4
    SPLICE = 5
    MSG_TRUNC = 6
    IOVEC_LIMIT = 7
    SIZE_LIMIT = 8
    COMPAT = 9
    IO_URING = 10
    UNKNOWN = 11
    TURN_LIMIT = 12
    MESSAGE_LIMIT = 13
    SCRATCH_BUSY = 14
    DAMAGED = 15
    PACKET_LOSS = 16
    REDACTED = 17

    @property
    def label(self) -> str:
        """`RING_FULL` as `ring-full`."""
        return self.name.lower().replace("_", "-")


class Flag(IntFlag):
    """`enum event_flag`."""

    EOF = 1
    JOINED = 2
    ACCEPTED = 4
    CONNECTED = 8
    IDENTITY_UNSURE = 16
    COMPAT = 32
    ZEROCOPY = 64
    PAIR = 128
    RESET = 256
    FILE_NAME = 512


class MarkCode(IntEnum):
    """`enum mark_code`: blind spots."""

    IO_URING = 1
    COMPAT = 2
    KTLS = 3
    ZEROCOPY = 4
    PROCESS_VM = 5


# (name, struct code, offset): `struct event` of bpf/event.h. The Header frame carries this table.
FIELDS: Final[tuple[tuple[str, str, int], ...]] = (
    ("abi", "H", 0),
    ("kind", "B", 2),
    ("direction", "B", 3),
    ("captured", "I", 4),
    ("sequence", "Q", 8),
    ("time", "Q", 16),
    ("socket", "Q", 24),
    ("generation", "Q", 32),
    ("position", "Q", 40),
    ("size", "Q", 48),
    ("ret", "q", 56),
    ("tgid", "I", 64),
    ("tid", "I", 68),
    ("fd", "i", 72),
    ("syscall", "I", 76),
    ("reason", "H", 80),
    ("flags", "H", 82),
    ("depth", "I", 84),
)
EVENT_SIZE: Final = 88

# perf_event.h: struct perf_event_header {u32 type; u16 misc; u16 size;} and the u32 size of PERF_SAMPLE_RAW.
PERF_RECORD_LOST: Final = 2
PERF_RECORD_SAMPLE: Final = 9
PERF_HEADER: Final = struct.Struct("<IHH")


class Event(NamedTuple):
    """One event. Sizes and positions in bytes, `time` in ns of CLOCK_MONOTONIC of the recorded host."""

    abi: int
    kind: int
    direction: int
    captured: int
    sequence: int
    time: int
    socket: int
    generation: int
    position: int
    size: int
    ret: int
    tgid: int
    tid: int
    fd: int
    syscall: int
    reason: int
    flags: int
    depth: int
    payload: memoryview | bytes = b""


# The fields of an event in their order, for who reads many: to name them, as `Event._make(row)` does, costs more than
# to read them.
Row = tuple[
    int, int, int, int, int, int, int, int, int, int, int, int, int, int, int, int, int, int, memoryview | bytes
]  # fmt: skip
# Where in a row: numbers as they stand, because then their types are known.
KIND_AT: Final = 1
DIRECTION_AT: Final = 2
CAPTURED_AT: Final = 3
SEQUENCE_AT: Final = 4
TIME_AT: Final = 5
GENERATION_AT: Final = 7
POSITION_AT: Final = 8
PAYLOAD_AT: Final = 18
assert [Event._fields[at] for at in (1, 2, 3, 4)] == ["kind", "direction", "captured", "sequence"]
assert [Event._fields[at] for at in (5, 7, 8, 18)] == ["time", "generation", "position", "payload"]


class LostRecord(NamedTuple):
    """PERF_RECORD_LOST: the kernel had no room for `lost` records at this place of the ring."""

    lost: int


_EVENT: Final = struct.Struct("<" + "".join(code for _, code, _ in FIELDS))
_LOST: Final = struct.Struct("<QQ")
_RAW_SIZE: Final = struct.Struct("<I")

# Linux's numbers (linux/socket.h), whatever system reads them: AF_INET6 is another number on each
AF_UNIX: Final = 1
AF_INET: Final = 2
AF_INET6: Final = 10

SOCKET_FACTS: Final = struct.Struct("<HHHHHHI16s16sQQ108s108s")
SOCKET_AUDIT: Final = struct.Struct("<QQII")


class SocketFacts(NamedTuple):
    """`struct socket_facts`, the payload of a SOCKET event. Ports in host order, addresses in network order."""

    family: int
    type: int
    protocol: int
    state: int
    local_port: int
    remote_port: int
    netns: int
    local_address: bytes
    remote_address: bytes
    peer_socket: int
    cgroup: int
    local_path: bytes
    remote_path: bytes

    @classmethod
    def unpack(cls, payload: bytes | memoryview) -> SocketFacts:
        """Read the payload of a SOCKET event; a short one raises `EventError`."""
        if len(payload) < SOCKET_FACTS.size:
            raise EventError(f"socket facts of {len(payload)} bytes, {SOCKET_FACTS.size} expected")
        return cls._make(SOCKET_FACTS.unpack_from(payload))

    def pack(self) -> bytes:
        """The bytes that `unpack` reads."""
        return SOCKET_FACTS.pack(*self)


def decode(raw: bytes | memoryview) -> Event:
    """One event from the raw part of a perf sample; `EventError` when it cannot be one."""
    if len(raw) < EVENT_SIZE:
        raise EventError(f"event of {len(raw)} bytes, {EVENT_SIZE} expected")
    fields = _EVENT.unpack_from(raw)
    captured: int = fields[3]
    if EVENT_SIZE + captured > len(raw):
        raise EventError(f"event claims {captured} payload bytes, {len(raw) - EVENT_SIZE} are there")
    return Event._make((*fields, raw[EVENT_SIZE : EVENT_SIZE + captured]))


def encode(event: Event) -> bytes:
    """The event as a perf record, padded to 8 bytes as the kernel pads it: what `records` reads back."""
    raw = _EVENT.pack(*event[:-1]) + bytes(event.payload)
    padded = -(-(PERF_HEADER.size + _RAW_SIZE.size + len(raw)) // 8) * 8
    body = raw.ljust(padded - PERF_HEADER.size - _RAW_SIZE.size, b"\0")
    return PERF_HEADER.pack(PERF_RECORD_SAMPLE, 0, padded) + _RAW_SIZE.pack(len(body)) + body


def encode_lost(lost: int) -> bytes:
    """A PERF_RECORD_LOST of `lost` records."""
    return PERF_HEADER.pack(PERF_RECORD_LOST, 0, PERF_HEADER.size + _LOST.size) + _LOST.pack(0, lost)


def layout() -> list[Sequence[object]]:
    """The field table as the Header frame carries it: [name, struct code, offset] rows."""
    return [list(row) for row in FIELDS]
