"""How many responses are still to come before a request's own: bounds, never guesses. Knows numbers, no messages.

Requests are numbered in their order, those that lie in a loss included. Of these only is known how many there are at
least and at most, so a number is two: with as few, and with as many lost requests before it as there can be. A request
whose response is next has 0 responses to come before its own; one that was answered has fewer.
"""

from __future__ import annotations

from typing import NamedTuple

from replay.http1.limits import MAX_HIDDEN


class Number(NamedTuple):
    """A request's place among all requests, lost ones included: at least, and at most."""

    least: int
    most: int


class Backlog:
    """Bounds for the request numbered `_base`; those of all others follow."""

    __slots__ = ("_base", "_high", "_low", "_unnarrowed", "next")

    def __init__(self) -> None:
        self.next = Number(0, 0)
        self._base = Number(0, 0)
        self._low = self._high = 0
        self._unnarrowed = 0  # the lower bound, as long as requests may have been lost since the last that was seen

    def start(self, number: Number) -> None:
        """The response to that request is next."""
        self._base = number
        self._low = self._high = self._unnarrowed = 0

    def begin(self, least: int = 1, most: int = 1) -> Number:
        """The number of the next request, or of the first of so many lost ones."""
        number = self.next
        self.next = Number(number.least + least, number.most + most)
        return number

    def to_come(self, number: Number) -> tuple[int, int]:
        """At least and at most so many responses come before that of the request with this number."""
        fewer, more = number.least - self._base.least, number.most - self._base.most
        if fewer < 0 or more < 0:
            fewer, more = more, fewer
        return self._low + fewer, self._high + more

    def synchronise(self, number: Number, to_come: int) -> None:
        """So many responses come before that request's, exactly, if none was lost since the last."""
        narrowed_by = self._low - self._unnarrowed
        self._base = number
        self._low = self._high = to_come
        self._unnarrowed = to_come - narrowed_by

    def rebase(self, number: Number) -> None:
        """Requests before that one are of no interest any more: their bounds may be forgotten."""
        before = self._low
        self._low, self._high = self.to_come(number)
        self._unnarrowed += self._low - before
        self._base = number

    def lose_responses(self, least: int, most: int) -> None:
        """So many final responses are lost."""
        self._low -= most
        self._unnarrowed -= most
        self._high -= least

    def respond(self, begun: Number) -> bool:
        """A final response begins; requests up to the number `begun` had begun by then. False if none can be answered.

        That one of these is answered narrows the lower bound.
        """
        lowest = 1 - (begun.most - self._base.most)
        if self._high < lowest:
            return False
        self._low = max(self._low, lowest) - 1
        self._unnarrowed -= 1
        self._high -= 1
        return True

    def take_back(self) -> None:
        """The last response was none."""
        self._low += 1
        self._unnarrowed += 1
        self._high += 1

    @property
    def narrowed(self) -> bool:
        """Whether the bounds rest on no request being lost since the last that was seen."""
        return self._unnarrowed < self._low

    def confirm(self) -> None:
        """No request was lost since."""
        self._unnarrowed = self._low

    def widen(self) -> None:
        """Requests may have been lost since, before what they were thought to come after."""
        self._low = self._unnarrowed

    def assume_waited(self, number: Number) -> bool:
        """The client asks one thing at a time, so nothing comes before the response to its last request. False if that
        cannot be."""
        low, high = self.to_come(number)
        if low > 0 or high < 0:
            return False
        self._unnarrowed += low - self._low
        self._base = number
        self._low = self._high = 0
        return True

    def blur(self) -> None:
        """Nothing is known any more."""
        self._low -= MAX_HIDDEN
        self._unnarrowed -= MAX_HIDDEN
        self._high += MAX_HIDDEN
