"""One direction of a connection while it is read: what is known of it, and the moves that all its states share.

What a state does with seen bytes, with missing bytes and with the end is in the modules `state_…`; `framer` has the
table of them all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import ClassVar, Final, NamedTuple

from replay.http1.body_readers import BodyReader
from replay.http1.grammar import GRAMMARS
from replay.http1.head_reader import HeadReader
from replay.http1.limits import MAX_BODY_KEPT, MAX_HIDDEN
from replay.http1.message import Loss, Message
from replay.http1.resync import Hunt
from replay.http1.sink import Sink
from replay.stream import Bytes, Eof, Flow, Gap, StreamEvent

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


class Before(NamedTuple):
    """What is known of the bytes since the last message."""

    losses: tuple[Loss, ...]
    late: bool
    doubt: bool
    skipped: bool
    hidden: int


NOTHING_BEFORE: Final = Before((), False, False, False, 0)


class Row(NamedTuple):
    """What a state does with seen bytes (from an index on; returns the next), with missing bytes, with the end."""

    read: Callable[[Direction, int], int]
    miss: Callable[[Direction, Gap], None]
    end: Callable[[Direction, Eof], None]


class Direction:
    """Reads one direction. `sender_traced`: the traced process sends it, so that its close is the stream's end."""

    rows: ClassVar[Mapping[State, Row]]

    def __init__(
        self, flow: Flow, sink: Sink, *, keep: int = MAX_BODY_KEPT, joined: bool = False, sender_traced: bool = False
    ) -> None:
        self.state = State.LOST if joined else State.START
        self.message: Message | None = None  # that is being read
        self.position = -1  # of the next byte; -1 before the first event
        self.first_position = 0
        self.losses: list[Loss] = []  # since the last message
        self.flow: Flow = flow
        self.sink = sink
        self.keep = keep
        self.sender_traced = sender_traced
        self.grammar = GRAMMARS[flow]
        self.head = HeadReader(self.grammar)
        self.settled = -1  # where the search last began
        self.hunt = Hunt(self.grammar.start_line)
        self.body: BodyReader | None = None
        self.data = b""  # what is being read, and where it stands
        self.base = 0
        self.time = 0
        self.began = 0  # when the byte was seen that begins the next message, if not now
        self.edge = False  # `data` begins where a read or write began
        self.fresh = not joined  # neither a message nor a loss yet
        self.unframed = "joined-midstream" if joined else "unframed"
        self.late = joined  # a hole since the last message, of which not even is known when its bytes passed
        self.hidden = 0  # start lines that may have passed unseen since the last message, at most
        self.behind_hole = False  # and perhaps one more, whose end comes next
        self.doubt = joined  # the framing was lost since the last message
        self.skipped = False  # and a whole start line with it
        self.before = NOTHING_BEFORE  # all that, when the present message began
        self.held: list[StreamEvent] = []
        self.held_bytes = 0
        self.hand_over_next = False

    def feed(self, event: StreamEvent) -> None:
        """Take the next event of the direction. Its positions may begin anywhere (a cut file, a later segment)."""
        if self.position < 0:
            self.position = self.first_position = event.position
            self.hunt.miss(event.position)
        if type(event) is Bytes:
            position, time, data = event.position, event.time, event.data
            if position != self.position:  # positions join up; where they do not, that is a gap like any other
                self._jump(event)
            if self.behind_hole:
                self.behind_hole = False
                self.hidden += self.grammar.start_line.may_end(data)
            if self.message is not None:
                self.message.carried(position, time)
            self.data, self.base, self.time, self.edge = data, position, time, True
            self.run(0)
            self.position = position + len(data)
        elif type(event) is Gap:
            if event.length != 0:
                before = self.hidden
                self._note_hole(event, before)
                self.miss(event)
                self._note_hole(event, min(before, self.hidden))  # a message may have begun just before the hole
                self.position = event.position + (event.length or 0)
                self.hunt.miss(self.position)
        elif type(event) is Eof:
            self.end(event)

    @property
    def at_rest(self) -> bool:
        """Whether it is between two messages, and nothing before would be stated on the next."""
        return self.state is State.START and not (
            self.losses or self.doubt or self.late or self.skipped or self.began or self.hand_over_next
        )

    def _jump(self, event: Bytes) -> None:
        if event.position > self.position:
            hole = event.position - self.position
            gap = Gap(self.position, event.time, hole, "unknown")
            self._note_hole(gap, self.hidden)
            self.miss(gap)
        self.hunt.miss(event.position)

    @property
    def most_hidden(self) -> int:
        """So many start lines may have passed unseen since the last message, at most."""
        return self.hidden + self.behind_hole

    @property
    def passed_a_body(self) -> bool:
        """Whether what came before the start line that was found cannot be the end of a head."""
        return self.hunt.passed_a_body

    def _note_hole(self, gap: Gap, before: int) -> None:
        self.late |= gap.reason in WHEN_UNKNOWN
        self.hidden = before + (MAX_HIDDEN if gap.length is None else gap.length // self.grammar.start_line.least)
        self.behind_hole = True

    def read(self, data: bytes, position: int, time: int, *, edge: bool) -> None:
        """Read bytes that were gathered before: they stand at `position`."""
        self.data, self.base, self.time, self.edge = data, position, time, edge
        self.run(0)

    def run(self, at: int) -> None:
        """Read `data` from an index on, state by state."""
        while at < len(self.data):
            at = self.rows[self.state].read(self, at)
        self.data = b""

    def reread(self, seen: bytes, position: int) -> int:
        """Go on with `seen`, which ends where `data` ends, as if it came now."""
        self.data, self.base, self.edge = seen, position, False
        return 0

    def end_message(self, position: int) -> None:
        """The message that is being read ends at `position`."""
        message = self.being_read()
        message.end_position = position
        message.ended = True
        self.message = None
        self.state = State.HANDED if self.hand_over_next else State.START
        self.sink.ended(message)

    def lose(self) -> None:
        """The framing is lost."""
        self.doubt = True
        self.state = State.LOST

    def lose_bytes(self, code: str, position: int, length: int) -> None:
        """Bytes that were seen and belong to no known part of a message."""
        if not length:
            return
        last = self.losses[-1] if self.losses else None
        if last and last.code == code and last.length is not None and last.position + last.length == position:
            self.losses[-1] = Loss(code, last.position, last.length + length)
        else:
            self.losses.append(Loss(code, position, length))

    def being_read(self) -> Message:
        """The message that is being read: there is one in every state but START, LOST and the last three."""
        assert self.message is not None
        return self.message

    def state_gap(self, gap: Gap) -> None:
        """Say what is missing from the present message."""
        message = self.being_read()
        message.gap = True
        message.problem("gap", gap.position, gap.length, gap.reason, gap.detail)

    def truncate(self, eof: Eof) -> None:
        """§8: what was seen of an incomplete message is kept."""
        message = self.being_read()
        message.truncated = "truncated-by-end" if eof.how == "end-of-capture" else "truncated-by-close"
        message.problem("truncated", eof.position, detail=eof.how)
        self.end_message(eof.position)
        self.state = State.ENDED

    def is_orderly(self, eof: Eof) -> bool:
        """Whether `eof` is the sender's own end: a FIN, or its close or exit where the sender is the traced process."""
        return eof.how == "fin" or (self.sender_traced and eof.how in ("close", "process-exit"))

    def miss(self, gap: Gap) -> None:
        """Bytes were not seen: what that means in the present state."""
        self.rows[self.state].miss(self, gap)

    def end(self, eof: Eof) -> None:
        """Nothing follows: what that means in the present state."""
        self.rows[self.state].end(self, eof)

    def is_believed(self, position: int, at_edge: bool) -> bool:
        """Whether the other direction supports a start line at that position."""
        return self.sink.supports_start(in_message=self.message is not None, at_edge=at_edge)
