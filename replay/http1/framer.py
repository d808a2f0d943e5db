"""One direction of a connection in, its messages out (RFC 9112 §2.2, §6, §7, §8): a table of states, sans-IO.

`feed(Bytes | Gap | Eof)` runs the row of the present state in TRANSITIONS; a row says what seen bytes, missing bytes
and the end mean there. What follows a head is asked of the `Sink`, which knows the other direction. A gap is never
filled: where the framing survives it, it is skipped exactly; where not, the state is LOST until a believable start
line.
"""

from __future__ import annotations

from typing import Final

from replay.http1 import state_body, state_head, state_held, state_lost
from replay.http1.direction import Direction, Row, State

TRANSITIONS: Final[dict[State, Row]] = {
    State.START: Row(state_head.read_start, state_head.miss_start, state_held.finish),
    State.HEAD: Row(state_head.read_head, state_head.miss_head, state_head.end_head),
    State.BODY: Row(state_body.read_body, state_body.miss_body, state_body.end_body),
    State.EXPECTED: Row(state_body.read_expected, state_body.miss_expected, state_body.end_expected),
    State.LOST: Row(state_lost.read_lost, state_lost.miss_lost, state_lost.end_lost),
    State.HELD: Row(state_held.read_held, state_held.hold_event, state_held.hold_event),
    State.HANDED: Row(state_held.pass_over, state_held.ignore, state_held.finish),
    State.ENDED: Row(state_held.pass_over, state_held.ignore, state_held.ignore),
}


class Framer(Direction):
    """A direction with its table, and what whoever knows both directions may tell it between two events."""

    rows = TRANSITIONS
    settle_simple = state_head.settle_simple
    expect = state_body.expect
    settle_start = state_lost.settle_start
    give_up_losses = state_lost.give_up_losses
    hold = state_held.hold
    release = state_held.release
    abandon = state_held.abandon
    hand_over = state_held.hand_over
