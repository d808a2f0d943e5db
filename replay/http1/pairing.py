"""Which response answers which request (RFC 9112 §9.3.2: in the order of the requests). Knows no bytes.

Without loss, a response belongs to the oldest request that waits; one that begins while none waits belongs to none.
After losses there are bounds for how many responses come before a request's own. A response that only one request can
have is that one's. Others are held back, because what follows may narrow the bounds: a response needs a request that
began before it, and a client that was seen often enough to wait for each answer is believed to do so. If nothing
decides in time, the latest requests are meant, and the pair is named an inference.
A pair that rests on no request being lost behind its own stays open until the requests go on: if they join up, it is
certain; if requests may be lost there, the two are listed apart.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from replay.exchange import Problem
from replay.http1.limits import (
    ENOUGH_WAITING,
    MAX_HELD_RESPONSES,
    MAX_HIDDEN,
    MAX_WAITING,
    MAX_WAITING_BYTES,
    MIN_LOST_FINAL_BYTES,
)
from replay.http1.message import Loss, Message
from replay.http1.slot import NOTHING_BEHIND, Behind, Slot, as_problems, losses_of
from replay.http1.waiting import Waiting


class Pairing:
    """The exchanges of one connection that are not finished, in order."""

    def __init__(self, *, joined: bool = False) -> None:
        self.order: deque[Slot] = deque()
        self.orphans: list[Slot] = []  # not settled: their requests may lie in a hole that is noticed late
        self.inferred: list[Slot] = []  # not settled either: a request lost behind theirs may be the one answered
        self.interim_seen = False
        self.waited = 0  # how often the client was seen to wait before it asked again; twice where that is certain
        self._waiting = Waiting()
        # Joined in the middle, and nothing was lost since: once is enough then, because what a client that sends
        # several requests at once had under way is answered before it asks again.
        self._joined = joined
        self._pipelines = False  # the client was once seen not to wait
        self._asked = 0  # requests since the last response began
        self._clean = not joined  # no loss since then
        self._skipping = False  # requests were lost since the last that was seen
        self._losses: list[Loss] = []  # before the first held response
        self._unknown: list[Message] = []  # responses of which not even the status is known
        self._uncounted = 0  # so many of them
        self._closed = ""
        self._requests_ended = False
        self._released: deque[list[str | int]] = deque()  # [method, count] of requests that waited too long
        self._weight = 0
        if joined:
            self._waiting.lose(None, 0, MAX_HIDDEN)

    @property
    def at_rest(self) -> bool:
        """Whether nothing waits or is in doubt: a further request and the response after it are a certain pair."""
        unsettled = self.orphans or self.inferred or self._released or self._skipping or self._uncounted
        return self._waiting.exact and not (self.order or self._waiting.slots or self._closed or unsettled)

    @property
    def awaits(self) -> bool:
        """Whether a request waits for its response, as far as is known."""
        return bool(self._waiting.slots)

    # requests

    def request_began(self, message: Message, *, hidden: int = 0) -> Slot:
        """A further request waits for its response; so many others may be hidden between it and the last."""
        waiting = self._waiting
        if self._skipping:
            waiting.lose_at_most(hidden)
            self._skipping = False
        elif hidden:  # in a message that the last was thought to be
            self.requests_skipped([], hidden, sure=False, late=True)
            self._skipping = False
        elif waiting.backlog.narrowed:
            self.settle_inferred(doubt=False)
        self._asked += 1
        slot = Slot(message)
        slot.number = waiting.backlog.begin()
        slot.closed = self._closed
        if waiting.slots and (last := waiting.slots[-1].request) is not None:
            self._pipelines |= last.last_byte_time == message.first_byte_time
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
        self._guess(len(self._waiting.held))
        slot = self._waiting.slots.popleft()
        if not slot.waits:
            self._waiting.blur()
            return
        slot.closed = "too-many-waiting"
        slot.problems.append(Problem("too-many-waiting", "request"))
        self._weight -= slot.weight
        slot.weight = 0
        if self._released and self._released[-1][0] == slot.method:
            self._released[-1][1] = int(self._released[-1][1]) + 1
        else:
            self._released.append([slot.method, 1])

    def requests_skipped(self, losses: list[Loss], hidden: int, *, sure: bool, late: bool) -> None:
        """Requests, `hidden` at most since the last, lie in `losses` (if `sure`: at least one). If that is noticed
        `late`, it may have passed before what seemed to be answered, and responses without a request explain it."""
        self._clean = self._joined = False
        self.settle_inferred(doubt=late)
        if self._closed:
            return
        if self._skipping:
            self._waiting.lose_at_most(hidden)
            return
        self._skipping = True
        explained = self.orphans[:hidden] if late else []
        for slot in explained:
            slot.explain(losses)
        self.settle_orphans()
        least = int(sure and not explained)
        self._waiting.lose(losses, least, max(hidden - len(explained), least), explained=len(explained))

    def settle_orphans(self) -> None:
        """The request direction went on: responses without a request have none."""
        for slot in self.orphans:
            slot.settled = True
        self.orphans.clear()

    def settle_inferred(self, *, doubt: bool) -> None:
        """The requests went on or ended: without `doubt` no request is lost behind those that were answered."""
        for slot in self.inferred:
            slot.settled = True
            if doubt:
                self._part(slot)
        self.inferred.clear()
        if self._waiting.backlog.narrowed:
            if doubt:
                self._waiting.backlog.widen()
            else:
                self._waiting.backlog.confirm()
                self._waiting.check_exactness()

    def requests_ended(self, hidden: int, *, late: bool) -> None:
        """No request follows; so many may be hidden behind the last."""
        self.settle_inferred(doubt=hidden > 0 and (late or not self._skipping))
        for slot in self.orphans[:hidden]:
            slot.explain([])
        self._requests_ended = True

    def _part(self, slot: Slot) -> None:
        """The response may be that of a request which lies in a gap: list the two apart."""
        apart = slot.became = Slot()  # where the response goes on
        apart.response, slot.response = slot.response, None
        apart.informational, slot.informational = slot.informational, []
        apart.interim, slot.interim = slot.interim, None
        apart.problems = [problem for problem in slot.problems if problem.side == "response"]
        slot.problems = [problem for problem in slot.problems if problem.side == "request"]
        apart.request_lost = slot.lost = True
        slot.problems.append(Problem("undecided-pair", "response"))
        apart.problems.append(Problem("undecided-pair", "request"))
        self._insert(apart, slot)

    def _insert(self, slot: Slot, after: Slot | None) -> None:
        """Into the order, behind the request that came before."""
        if after is not None and after in self.order:
            self.order.insert(self.order.index(after) + 1, slot)
        elif after is not None:
            self.order.appendleft(slot)
        else:
            self.order.append(slot)

    def remove(self, slot: Slot) -> None:
        """It was no request. What was taken for its response is one all the same."""
        if slot.response is not None or slot.informational:
            slot.request = None
            slot.request_lost = True
            slot.problems.append(Problem("request-lost", "request"))
            return
        if slot in self.order:  # not if an upgrade came before it was known what it is
            self.order.remove(slot)
        self._asked -= 1
        self._waiting.remove(slot)

    def remove_after(self, slot: Slot) -> None:
        """No response follows that of `slot`, and what was taken for later requests belongs to another protocol, if it
        is certain which request is answered."""
        self._guess(len(self._waiting.held))
        slot = slot.became or slot
        if slot.request is not None and not slot.is_inferred and slot.settled:
            later = []
            while self.order and self.order[-1] is not slot:
                later.append(self.order.pop())
            self.order.extend(each for each in reversed(later) if each.response is not None or each.interim is not None)
        self._waiting.slots.clear()

    # responses

    def response_began(self, message: Message, behind: Behind = NOTHING_BEHIND) -> Slot:
        """The exchange that a response belongs to, as far as that is certain; if not, `place` says which."""
        waiting = self._waiting
        hidden = behind.hidden + self._uncounted
        if waiting.exact and waiting.slots and not hidden and not self._released:
            if len(waiting.slots) > 1:
                self._pipelines = True
            elif self._clean:
                self.waited += 2
            self._clean = True
            self._asked = 0
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

    def place(self, slot: Slot) -> None:
        """The head of a response was read that is not certain to be the oldest request's."""
        behind, message = slot.behind, slot.response
        if behind is None or message is None:
            return
        slot.behind = None
        slot.problems += self._unknown_problems()
        self._uncounted = 0
        waiting, backlog = self._waiting, self._waiting.backlog
        begun, slot.latest = waiting.begun_before(message)
        waiting.leave_exactness()
        clean = self._clean and not behind.hidden
        if behind.hidden:
            self._joined = False
            self._guess(len(waiting.held))
            sure = behind.skipped and (behind.body or self._are_final(behind.losses, len(message.raw_head)))
            backlog.lose_responses(int(sure), behind.hidden)
        elif clean:
            self.waited += self._asked == 1
            self._pipelines |= self._asked > 1
        if self.waited >= (1 if self._joined else ENOUGH_WAITING) and not self._pipelines:
            self._assume_waited(slot.latest, begun.most)
        if not backlog.respond(begun):
            message.state_losses(behind.losses)
            self._orphan(slot)
            return
        self._pipelines |= clean and not self._asked
        if begun is not backlog.next:
            backlog.confirm()
        self._clean, self._asked = True, 0
        slot.method = waiting.common_method()
        waiting.held.append(slot)
        self._losses += behind.losses
        self._resolve()

    def _assume_waited(self, latest: Slot | None, begun: int) -> None:
        """Unless requests may be lost behind the latest."""
        if latest is not None and latest.end.most == begun:
            self._pipelines |= not self._waiting.backlog.assume_waited(latest.number)

    def _are_final(self, losses: Sequence[Loss], head: int) -> bool:
        """Whether these cannot be interim responses alone: they are no smaller than the `head` of a final one."""
        lost = sum(loss.length or 0 for loss in losses if loss.code == "gap")
        if self.interim_seen or lost < (MIN_LOST_FINAL_BYTES if self._pipelines else head):
            return False
        requests = [slot.request for slot in self._waiting.slots if slot.request is not None]
        return not any(request.declared.expects_continue for request in requests)

    def _orphan(self, slot: Slot) -> None:
        if not self._requests_ended:
            slot.settled = False
            self.orphans.append(slot)
            if len(self.orphans) > MAX_WAITING:
                self.settle_orphans()
        self.order.append(slot)
        self._waiting.check_exactness()

    def _resolve(self) -> None:
        """Give the responses whose request is certain to it, and hold the others back as long as that may help."""
        waiting = self._waiting
        while (decided := waiting.decided()) is not None:
            index, to = decided
            to_come = index - len(waiting.held)
            self._guess(index)  # nothing will decide those before any more
            self._give(waiting.held.pop(0), to, to_come)
        if len(waiting.held) > MAX_HELD_RESPONSES:
            self._guess(len(waiting.held))
        self._state_lost(list(waiting.drop_passed()))
        waiting.check_exactness()

    def _give(self, slot: Slot, to: Slot, to_come: int) -> None:
        """The response of `slot` is that of the request `to`."""
        if to.request is None or to.taken:
            self._stand_alone(slot, to)
            return
        self._state_lost(self._waiting.synchronise(to, to_come), slot.response)
        if self._waiting.backlog.narrowed:
            if self._requests_ended:
                self._waiting.backlog.confirm()
            else:
                to.settled = False
                self.inferred.append(to)
        to.take_over(slot)

    def _stand_alone(self, slot: Slot, to: Slot | None) -> None:
        """No request that was seen can have the response."""
        if slot.response is not None:
            slot.response.state_losses(self._losses)
            self._losses = []
        if to is not None and to.request is None and not to.taken:
            if to.losses is not None:
                slot.explain(to.losses)
        else:
            slot.request_lost = True
            slot.problems.append(Problem("undecided-pair", "request"))
        self._insert(slot, slot.latest)

    def _guess(self, count: int) -> None:
        """Give so many held responses to the requests that they probably belong to."""
        waiting = self._waiting
        choices = waiting.guess(count, pipelines=self._pipelines)
        held, waiting.held = waiting.held[:count], waiting.held[count:]
        for slot, to in zip(held, choices, strict=True):
            if to is None:
                self._stand_alone(slot, None)
                continue
            self._state_lost(waiting.take(to), slot.response)
            to.infer()
            to.take_over(slot)

    def _state_lost(self, passed: list[Slot], message: Message | None = None) -> None:
        """State losses on the first exchange whose response lies in them, or on the message that they precede."""
        passed = [slot for slot in passed if slot.request is not None and slot.lost and slot.response is None]
        for slot in passed:
            slot.problems.append(Problem("response-lost", "response"))
        if (first := next((slot for slot in passed if slot.is_shown), None)) is not None:
            first.problems[-1:-1] = as_problems(self._losses, "response")
        elif message is not None:
            message.state_losses(self._losses)
        else:
            return
        self._losses = []

    def _answer_released(self, slot: Slot, message: Message) -> None:
        """The request was handed out already, because too many waited."""
        assert slot.behind is not None
        if slot.behind.hidden:
            self._waiting.blur()
        released = self._released[0]
        slot.method = str(released[0])
        released[1] = int(released[1]) - 1
        if not released[1]:
            self._released.popleft()
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
        self.inferred = [inferred for inferred in self.inferred if inferred is not slot]
        if slot in self.orphans:
            self.orphans.remove(slot)
        elif self._waiting.wait_again(slot) and slot.request is not None:
            return
        if slot.interim is not None:  # which interim responses it had is known all the same
            slot.lost = True
            if slot not in self.order:
                self._insert(slot, slot.latest)
        elif slot in self.order:
            self.order.remove(slot)

    def leave_uncounted(self, slot: Slot, message: Message) -> None:
        """Not even the status of its response is known: it may be an interim one."""
        self._uncounted += 1
        if slot.behind is not None:
            self._losses += slot.behind.losses
            self._uncounted += slot.behind.hidden
        if slot.behind is None and slot.is_shown:
            slot.problems += message.problems
        else:
            self._unknown.append(message)
        self.wait_again(slot)

    def _unknown_problems(self) -> list[Problem]:
        """Of the responses of which not even the status is known; they are stated once."""
        problems = [problem for message in self._unknown for problem in message.problems]
        self._unknown.clear()
        return problems

    @property
    def unstated(self) -> list[Loss]:
        """What no exchange can state, when all were handed out."""
        return [*self._losses, *(loss for message in self._unknown for loss in losses_of(message))]

    def response_closed(self, how: str, losses: list[Loss]) -> None:
        """The response direction ended: who waits gets no response; the first of them may have lost it."""
        held = self._waiting.held
        if self._joined and not self._pipelines and held and held[-1].latest is not None:
            self._waiting.backlog.synchronise(held[-1].latest.number, -1)
            self._resolve()
        self._guess(len(self._waiting.held))
        self._closed = how
        waiting = [slot for slot in self._waiting.slots if slot.waits and slot.is_shown]
        self._waiting.slots.clear()
        for slot in self.order:
            slot.closed = slot.closed or how
        if waiting:
            waiting[0].problems += self._unknown_problems()
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
