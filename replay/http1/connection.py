"""Both directions of one connection in, exchanges out. It wires two framers to the pairing and keeps their order.

While nothing is unfinished or in doubt, a request that may be half of a usual exchange is put aside, and so is the
beginning of its answer; with all of the answer it is one, and neither the framers nor the pairing hear of it. If
something else comes, they hear of everything.
Knows no file and no socket. Whatever the peers send is data: nothing here raises because of it.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from replay.exchange import Connection, Exchange, ProcessFacts, Request, Response
from replay.http1.direction import State
from replay.http1.exchanges import build_exchange, lost_with
from replay.http1.framer import Framer
from replay.http1.limits import MAX_BODY_KEPT
from replay.http1.message import Loss
from replay.http1.pairing import Pairing
from replay.http1.sides import Cause, RequestSide, ResponseSide
from replay.http1.slot import Slot
from replay.http1.usual import Answer, usual_exchange, usual_response, whole_request, whole_response
from replay.recognise import EMPTY, HTTP1, UNDECIDED, UNKNOWN, recognise
from replay.stream import Bytes, Eof, Flow, StreamEvent

FLOWS: Final[tuple[Flow, Flow]] = ("request", "response")


class Handover(Struct, frozen=True):
    """HTTP/1 ended, or never was: from these positions on the bytes belong to `protocol`."""

    protocol: str  # "websocket", "h2c", … of an Upgrade; "tunnel" after CONNECT; a verdict of `recognise`
    cause: Cause
    request_position: int
    response_position: int
    time: int


class Http1Connection:
    """Feed it the events of both directions in the order of their times; it returns exchanges as they are finished.

    `clock_offset_ns` is what must be added to CLOCK_MONOTONIC to have ns since 1970; `keep` bounds the body bytes kept.
    `careful`: have the framers read everything, also what is usual, to compare the two.
    `handover` is set when the bytes stop being HTTP/1; from then on everything that is fed is passed over.
    `unplaced` has, after `finish`, the losses that no exchange can state.
    """

    def __init__(
        self,
        connection: Connection,
        process: ProcessFacts | None = None,
        clock_offset_ns: int = 0,
        *,
        keep: int = MAX_BODY_KEPT,
        careful: bool = False,
    ) -> None:
        self.connection = connection
        self.process = process
        self.handover: Handover | None = None
        self.unplaced: list[Loss] = []
        self.pairing = Pairing(joined=connection.joined_midstream)
        self.in_doubt = False
        self._next: Handover | None = None  # as soon as the request that is being read has ended
        self._clock_offset_ns = clock_offset_ns
        self._ordinal = 0
        self._keep = keep
        self._careful = careful
        self._at_rest = False  # known to be so; False: not known
        self._aside: tuple[Bytes, Request] | None = None  # read at rest, and not told to the framers yet
        self._begun: Answer | None = None  # likewise: the beginning of its response
        joined = connection.joined_midstream
        server = connection.side == "server"
        self.request_side, self.response_side = RequestSide(self), ResponseSide(self)
        self.request_framer = Framer("request", self.request_side, keep=keep, joined=joined, sender_traced=not server)
        self.response_framer = Framer("response", self.response_side, keep=keep, joined=joined, sender_traced=server)

    def feed(self, flow: Flow, event: StreamEvent) -> list[Exchange]:
        """Take one event of `flow`; the exchanges that it finished."""
        if self._aside is not None:
            return self._answered(self._aside, flow, event)
        if flow == "request" and type(event) is Bytes and (self._at_rest or self._rests()):
            position = self.request_framer.position
            if position == event.position or position < 0:
                request = whole_request(event, self._keep)
                if request is not None:
                    self._aside = event, request
                    return []
        return self._read(flow, event)

    def _rests(self) -> bool:
        """Whether whatever comes next is a message of its own, and a response to it would be its response."""
        self._at_rest = (
            not self._careful
            and self.pairing.at_rest
            and self.request_framer.at_rest
            and self.response_framer.at_rest
            and self.request_side.at_rest
            and self.response_side.at_rest
            and self.handover is None
            and not self.in_doubt
        )
        return self._at_rest

    def _answered(self, aside: tuple[Bytes, Request], flow: Flow, event: StreamEvent) -> list[Exchange]:
        """What comes after a request that was put aside: its response, or a reason to read both with all care."""
        asked, request = aside
        self._aside = None
        begun, self._begun = self._begun, None
        if flow == "response" and type(event) is Bytes:
            response = self._response(begun, event, request)
            if isinstance(response, Response):
                return [self._usual(request, response)]
            if response is not None:
                self._aside, self._begun = aside, response
                return []
        exchanges = self._read("request", asked)
        if begun is not None:
            exchanges += self._read("response", begun.first)
        return exchanges + self._read(flow, event)

    def _response(self, begun: Answer | None, event: Bytes, request: Request) -> Response | Answer | None:
        """A usual response, or as much of it as has come."""
        if begun is None:
            follows = self.response_framer.position in (event.position, -1)
            return usual_response(event, request.method, self._keep) if follows else None
        first = begun.first
        if event.position != first.position + len(first.data) or len(event.data) != begun.missing:
            return None
        return whole_response(begun, event)

    def _usual(self, request: Request, response: Response) -> Exchange:
        """An exchange past the framers and the pairing, which are as if they had read it."""
        self.request_framer.position = request.end_position
        self.response_framer.position = response.end_position
        self.pairing.habits.waited += 2
        self._ordinal += 1
        return usual_exchange(request, response, self.connection, self.process, self._clock_offset_ns, self._ordinal)

    def _read(self, flow: Flow, event: StreamEvent) -> list[Exchange]:
        """Any event, with everything that can be the matter."""
        self._at_rest = False
        if flow == "request":
            self.request_framer.feed(event)
            if type(event) is Eof:
                framer = self.request_framer
                self.pairing.requests_ended(framer.most_hidden if framer.doubt else 0, late=framer.late)
            if self.pairing.unsettled.orphans:
                self.pairing.unsettled.settle_orphans()
        else:
            self.response_framer.feed(event)
            if type(event) is Eof:
                self._response_ended(event)
        order = self.pairing.order
        return self._collect() if order and order[0].done else []

    def finish(self, time: int) -> list[Exchange]:
        """The recording ended at `time`: what is unfinished is handed out as it stands."""
        exchanges: list[Exchange] = []
        if self._aside is not None:
            (asked, _), self._aside = self._aside, None
            exchanges += self._read("request", asked)
        if self._begun is not None:
            begun, self._begun = self._begun, None
            exchanges += self._read("response", begun.first)
        for flow, framer in zip(FLOWS, (self.request_framer, self.response_framer), strict=True):
            if framer.state is State.HELD:
                framer.abandon()
            exchanges += self.feed(flow, Eof(max(framer.position, 0), time, "end-of-capture"))
        self.unplaced += [*self.request_framer.losses, *self.response_framer.losses, *self.pairing.inference.unstated]
        if self.handover is None and not self._ordinal and self._seen():
            self.handover = Handover(UNKNOWN, "not-http", 0, 0, time)
        return exchanges

    def hand_over(
        self, protocol: str, cause: Cause, request_position: int | None, response_position: int, time: int
    ) -> None:
        """From here on the bytes are another protocol's. `request_position` is None while the request that asked for
        that is being read (RFC 9110 §7.8: the client cannot begin with it until the request was sent completely)."""
        handover = Handover(protocol, cause, request_position or 0, response_position, time)
        if request_position is None:
            self._next = handover
        else:
            self.handover = handover
        self.request_framer.hand_over()
        self.response_framer.hand_over()

    def request_over(self, position: int, time: int) -> None:
        """The request that was being read ends there."""
        if self._next is not None:
            last = max(self._next.time, time)
            self.handover, self._next = replace(self._next, request_position=position, time=last), None

    def foreign(self, first: bytes, *, request: bool) -> bool:
        """The `first` bytes of a direction are not HTTP/1: the connection is not, unless it was before. Before what
        servers answer with HTTP/1 there may be garbage, though, that begins no other protocol."""
        if self.pairing.order or self._ordinal or self.connection.joined_midstream:
            return False
        protocol = UNKNOWN if self.in_doubt else recognise(first)
        if request and protocol == UNKNOWN and self.response_framer.position <= 0:
            self.in_doubt = True
            return False
        self.hand_over(UNKNOWN if protocol in (HTTP1, UNDECIDED, EMPTY) else protocol, "not-http", 0, 0, 0)
        return True

    def _seen(self) -> bool:
        return any(framer.first_position < framer.position for framer in (self.request_framer, self.response_framer))

    def _response_ended(self, eof: Eof) -> None:
        self.pairing.response_closed(eof.how, self.response_framer.losses)

    def _collect(self) -> list[Exchange]:
        exchanges = [self._build(slot) for slot in self.pairing.finished()]
        return [exchange for exchange in exchanges if exchange is not None]

    def _build(self, slot: Slot) -> Exchange | None:
        number = self._ordinal + 1
        exchange = build_exchange(slot, self.connection, self.process, self._clock_offset_ns, number)
        if exchange is not None:
            self._ordinal = number
        else:
            self.unplaced += lost_with(slot)
        return exchange
