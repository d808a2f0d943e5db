"""What client and server of one connection were seen to do: it tells which request is meant where bounds alone do not.

A client that was seen often enough to wait for its answer before it asks again is believed to do so always, until it
once does not. A server that never sent interim responses is believed to have lost none.
"""

from __future__ import annotations

from collections.abc import Sequence

from replay.http1.limits import ENOUGH_WAITING, MIN_LOST_FINAL_BYTES
from replay.http1.message import Loss, Message


class Habits:
    """Told of every request and every response; knows nothing of which belong together."""

    __slots__ = ("_asked", "_clean", "_joined", "interim_seen", "pipelines", "waited")

    def __init__(self, *, joined: bool) -> None:
        self.pipelines = False  # the client was once seen not to wait
        self.waited = 0  # how often it was seen to wait before it asked again; twice where that is certain
        self.interim_seen = False
        # Joined in the middle, and nothing was lost since: once is enough then, because what a client that sends
        # several requests at once had under way is answered before it asks again.
        self._joined = joined
        self._asked = 0  # requests since the last response began
        self._clean = not joined  # no loss since then

    @property
    def waits(self) -> bool:
        """Whether the client is believed to ask one thing at a time."""
        return self.waited >= (1 if self._joined else ENOUGH_WAITING) and not self.pipelines

    @property
    def may_wait_since_joined(self) -> bool:
        """Whether nothing was lost since the stream was joined, and nothing speaks against a client that waits."""
        return self._joined and not self.pipelines

    def asks(self, message: Message, before: Message | None) -> None:
        """A request begins; `before` it another one waits."""
        self._asked += 1
        if before is not None:
            self.pipelines |= before.last_byte_time == message.first_byte_time

    def asks_not(self) -> None:
        """The last was no request."""
        self._asked -= 1

    def loses_requests(self) -> None:
        """Requests may have passed unseen."""
        self._clean = self._joined = False

    def answers_oldest(self, waiting: int) -> None:
        """A response begins that is certainly the oldest request's, of so many that wait."""
        if waiting > 1:
            self.pipelines = True
        elif self._clean:
            self.waited += 2
        self._clean, self._asked = True, 0

    def answers(self, *, lost: bool) -> bool:
        """A response begins whose request is not certain; before it, responses are `lost` or not. Whether nothing at
        all was lost since the last response."""
        clean = self._clean and not lost
        if lost:
            self._joined = False
        elif clean:
            self.waited += self._asked == 1
            self.pipelines |= self._asked > 1
        return clean

    def answered(self, *, clean: bool) -> None:
        """It answers a request that was seen or lost (`clean`: as `answers` said)."""
        self.pipelines |= clean and not self._asked
        self._clean, self._asked = True, 0

    def loses_final(self, losses: Sequence[Loss], head: int) -> bool:
        """Whether the lost part of the responses cannot be interim ones alone: it is no smaller than the `head` of the
        final one behind it."""
        lost = sum(loss.length or 0 for loss in losses if loss.code == "gap")
        return not self.interim_seen and lost >= (MIN_LOST_FINAL_BYTES if self.pipelines else head)
