"""Which response answers which request (RFC 9112 §9.3.2: in the order of the requests). Knows no bytes.

Without loss a response belongs to the oldest request that waits. After a loss of response start lines it belongs to a
later one, and causality bounds which: no later than the last request that began before the response did. A response
that begins while no request waits belongs to none.
"""

from __future__ import annotations

from collections import deque

from replay.exchange import Informational, Problem
from replay.http1.framer import Loss
from replay.http1.message import Message


class Slot:
    """One exchange while it is being read."""

    __slots__ = ("closed", "informational", "losses", "lost", "method", "request", "response")

    def __init__(self, request: Message | None) -> None:
        self.request = request
        self.method = ""  # of the request, once known
        self.response: Message | None = None
        self.informational: list[Informational] = []
        self.lost = False  # its response lies in a gap
        self.closed = ""  # how the response direction ended without one
        self.losses: list[Problem] = []

    @property
    def done(self) -> bool:
        """Whether nothing more will come of it."""
        if self.request is not None and not self.request.ended:
            return False
        if self.response is not None:
            return self.response.ended
        return self.lost or bool(self.closed)


class Pairing:
    """The exchanges of one connection that are not finished, in order."""

    def __init__(self) -> None:
        self.order: deque[Slot] = deque()
        self.waiting: deque[Slot] = deque()
        self.pipelined = False  # a response once began while more than one request waited
        self._closed = ""

    def request_began(self, message: Message) -> Slot:
        """A further request waits for its response."""
        slot = Slot(message)
        slot.closed = self._closed
        self.order.append(slot)
        if not self._closed:
            self.waiting.append(slot)
        return slot

    def remove(self, slot: Slot) -> None:
        """It was no exchange."""
        self.order.remove(slot)
        if slot in self.waiting:
            self.waiting.remove(slot)

    def response_began(self, message: Message, losses: list[Loss], *, doubt: bool, skipped: bool) -> Slot:
        """The exchange that a response belongs to; the losses before it are stated where they belong."""
        passed: list[Slot] = []
        if doubt and len(self.waiting) > 1:
            passed = self._pass_over(1 if skipped else 0)
        elif len(self.waiting) > 1:
            self.pipelined = True
        self._state(losses, passed, message)
        if self.waiting:
            slot = self.waiting.popleft()
        else:
            slot = Slot(None)
            self.order.append(slot)
        slot.response = message
        return slot

    def _pass_over(self, at_least: int) -> list[Slot]:
        """The requests whose responses were lost: all but the last where the client is not known to pipeline."""
        count = at_least if self.pipelined else len(self.waiting) - 1
        passed = [self.waiting.popleft() for _ in range(count)]
        for slot in passed:
            slot.lost = True
        return passed

    def _state(self, losses: list[Loss], passed: list[Slot], message: Message) -> None:
        if not passed:
            for loss in losses:
                message.problem(loss.code, loss.position, loss.length, loss.reason, loss.detail)
            return
        start = losses[0].position if losses else message.position
        for loss in losses:
            passed[0].losses.append(
                Problem(loss.code, "response", loss.position - start, loss.length, loss.reason, loss.detail)
            )
        for slot in passed:
            slot.losses.append(Problem("response-lost", "response"))

    def response_closed(self, how: str) -> None:
        """The response direction ended: who waits gets no response."""
        self._closed = how
        for slot in self.waiting:
            slot.closed = how
        self.waiting.clear()

    def finished(self) -> list[Slot]:
        """The exchanges that are done, up to the first that is not."""
        done: list[Slot] = []
        while self.order and self.order[0].done:
            done.append(self.order.popleft())
        return done
