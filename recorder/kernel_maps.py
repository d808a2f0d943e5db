"""The kernel program's maps as Python reads and writes them: bpf/maps.h mirrored, a test compares the two.

Knows layouts and names, no descriptor.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

# Bits of the target byte, bpf/maps.h.
TARGET_YES: Final = 1
TARGET_NEVER: Final = 2

# Bits of `state` in struct socket_state, bpf/maps.h.
SOCKET_IGNORED: Final = 2
SOCKET_COUNTERS: Final = 8

# enum counter of bpf/maps.h, in its order; a test compares the two.
COUNTERS: Final = (
    "data_lost",
    "control_lost",
    "lost_bytes",
    "gap_bytes",
    "faults",
    "scratch_busy",
    "control_busy",
    "sockets_new",
    "sockets_gone",
    "map_sockets_full",
    "map_descriptors_full",
    "unplaced_calls",
    "identity_unsure",
    "tail_call_failed",
)
# Beside them: runs of our programs that the kernel left out, which it counts itself, and sockets that its map dropped
# to make room for others, which nobody counts: they are what is missing of those that came.
LEFT_OUT: Final = "runs_left_out"
FORGOTTEN: Final = "sockets_forgotten"
# Programs that only a tail call reaches, by map and place there; of `stages`: enum stage of bpf/maps.h, in its order.
STAGES: Final = {
    "stages": ("on_transfer", "on_descriptors", "on_compat", "on_data", "on_close_range"),
    "end_stages": ("on_close_process",),
}

# struct socket_state of bpf/maps.h; a test compares the two.
SOCKET_STATE: Final = struct.Struct("<QQQQQQQQQIIIHHHHI")


class SocketState(NamedTuple):
    """One value of the map `sockets`, by the names of bpf/maps.h; pairs of receive and send are two fields."""

    inode: int
    generation: int
    socket: int
    received: int
    sent: int
    turn: int
    descriptor: int
    counted_received: int
    counted_sent: int
    copied_sequence: int
    write_sequence: int
    state: int
    family: int
    protocol: int
    turn_direction: int
    flags: int
    reserved: int


def counts(state: SocketState, lengths: bool) -> tuple[int, int, int]:
    """(source, received, sent) as `struct socket_audit` of bpf/event.h has them; source 0: nobody counts this socket.

    `lengths`: the length tracepoints are attached, whose count is the position itself.
    """
    if lengths:
        return 1, state.received, state.sent
    if state.state & SOCKET_COUNTERS:
        return 2, state.counted_received, state.counted_sent
    return 0, 0, 0
