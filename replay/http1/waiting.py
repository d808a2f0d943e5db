"""The requests that wait for their responses, and the responses that may be theirs. Knows no bytes.

As long as nothing was lost the oldest is the next to be answered ("exact"). After a loss the `Backlog` has bounds, and
a response may have several candidates; it is held back until they are one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice, takewhile

from replay.http1.backlog import Backlog, Number
from replay.http1.limits import MAX_COMPARED, MAX_DOUBTED
from replay.http1.message import Loss, Message
from replay.http1.slot import Slot


class Waiting:
    """In their order: requests, and what stands for lost ones."""

    def __init__(self) -> None:
        self.slots: deque[Slot] = deque()
        self.backlog = Backlog()
        self.exact = True  # the bounds are not in use
        self.held: list[Slot] = []  # responses in doubt
        self._lost: Slot | None = None  # what stands for the requests that were lost last
        self._join_at = MAX_DOUBTED
        self._accounted = 0  # for so many of them there is a slot, or a response explains them

    def add(self, slot: Slot) -> None:
        """A further request waits."""
        self.slots.append(slot)
        if len(self.slots) > self._join_at:
            self._join()

    def _join(self) -> None:
        """Neighbours that are no requests which wait become one: what was answered, as it seems, and what is lost."""
        joined: deque[Slot] = deque()
        for slot in self.slots:
            before = joined[-1] if joined else None
            if before is not None and slot is not self._lost and not (before.waits or slot.waits):
                if not before.joined:
                    before = joined[-1] = _copy(before)
                before.least, before.most = before.least + slot.least, before.most + slot.most
            else:
                joined.append(slot)
        self.slots = joined
        self._join_at = max(2 * len(joined), MAX_DOUBTED)

    def remove(self, slot: Slot) -> None:
        """It was no request; none came after it."""
        if slot in self.slots:
            self.slots.remove(slot)
            self.backlog.next = slot.number
        for held in self.held:
            if held.latest is slot:
                held.latest = self.latest

    @property
    def latest(self) -> Slot | None:
        """The latest request that was seen and may wait."""
        return next((slot for slot in reversed(self.slots) if slot.request is not None), None)

    # lost requests

    def lose(self, losses: list[Loss] | None, least: int, most: int, *, explained: int = 0) -> None:
        """So many requests lie in `losses`, beside those that responses without a request explain."""
        self.leave_exactness()
        self._lost = lost = Slot()
        lost.losses, lost.least, lost.most = losses, least, most
        lost.number = self.backlog.begin(least, most)
        self._accounted = explained
        self.slots.append(lost)

    def lose_at_most(self, hidden: int) -> None:
        """More or less is known of the bytes in which requests are lost since the last."""
        lost = self._lost
        assert lost is not None
        if self.slots and self.slots[-1] is lost:
            lost.most = max(hidden - self._accounted, lost.least)
            self.backlog.next = lost.end
        elif hidden > self._accounted + lost.most:  # what it stood for was answered
            self.lose([], 0, hidden - self._accounted - lost.most, explained=self._accounted + lost.most)

    # exactness

    def leave_exactness(self) -> None:
        """Begin to use the bounds."""
        if self.exact:
            self.exact = False
            self.backlog.start(self.slots[0].number if self.slots else self.backlog.next)

    def check_exactness(self) -> None:
        """Whether nothing is in doubt any more."""
        if self.held or self.backlog.narrowed:
            return
        number = self.slots[0].number if self.slots else self.backlog.next
        self.exact = self.backlog.to_come(number) == (0, 0) and all(slot.waits for slot in self.slots)

    def blur(self) -> None:
        """Nothing is known any more."""
        self.leave_exactness()
        self.backlog.blur()

    # responses

    def begun_before(self, message: Message) -> tuple[Number, Slot | None]:
        """The number up to which requests had begun when it did, and the latest of them that was seen."""
        begun = self.backlog.next
        for slot in reversed(self.slots):
            if slot.request is None:
                continue
            if slot.request.first_byte_time <= message.first_byte_time:
                return begun, slot
            begun = slot.number
        return begun, None

    def _is_candidate(self, slot: Slot, to_come: int) -> bool:
        low, high = self.backlog.to_come(slot.number)
        if slot.request is None:
            high = self.backlog.to_come(slot.end)[1] - 1
        return low <= to_come <= high

    def candidates(self, to_come: int) -> Iterator[Slot]:
        """Those that may be the one with so many responses before its own."""
        for slot in self.slots:
            if self._is_candidate(slot, to_come):
                yield slot
            elif self.backlog.to_come(slot.number)[0] > to_come:
                return

    def common_method(self) -> str:
        """Of the candidates for the last response, if they are few and have one in common."""
        few = list(islice(self.candidates(-1), MAX_COMPARED + 1))
        methods = {slot.method for slot in few if slot.request is not None}
        return methods.pop() if len(methods) == 1 and len(few) <= MAX_COMPARED else ""

    def decided(self) -> tuple[int, Slot] | None:
        """A held response that only one can have: its index, and that one."""
        for index in range(len(self.held)):
            found = list(islice(self.candidates(index - len(self.held)), 2))
            if len(found) == 1:
                return index, found[0]
        return None

    def synchronise(self, to: Slot, to_come: int) -> list[Slot]:
        """So many responses come before that of `to`, exactly; those that waited before it."""
        passed = []
        while self.slots[0] is not to:
            passed.append(self._pass_over())
        self.slots.popleft()
        self.backlog.synchronise(to.number, to_come)
        return passed

    def drop_passed(self) -> Iterator[Slot]:
        """Those that were surely answered, although not by a response that was seen."""
        while self.slots:
            slot = self.slots[0]
            _, high = self.backlog.to_come(slot.end)
            if high - 1 >= -len(self.held):
                break
            self.backlog.rebase(slot.end)
            yield self._pass_over()

    def _pass_over(self) -> Slot:
        slot = self.slots.popleft()
        slot.lost = not slot.taken
        return slot

    def guess(self, count: int, *, pipelines: bool) -> list[Slot | None]:
        """For each of the first held responses the latest request that it can belong to. A client that pipelines has
        many under way; any other asked last what is answered, and the first of two answers in a row answers it."""
        choices: list[Slot | None] = []
        slots = list(self.slots)
        for index in range(count - 1, -1, -1):
            to_come = index - len(self.held)
            if pipelines:
                found = (at for at in range(len(slots) - 1, -1, -1) if self._may_take(slots[at], to_come))
                at = next(found, None)
                choice = None if at is None else slots[at]
                del slots[len(slots) if at is None else at :]
            else:
                latest = self.held[index].latest
                second = index and self.held[index - 1].latest is latest
                choice = latest if latest is not None and not second and self._may_take(latest, to_come) else None
            choices.insert(0, choice)
        return choices

    def _may_take(self, slot: Slot, to_come: int) -> bool:
        return slot.waits and self._is_candidate(slot, to_come)

    def take(self, to: Slot) -> list[Slot]:
        """It was guessed that `to` is answered; those before it that were not."""
        passed = [each for each in takewhile(lambda each: each is not to, self.slots) if each.waits]
        for each in passed:
            each.lost = each.taken = True
        to.taken = True
        return passed

    def wait_again(self, slot: Slot) -> bool:
        """It was not answered after all. False if nothing is known of it."""
        if self.backlog.narrowed:  # by a response that was none
            self.blur()
        elif not self.exact:
            self.backlog.take_back()
        if slot in self.held:
            self.held.remove(slot)
        elif slot.request is None:
            self.blur()
            return False
        elif slot.taken:
            slot.taken = False
        else:
            self.slots.appendleft(slot)
        return True


def _copy(slot: Slot) -> Slot:
    """What stands for a slot and those behind it."""
    copy = Slot()
    copy.number, copy.least, copy.most = slot.number, slot.least, slot.most
    copy.taken = copy.joined = True
    return copy
