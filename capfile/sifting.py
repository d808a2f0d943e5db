"""Ring bytes in, the events of some sockets out; of the other sockets' events only what their order and count need.

For readers that share the work by sockets. Three eighths of what a whole event costs; the events that are wanted cost
no more than elsewhere, since only the fields that were not looked at before are unpacked then.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Set
from itertools import repeat
from typing import Any, Final

from capfile.event import EVENT_ABI, FIELDS, PERF_RECORD_SAMPLE, SEQUENCE_AT, TIME_AT, Direction, Kind, Row
from capfile.records import BATCH, BEFORE, Samples

# In place of the row of an event that is not wanted, and shorter: the type and size of its record,
# `abi | kind << 16 | direction << 24`, captured bytes, then where a row has them too sequence and time, the generation.
PASSED: Final = 7
_OFFSETS: Final = {name: BEFORE + offset for name, _, offset in FIELDS}
_LOOK: Final = struct.Struct("<I2xH4xIIQQ8xQ")
_REST: Final = struct.Struct("<Q8xQQqIIiIHHI")  # the socket, then all behind the generation
_SOCKET: Final = _OFFSETS["socket"]
_HEADER: Final = _SOCKET + _REST.size
assert _LOOK.size == _OFFSETS["position"] == _OFFSETS["generation"] + 8
assert (SEQUENCE_AT, TIME_AT) == (4, 5)


def sifter(
    known: dict[int, bool], wanted: Callable[[int], bool], kinds: Set[Kind], other: Callable[[int], None]
) -> Samples:
    """For `batches_of`: every event of one of these `kinds` and a generation that is not `wanted` has PASSED fields.

    What the answers were is in `known`. `other` is told of the kind of every other event, which is left whole.
    """
    usual = {
        EVENT_ABI | kind << 16 | direction << 24: (EVENT_ABI, int(kind), int(direction))
        for kind in kinds
        for direction in Direction
    }

    def samples(data: bytes | memoryview, offset: int, check_abi: bool) -> tuple[list[Row], int]:
        look, rest = _LOOK.unpack_from, _REST.unpack_from
        split, answer = usual.get, known.get
        end = len(data)
        last = end - _HEADER
        events: list[Any] = []
        add = events.append
        for _ in repeat(None, BATCH):
            if offset > last:
                break
            seen = look(data, offset)
            record, length, what, captured, sequence, time, generation = seen
            after, payload = offset + length, offset + _HEADER
            if record != PERF_RECORD_SAMPLE or payload + captured > after or after > end:
                break
            parts = split(what)
            if parts is not None:
                own = answer(generation)
                if own is None:
                    own = wanted(generation)
            elif check_abi and what & 0xFFFF != EVENT_ABI:
                break
            else:
                parts = what & 0xFFFF, what >> 16 & 0xFF, what >> 24
                other(parts[1])
                own = True
            if own:
                abi, kind, direction = parts
                # fmt: off
                (socket, position, size, ret, tgid, tid, fd, syscall, reason, flags, depth) = rest(
                    data, offset + _SOCKET
                )
                add(
                    (abi, kind, direction, captured, sequence, time, socket, generation, position,
                     size, ret, tgid, tid, fd, syscall, reason, flags, depth, data[payload : payload + captured])
                )
                # fmt: on
            else:
                add(seen)
            offset = after
        return events, offset

    return samples
