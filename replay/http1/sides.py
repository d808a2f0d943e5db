"""The two framers' sinks: what one direction must know of the other (RFC 9112 §6.3, RFC 9110 §7.8, §9.3.6, §15.2)."""

from __future__ import annotations

from typing import Final, Literal, Protocol

from msgspec.structs import replace

from replay.exchange import Informational, Problem
from replay.http1.direction import State
from replay.http1.framer import Framer
from replay.http1.framing import NO_BODY, UNKNOWN, Framing, request_framing, response_framing
from replay.http1.grammar import Head
from replay.http1.heads import RequestHead, ResponseHead
from replay.http1.limits import MAX_INFORMATIONAL
from replay.http1.message import Loss, Message
from replay.http1.pairing import Pairing
from replay.http1.slot import NOTHING_BEHIND, Behind, Slot, as_problems

_MORE_INTERIM: Final = Problem("more-interim", "response")
# RFC 9110 §9.3: content in these has no defined meaning, and clients send none.
_WITHOUT_BODY: Final = frozenset({"GET", "HEAD", "DELETE", "CONNECT", "OPTIONS", "TRACE"})


Cause = Literal["upgrade", "connect", "not-http"]  # why the bytes are not HTTP/1's any more


class Owner(Protocol):
    """The connection that both sides belong to."""

    pairing: Pairing
    request_framer: Framer
    response_framer: Framer

    def hand_over(
        self, protocol: str, cause: Cause, request_position: int | None, response_position: int, time: int
    ) -> None:
        """HTTP/1 ends at these positions; in the requests, if None, behind the one that is being read."""

    def request_over(self, position: int, time: int) -> None:
        """The request that was being read ends there."""

    in_doubt: bool  # the requests do not begin with HTTP/1; the responses must tell

    def foreign(self, first: bytes, *, request: bool) -> bool:
        """A direction does not begin with HTTP/1. Whether the connection is to be given up."""


class RequestSide:
    """Told of requests."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._slot: Slot | None = None  # of the latest request
        self._closing = False

    @property
    def at_rest(self) -> bool:
        """Whether no request said that it is the last."""
        return not self._closing

    def began(self, message: Message, losses: list[Loss], *, doubt: bool, skipped: bool) -> None:
        """A request waits from its first byte on: its response may come before its end."""
        hidden = self._owner.request_framer.hidden if doubt else 0
        self._slot = self._owner.pairing.request_began(message, hidden=hidden)
        if losses:
            message.state_losses(losses)
            losses.clear()  # no response can state them any more
        if self._closing:
            message.problem("after-close")

    def skipped(self, losses: list[Loss], *, sure: bool) -> None:
        """A request lies in a gap."""
        framer = self._owner.request_framer
        self._owner.pairing.requests_skipped(losses, framer.most_hidden, sure=sure, late=framer.late)

    def framing(self, message: Message) -> Framing:
        """§6.3 for requests; where header fields are missing, a body may have been declared in them."""
        head, slot = message.head, self._slot
        assert isinstance(head, RequestHead)
        assert slot is not None
        slot.method = head.method
        declared = message.declared
        self._closing |= declared.close or (head.version == "HTTP/1.0" and not declared.keep_alive)
        if message.gap and declared.framing is None and head.method not in _WITHOUT_BODY:
            return UNKNOWN
        return request_framing(declared)

    def ended(self, message: Message) -> None:
        """After a CONNECT, its answer says what the next bytes are."""
        slot = self._slot
        assert slot is not None
        self._owner.pairing.request_ended(slot)
        self._owner.request_over(message.end_position, message.last_byte_time)
        if slot.method == "CONNECT" and slot.response is None and not slot.closed and message.head is not None:
            self._owner.request_framer.hold()

    def dropped(self, message: Message) -> None:
        """Not a request line."""
        self._owner.request_over(message.position, message.last_byte_time)
        if self._slot is not None:
            self._owner.pairing.remove(self._slot)
            self._slot = None

    def supports_start(self, *, in_message: bool, at_edge: bool) -> bool:
        """In a damaged body a request line is believed at the edge of a read, or once the response has begun; where the
        length is none (§6.3 step 5), anywhere: a server that does not close reads on behind the head."""
        if self._owner.in_doubt:
            return False
        slot = self._slot
        if at_edge or not in_message or slot is None:
            return True
        no_length = slot.request is not None and slot.request.declared.framing is UNKNOWN
        return slot.response is not None or slot.method in _WITHOUT_BODY or no_length

    def headless(self, message: Message) -> Head | None:
        """No request is without a line."""
        return None

    def foreign(self, first: bytes) -> bool:
        """Ask the connection."""
        return self._owner.foreign(first, request=True)


class ResponseSide:
    """Told of responses."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._slot: Slot | None = None  # whose response is being read, interim ones included
        self._closing = False

    @property
    def at_rest(self) -> bool:
        """Whether no response is being read, and none said that it is the last."""
        return self._slot is None and not self._closing

    def _current(self) -> Slot | None:
        """The slot, or the one that it became when a doubt was settled."""
        if self._slot is not None and self._slot.became is not None:
            self._slot = self._slot.became
        return self._slot

    def began(self, message: Message, losses: list[Loss], *, doubt: bool, skipped: bool) -> None:
        """A response belongs to a request from its first byte on; after an interim one, to the same."""
        slot = self._current()
        if slot is not None and doubt:
            self._owner.pairing.wait_again(slot)
            slot = None
        self._owner.request_framer.settle_simple()
        if slot is None:
            self._owner.request_framer.settle_start()
            framer = self._owner.response_framer
            behind = NOTHING_BEHIND
            if doubt:
                behind = Behind(losses, max(framer.hidden, int(skipped)), skipped, framer.passed_a_body)
            elif losses:
                behind = Behind(losses)
            slot = self._owner.pairing.response_began(message, behind)
        else:
            slot.response = message
            message.state_losses(losses)
        self._slot = slot
        if self._closing:
            message.problem("after-close")

    def skipped(self, losses: list[Loss], *, sure: bool) -> None:
        """A response lies in a gap; which one is decided when the next begins."""

    def framing(self, message: Message) -> Framing:
        """§6.3 for responses; where header fields are missing, a length may have been declared in them."""
        assert self._slot is not None
        self._owner.pairing.inference.place(self._slot)
        head, slot = message.head, self._current()
        assert isinstance(head, ResponseHead)
        assert slot is not None
        self._owner.in_doubt = False
        if slot.request is None and not slot.request_lost:
            slot.problems += as_problems(self._owner.request_framer.give_up_losses(), "request")
        if head.status == 101:
            return NO_BODY
        declared = message.declared
        self._closing |= declared.close
        if head.status >= 200 and self._awaits_body(slot):
            self._owner.request_framer.expect()
        framing = response_framing(head.status, slot.method, declared)
        if not slot.method and framing is not NO_BODY:
            framing = replace(framing, certain=False)
        if message.gap and declared.framing is None and framing is not NO_BODY:
            return UNKNOWN
        return framing

    def _awaits_body(self, slot: Slot) -> bool:
        request = slot.request
        return request is not None and not request.ended and request.declared.expects_continue

    def ended(self, message: Message) -> None:
        """An interim response leaves its request waiting; 101 and 2xx to CONNECT end HTTP/1."""
        slot = self._current()
        assert slot is not None
        head = message.head
        if head is None and not message.truncated and _may_be_interim(message):
            self._slot = None
            self._owner.pairing.leave_uncounted(slot, message)
            return
        self._owner.pairing.inference.place(slot)
        slot = slot.became or slot
        if isinstance(head, ResponseHead):
            if 100 <= head.status < 200 and head.status != 101 and not message.truncated:
                self._interim(slot, message, head)
                return
            if head.status == 101:
                self._upgraded(slot, message)
            elif slot.method == "CONNECT" and slot.request is not None:
                self._connect_answered(slot, message, head)
        self._slot = None

    def _interim(self, slot: Slot, message: Message, head: ResponseHead) -> None:
        """RFC 9110 §15.2: any number of 1xx responses may come before the final one."""
        self._owner.pairing.habits.interim_seen = True
        slot.problems.extend(message.problems)
        slot.response = None
        slot.interim = message
        if len(slot.informational) == MAX_INFORMATIONAL:
            if slot.problems[-1:] != [_MORE_INTERIM]:
                slot.problems.append(_MORE_INTERIM)
            return
        slot.informational.append(
            Informational(
                head.status, head.reason, head.headers, message.first_byte_time, message.position, message.end_position
            )
        )

    def _upgraded(self, slot: Slot, message: Message) -> None:
        """RFC 9110 §7.8: the new protocol begins after the 101, and in the other direction after the request."""
        request = slot.request
        asked = request.declared.upgrade if request else ""
        if request and not asked:
            message.problem("unexpected-upgrade", message.position)
        position = _end(request) if request else max(self._owner.request_framer.position, 0)
        protocol = (message.declared.upgrade or asked).partition(",")[0].strip(" \t").lower() or "unknown"
        self._owner.pairing.remove_after(slot)
        self._owner.hand_over(protocol, "upgrade", position, message.end_position, message.last_byte_time)

    def _connect_answered(self, slot: Slot, message: Message, head: ResponseHead) -> None:
        """RFC 9110 §9.3.6: any 2xx makes a tunnel; with any other status HTTP goes on."""
        assert slot.request is not None
        if 200 <= head.status < 300:
            time = message.last_byte_time
            self._owner.hand_over("tunnel", "connect", _end(slot.request), message.end_position, time)
        elif self._owner.request_framer.state is State.HELD:
            self._owner.request_framer.release()

    def dropped(self, message: Message) -> None:
        """Not a status line: the request waits on."""
        slot, self._slot = self._current(), None
        if slot is not None:
            self._owner.pairing.wait_again(slot)

    def supports_start(self, *, in_message: bool, at_edge: bool) -> bool:
        """A status line is believed when a request waits for it, or at the edge of a write between messages."""
        return self._owner.pairing.awaits or (at_edge and not in_message) or self._is_interim()

    def _is_interim(self) -> bool:
        """Whether the response that is being read leaves its request waiting."""
        slot = self._current()
        head = slot.response.head if slot is not None and slot.response is not None else None
        return isinstance(head, ResponseHead) and 100 <= head.status < 200 and head.status != 101

    def headless(self, message: Message) -> Head | None:
        """RFC 1945 §6: the response to a request without a version is its body alone."""
        slot = self._current()
        request = slot.request if slot is not None else None
        head = request.head if request is not None else None
        if isinstance(head, RequestHead) and head.version in ("HTTP/0.9", ""):
            return ResponseHead(0, "", "HTTP/0.9", ())
        return None

    def foreign(self, first: bytes) -> bool:
        """Ask the connection."""
        return self._owner.foreign(first, request=False)


def _end(request: Message) -> int | None:
    """Where it ends; None while it is being read."""
    return request.end_position if request.ended else None


def _may_be_interim(message: Message) -> bool:
    """Of a response whose status line is cut."""
    return message.raw_head[9:10] in (b"", b"1")
