"""Which request a response answers after a loss: where bounds decide, it is given; where not, it is held back, and in
the end the latest request that can be meant is taken and named an inference. Knows no bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

from replay.exchange import Problem
from replay.http1.habits import Habits
from replay.http1.limits import MAX_HELD_RESPONSES
from replay.http1.message import Loss, Message
from replay.http1.order import Order
from replay.http1.slot import Slot, as_problems, losses_of
from replay.http1.unsettled import Unsettled
from replay.http1.waiting import Waiting


class Inference:
    """Of one connection."""

    __slots__ = ("_habits", "_losses", "_order", "_unknown", "_unsettled", "_waiting", "uncounted")

    def __init__(self, order: Order, waiting: Waiting, habits: Habits, unsettled: Unsettled) -> None:
        self.uncounted = 0  # responses of which not even the status is known
        self._order = order
        self._waiting = waiting
        self._habits = habits
        self._unsettled = unsettled
        self._unknown: list[Message] = []  # such responses, whose problems are not stated yet
        self._losses: list[Loss] = []  # before the first held response

    def place(self, slot: Slot) -> None:
        """The head of a response was read that is not certain to be the oldest request's."""
        behind, message = slot.behind, slot.response
        if behind is None or message is None:
            return
        slot.behind = None
        slot.problems += self.unknown_problems()
        self.uncounted = 0
        waiting, backlog = self._waiting, self._waiting.backlog
        begun, slot.latest = waiting.begun_before(message)
        waiting.leave_exactness()
        clean = self._habits.answers(lost=behind.hidden > 0)
        if behind.hidden:
            self.guess_all()
            sure = behind.skipped and (behind.body or self._are_final(behind.losses, len(message.raw_head)))
            backlog.lose_responses(int(sure), behind.hidden)
        assumed = self._habits.waits and self._assume_waited(slot.latest, begun.most)
        if not backlog.respond(begun):
            message.state_losses(behind.losses)
            self._orphan(slot)
            return
        self._habits.answered(clean=clean)
        if begun is not backlog.next:
            backlog.confirm()
        slot.method = waiting.common_method()
        waiting.held.append(slot)
        self._losses += behind.losses
        self._resolve()
        if assumed and slot.became is slot.latest is not None and slot.latest.end == backlog.next:
            self._unsettled.add_assumed(slot.latest)

    def _assume_waited(self, latest: Slot | None, begun: int) -> bool:
        """Unless requests may be lost behind the latest. Whether the bounds alone would not have told."""
        if latest is None or latest.end.most != begun:
            return False
        before = self._waiting.backlog.to_come(latest.number)
        agrees = self._waiting.backlog.assume_waited(latest.number)
        self._habits.pipelines |= not agrees
        return agrees and before != (0, 0)

    def _are_final(self, losses: Sequence[Loss], head: int) -> bool:
        """Whether these cannot be interim responses alone, behind which a final one with this `head` came."""
        if not self._habits.loses_final(losses, head):
            return False
        requests = [slot.request for slot in self._waiting.slots if slot.request is not None]
        return not any(request.declared.expects_continue for request in requests)

    def _orphan(self, slot: Slot) -> None:
        self._unsettled.add_orphan(slot)
        self._order.append(slot)
        self._waiting.check_exactness()

    def _resolve(self) -> None:
        """Give the responses whose request is certain to it, and hold the others back as long as that may help."""
        waiting = self._waiting
        while (decided := waiting.decided()) is not None:
            index, to = decided
            to_come = index - len(waiting.held)
            self.guess(index)  # nothing will decide those before any more
            self._give(waiting.held.pop(0), to, to_come)
        if len(waiting.held) > MAX_HELD_RESPONSES:
            self.guess_all()
        self._state_lost(list(waiting.drop_passed()))
        waiting.check_exactness()

    def _give(self, slot: Slot, to: Slot, to_come: int) -> None:
        """The response of `slot` is that of the request `to`."""
        if to.request is None or to.taken:
            self._stand_alone(slot, to)
            return
        self._state_lost(self._waiting.synchronise(to, to_come), slot.response)
        self._unsettled.add_inferred(to)
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
        self._order.put_behind(slot, slot.latest)

    def guess_all(self) -> None:
        """Nothing will decide what is held any more."""
        self.guess(len(self._waiting.held))

    def guess(self, count: int) -> None:
        """Give so many held responses to the requests that they probably belong to."""
        waiting = self._waiting
        choices = waiting.guess(count, pipelines=self._habits.pipelines)
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

    def close(self) -> None:
        """No response follows: what was under way when a stream was joined was answered before the last request."""
        held = self._waiting.held
        if self._habits.may_wait_since_joined and held and held[-1].latest is not None:
            self._waiting.backlog.synchronise(held[-1].latest.number, -1)
            self._resolve()
        self.guess_all()

    def leave_uncounted(self, slot: Slot, message: Message) -> None:
        """Not even the status of its response is known: it may be an interim one."""
        self.uncounted += 1
        if slot.behind is not None:
            self._losses += slot.behind.losses
            self.uncounted += slot.behind.hidden
        if slot.behind is None and slot.is_shown:
            slot.problems += message.problems
        else:
            self._unknown.append(message)

    def unknown_problems(self) -> list[Problem]:
        """Of the responses of which not even the status is known; they are stated once."""
        problems = [problem for message in self._unknown for problem in message.problems]
        self._unknown.clear()
        return problems

    @property
    def unstated(self) -> list[Loss]:
        """What no exchange can state, when all were handed out."""
        return [*self._losses, *(loss for message in self._unknown for loss in losses_of(message))]
