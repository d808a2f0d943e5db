"""The exchanges of one connection that were not handed out yet, in the order of their requests."""

from __future__ import annotations

from collections import deque

from replay.http1.slot import Slot


class Order(deque[Slot]):
    """The oldest comes first."""

    def put_behind(self, slot: Slot, before: Slot | None) -> None:
        """Behind the request that came `before`; first of all if that was handed out already."""
        if before is not None and before in self:
            self.insert(self.index(before) + 1, slot)
        elif before is not None:
            self.appendleft(slot)
        else:
            self.append(slot)

    def cut_behind(self, slot: Slot) -> None:
        """What was taken for later requests is none, unless it was answered."""
        later = []
        while self and self[-1] is not slot:
            later.append(self.pop())
        self.extend(each for each in reversed(later) if each.response is not None or each.interim is not None)
