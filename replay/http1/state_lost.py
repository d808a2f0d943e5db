"""What a direction does when its framing is not known: the state LOST.

It looks for the next start line that can be believed. What lies before that is counted, not kept.
"""

from __future__ import annotations

from replay.http1.direction import Direction, State
from replay.http1.message import Loss
from replay.stream import Eof, Gap


def read_lost(direction: Direction, at: int) -> int:
    """Look for the next believable start line; what lies before it is counted, not kept."""
    before = direction.hunt.position
    data = direction.data[at:] if at else direction.data
    if not direction.hunt.buffer:
        before = direction.base + at
    found, passed = direction.hunt.feed(
        data, direction.base + at, direction.time, direction.is_believed, edge=direction.edge and not at
    )
    direction.lose_bytes(direction.unframed, before, passed)
    _count_refused(direction)
    if not found:
        return len(direction.data)
    direction.began = direction.hunt.time
    direction.reread(direction.hunt.take(), before + passed)
    direction.state = State.START
    _close_message(direction, before + passed)
    return 0


def _count_refused(direction: Direction) -> None:
    """What was not believed may have been a start line all the same."""
    if direction.hunt.refused:
        direction.hidden += direction.hunt.refused
        direction.hunt.refused = 0


def settle_start(direction: Direction) -> None:
    """The other direction shows that a message began, of which perhaps only the beginning was seen."""
    if direction.state is State.LOST and direction.hunt.buffer:
        _settle(direction)


def _close_message(direction: Direction, position: int) -> None:
    """End the damaged message, if there is one, where the next begins; the bytes passed over are its own."""
    direction.unframed = "unframed"
    message = direction.message
    if message is None:
        return
    message.gap = True
    message.state_losses(direction.losses)
    direction.losses = []
    direction.end_message(position)


def miss_lost(direction: Direction, gap: Gap) -> None:
    """A gap on top: what was found by now is believed as far as it goes, and the search begins again behind it."""
    if _settle(direction):
        direction.miss(gap)
        return
    _flush(direction)
    if direction.message is not None:
        direction.state_gap(gap)
    else:
        direction.losses.append(Loss.of(gap))
        direction.skipped = True
        direction.sink.skipped(direction.losses, sure=False)


def _settle(direction: Direction) -> bool:
    """A gap or the end comes: a start line that waited for the line behind it is believed as far as it goes."""
    before = direction.hunt.position
    found, passed = direction.hunt.settle(direction.is_believed)
    direction.lose_bytes(direction.unframed, before, passed)
    _count_refused(direction)
    if not found or direction.settled == before + passed:
        return False  # the second time: it was refused before
    direction.settled = before + passed
    direction.state = State.START
    _close_message(direction, before + passed)
    direction.began = direction.hunt.time
    direction.read(direction.hunt.take(), before + passed, direction.time, edge=False)
    return True


def give_up_losses(direction: Direction) -> list[Loss]:
    """Give up what was seen since the framing was lost; the losses that are on no message yet."""
    if direction.state is not State.LOST or direction.message is not None:
        return []
    _flush(direction)
    losses = [*direction.losses]
    direction.losses.clear()  # whoever else knows the list need not state them
    return losses


def _flush(direction: Direction) -> None:
    rest = direction.hunt.take()
    direction.lose_bytes(direction.unframed, direction.hunt.position, len(rest))


def end_lost(direction: Direction, eof: Eof) -> None:
    """Likewise at the end; what the damaged message was ends here."""
    if _settle(direction):
        direction.end(eof)
        return
    _flush(direction)
    _close_message(direction, eof.position)
    direction.state = State.ENDED
