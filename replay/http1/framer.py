"""One direction of a connection in, its messages out (RFC 9112 §2.2, §6, §7, §8): a table of states, sans-IO.

`feed(Bytes | Gap | Eof)` runs the row of the present state in TRANSITIONS; a row says what seen bytes, missing bytes
and the end mean there. What follows a head is asked of the `Sink`, which knows the other direction. A gap is never
filled: where the framing survives it, it is skipped exactly; where not, the state is LOST until a believable start
line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum, auto
from typing import Final, NamedTuple

from replay.http1.bodies import BodyBuilder
from replay.http1.body_readers import BodyReader, CloseReader, LengthReader, Outcome
from replay.http1.chunked import ChunkedReader
from replay.http1.framing import NOTHING_DECLARED, Declared, Kind
from replay.http1.grammar import GRAMMARS, Head
from replay.http1.head_reader import Gathered, HeadReader
from replay.http1.limits import MAX_BODY_KEPT, MAX_HEAD_BYTES, MAX_HELD_BYTES, MAX_HIDDEN
from replay.http1.message import Loss, Message
from replay.http1.resync import Hunt
from replay.http1.sink import Sink
from replay.stream import Bytes, Eof, Flow, Gap, StreamEvent

_EMPTY_LINES: Final = re.compile(rb"[\r\n]+")


# Whole events were lost: the hole's time is that of the event behind it. Other holes are of a call that was seen.
WHEN_UNKNOWN: Final = frozenset({"damaged", "packet-loss", "ring-full", "unknown"})


class State(Enum):
    """Where in a direction the next byte stands."""

    __hash__ = object.__hash__  # Enum's own is Python code, and the table is asked at every step

    START = auto()  # between messages
    HEAD = auto()  # in a start line or in header fields
    BODY = auto()  # in a body; its reader knows where
    EXPECTED = auto()  # where a body was announced that may never come (Expect: 100-continue)
    LOST = auto()  # the framing is not known: looking for the next start line
    HELD = auto()  # the other direction must first say what the bytes are (after CONNECT)
    HANDED = auto()  # the bytes belong to another protocol
    ENDED = auto()


class _Before(NamedTuple):
    """What is known of the bytes since the last message."""

    losses: tuple[Loss, ...]
    late: bool
    doubt: bool
    skipped: bool
    hidden: int


_NOTHING: Final = _Before((), False, False, False, 0)


class Framer:
    """Reads one direction. `sender_traced`: the traced process sends it, so that its close is the stream's end."""

    def __init__(
        self, flow: Flow, sink: Sink, *, keep: int = MAX_BODY_KEPT, joined: bool = False, sender_traced: bool = False
    ) -> None:
        self.state = State.LOST if joined else State.START
        self.message: Message | None = None  # that is being read
        self.position = -1  # of the next byte; -1 before the first event
        self.first_position = 0
        self.losses: list[Loss] = []  # since the last message
        self._flow: Flow = flow
        self._sink = sink
        self._keep = keep
        self._sender_traced = sender_traced
        self._grammar = GRAMMARS[flow]
        self._head = HeadReader(self._grammar)
        self._settled = -1  # where `_settle_hunt` last began
        self._hunt = Hunt(self._grammar.start_line)
        self._body: BodyReader | None = None
        self._data = b""  # what is being read, and where it stands
        self._base = 0
        self._time = 0
        self._began = 0  # when the byte was seen that begins the next message, if not now
        self._edge = False  # `_data` begins where a read or write began
        self._fresh = not joined  # neither a message nor a loss yet
        self._unframed = "joined-midstream" if joined else "unframed"
        self.late = joined  # a hole since the last message, of which not even is known when its bytes passed
        self.hidden = 0  # start lines that may have passed unseen since the last message, at most
        self._behind_hole = False  # and perhaps one more, whose end comes next
        self.doubt = joined  # the framing was lost since the last message
        self._skipped = False  # and a whole start line with it
        self._before = _NOTHING  # all that, when the present message began
        self._held: list[StreamEvent] = []
        self._held_bytes = 0
        self._hand_over_next = False

    def feed(self, event: StreamEvent) -> None:
        """Take the next event of the direction. Its positions may begin anywhere (a cut file, a later segment)."""
        if self.position < 0:
            self.position = self.first_position = event.position
            self._hunt.miss(event.position)
        if type(event) is Bytes:
            position, time, data = event.position, event.time, event.data
            if position != self.position:  # positions join up; where they do not, that is a gap like any other
                self._jump(event)
            if self._behind_hole:
                self._behind_hole = False
                self.hidden += self._grammar.start_line.may_end(data)
            if self.message is not None:
                self.message.carried(position, time)
            self._data, self._base, self._time, self._edge = data, position, time, True
            self._run(0)
            self.position = position + len(data)
        elif type(event) is Gap:
            if event.length != 0:
                before = self.hidden
                self._note_hole(event, before)
                TRANSITIONS[self.state].miss(self, event)
                self._note_hole(event, min(before, self.hidden))  # a message may have begun just before the hole
                self.position = event.position + (event.length or 0)
                self._hunt.miss(self.position)
        elif type(event) is Eof:
            TRANSITIONS[self.state].end(self, event)

    @property
    def at_rest(self) -> bool:
        """Whether it is between two messages, and nothing before would be stated on the next."""
        return self.state is State.START and not (
            self.losses or self.doubt or self.late or self._skipped or self._began or self._hand_over_next
        )

    def _jump(self, event: Bytes) -> None:
        if event.position > self.position:
            hole = event.position - self.position
            gap = Gap(self.position, event.time, hole, "unknown")
            self._note_hole(gap, self.hidden)
            TRANSITIONS[self.state].miss(self, gap)
        self._hunt.miss(event.position)

    @property
    def most_hidden(self) -> int:
        """So many start lines may have passed unseen since the last message, at most."""
        return self.hidden + self._behind_hole

    @property
    def passed_a_body(self) -> bool:
        """Whether what came before the start line that was found cannot be the end of a head."""
        return self._hunt.passed_a_body

    def _note_hole(self, gap: Gap, before: int) -> None:
        self.late |= gap.reason in WHEN_UNKNOWN
        self.hidden = before + (MAX_HIDDEN if gap.length is None else gap.length // self._grammar.start_line.least)
        self._behind_hole = True

    def _read(self, data: bytes, position: int, time: int, *, edge: bool) -> None:
        self._data, self._base, self._time, self._edge = data, position, time, edge
        self._run(0)

    def _run(self, at: int) -> None:
        while at < len(self._data):
            at = TRANSITIONS[self.state].read(self, at)
        self._data = b""

    def _reread(self, seen: bytes, position: int) -> int:
        """Go on with `seen`, which ends where `_data` ends, as if it came now."""
        self._data, self._base, self._edge = seen, position, False
        return 0

    # START

    def _read_start(self, at: int) -> int:
        data = self._data
        if data[at] in b"\r\n":
            return self._skip_empty_lines(at)
        position = self._base + at
        self.message = message = Message(self._flow, position, self._began or self._time)
        if self._began:
            message.carried(position, self._time)
            self._began = 0
        losses = self.losses
        before = self.doubt or self.late or losses
        self._before = _Before(tuple(losses), self.late, self.doubt, self._skipped, self.hidden) if before else _NOTHING
        self._sink.began(message, losses, doubt=self.doubt, skipped=self._skipped)
        if losses:
            self.losses = []
        self.doubt = self.late = self._skipped = False
        self.hidden = 0
        stop = data.find(b"\r\n\r\n", at, at + MAX_HEAD_BYTES) + 4
        if stop > 3:  # most heads come whole and without any deviation
            raw = data[at:stop]
            if strict := self._grammar.strict(raw):
                return self._after_head(strict[0], strict[1], raw, stop)
        self.state = State.HEAD
        return at

    def _skip_empty_lines(self, at: int) -> int:
        """§2.2: a server should ignore at least one empty line before a request line; both sides are read so."""
        match = _EMPTY_LINES.match(self._data, at)
        stop = match.end() if match else at + 1
        self._lose_bytes("empty-lines", self._base + at, stop - at)
        return stop

    def _miss_start(self, gap: Gap) -> None:
        """A gap between messages: at least one start line lies in it."""
        self._fresh = False
        self.losses.append(Loss("gap", gap.position, gap.length, gap.reason, gap.detail))
        self._skipped = True
        self._lose()
        self._sink.skipped(self.losses, sure=True)

    # HEAD

    def _read_head(self, at: int) -> int:
        gathered_before = len(self._head.buffer)
        verdict = self._head.feed(self._data[at:] if at else self._data)
        if verdict is Gathered.MORE:
            return len(self._data)
        position = self._base + at - gathered_before  # of the head, as far as no hole is in it
        if verdict is Gathered.WHOLE:
            return self._finish_head(at - gathered_before)
        if verdict is Gathered.NOT_A_START:
            return self._not_a_start(self._head.take(), position)
        if verdict is Gathered.LOST:
            hole = self._head.after_hole
            self._keep_partial_head(hole)
            after = self._head.take()[hole:]
            self._lose()
            self._reread(after, self._base + len(self._data) - len(after))
            self._edge = True
            self._hunt.miss(self._base)
            return 0
        return self._refuse_head()

    def _finish_head(self, began_at: int) -> int:
        """The head is whole. `began_at`: where it began, as an index into `_data` (negative if before it)."""
        reader = self._head
        head, size = reader.head, reader.size
        assert head is not None
        gathered = reader.take()
        stop = began_at + size
        if stop < 0:  # it turned out to end in an earlier read
            self._reread(gathered[size:], self._base + stop)
            stop = 0
        return self._after_head(head, self._grammar.declare(head), gathered[:size], stop)

    def _refuse_head(self) -> int:
        """A head that is too large is not kept whole, and where it ends is not looked for."""
        message = self._message()
        message.problem("head-too-large", message.position, len(self._head.buffer))
        message.gap = True
        self._keep_partial_head()
        self._head.clear()
        self._lose()
        return len(self._data)

    def _keep_partial_head(self, size: int | None = None) -> None:
        """What a head that was cut still tells: the start line, and the fields whose lines are whole. `size`: of what
        was gathered only so much is its own."""
        message = self._message()
        message.raw_head = bytes(self._head.buffer[:size])
        message.head = head = self._head.partial()
        if head is not None:
            message.declared = self._grammar.declare(head)
            message.problems.extend(head.problems)
            self._sink.framing(message)

    def _not_a_start(self, seen: bytes, position: int) -> int:
        """`seen` is no start line: another protocol, or garbage between messages, or a body without a head."""
        message = self._message()
        if (head := self._sink.headless(message)) is not None:
            self._reread(seen, position)
            return self._after_head(head, NOTHING_DECLARED, b"", 0)
        self.message = None
        losses, self.late, self.doubt, self._skipped, self.hidden = self._before
        self.losses = [*losses]
        self._sink.dropped(message)
        if self._hand_over_next or (self._fresh and self._sink.foreign(seen)):
            self.state = State.HANDED
            return len(self._data)
        self._fresh = False
        self._lose()
        return self._reread(seen, position)

    def _miss_head(self, gap: Gap) -> None:
        to_the_end = self._head.to_the_end()
        if gap.length is not None and self._head.miss():
            self._state_gap(gap)
            # Or so it seems: if the hole has room for a beginning, what follows may as well be of a later head.
            self.doubt |= gap.length > to_the_end
            return
        # What was seen since the head's first hole is not all of its rest; it may be the beginning of the next message.
        after = bytes(self._head.buffer[self._head.after_hole :]) if self._head.after_hole else b""
        self._keep_partial_head(self._head.after_hole or None)
        self._head.clear()
        self._lose()
        if after:
            self._hunt.miss(gap.position - len(after))
            self._read(after, gap.position - len(after), self._time, edge=True)
            TRANSITIONS[self.state].miss(self, gap)
        else:
            self._state_gap(gap)

    def _end_head(self, eof: Eof) -> None:
        if self.settle_simple():
            TRANSITIONS[self.state].end(self, eof)
            return
        self._keep_partial_head()
        self._head.clear()
        self._truncate(eof)

    def settle_simple(self) -> bool:
        """The other direction shows that no header field follows a request line without a version."""
        if self.state is not State.HEAD or self._head.settle_simple() is not Gathered.WHOLE:
            return False
        self._reread(bytes(self._head.buffer), self._message().position)
        self._run(self._finish_head(0))
        return True

    # BODY

    def _after_head(self, head: Head, declared: Declared, raw: bytes, at: int) -> int:
        """Begin the body that §6.3 says, at index `at`."""
        message = self._message()
        self._fresh = False
        message.head = head
        message.raw_head = raw
        message.declared = declared
        if head.problems or declared.problems:
            message.problems += (*head.problems, *declared.problems)
        framing = self._sink.framing(message)
        kind = framing.kind
        if kind is Kind.NONE or kind is Kind.TUNNEL:
            self._end_message(self._base + at)
            return at
        message.body = body = BodyBuilder(self._keep)
        if kind is Kind.LENGTH:
            stop = at + framing.length
            if stop <= len(self._data) and framing.certain:
                body.add(self._data, at, stop)
                self._end_message(self._base + stop)
                return stop
            self._body = LengthReader(body, framing.length)
        elif kind is Kind.CHUNKED:
            self._body = ChunkedReader(body, self._flow, self._base + at - message.position)
        elif kind is Kind.CLOSE:
            self._body = CloseReader(body)
        else:
            self._lose()
            return at
        self.state = State.BODY if framing.certain else State.EXPECTED
        return at

    def _read_body(self, at: int) -> int:
        body = self._body
        assert body is not None
        stop = body.read(self._data, at)
        if body.outcome is Outcome.DONE:
            back = body.give_back()
            self._leave_body()
            position = self._base + stop - len(back)
            self._end_message(position)
            if back:
                return self._reread(back + self._data[stop:], position)
        elif body.outcome is Outcome.LOST:
            self._leave_body()
            self._lose()
        return stop

    def _miss_body(self, gap: Gap) -> None:
        """A sized gap is skipped exactly where it can be; what it leaves over lies between messages."""
        body = self._body
        assert body is not None
        inside = body.miss(gap.length)
        if body.outcome is not Outcome.DONE:
            self._state_gap(gap)
            if body.outcome is Outcome.LOST:
                self._leave_body()
                self._lose()
            return
        self._state_gap(Gap(gap.position, gap.time, inside, gap.reason, gap.detail))
        self._leave_body()
        self._end_message(gap.position + inside)
        if gap.length is not None and gap.length > inside:
            rest = Gap(gap.position + inside, gap.time, gap.length - inside, gap.reason, gap.detail)
            TRANSITIONS[self.state].miss(self, rest)

    def _end_body(self, eof: Eof) -> None:
        body = self._body
        assert body is not None
        whole = body.end(orderly=self._orderly(eof))
        self._leave_body()
        if whole:
            self._end_message(eof.position)
            self.state = State.ENDED
        else:
            self._truncate(eof)

    def _leave_body(self) -> None:
        message = self._message()
        body = self._body
        assert body is not None
        message.trailers = body.trailers
        if body.problems:
            message.problems.extend(body.problems)
        self._body = None

    def _end_message(self, position: int) -> None:
        message = self._message()
        message.end_position = position
        message.ended = True
        self.message = None
        self.state = State.HANDED if self._hand_over_next else State.START
        self._sink.ended(message)

    # EXPECTED

    def expect(self) -> None:
        """The final status came before the announced body: what comes next may be the next request already."""
        if self.state is State.BODY and self._body is not None and self._body.untouched:
            self.state = State.EXPECTED

    def _read_expected(self, at: int) -> int:
        """RFC 9110 §10.1.1: a client that gets a final status may leave the body out. §6.3(1): if nobody knows what was
        asked, it may have been HEAD."""
        before = len(self._head.buffer)
        self._head.buffer += self._data[at:]
        start_line = self._grammar.start_line
        verdict = start_line.may_begin(self._head.buffer) and start_line.judge(self._head.buffer, 0)
        if verdict is None:
            return len(self._data)
        position = self._base + at - before
        self._reread(self._head.take(), position)
        if verdict:
            self._withhold_body(position)
        else:
            self.state = State.BODY
        return 0

    def _withhold_body(self, position: int) -> None:
        self._leave_body()
        message = self._message()
        message.body = None
        if self._flow == "request":
            message.problem("body-withheld", position)
        self._end_message(position)

    def _miss_expected(self, gap: Gap) -> None:
        if self._flow == "response" and not self._head.buffer:  # what is missing may be the next message
            self._state_gap(gap)
            self._leave_body()
            self._lose()
            return
        self._body_after_all()
        TRANSITIONS[self.state].miss(self, gap)

    def _end_expected(self, eof: Eof) -> None:
        if self._head.buffer or self._flow == "response":
            self._body_after_all()
            TRANSITIONS[self.state].end(self, eof)
            return
        self._withhold_body(eof.position)
        self.state = State.ENDED

    def _body_after_all(self) -> None:
        seen = self._head.take()
        self.state = State.BODY
        self._read(seen, self.position - len(seen), self._time, edge=False)

    # LOST

    def _lose(self) -> None:
        self.doubt = True
        self.state = State.LOST

    def _read_lost(self, at: int) -> int:
        """Look for the next believable start line; what lies before it is counted, not kept."""
        before = self._hunt.position
        data = self._data[at:] if at else self._data
        if not self._hunt.buffer:
            before = self._base + at
        found, passed = self._hunt.feed(data, self._base + at, self._time, self._believe, edge=self._edge and not at)
        self._lose_bytes(self._unframed, before, passed)
        self._count_refused()
        if not found:
            return len(self._data)
        self._began = self._hunt.time
        self._reread(self._hunt.take(), before + passed)
        self.state = State.START
        self._close_lost_message(before + passed)
        return 0

    def _count_refused(self) -> None:
        """What was not believed may have been a start line all the same."""
        if self._hunt.refused:
            self.hidden += self._hunt.refused
            self._hunt.refused = 0

    def settle_start(self) -> None:
        """The other direction shows that a message began, of which perhaps only the beginning was seen."""
        if self.state is State.LOST and self._hunt.buffer:
            self._settle_hunt()

    def _believe(self, position: int, at_edge: bool) -> bool:
        return self._sink.supports_start(in_message=self.message is not None, at_edge=at_edge)

    def _lose_bytes(self, code: str, position: int, length: int) -> None:
        """Bytes that were seen and belong to no known part of a message."""
        if not length:
            return
        last = self.losses[-1] if self.losses else None
        if last and last.code == code and last.length is not None and last.position + last.length == position:
            self.losses[-1] = Loss(code, last.position, last.length + length)
        else:
            self.losses.append(Loss(code, position, length))

    def _close_lost_message(self, position: int) -> None:
        """End the damaged message, if there is one, where the next begins; the bytes passed over are its own."""
        self._unframed = "unframed"
        message = self.message
        if message is None:
            return
        message.gap = True
        message.state_losses(self.losses)
        self.losses = []
        self._end_message(position)

    def _miss_lost(self, gap: Gap) -> None:
        if self._settle_hunt():
            TRANSITIONS[self.state].miss(self, gap)
            return
        self._flush_hunt()
        if self.message is not None:
            self._state_gap(gap)
        else:
            self.losses.append(Loss("gap", gap.position, gap.length, gap.reason, gap.detail))
            self._skipped = True
            self._sink.skipped(self.losses, sure=False)

    def _settle_hunt(self) -> bool:
        """A gap or the end comes: a start line that waited for the line behind it is believed as far as it goes."""
        before = self._hunt.position
        found, passed = self._hunt.settle(self._believe)
        self._lose_bytes(self._unframed, before, passed)
        self._count_refused()
        if not found or self._settled == before + passed:
            return False  # the second time: it was refused before
        self._settled = before + passed
        self.state = State.START
        self._close_lost_message(before + passed)
        self._began = self._hunt.time
        self._read(self._hunt.take(), before + passed, self._time, edge=False)
        return True

    def pass_over(self) -> list[Loss]:
        """Give up what was seen since the framing was lost; the losses that are on no message yet."""
        if self.state is not State.LOST or self.message is not None:
            return []
        self._flush_hunt()
        losses = [*self.losses]
        self.losses.clear()  # whoever else knows the list need not state them
        return losses

    def _flush_hunt(self) -> None:
        rest = self._hunt.take()
        self._lose_bytes(self._unframed, self._hunt.position, len(rest))

    def _end_lost(self, eof: Eof) -> None:
        if self._settle_hunt():
            TRANSITIONS[self.state].end(self, eof)
            return
        self._flush_hunt()
        self._close_lost_message(eof.position)
        self.state = State.ENDED

    # HELD and HANDED

    def hold(self) -> None:
        """Keep what comes until `release` or `hand_over`, because the other direction says what it is."""
        if self.state is State.START:
            self.state = State.HELD

    def release(self) -> None:
        """Read what was held as HTTP/1."""
        self.state = State.START
        held, self._held, self._held_bytes = self._held, [], 0
        for event in held:
            self.feed(event)

    def abandon(self) -> None:
        """Nobody will say what the held bytes are."""
        if self._held_bytes:
            first = next(event for event in self._held if isinstance(event, Bytes))
            self.losses.append(Loss("undecided-tunnel", first.position, self._held_bytes))
        gaps = (event for event in self._held if isinstance(event, Gap))
        self.losses += [Loss("gap", gap.position, gap.length, gap.reason, gap.detail) for gap in gaps]
        self._held, self._held_bytes = [], 0
        self.state = State.ENDED

    def hand_over(self) -> None:
        """What comes after the message that is being read, if any, belongs to another protocol."""
        self._held, self._held_bytes = [], 0
        if self.message is not None:
            self._hand_over_next = True
        else:
            self.state = State.HANDED

    def _read_held(self, at: int) -> int:
        self._held.append(Bytes(self._base + at, self._time, self._data[at:]))
        self._held_bytes += len(self._data) - at
        if self._held_bytes > MAX_HELD_BYTES:
            self.abandon()
            self._lose()
        return len(self._data)

    def _hold_event(self, event: Gap | Eof) -> None:
        self._held.append(event)

    # everywhere

    def _message(self) -> Message:
        assert self.message is not None
        return self.message

    def _state_gap(self, gap: Gap) -> None:
        """Say what is missing from the present message."""
        message = self._message()
        message.gap = True
        message.problem("gap", gap.position, gap.length, gap.reason, gap.detail)

    def _truncate(self, eof: Eof) -> None:
        """§8: what was seen of an incomplete message is kept."""
        message = self._message()
        message.truncated = "truncated-by-end" if eof.how == "end-of-capture" else "truncated-by-close"
        message.problem("truncated", eof.position, detail=eof.how)
        self._end_message(eof.position)
        self.state = State.ENDED

    def _orderly(self, eof: Eof) -> bool:
        """Whether `eof` is the sender's own end: a FIN, or its close or exit where the sender is the traced process."""
        return eof.how == "fin" or (self._sender_traced and eof.how in ("close", "process-exit"))

    def _finish(self, eof: Eof) -> None:
        self.state = State.ENDED

    def _pass_over(self, at: int) -> int:
        return len(self._data)

    def _ignore(self, event: Gap | Eof) -> None:
        """Nothing of it is HTTP/1's."""


class Row(NamedTuple):
    """What a state does with seen bytes (from an index on; returns the next), with missing bytes, with the end."""

    read: Callable[[Framer, int], int]
    miss: Callable[[Framer, Gap], None]
    end: Callable[[Framer, Eof], None]


TRANSITIONS: Final[dict[State, Row]] = {
    State.START: Row(Framer._read_start, Framer._miss_start, Framer._finish),
    State.HEAD: Row(Framer._read_head, Framer._miss_head, Framer._end_head),
    State.BODY: Row(Framer._read_body, Framer._miss_body, Framer._end_body),
    State.EXPECTED: Row(Framer._read_expected, Framer._miss_expected, Framer._end_expected),
    State.LOST: Row(Framer._read_lost, Framer._miss_lost, Framer._end_lost),
    State.HELD: Row(Framer._read_held, Framer._hold_event, Framer._hold_event),
    State.HANDED: Row(Framer._pass_over, Framer._ignore, Framer._finish),
    State.ENDED: Row(Framer._pass_over, Framer._ignore, Framer._ignore),
}
