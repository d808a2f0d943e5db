"""Which response answers which request (RFC 9112 §9.3.2: in the order of the requests). Knows no bytes.

Without loss, a response belongs to the oldest request that waits; one that begins while none waits belongs to none.
After losses there are bounds for how many responses come before a request's own (`backlog`). A response that only one
request can have is that one's. Others are held back, because what follows may narrow the bounds: a response needs a
request that began before it, and a client that was seen often enough to wait for each answer is believed to do so
(`habits`). If nothing decides in time, the latest requests are meant, and the pair is named an inference (`inference`).
A pair that rests on no request being lost behind its own stays open until the requests go on: if they join up, it is
certain; if requests may be lost there, the two are listed apart (`unsettled`).
"""

from __future__ import annotations

from replay.exchange import Problem
from replay.http1.habits import Habits
from replay.http1.inference import Inference
from replay.http1.limits import MAX_HIDDEN, MAX_WAITING, MAX_WAITING_BYTES
from replay.http1.message import Loss, Message
from replay.http1.order import Order
from replay.http1.released import Released
from replay.http1.slot import NOTHING_BEHIND, Behind, Slot, as_problems
from replay.http1.unsettled import Unsettled
from replay.http1.waiting import Waiting


class Pairing:
    """The exchanges of one connection that are not finished, in order."""

    def __init__(self, *, joined: bool = False) -> None:
        self.order = Order()
        self.habits = Habits(joined=joined)
        self._waiting = Waiting()
        self.unsettled = Unsettled(self.order, self._waiting)
        self.inference = Inference(self.order, self._waiting, self.habits, self.unsettled)
        self._released = Released()
        self._skipping = False  # requests were lost since the last that was seen
        self._closed = ""
        self._weight = 0
        if joined:
            self._waiting.lose(None, 0, MAX_HIDDEN)

    @property
    def at_rest(self) -> bool:
        """Whether nothing waits or is in doubt: a further request and the response after it are a certain pair."""
        unsettled = self.unsettled or self._released or self._skipping or self.inference.uncounted
        return self._waiting.exact and not (self.order or self._waiting.slots or self._closed or unsettled)

    @property
    def awaits(self) -> bool:
        """Whether a request waits for its response, as far as is known."""
        return bool(self._waiting.slots)

    # requests

    def request_began(self, message: Message, *, hidden: int = 0) -> Slot:
        """A further request waits for its response; so many others may be hidden between it and the last."""
        waiting = self._waiting
        self.habits.pipelines |= self.unsettled.settle_assumed(lost=self._skipping or hidden > 0)
        if self._skipping:
            waiting.lose_at_most(hidden)
            self._skipping = False
        elif hidden:  # in a message that the last was thought to be
            self.requests_skipped([], hidden, sure=False, late=True)
            self._skipping = False
        elif waiting.backlog.narrowed:
            self.unsettled.settle_inferred(doubt=False)
        self.habits.asks(message, waiting.slots[-1].request if waiting.slots else None)
        slot = Slot(message)
        slot.number = waiting.backlog.begin()
        slot.closed = self._closed
        self.order.append(slot)
        if not self._closed:
            waiting.add(slot)
        return slot

    def request_ended(self, slot: Slot) -> None:
        """Bound what waits: the oldest is handed out without its response."""
        assert slot.request is not None
        slot.weight = slot.request.weight
        self._weight += slot.weight
        slots = self._waiting.slots
        while len(slots) > MAX_WAITING or (self._weight > MAX_WAITING_BYTES and len(slots) > 1):
            self._release()

    def _release(self) -> None:
        self.inference.guess_all()
        slot = self._waiting.slots.popleft()
        if not slot.waits:
            self._waiting.blur()
            return
        slot.closed = "too-many-waiting"
        slot.problems.append(Problem("too-many-waiting", "request"))
        self._weight -= slot.weight
        slot.weight = 0
        self._released.add(slot.method)

    def requests_skipped(self, losses: list[Loss], hidden: int, *, sure: bool, late: bool) -> None:
        """Requests, `hidden` at most since the last, lie in `losses` (if `sure`: at least one). If that is noticed
        `late`, it may have passed before what seemed to be answered, and responses without a request explain it."""
        self.habits.loses_requests()
        self.unsettled.settle_inferred(doubt=late)
        if self._closed:
            return
        if self._skipping:
            self._waiting.lose_at_most(hidden)
            return
        self._skipping = True
        explained = self.unsettled.explain_orphans(losses, hidden) if late else 0
        self.unsettled.settle_orphans()
        least = int(sure and not explained)
        self._waiting.lose(losses, least, max(hidden - explained, least), explained=explained)

    def requests_ended(self, hidden: int, *, late: bool) -> None:
        """No request follows; so many may be hidden behind the last."""
        self.unsettled.end_requests(hidden, doubt=late or not self._skipping)

    def remove(self, slot: Slot) -> None:
        """It was no request. What was taken for its response is one all the same."""
        if slot.response is not None or slot.informational:
            slot.request = None
            slot.request_lost = True
            slot.problems.append(Problem("request-lost", "request"))
            return
        if slot in self.order:  # not if an upgrade came before it was known what it is
            self.order.remove(slot)
        self.habits.asks_not()
        self._waiting.remove(slot)

    def remove_after(self, slot: Slot) -> None:
        """No response follows that of `slot`, and what was taken for later requests belongs to another protocol, if it
        is certain which request is answered."""
        self.inference.guess_all()
        slot = slot.became or slot
        if slot.request is not None and not slot.is_inferred and slot.settled:
            self.order.cut_behind(slot)
        self._waiting.slots.clear()

    # responses

    def response_began(self, message: Message, behind: Behind = NOTHING_BEHIND) -> Slot:
        """The exchange that a response belongs to, as far as that is certain; if not, `place` says which."""
        waiting = self._waiting
        self.unsettled.contradicted = True
        hidden = behind.hidden + self.inference.uncounted
        if waiting.exact and waiting.slots and not hidden and not self._released:
            self.habits.answers_oldest(len(waiting.slots))
            slot = waiting.slots.popleft()
            slot.response = message
            if behind.losses:
                message.state_losses(behind.losses)
            return slot
        slot = Slot()
        slot.response = message
        slot.behind = behind._replace(hidden=hidden)
        if self._released:
            self._answer_released(slot, message)
        return slot

    def _answer_released(self, slot: Slot, message: Message) -> None:
        """The request was handed out already, because too many waited."""
        assert slot.behind is not None
        if slot.behind.hidden:
            self._waiting.blur()
        slot.method = self._released.take()
        message.state_losses(slot.behind.losses)
        slot.behind = None
        slot.problems.append(Problem("request-listed-before", "response"))
        self.order.appendleft(slot)

    def wait_again(self, slot: Slot) -> None:
        """Its response has not begun after all, or only with interim ones."""
        slot.response = None
        slot.settled = True
        if slot.behind is not None:  # nobody has heard of it
            return
        if not self.unsettled.forget(slot) and self._waiting.wait_again(slot) and slot.request is not None:
            return
        if slot.interim is not None:  # which interim responses it had is known all the same
            slot.lost = True
            if slot not in self.order:
                self.order.put_behind(slot, slot.latest)
        elif slot in self.order:
            self.order.remove(slot)

    def leave_uncounted(self, slot: Slot, message: Message) -> None:
        """Not even the status of its response is known: it may be an interim one."""
        self.inference.leave_uncounted(slot, message)
        self.wait_again(slot)

    def response_closed(self, how: str, losses: list[Loss]) -> None:
        """The response direction ended: who waits gets no response; the first of them may have lost it."""
        self.inference.close()
        self._closed = how
        waiting = [slot for slot in self._waiting.slots if slot.waits and slot.is_shown]
        self._waiting.slots.clear()
        for slot in self.order:
            slot.closed = slot.closed or how
        if waiting:
            waiting[0].problems += self.inference.unknown_problems()
        if waiting and losses:
            waiting[0].lost = any(loss.code == "gap" for loss in losses)
            waiting[0].problems += as_problems(losses, "response")
            losses.clear()

    def finished(self) -> list[Slot]:
        """The exchanges that are done, up to the first that is not."""
        done: list[Slot] = []
        order = self.order
        while order and order[0].done:
            slot = order.popleft()
            self._weight -= slot.weight
            done.append(slot)
        return done
