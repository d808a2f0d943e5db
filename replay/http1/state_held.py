"""What a direction does with bytes that are perhaps, or surely, not HTTP/1's: the states HELD, HANDED and ENDED."""

from __future__ import annotations

from replay.http1.direction import Direction, State
from replay.http1.limits import MAX_HELD_BYTES, MAX_HELD_EVENTS
from replay.http1.message import Loss
from replay.stream import Bytes, Eof, Gap, StreamEvent


def hold(direction: Direction) -> None:
    """Keep what comes until `release` or `hand_over`, because the other direction says what it is."""
    if direction.state is State.START:
        direction.state = State.HELD


def release(direction: Direction) -> None:
    """Read what was held as HTTP/1."""
    direction.state = State.START
    held, direction.held, direction.held_bytes = direction.held, [], 0
    for event in held:
        direction.feed(event)


def abandon(direction: Direction) -> None:
    """Nobody will say what the held bytes are."""
    if direction.held_bytes:
        first = next(event for event in direction.held if isinstance(event, Bytes))
        direction.losses.append(Loss("undecided-tunnel", first.position, direction.held_bytes))
    gaps = (event for event in direction.held if isinstance(event, Gap))
    direction.losses += [Loss.of(gap) for gap in gaps]
    direction.held, direction.held_bytes = [], 0
    direction.state = State.ENDED


def hand_over(direction: Direction) -> None:
    """What comes after the message that is being read, if any, belongs to another protocol."""
    direction.held, direction.held_bytes = [], 0
    if direction.message is not None:
        direction.hand_over_next = True
    else:
        direction.state = State.HANDED


def read_held(direction: Direction, at: int) -> int:
    """Hold what was seen, up to a bound."""
    direction.held_bytes += len(direction.data) - at
    hold_event(direction, Bytes(direction.base + at, direction.time, direction.data[at:]))
    return len(direction.data)


def hold_event(direction: Direction, event: StreamEvent) -> None:
    """Hold a gap or the end as well: its place among the bytes counts."""
    direction.held.append(event)
    if direction.held_bytes > MAX_HELD_BYTES or len(direction.held) > MAX_HELD_EVENTS:
        abandon(direction)
        direction.lose()


def finish(direction: Direction, eof: Eof) -> None:
    """Nothing was being read."""
    direction.state = State.ENDED


def pass_over(direction: Direction, at: int) -> int:
    """Bytes that are another protocol's."""
    return len(direction.data)


def ignore(direction: Direction, event: Gap | Eof) -> None:
    """Nothing of it is HTTP/1's."""
