"""What a direction does between two messages and in a head (RFC 9112 §2.2, §3, §5): the states START and HEAD.

Bytes in, a whole head out, which `state_body` goes on with. A head with a hole in it goes on as far as it still reads
as one; of one that breaks off, what is known is kept.
"""

from __future__ import annotations

import re
from typing import Final

from replay.http1.direction import NOTHING_BEFORE, Before, Direction, State
from replay.http1.framing import NOTHING_DECLARED
from replay.http1.head_reader import Gathered
from replay.http1.limits import MAX_HEAD_BYTES
from replay.http1.message import Loss, Message
from replay.http1.state_body import begin_body
from replay.stream import Eof, Gap

_EMPTY_LINES: Final = re.compile(rb"[\r\n]+")


# START


def read_start(direction: Direction, at: int) -> int:
    """A message begins with the first byte that is no line end."""
    data = direction.data
    if data[at] in b"\r\n":
        return _skip_empty_lines(direction, at)
    position = direction.base + at
    direction.message = message = Message(direction.flow, position, direction.began or direction.time)
    if direction.began:
        message.carried(position, direction.time)
        direction.began = 0
    losses = direction.losses
    before = direction.doubt or direction.late or losses
    direction.before = (
        Before(tuple(losses), direction.late, direction.doubt, direction.skipped, direction.hidden)
        if before
        else NOTHING_BEFORE
    )
    direction.sink.began(message, losses, doubt=direction.doubt, skipped=direction.skipped)
    if losses:
        direction.losses = []
    direction.doubt = direction.late = direction.skipped = False
    direction.hidden = 0
    stop = data.find(b"\r\n\r\n", at, at + MAX_HEAD_BYTES) + 4
    if stop > 3:  # most heads come whole and without any deviation
        raw = data[at:stop]
        if strict := direction.grammar.strict(raw):
            return begin_body(direction, strict[0], strict[1], raw, stop)
    direction.state = State.HEAD
    return at


def _skip_empty_lines(direction: Direction, at: int) -> int:
    """§2.2: a server should ignore at least one empty line before a request line; both sides are read so."""
    match = _EMPTY_LINES.match(direction.data, at)
    stop = match.end() if match else at + 1
    direction.lose_bytes("empty-lines", direction.base + at, stop - at)
    return stop


def miss_start(direction: Direction, gap: Gap) -> None:
    """A gap between messages: at least one start line lies in it."""
    direction.fresh = False
    direction.losses.append(Loss.of(gap))
    direction.skipped = True
    direction.lose()
    direction.sink.skipped(direction.losses, sure=True)


# HEAD


def read_head(direction: Direction, at: int) -> int:
    """Gather the head until it is whole, or until it shows that it is none."""
    gathered_before = len(direction.head.buffer)
    verdict = direction.head.feed(direction.data[at:] if at else direction.data)
    if verdict is Gathered.MORE:
        return len(direction.data)
    position = direction.base + at - gathered_before  # of the head, as far as no hole is in it
    if verdict is Gathered.WHOLE:
        return _finish(direction, at - gathered_before)
    if verdict is Gathered.NOT_A_START:
        return _not_a_start(direction, direction.head.take(), position)
    if verdict is Gathered.LOST:
        hole = direction.head.after_hole
        _keep_partial(direction, hole)
        after = direction.head.take()[hole:]
        direction.lose()
        direction.reread(after, direction.base + len(direction.data) - len(after))
        direction.edge = True
        direction.hunt.miss(direction.base)
        return 0
    return _refuse(direction)


def _finish(direction: Direction, began_at: int) -> int:
    """The head is whole. `began_at`: where it began, as an index into `data` (negative if before it)."""
    reader = direction.head
    head, size = reader.head, reader.size
    assert head is not None
    gathered = reader.take()
    stop = began_at + size
    if stop < 0:  # it turned out to end in an earlier read
        direction.reread(gathered[size:], direction.base + stop)
        stop = 0
    return begin_body(direction, head, direction.grammar.declare(head), gathered[:size], stop)


def _refuse(direction: Direction) -> int:
    """A head that is too large is not kept whole, and where it ends is not looked for."""
    message = direction.being_read()
    message.problem("head-too-large", message.position, len(direction.head.buffer))
    message.gap = True
    _keep_partial(direction)
    direction.head.clear()
    direction.lose()
    return len(direction.data)


def _keep_partial(direction: Direction, size: int | None = None) -> None:
    """What a head that was cut still tells: the start line, and the fields whose lines are whole. `size`: of what
    was gathered only so much is its own."""
    message = direction.being_read()
    message.raw_head = bytes(direction.head.buffer[:size])
    message.head = head = direction.head.partial()
    if head is not None:
        message.declared = direction.grammar.declare(head)
        message.problems.extend(head.problems)
        direction.sink.framing(message)


def _not_a_start(direction: Direction, seen: bytes, position: int) -> int:
    """`seen` is no start line: another protocol, or garbage between messages, or a body without a head."""
    message = direction.being_read()
    if (head := direction.sink.headless(message)) is not None:
        direction.reread(seen, position)
        return begin_body(direction, head, NOTHING_DECLARED, b"", 0)
    direction.message = None
    losses, direction.late, direction.doubt, direction.skipped, direction.hidden = direction.before
    direction.losses = [*losses]
    direction.sink.dropped(message)
    if direction.hand_over_next or (direction.fresh and direction.sink.foreign(seen)):
        direction.state = State.HANDED
        return len(direction.data)
    direction.fresh = False
    direction.lose()
    return direction.reread(seen, position)


def miss_head(direction: Direction, gap: Gap) -> None:
    """The head goes on behind a hole of known size if its start line was seen; otherwise it is lost."""
    to_the_end = direction.head.to_the_end()
    if gap.length is not None and direction.head.miss():
        direction.state_gap(gap)
        # Or so it seems: if the hole has room for a beginning, what follows may as well be of a later head.
        direction.doubt |= gap.length > to_the_end
        return
    # What was seen since the head's first hole is not all of its rest; it may be the beginning of the next message.
    after = bytes(direction.head.buffer[direction.head.after_hole :]) if direction.head.after_hole else b""
    _keep_partial(direction, direction.head.after_hole or None)
    direction.head.clear()
    direction.lose()
    if after:
        direction.hunt.miss(gap.position - len(after))
        direction.read(after, gap.position - len(after), direction.time, edge=True)
        direction.miss(gap)
    else:
        direction.state_gap(gap)


def end_head(direction: Direction, eof: Eof) -> None:
    """§8: of a head that breaks off, what is known is kept."""
    if settle_simple(direction):
        direction.end(eof)
        return
    _keep_partial(direction)
    direction.head.clear()
    direction.truncate(eof)


def settle_simple(direction: Direction) -> bool:
    """The other direction shows that no header field follows a request line without a version."""
    if direction.state is not State.HEAD or direction.head.settle_simple() is not Gathered.WHOLE:
        return False
    direction.reread(bytes(direction.head.buffer), direction.being_read().position)
    direction.run(_finish(direction, 0))
    return True
