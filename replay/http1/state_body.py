"""What a direction does in a body (RFC 9112 §6.3): the states BODY and EXPECTED.

The body's own reader knows where it ends and what of a gap is its own; what is left over is the next message's.
"""

from __future__ import annotations

from replay.http1.bodies import BodyBuilder
from replay.http1.body_readers import CloseReader, LengthReader, Outcome
from replay.http1.chunked import ChunkedReader
from replay.http1.direction import Direction, State
from replay.http1.framing import Declared, Kind
from replay.http1.grammar import Head
from replay.stream import Eof, Gap

# BODY


def begin_body(direction: Direction, head: Head, declared: Declared, raw: bytes, at: int) -> int:
    """Begin the body that §6.3 says, at index `at`."""
    message = direction.being_read()
    direction.fresh = False
    message.head = head
    message.raw_head = raw
    message.declared = declared
    if head.problems or declared.problems:
        message.problems += (*head.problems, *declared.problems)
    framing = direction.sink.framing(message)
    kind = framing.kind
    if kind is Kind.NONE or kind is Kind.TUNNEL:
        direction.end_message(direction.base + at)
        return at
    message.body = body = BodyBuilder(direction.keep)
    if kind is Kind.LENGTH:
        stop = at + framing.length
        if stop <= len(direction.data) and framing.certain:
            body.add(direction.data, at, stop)
            direction.end_message(direction.base + stop)
            return stop
        direction.body = LengthReader(body, framing.length)
    elif kind is Kind.CHUNKED:
        direction.body = ChunkedReader(body, direction.flow, direction.base + at - message.position)
    elif kind is Kind.CLOSE:
        direction.body = CloseReader(body)
    else:
        direction.lose()
        return at
    direction.state = State.BODY if framing.certain else State.EXPECTED
    return at


def read_body(direction: Direction, at: int) -> int:
    """The reader takes what is the body's; a chunked one may give back the start line that ended it."""
    body = direction.body
    assert body is not None
    stop = body.read(direction.data, at)
    if body.outcome is Outcome.DONE:
        back = body.give_back()
        _leave_body(direction)
        position = direction.base + stop - len(back)
        direction.end_message(position)
        if back:
            return direction.reread(back + direction.data[stop:], position)
    elif body.outcome is Outcome.LOST:
        _leave_body(direction)
        direction.lose()
    return stop


def miss_body(direction: Direction, gap: Gap) -> None:
    """A sized gap is skipped exactly where it can be; what it leaves over lies between messages."""
    body = direction.body
    assert body is not None
    inside = body.miss(gap.length)
    if body.outcome is not Outcome.DONE:
        direction.state_gap(gap)
        if body.outcome is Outcome.LOST:
            _leave_body(direction)
            direction.lose()
        return
    direction.state_gap(Gap(gap.position, gap.time, inside, gap.reason, gap.detail))
    _leave_body(direction)
    direction.end_message(gap.position + inside)
    if gap.length is not None and gap.length > inside:
        rest = Gap(gap.position + inside, gap.time, gap.length - inside, gap.reason, gap.detail)
        direction.miss(rest)


def end_body(direction: Direction, eof: Eof) -> None:
    """§6.3 step 8: a body until close is whole if its sender ended it; §8: any other is incomplete."""
    body = direction.body
    assert body is not None
    whole = body.end(orderly=direction.is_orderly(eof))
    _leave_body(direction)
    if whole:
        direction.end_message(eof.position)
        direction.state = State.ENDED
    else:
        direction.truncate(eof)


def _leave_body(direction: Direction) -> None:
    message = direction.being_read()
    body = direction.body
    assert body is not None
    message.trailers = body.trailers
    if body.problems:
        message.problems.extend(body.problems)
    direction.body = None


# EXPECTED


def expect(direction: Direction) -> None:
    """The final status came before the announced body: what comes next may be the next request already."""
    if direction.state is State.BODY and direction.body is not None and direction.body.untouched:
        direction.state = State.EXPECTED


def read_expected(direction: Direction, at: int) -> int:
    """RFC 9110 §10.1.1: a client that gets a final status may leave the body out. §6.3(1): if nobody knows what was
    asked, it may have been HEAD."""
    before = len(direction.head.buffer)
    direction.head.buffer += direction.data[at:]
    start_line = direction.grammar.start_line
    verdict = start_line.may_begin(direction.head.buffer) and start_line.judge(direction.head.buffer, 0)
    if verdict is None:
        return len(direction.data)
    position = direction.base + at - before
    direction.reread(direction.head.take(), position)
    if verdict:
        _withhold_body(direction, position)
    else:
        direction.state = State.BODY
    return 0


def _withhold_body(direction: Direction, position: int) -> None:
    _leave_body(direction)
    message = direction.being_read()
    message.body = None
    if direction.flow == "request":
        message.problem("body-withheld", position)
    direction.end_message(position)


def miss_expected(direction: Direction, gap: Gap) -> None:
    """A gap in the place of the body: of a request, it is the body's."""
    if direction.flow == "response" and not direction.head.buffer:  # what is missing may be the next message
        direction.state_gap(gap)
        _leave_body(direction)
        direction.lose()
        return
    _body_after_all(direction)
    direction.miss(gap)


def end_expected(direction: Direction, eof: Eof) -> None:
    """The end in the place of the body: a request's was withheld."""
    if direction.head.buffer or direction.flow == "response":
        _body_after_all(direction)
        direction.end(eof)
        return
    _withhold_body(direction, eof.position)
    direction.state = State.ENDED


def _body_after_all(direction: Direction) -> None:
    seen = direction.head.take()
    direction.state = State.BODY
    direction.read(seen, direction.position - len(seen), direction.time, edge=False)
