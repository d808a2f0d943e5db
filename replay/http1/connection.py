"""Both directions of one connection in, exchanges out. It wires two framers to the pairing and keeps their order.

Knows no file and no socket. Whatever the peers send is data: nothing here raises because of it.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from replay.exchange import Connection, Exchange, Informational, ProcessFacts
from replay.http1.exchanges import build_exchange
from replay.http1.framer import Framer, Loss, State
from replay.http1.framing import NO_BODY, Framing, request_framing, response_framing
from replay.http1.heads import RequestHead, ResponseHead
from replay.http1.limits import MAX_BODY_KEPT
from replay.http1.message import Message
from replay.http1.pairing import Pairing, Slot
from replay.recognise import HTTP1, UNDECIDED, UNKNOWN, recognise
from replay.stream import Eof, Flow, StreamEvent


class Handover(Struct, frozen=True):
    """HTTP/1 ended, or never was: from these positions on the bytes belong to `protocol`."""

    protocol: str  # "websocket", "h2c", … of an Upgrade; "tunnel" after CONNECT; a verdict of `recognise`
    cause: Literal["upgrade", "connect", "not-http"]
    request_position: int
    response_position: int
    time: int


class Http1Connection:
    """Feed it the events of both directions in the order of their times; it returns exchanges as they are finished.

    `clock_offset_ns` is what must be added to CLOCK_MONOTONIC to have ns since 1970; `keep` bounds the body bytes kept.
    `handover` is set when the bytes stop being HTTP/1; from then on everything that is fed is passed over.
    """

    def __init__(
        self,
        connection: Connection,
        process: ProcessFacts | None = None,
        clock_offset_ns: int = 0,
        *,
        keep: int = MAX_BODY_KEPT,
    ) -> None:
        self.connection = connection
        self.process = process
        self.handover: Handover | None = None
        self.pairing = Pairing()
        self.unplaced: list[Loss] = []  # losses that no exchange can state
        self._clock_offset_ns = clock_offset_ns
        self._ordinal = 0
        joined = connection.joined_midstream
        server = connection.side == "server"
        self._requests = _Requests(self)
        self._responses = _Responses(self)
        self.request_framer = Framer("request", self._requests, keep=keep, joined=joined, sender_traced=not server)
        self.response_framer = Framer("response", self._responses, keep=keep, joined=joined, sender_traced=server)

    def feed(self, flow: Flow, event: StreamEvent) -> list[Exchange]:
        """Take one event of `flow`; the exchanges that it finished."""
        if flow == "request":
            self.request_framer.feed(event)
        else:
            self.response_framer.feed(event)
            if isinstance(event, Eof):
                self.pairing.response_closed(event.how)
        order = self.pairing.order
        return self._collect() if order and order[0].done else []

    def finish(self, time: int) -> list[Exchange]:
        """The recording ended at `time`: what is unfinished is handed out as it stands."""
        for framer in (self.request_framer, self.response_framer):
            if framer.state is State.HELD:
                framer.release()
        exchanges: list[Exchange] = []
        for flow, framer in (("request", self.request_framer), ("response", self.response_framer)):
            exchanges += self.feed(flow, Eof(framer.position, time, "end-of-capture"))  # type: ignore[arg-type]
            self.unplaced += framer.losses
            framer.losses = []
        return exchanges

    def hand_over(
        self,
        protocol: str,
        cause: Literal["upgrade", "connect", "not-http"],
        request_position: int,
        response_position: int,
        time: int,
    ) -> None:
        """From here on the bytes are another protocol's."""
        self.handover = Handover(protocol, cause, request_position, response_position, time)
        self.request_framer.hand_over()
        self.response_framer.hand_over()

    def _collect(self) -> list[Exchange]:
        exchanges: list[Exchange] = []
        for slot in self.pairing.finished():
            self._ordinal += 1
            exchange = build_exchange(slot, self.connection, self.process, self._clock_offset_ns, self._ordinal)
            if exchange is None:
                self._ordinal -= 1
            else:
                exchanges.append(exchange)
        return exchanges

    def foreign(self, first: bytes) -> bool:
        """Whether `first` bytes of a direction show that the connection is not HTTP/1."""
        if self.pairing.order or self._ordinal:
            return False
        protocol = recognise(first)
        if protocol in (HTTP1, UNDECIDED):
            protocol = UNKNOWN
        self.hand_over(protocol, "not-http", 0, 0, 0)
        return True


class _Requests:
    """The request framer's sink."""

    def __init__(self, owner: Http1Connection) -> None:
        self._owner = owner
        self._slot: Slot | None = None

    def began(self, message: Message, losses: list[Loss], *, doubt: bool, skipped: bool) -> None:
        self._slot = self._owner.pairing.request_began(message)
        for loss in losses:
            message.problem(loss.code, loss.position, loss.length, loss.reason, loss.detail)

    def framing(self, message: Message) -> Framing:
        head = message.head
        assert isinstance(head, RequestHead)
        assert self._slot is not None
        self._slot.method = head.method
        return request_framing(message.declared)

    def ended(self, message: Message) -> None:
        slot = self._slot
        assert slot is not None
        if slot.method == "CONNECT" and slot.response is None and not slot.closed:
            self._owner.request_framer.hold()

    def dropped(self, message: Message) -> None:
        if self._slot is not None:
            self._owner.pairing.remove(self._slot)

    def supports_start(self, *, in_message: bool, at_edge: bool) -> bool:
        """In a damaged body a request line is believed at the edge of a read, or once the response has begun."""
        slot = self._slot
        return at_edge or not in_message or slot is None or slot.response is not None or slot.method in ("GET", "HEAD")

    def foreign(self, first: bytes) -> bool:
        return self._owner.foreign(first)


class _Responses:
    """The response framer's sink."""

    def __init__(self, owner: Http1Connection) -> None:
        self._owner = owner
        self._slot: Slot | None = None  # whose response is being read, interim ones included

    def began(self, message: Message, losses: list[Loss], *, doubt: bool, skipped: bool) -> None:
        if self._slot is not None and not doubt:
            self._slot.response = message  # after an interim response
            return
        self._slot = self._owner.pairing.response_began(message, losses, doubt=doubt, skipped=skipped)

    def framing(self, message: Message) -> Framing:
        head = message.head
        assert isinstance(head, ResponseHead)
        assert self._slot is not None
        if head.status == 101:
            return NO_BODY
        return response_framing(head.status, self._slot.method, message.declared)

    def ended(self, message: Message) -> None:
        slot = self._slot
        assert slot is not None
        head = message.head
        if isinstance(head, ResponseHead):
            if head.status < 200 and head.status != 101 and not message.truncated:
                self._interim(slot, message, head)
                return
            if head.status == 101:
                self._upgraded(slot, message)
            elif slot.method == "CONNECT":
                self._connect_answered(slot, message, head)
        self._slot = None

    def _interim(self, slot: Slot, message: Message, head: ResponseHead) -> None:
        """RFC 9110 §15.2: any number of 1xx responses may come before the final one."""
        slot.informational.append(
            Informational(
                head.status, head.reason, head.headers, message.first_byte_time, message.position, message.end_position
            )
        )
        slot.losses.extend(message.problems)
        slot.response = None

    def _upgraded(self, slot: Slot, message: Message) -> None:
        request = slot.request
        position = request.end_position if request and request.ended else self._owner.request_framer.position
        declared = message.declared.upgrade or (request.declared.upgrade if request else "")
        protocol = declared.partition(",")[0].strip().lower() or UNKNOWN
        self._owner.hand_over(protocol, "upgrade", position, message.end_position, message.last_byte_time)

    def _connect_answered(self, slot: Slot, message: Message, head: ResponseHead) -> None:
        request = slot.request
        assert request is not None
        if 200 <= head.status < 300:
            self._owner.hand_over(
                "tunnel", "connect", request.end_position, message.end_position, message.last_byte_time
            )
        elif self._owner.request_framer.state is State.HELD:
            self._owner.request_framer.release()

    def dropped(self, message: Message) -> None:
        """Not a status line: the request waits on."""
        slot, self._slot = self._slot, None
        if slot is not None:
            slot.response = None
            if slot.request is None:
                self._owner.pairing.remove(slot)
            else:
                self._owner.pairing.waiting.appendleft(slot)

    def supports_start(self, *, in_message: bool, at_edge: bool) -> bool:
        """A status line is believed when a request waits for it."""
        if self._owner.pairing.waiting:
            return True
        return at_edge and not in_message

    def foreign(self, first: bytes) -> bool:
        return self._owner.foreign(first)
