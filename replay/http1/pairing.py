"""Which response answers which request (RFC 9112 §9.3.2: in the order of the requests). Knows no bytes.

Without loss, a response belongs to the oldest request that waits; one that begins while none waits belongs to none.
After response start lines were lost it belongs to some request that waits, between two bounds: at least as many are
passed over as start lines were surely lost, and no response answers a request that began after it did. Where the
bounds differ, a client that waits for each answer before it asks again (nearly all) decides for the upper one; after a
client that was seen to pipeline, the responses are held until later ones narrow the bounds or the connection ends.
A response after a loss that is given to the latest request stays open until the next request: if that joins up, no
request lies between and the pair is certain; if requests may be lost there, the two are listed apart.
"""

from __future__ import annotations

from collections import deque

from replay.exchange import Informational, Problem
from replay.http1.limits import MAX_WAITING, MAX_WAITING_BYTES
from replay.http1.message import Loss, Message
from replay.stream import Flow


class Slot:
    """One exchange while it is being read."""

    __slots__ = (
        "became",
        "closed",
        "doubt",
        "informational",
        "lost",
        "method",
        "phantom",
        "problems",
        "request",
        "request_lost",
        "response",
        "settled",
        "unsure",
        "weight",
    )

    def __init__(self, request: Message | None = None) -> None:
        self.request = request
        self.became: Slot | None = None  # a held response's slot: the exchange that it was given to
        self.method = ""  # of the request, once known
        self.response: Message | None = None
        self.informational: list[Informational] = []
        self.problems: list[Problem] = []  # that no message of it can state
        self.lost = False  # its response lies in a gap
        self.request_lost = False  # likewise
        self.closed = ""  # how the response direction ended without one
        self.phantom: list[Loss] | None = None  # a request that lies in these losses
        self.settled = True  # False: a late gap may still explain why its request was not seen
        self.doubt = False  # a request may be lost between this one and the last
        self.unsure = False  # how many requests came before it is not known
        self.weight = 0

    @property
    def done(self) -> bool:
        """Whether nothing more will come of it."""
        if not self.settled or (self.request is not None and not self.request.ended):
            return False
        if self.response is not None:
            return self.response.ended
        return self.lost or bool(self.closed)


class Pairing:
    """The exchanges of one connection that are not finished, in order."""

    def __init__(self, *, joined: bool = False) -> None:
        self.order: deque[Slot] = deque()
        self.waiting: deque[Slot] = deque()
        self._pipelined = False  # more than one request was once seen to wait without a loss
        self._closed = ""
        self._synced = not joined  # the last response surely was the last request's but for those that wait
        self._unsure = joined  # how many requests were made is not known
        self.orphans: list[Slot] = []  # not settled
        # not settled either: a request that is lost behind theirs may be the one that was answered
        self.inferred: list[Slot] = []
        self._held: list[tuple[Slot, int]] = []  # responses in doubt, and the last request that each may answer
        self._held_losses: list[Loss] = []  # before the first of them
        self._least = 0  # how many requests are surely passed over by the first of them
        self._released: deque[list[str | int]] = deque()  # [method, count] of requests that waited too long
        self._weight = 0

    @property
    def at_rest(self) -> bool:
        """Whether nothing waits or is in doubt: a further request and the response after it are a certain pair."""
        unsettled = self.orphans or self.inferred or self._held or self._released or self._least
        return self._synced and not (self.order or self.waiting or self._unsure or self._closed or unsettled)

    # requests

    def request_began(self, message: Message, *, doubt: bool = False) -> Slot:
        """A further request waits for its response; with `doubt` others may lie between it and the last."""
        if self.inferred or doubt:
            self.settle_inferred(doubt=doubt)
        if self.waiting and self.waiting[-1].request is not None:
            self._pipelined |= self.waiting[-1].request.last_byte_time == message.first_byte_time
        slot = Slot(message)
        slot.doubt = doubt
        slot.unsure = self._unsure
        slot.closed = self._closed
        self.order.append(slot)
        if not self._closed:
            self.waiting.append(slot)
        return slot

    def request_ended(self, slot: Slot) -> None:
        """Bound what waits: the oldest is handed out without its response."""
        assert slot.request is not None
        slot.weight = slot.request.weight
        self._weight += slot.weight
        while len(self.waiting) > MAX_WAITING or (self._weight > MAX_WAITING_BYTES and len(self.waiting) > 1):
            self._release(self.waiting.popleft())

    def _release(self, slot: Slot) -> None:
        self._settle_held()
        slot.closed = "too-many-waiting"
        slot.problems.append(Problem("too-many-waiting", "request"))
        self._weight -= slot.weight
        slot.weight = 0
        if self._released and self._released[-1][0] == slot.method:
            self._released[-1][1] = int(self._released[-1][1]) + 1
        else:
            self._released.append([slot.method, 1])

    def requests_skipped(self, losses: list[Loss], *, sure: bool, late: bool) -> None:
        """A request, or more, lies in `losses` (if not `sure`: or was said to before). A response without a request
        that is not settled explains it; otherwise one that has not come may."""
        self._unsure = True
        if late:  # it may have passed before what was answered
            self.settle_inferred(doubt=True)
        if self.orphans:
            self._explain(self.orphans[0], losses)
        elif sure and not self._closed and not (self.waiting and self.waiting[-1].phantom is not None):
            slot = Slot()
            slot.phantom = losses
            self.waiting.append(slot)

    def _explain(self, slot: Slot, losses: list[Loss]) -> None:
        """The request of `slot` lies in `losses`."""
        slot.problems += as_problems(losses, "request")
        slot.problems.append(Problem("request-lost", "request"))
        slot.request_lost = True
        losses.clear()

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
            else:
                self._synced = True
                self._unsure &= self._pipelined
        self.inferred.clear()
        if doubt:
            self._unsure = True

    def _part(self, slot: Slot) -> None:
        """The response may be that of a request which lies in a gap: list the two apart."""
        if slot.response is None:
            return
        apart = slot.became = Slot()  # where the response goes on
        apart.response, slot.response = slot.response, None
        apart.informational, slot.informational = slot.informational, []
        apart.request_lost = slot.lost = True
        slot.problems.append(Problem("undecided-pair", "response"))
        apart.problems.append(Problem("undecided-pair", "request"))
        self.order.insert(self.order.index(slot) + 1, apart)

    def remove(self, slot: Slot) -> None:
        """It was no exchange."""
        self.order.remove(slot)
        if slot in self.waiting:
            self.waiting.remove(slot)

    def remove_after(self, slot: Slot) -> None:
        """What was taken for later requests belongs to another protocol."""
        while self.order and self.order[-1] is not slot:
            self.order.pop()
        self.waiting.clear()

    # responses

    def response_began(self, message: Message, losses: list[Loss], *, doubt: bool, skipped: bool) -> Slot:
        """The exchange that a response belongs to; the losses before it are stated where they belong."""
        later = self._later_than(message) if doubt else []
        slot = self._place(message, losses, doubt=doubt, skipped=skipped)
        if later:
            self.settle_inferred(doubt=later[0].doubt)
            self.waiting.extend(later)
        return slot.became or slot

    def _later_than(self, message: Message) -> list[Slot]:
        """Requests that began after it did, although that was known sooner; they do not wait for it."""
        later: deque[Slot] = deque()
        while self.waiting and (request := self.waiting[-1].request) is not None:
            if request.first_byte_time <= message.first_byte_time:
                break
            later.appendleft(self.waiting.pop())
        return list(later)

    def _place(self, message: Message, losses: list[Loss], *, doubt: bool, skipped: bool) -> Slot:
        if self._released:
            return self._answer_released(message, losses)
        if doubt:
            self._synced = False
            self._settle_held()
            self._least = min(1 if skipped else 0, max(len(self.waiting) - 1, 0))
        if self._held or (doubt and self._least < len(self.waiting) - 1):
            return self._doubtful(message, losses)
        if losses or self._least:
            passed = [self._pass_over() for _ in range(self._least)]
            self._least = 0
            self._state(losses, passed, message)
        slot = self._next_waiting(certain=not doubt)
        slot.response = message
        self._infer(slot)
        return slot

    def _infer(self, slot: Slot) -> None:
        """Unless it is certain, a pair is named an inference, or left open until the next request."""
        if slot.request is None or slot.response is None or (self._synced and not slot.unsure):
            return
        if self._pipelined and slot.unsure:
            slot.response.problem("paired-by-inference")
        elif not self.waiting and not self._synced:
            slot.settled = False
            self.inferred.append(slot)

    def _next_waiting(self, *, certain: bool) -> Slot:
        overtaken = not self._pipelined and not (certain and self._synced)
        while overtaken and len(self.waiting) > 1 and self.waiting[0].phantom is not None:
            self.waiting.popleft()  # it would have been answered before the next was asked
        if len(self.waiting) > 1 and certain:
            self._pipelined = True
        if not self.waiting:
            slot = Slot()
            slot.settled = False
            self.orphans.append(slot)
            self.order.append(slot)
            return slot
        slot = self.waiting.popleft()
        if slot.phantom is not None:
            self._explain(slot, slot.phantom)
            self.order.append(slot)
        return slot

    def _pass_over(self) -> Slot:
        slot = self.waiting.popleft()
        slot.lost = True
        return slot

    def _doubtful(self, message: Message, losses: list[Loss]) -> Slot:
        """More than one request may be the one that is answered."""
        if not self._pipelined:
            passed = [self._pass_over() for _ in range(len(self.waiting) - 1)]
            self._least = 0
            self._state(losses, passed, message)
            message.problem("paired-by-inference")
            slot = self._next_waiting(certain=False)
            slot.response = message
            self._infer(slot)
            return slot
        slot = Slot()
        slot.response = message
        slot.method = self._common_method()
        self._held.append((slot, len(self.waiting) - 1))
        self._held_losses += losses
        if self._most() <= self._least:
            self._settle_held()
        return slot.became or slot

    def _common_method(self) -> str:
        """HEAD only if every candidate is one."""
        methods = {slot.method for slot in self.waiting if slot.phantom is None}
        return methods.pop() if len(methods) == 1 else ""

    def _most(self) -> int:
        """How many requests the first held response may pass over at most."""
        return max(min(last - index for index, (_, last) in enumerate(self._held)), 0)

    def _settle_held(self) -> None:
        """Give the held responses to the latest requests that they can belong to."""
        held, self._held = self._held, []
        if not held:
            return
        self._unsure = True
        for slot in self.waiting:
            slot.unsure = True
        last = [last for _, last in held]
        most = max(min(end - index for index, end in enumerate(last)), self._least, 0)
        passed = [self._pass_over() for _ in range(min(most, len(self.waiting)))]
        self._least = 0
        losses, self._held_losses = self._held_losses, []
        if held[0][0].response is not None:
            self._state(losses, passed, held[0][0].response)
        for found, _ in held:
            slot = found.became = self._next_waiting(certain=False)
            slot.response, slot.informational = found.response, found.informational
            slot.problems += found.problems
            if found.response is not None:
                found.response.problem("paired-by-inference")

    def _answer_released(self, message: Message, losses: list[Loss]) -> Slot:
        """The request was handed out already, because too many waited."""
        released = self._released[0]
        slot = Slot()
        slot.method = str(released[0])
        released[1] = int(released[1]) - 1
        if not released[1]:
            self._released.popleft()
        slot.response = message
        message.state_losses(losses)
        slot.problems.append(Problem("request-listed-before", "response"))
        self.order.appendleft(slot)
        return slot

    def _state(self, losses: list[Loss], passed: list[Slot], message: Message) -> None:
        """State losses on the first exchange whose response lies in them, or on the message that they precede."""
        passed = [slot for slot in passed if slot.phantom is None]
        if not passed:
            message.state_losses(losses)
            return
        passed[0].problems += as_problems(losses, "response")
        for slot in passed:
            slot.problems.append(Problem("response-lost", "response"))

    def wait_again(self, slot: Slot) -> None:
        """Its response has not begun after all, or only with interim ones."""
        slot.response = None
        slot.settled = True
        self.inferred = [inferred for inferred in self.inferred if inferred is not slot]
        if slot.request is not None:
            self.waiting.appendleft(slot)
            return
        self._held = [held for held in self._held if held[0] is not slot]
        self.orphans = [orphan for orphan in self.orphans if orphan is not slot]
        if slot in self.order:
            self.order.remove(slot)

    def response_closed(self, how: str, losses: list[Loss]) -> None:
        """The response direction ended: who waits gets no response; the first of them may have lost it."""
        self._settle_held()
        self._closed = how
        waiting, self.waiting = [slot for slot in self.waiting if slot.phantom is None], deque()
        for slot in self.order:
            slot.closed = slot.closed or how
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


def as_problems(losses: list[Loss], side: Flow) -> list[Problem]:
    """Losses that swallowed the beginning of a message: offsets count from the first of them."""
    start = losses[0].position if losses else 0
    return [Problem(loss.code, side, loss.position - start, loss.length, loss.reason, loss.detail) for loss in losses]
