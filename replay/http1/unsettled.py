"""Exchanges that cannot be handed out yet, because a hole in the requests that is noticed late may tell otherwise.

Orphans are responses without a request: the hole may have had it. Inferred pairs rest on no request being lost behind
theirs. One pair may be assumed because the client always waited: a further response before the next request speaks
against that. All are settled as soon as the requests go on.
"""

from __future__ import annotations

from replay.exchange import Problem
from replay.http1.limits import MAX_WAITING
from replay.http1.message import Loss
from replay.http1.order import Order
from replay.http1.slot import Slot
from replay.http1.waiting import Waiting


class Unsettled:
    """Knows no bytes; told when the requests go on."""

    __slots__ = ("_order", "_waiting", "assumed", "contradicted", "inferred", "orphans", "requests_ended")

    def __init__(self, order: Order, waiting: Waiting) -> None:
        self.orphans: list[Slot] = []
        self.inferred: list[Slot] = []
        self.assumed: Slot | None = None
        self.contradicted = False  # a further response came before a request
        self.requests_ended = False
        self._order = order
        self._waiting = waiting

    def __bool__(self) -> bool:
        return bool(self.orphans or self.inferred or self.assumed)

    def add_orphan(self, slot: Slot) -> None:
        """A response begins that no request which was seen can have."""
        if self.requests_ended:
            return
        slot.settled = False
        self.orphans.append(slot)
        if len(self.orphans) > MAX_WAITING:
            self.settle_orphans()

    def add_inferred(self, slot: Slot) -> None:
        """Its response is its own if no request is lost behind it."""
        if not self._waiting.backlog.narrowed:
            return
        if self.requests_ended:
            self._waiting.backlog.confirm()
        else:
            slot.settled = False
            self.inferred.append(slot)

    def add_assumed(self, slot: Slot) -> None:
        """Its response is its own if the client waits for its answers: then a request comes before a further one."""
        self.settle_assumed(lost=True)
        if not self.requests_ended:
            slot.settled = False
            self.assumed = slot
            self.contradicted = False

    def settle_assumed(self, *, lost: bool) -> bool:
        """The requests went on, and some may be `lost` that explain a further response. Whether the client did not
        wait after all."""
        slot, self.assumed = self.assumed, None
        if slot is None:
            return False
        denied = self.contradicted and not lost
        slot.settled = denied or slot not in self.inferred
        if denied:
            self.inferred = [inferred for inferred in self.inferred if inferred is not slot]
            self._part(slot)
        return denied

    def forget(self, slot: Slot) -> bool:
        """It has no response after all. Whether it was an orphan."""
        self.inferred = [inferred for inferred in self.inferred if inferred is not slot]
        if slot is self.assumed:
            self.assumed = None
        if slot not in self.orphans:
            return False
        self.orphans.remove(slot)
        return True

    def explain_orphans(self, losses: list[Loss], count: int) -> int:
        """So many requests, at most, lie in `losses`, which passed before the orphans or behind them. How many of them
        are theirs."""
        explained = self.orphans[:count]
        for slot in explained:
            slot.explain(losses)
        return len(explained)

    def settle_orphans(self) -> None:
        """The request direction went on: responses without a request have none."""
        for slot in self.orphans:
            slot.settled = True
        self.orphans.clear()

    def settle_inferred(self, *, doubt: bool) -> None:
        """The requests went on or ended: without `doubt` no request is lost behind those that were answered."""
        for slot in self.inferred:
            slot.settled = slot is not self.assumed
            if doubt:
                self._part(slot)
        self.inferred.clear()
        if self._waiting.backlog.narrowed:
            if doubt:
                self._waiting.backlog.widen()
            else:
                self._waiting.backlog.confirm()
                self._waiting.check_exactness()

    def end_requests(self, hidden: int, *, doubt: bool) -> None:
        """No request follows; so many may be hidden behind the last."""
        self.settle_assumed(lost=hidden > 0)
        self.settle_inferred(doubt=hidden > 0 and doubt)
        self.explain_orphans([], hidden)
        self.requests_ended = True

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
        self._order.put_behind(apart, slot)
