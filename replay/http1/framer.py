"""One direction of a connection in, its messages out (RFC 9112 §2.2, §6, §7, §8): a table of states, sans-IO.

`feed(Bytes | Gap | Eof)` runs the row of the present state in TRANSITIONS; a row says what seen bytes, missing bytes
and the end mean there. What follows a head is asked of the `Sink`, which knows the other direction. A gap is never
filled: where the framing survives it, it is skipped exactly; where not, the state is LOST until a believable start
line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from enum import Enum, auto
from typing import Final, NamedTuple, Protocol

from msgspec import Struct

from replay.http1.bodies import BodyBuilder
from replay.http1.chunked import Chunk, ChunkedReader
from replay.http1.framing import Framing, Kind
from replay.http1.grammar import GRAMMARS
from replay.http1.heads import RequestHead, ResponseHead
from replay.http1.limits import MAX_BODY_KEPT, MAX_HEAD_BYTES, MAX_HELD_BYTES, MAX_START_LINE_BYTES
from replay.http1.message import Message
from replay.http1.resync import HINT_BYTES
from replay.stream import Bytes, Eof, Flow, Gap, StreamEvent

_EMPTY_LINES: Final = re.compile(rb"[\r\n]+")
_HEAD_END: Final = re.compile(rb"\n\r?\n")


class State(Enum):
    """Where in a direction the next byte stands."""

    START = auto()  # between messages
    HEAD = auto()  # in a start line or in header fields
    LENGTH = auto()  # in a body of known length
    CHUNKED = auto()
    CLOSE = auto()  # in a body that the end of the direction ends
    LOST = auto()  # the framing is not known; looking for the next start line
    HELD = auto()  # the other direction must first say what the bytes are (after CONNECT, after Expect)
    HANDED = auto()  # the bytes belong to another protocol
    ENDED = auto()


class Loss(Struct, frozen=True):
    """Bytes of no message that has been begun."""

    code: str
    position: int
    length: int | None
    reason: str = ""
    detail: str = ""


class Sink(Protocol):
    """Who is told of the messages of one direction."""

    def began(self, message: Message, losses: list[Loss], *, doubt: bool, skipped: bool) -> None:
        """A start line begins. `losses` came before it; with `doubt` the framing was lost since the last message,
        with `skipped` at least one whole start line went by unseen."""

    def framing(self, message: Message) -> Framing:
        """Which body follows its head."""

    def ended(self, message: Message) -> None:
        """Nothing more of it will come."""

    def dropped(self, message: Message) -> None:
        """It was no message after all."""

    def supports_start(self, *, in_message: bool, at_edge: bool) -> bool:
        """Whether the other direction makes a start line believable after a loss (`in_message`: the loss is in an
        unfinished message; `at_edge`: it is the first byte of a read or write)."""

    def foreign(self, first: bytes) -> bool:
        """The direction does not begin with HTTP/1. Whether it is to be given up."""


class Framer:
    """Reads one direction. `sender_traced`: the traced process sends it, so that its close is the stream's end."""

    def __init__(
        self, flow: Flow, sink: Sink, *, keep: int = MAX_BODY_KEPT, joined: bool = False, sender_traced: bool = False
    ) -> None:
        self.flow: Flow = flow
        self._grammar = GRAMMARS[flow]
        self._sender_traced = sender_traced
        self.state = State.LOST if joined else State.START
        self.message: Message | None = None
        self.position = 0  # of the next byte
        self.losses: list[Loss] = []
        self._sink = sink
        self._keep = keep
        self._fresh = True  # no message and no loss yet
        self._data = b""
        self._base = 0
        self._time = 0
        self._buffer = bytearray()  # HEAD: the head so far; LOST: what may still be the beginning of a start line
        self._scanned = 0
        self._line_read = False
        self._remaining = 0
        self._chunks: ChunkedReader | None = None
        self._edge = 0  # LOST: where the last read or write began
        self._doubt = joined
        self._skipped = False
        self._held: list[StreamEvent] = []
        self._held_bytes = 0

    def feed(self, event: StreamEvent) -> None:
        """Take the next event of the direction."""
        if isinstance(event, Bytes):
            self._expect_position(event)
            self._take(event.data, event.position, event.time)
            self.position = event.position + len(event.data)
        elif isinstance(event, Gap):
            if event.length != 0:
                TRANSITIONS[self.state].miss(self, event)
                self.position = event.position + (event.length or 0)
        else:
            TRANSITIONS[self.state].end(self, event)

    def _expect_position(self, event: Bytes) -> None:
        """Positions join up; where they do not, the hole is a gap like any other."""
        if event.position > self.position:
            unnamed = Gap(self.position, event.time, event.position - self.position, "unknown")
            TRANSITIONS[self.state].miss(self, unnamed)

    def _take(self, data: bytes, position: int, time: int) -> None:
        if self.message is not None:
            self.message.carried(position, time)
        self._data, self._base, self._time = data, position, time
        at = 0
        while at < len(self._data):
            at = TRANSITIONS[self.state].read(self, at)
        self._data = b""

    # START

    def _read_start(self, at: int) -> int:
        data = self._data
        if data[at] in b"\r\n":
            stop = self._skip_empty_lines(at)
            if stop == len(data):
                return stop
            at = stop
        self._begin(self._base + at)
        stop = data.find(b"\r\n\r\n", at) + 4
        if stop > 3:
            raw = data[at:stop] if at or stop < len(data) else data
            if raw.find(b"\n\r\n") + 3 == len(raw) and b"\n\n" not in raw:
                return self._read_whole_head(raw, at)
        self.state = State.HEAD
        self._buffer.clear()
        self._scanned = 0
        self._line_read = False
        return at

    def _skip_empty_lines(self, at: int) -> int:
        """§2.2: a server should ignore at least one empty line before a request line; both sides are read so."""
        match = _EMPTY_LINES.match(self._data, at)
        stop = match.end() if match else at
        if not self.losses or self.losses[-1].code != "empty-lines":
            self.losses.append(Loss("empty-lines", self._base + at, stop - at))
        else:
            before = self.losses.pop()
            self.losses.append(Loss("empty-lines", before.position, (before.length or 0) + stop - at))
        return stop

    def _begin(self, position: int) -> None:
        self.message = message = Message(self.flow, position, self._time)
        self._sink.began(message, self.losses, doubt=self._doubt, skipped=self._skipped)
        if self.losses:
            self.losses = []
        self._doubt = self._skipped = False

    def _miss_start(self, gap: Gap) -> None:
        """A gap between messages: at least one start line lies in it."""
        self._state_gap(gap)
        self._skipped = True
        self._lose()

    # HEAD

    def _read_whole_head(self, raw: bytes, at: int) -> int:
        head = self._grammar.parse(raw)
        if head is None:
            return self._not_a_start(raw, at)
        return self._after_head(head, raw, at + len(raw))

    def _read_head(self, at: int) -> int:
        """Gather the head until its empty line. From here on `_data` is all of the head that was seen."""
        self._base += at - len(self._buffer)
        self._buffer += self._data[at:]
        match = _HEAD_END.search(self._buffer, max(self._scanned - 2, 0))
        self._scanned = len(self._buffer)
        if not self._line_read and (refused := self._read_first_line()) is not None:
            return refused
        if match is None and len(self._buffer) > MAX_HEAD_BYTES:
            return self._refuse_head("head-too-large")
        if match is None:
            self._data = b""
            return 0
        self._data = bytes(self._buffer)
        self._buffer.clear()
        return self._read_whole_head(self._data[: match.end()], 0)

    def _read_first_line(self) -> int | None:
        """Look at the start line as soon as it can be judged; the index to go on from if it is none."""
        stop = self._buffer.find(b"\n") + 1
        if not stop:
            if not self._grammar.may_start(self._buffer):
                return self._give_back_head()
            return self._refuse_head("start-line-too-long") if len(self._buffer) > MAX_START_LINE_BYTES else None
        self._line_read = True
        if self._grammar.parse(bytes(self._buffer[:stop])) is None:
            return self._give_back_head()
        return None

    def _give_back_head(self) -> int:
        self._data = bytes(self._buffer)
        self._buffer.clear()
        return self._not_a_start(self._data, 0)

    def _refuse_head(self, code: str) -> int:
        """A head that is too large is not kept, and where it ends is not looked for."""
        message = self.message
        assert message is not None
        message.problem(code, message.position, len(self._buffer))
        self._keep_partial_head(bytes(self._buffer))
        self._buffer.clear()
        self._data = b""
        self._lose()
        return 0

    def _keep_partial_head(self, raw: bytes) -> None:
        """What a head that was cut still tells: the start line, and the fields whose lines are whole."""
        message = self.message
        assert message is not None
        whole = raw[: raw.rfind(b"\n") + 1]
        message.head = self._grammar.parse(whole) if whole else self._grammar.parse_cut_line(raw)
        message.raw_head = raw
        message.declared = self._grammar.declare(message.head) if message.head else message.declared
        message.problems.extend(message.head.problems if message.head else ())

    def _not_a_start(self, seen: bytes, at: int) -> int:
        """The bytes from `at` are no start line: another protocol, or garbage between messages."""
        message = self.message
        assert message is not None
        self.message = None
        self._sink.dropped(message)
        if self._fresh and self._sink.foreign(seen):
            self.state = State.HANDED
            return len(self._data)
        self._fresh = False
        self._lose()
        return at

    def _miss_head(self, gap: Gap) -> None:
        self._keep_partial_head(bytes(self._buffer))
        self._buffer.clear()
        self._state_gap(gap)
        self._lose()

    def _end_head(self, eof: Eof) -> None:
        self._keep_partial_head(bytes(self._buffer))
        self._buffer.clear()
        self._truncate(eof)

    def _after_head(self, head: RequestHead | ResponseHead, raw: bytes, at: int) -> int:
        message = self.message
        assert message is not None
        self._fresh = False
        message.head = head
        message.raw_head = raw
        message.declared = self._grammar.declare(head)
        message.problems.extend(head.problems)
        message.problems.extend(message.declared.problems)
        self._enter(message, self._sink.framing(message), self._base + at)
        return at

    def _enter(self, message: Message, framing: Framing, position: int) -> None:
        """Begin the body that `framing` says."""
        kind = framing.kind
        if kind is Kind.NONE or kind is Kind.TUNNEL:
            self._end_message(position)
            return
        message.body = BodyBuilder(self._keep)
        if kind is Kind.LENGTH:
            self._remaining = framing.length
            self.state = State.LENGTH
        elif kind is Kind.CHUNKED:
            self._chunks = ChunkedReader(message.body, self.flow, position - message.position)
            self.state = State.CHUNKED
        elif kind is Kind.CLOSE:
            self.state = State.CLOSE
        else:
            self._lose()

    def _end_message(self, position: int) -> None:
        message = self.message
        assert message is not None
        message.end_position = position
        message.ended = True
        self.message = None
        self.state = State.START
        self._sink.ended(message)

    # LENGTH

    def _read_length(self, at: int) -> int:
        assert self.message is not None
        assert self.message.body is not None
        stop = min(len(self._data), at + self._remaining)
        self.message.body.add(self._data, at, stop)
        self._remaining -= stop - at
        if not self._remaining:
            self._end_message(self._base + stop)
        return stop

    def _miss_length(self, gap: Gap) -> None:
        """A sized gap is skipped exactly; what it leaves over lies between messages."""
        assert self.message is not None
        assert self.message.body is not None
        if gap.length is None:
            self._state_gap(gap)
            self._lose()
            return
        inside = min(gap.length, self._remaining)
        self._state_gap(Gap(gap.position, gap.time, inside, gap.reason, gap.detail))
        self.message.body.miss(inside)
        self._remaining -= inside
        if not self._remaining:
            self._end_message(gap.position + inside)
            self._miss_rest(gap, inside)

    def _miss_rest(self, gap: Gap, inside: int) -> None:
        if gap.length is not None and gap.length > inside:
            rest = Gap(gap.position + inside, gap.time, gap.length - inside, gap.reason, gap.detail)
            TRANSITIONS[self.state].miss(self, rest)

    # CHUNKED

    def _read_chunked(self, at: int) -> int:
        assert self._chunks is not None
        stop = self._chunks.feed(self._data, at)
        if self._chunks.state is Chunk.DONE:
            self._leave_chunks()
            self._end_message(self._base + stop)
        elif self._chunks.state is Chunk.LOST:
            self._leave_chunks()
            self._lose()
        return stop

    def _leave_chunks(self) -> None:
        assert self.message is not None
        assert self._chunks is not None
        self.message.trailers = self._chunks.trailers
        self.message.problems.extend(self._chunks.problems)
        self._chunks = None

    def _miss_chunked(self, gap: Gap) -> None:
        assert self._chunks is not None
        self._state_gap(gap)
        if gap.length is None:
            self._leave_chunks()
            self._lose()
            return
        self._chunks.miss(gap.length)
        if self._chunks.state is Chunk.LOST:
            self._leave_chunks()
            self._lose()

    def _end_chunked(self, eof: Eof) -> None:
        assert self._chunks is not None
        assert self.message is not None
        whole = self._chunks.only_last_line_end_missing
        self._leave_chunks()
        if whole:
            self.message.problem("missing-last-crlf", eof.position)
            self._end_message(eof.position)
            self.state = State.ENDED
        else:
            self._truncate(eof)

    # CLOSE

    def _read_close(self, at: int) -> int:
        assert self.message is not None
        assert self.message.body is not None
        self.message.body.add(self._data, at, len(self._data))
        return len(self._data)

    def _miss_close(self, gap: Gap) -> None:
        assert self.message is not None
        assert self.message.body is not None
        self._state_gap(gap)
        self.message.body.miss(gap.length or 0)

    def _end_close(self, eof: Eof) -> None:
        """§6.3 step 8: the body ends with the direction, if that ended in order."""
        if self._orderly(eof):
            self._end_message(eof.position)
            self.state = State.ENDED
        else:
            self._truncate(eof)

    # LOST

    def _lose(self) -> None:
        self._doubt = True
        self._fresh = False
        self._buffer.clear()
        self._scanned = 0
        self.state = State.LOST

    def _read_lost(self, at: int) -> int:
        """Look for the next believable start line; what lies before it is counted, not kept."""
        if not at:
            self._edge = self._base
        self._base += at - len(self._buffer)
        self._buffer += self._data[at:]
        found, passed = self._hunt()
        if passed:
            self._unframed(self._base, passed)
            del self._buffer[:passed]
            self._base += passed
        if not found:
            self._data = b""
            return 0
        self._data = bytes(self._buffer)
        self._buffer.clear()
        self._close_lost_message(self._base)
        self.state = State.START
        return 0

    def _hunt(self) -> tuple[bool, int]:
        """Whether a start line was found, and how many bytes of the buffer come before it or can be no part of one."""
        buffer = self._buffer
        for at in self._candidates():
            verdict = self._grammar.start_line.judge(buffer, at)
            if verdict is None:
                return False, at  # not whole yet
            if verdict and self._believable(self._base + at):
                return True, at
        return False, max(len(buffer) - HINT_BYTES, 0)

    def _candidates(self) -> Iterator[int]:
        """Where a start line may begin: at the edge of a read or write anything may, elsewhere what looks like one."""
        edge = self._edge - self._base
        if 0 <= edge < len(self._buffer):
            yield edge
        for match in self._grammar.start_line.hint.finditer(self._buffer, max(edge, 0) if edge >= 0 else 0):
            yield match.start()

    def _believable(self, position: int) -> bool:
        return self._sink.supports_start(in_message=self.message is not None, at_edge=position == self._edge)

    def _unframed(self, position: int, length: int) -> None:
        """Bytes that were seen and belong to no known part of a message."""
        problems = self.losses
        if (
            problems
            and problems[-1].code == "unframed"
            and problems[-1].position + (problems[-1].length or 0) == position
        ):
            problems[-1] = Loss("unframed", problems[-1].position, (problems[-1].length or 0) + length)
        else:
            problems.append(Loss("unframed", position, length))

    def _close_lost_message(self, position: int) -> None:
        """End the damaged message, if there is one, where the next begins; the bytes passed over are its own."""
        message = self.message
        if message is None:
            return
        for loss in self.losses:
            message.problem(loss.code, loss.position, loss.length, loss.reason, loss.detail)
        self.losses = []
        self._end_message(position)

    def _miss_lost(self, gap: Gap) -> None:
        if self._buffer:
            self._unframed(self._base, len(self._buffer))
            self._buffer.clear()
        self._state_gap(gap)

    def _end_lost(self, eof: Eof) -> None:
        if self._buffer:
            self._unframed(self._base, len(self._buffer))
            self._buffer.clear()
        if self.message is not None:
            self.message.truncated = self.message.truncated or _truncation(eof)
        self._close_lost_message(eof.position)
        self.state = State.ENDED

    # HELD

    def hold(self) -> None:
        """Keep what comes until `release`, because the other direction says what it is."""
        self.state = State.HELD

    def release(self) -> None:
        """Read what was held as HTTP/1."""
        self.state = State.START
        held, self._held, self._held_bytes = self._held, [], 0
        for event in held:
            self.feed(event)

    def hand_over(self) -> None:
        """What comes belongs to another protocol."""
        self.state = State.HANDED
        self._held = []
        self._buffer.clear()

    def _read_held(self, at: int) -> int:
        self._held.append(Bytes(self._base + at, self._time, self._data[at:]))
        self._held_bytes += len(self._data) - at
        if self._held_bytes > MAX_HELD_BYTES:
            self.losses.append(Loss("held-too-long", self._held[0].position, self._held_bytes))
            self._held = []
            self._lose()
        return len(self._data)

    def _hold_event(self, event: Gap | Eof) -> None:
        self._held.append(event)

    # everywhere

    def _state_gap(self, gap: Gap) -> None:
        """Say what is missing, on the message it is missing from or on the next."""
        self._fresh = False
        if self.message is not None:
            self.message.gap = True
            self.message.problem("gap", gap.position, gap.length, gap.reason, gap.detail)
        else:
            self.losses.append(Loss("gap", gap.position, gap.length, gap.reason, gap.detail))

    def _truncate(self, eof: Eof) -> None:
        message = self.message
        assert message is not None
        message.truncated = _truncation(eof)
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
        """Nothing is known of bytes after the end."""


class Row(NamedTuple):
    """What a state does with seen bytes (from an index on; returns the next), with missing bytes, with the end."""

    read: Callable[[Framer, int], int]
    miss: Callable[[Framer, Gap], None]
    end: Callable[[Framer, Eof], None]


TRANSITIONS: Final[dict[State, Row]] = {
    State.START: Row(Framer._read_start, Framer._miss_start, Framer._finish),
    State.HEAD: Row(Framer._read_head, Framer._miss_head, Framer._end_head),
    State.LENGTH: Row(Framer._read_length, Framer._miss_length, Framer._truncate),
    State.CHUNKED: Row(Framer._read_chunked, Framer._miss_chunked, Framer._end_chunked),
    State.CLOSE: Row(Framer._read_close, Framer._miss_close, Framer._end_close),
    State.LOST: Row(Framer._read_lost, Framer._miss_lost, Framer._end_lost),
    State.HELD: Row(Framer._read_held, Framer._hold_event, Framer._hold_event),
    State.HANDED: Row(Framer._pass_over, Framer._ignore, Framer._finish),
    State.ENDED: Row(Framer._pass_over, Framer._ignore, Framer._ignore),
}


def _truncation(eof: Eof) -> str:
    return "truncated-by-end" if eof.how == "end-of-capture" else "truncated-by-close"
