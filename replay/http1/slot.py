"""One exchange while it is being read: a plain record that the sides fill and the pairing hands on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from replay.exchange import Informational, Problem
from replay.http1.backlog import Number
from replay.http1.message import Loss, Message
from replay.stream import Flow


class Behind(NamedTuple):
    """What lies between a response and the last: losses that are to be stated, and how many start lines they hide."""

    losses: Sequence[Loss]
    hidden: int = 0  # at most
    skipped: bool = False  # at least one, perhaps of an interim response
    body: bool = False  # the last of them has a body, so that it is final


NOTHING_BEHIND: Final = Behind(())
_LOSSES: Final = frozenset({"gap", "unframed", "joined-midstream", "empty-lines", "undecided-tunnel"})


class Slot:
    """A request, its response, or both; or lost requests that nothing is known of but their number."""

    __slots__ = (
        "became",
        "behind",
        "closed",
        "informational",
        "interim",
        "joined",
        "latest",
        "least",
        "losses",
        "lost",
        "method",
        "most",
        "number",
        "problems",
        "request",
        "request_lost",
        "response",
        "settled",
        "taken",
        "weight",
    )

    def __init__(self, request: Message | None = None) -> None:
        self.request = request
        self.method = ""  # of the request, once known
        self.response: Message | None = None
        self.informational: list[Informational] = []
        self.interim: Message | None = None  # the last of them
        self.problems: list[Problem] = []  # that no message of it can state
        self.lost = False  # its response lies in a gap
        self.request_lost = False  # likewise
        self.closed = ""  # how the response direction ended without one
        self.settled = True  # False: a late gap may still explain why its request was not seen
        self.weight = 0
        # while it waits
        self.number = Number(0, 0)
        self.least = self.most = 1  # requests that it stands for, if it stands for lost ones
        self.losses: list[Loss] | None = None  # in which they lie
        self.joined = False  # it stands for several slots
        self.taken = False  # answered, as it seems, but it may yet be the one of a later response
        # of a response whose request is not certain
        self.behind: Behind | None = None  # until its head was read
        self.latest: Slot | None = None  # the latest request that was seen before it
        self.became: Slot | None = None  # the exchange that it was given to

    @property
    def done(self) -> bool:
        """Whether nothing more will come of it."""
        if not self.settled or (self.request is not None and not self.request.ended):
            return False
        if self.response is not None:
            return self.response.ended
        return self.lost or bool(self.closed)

    @property
    def waits(self) -> bool:
        """Whether it is a request that was seen and not answered, as far as is known."""
        return self.request is not None and not self.taken

    @property
    def end(self) -> Number:
        """The number of the request after it."""
        return Number(self.number.least + self.least, self.number.most + self.most)

    @property
    def is_shown(self) -> bool:
        """Whether a start line of it is known, so that it can state what was lost."""
        messages = (self.request, self.response, self.interim)
        return any(message is not None and message.head is not None for message in messages)

    @property
    def is_inferred(self) -> bool:
        """Whether its response may be another request's."""
        return any(problem.code == "paired-by-inference" for problem in self.problems)

    def infer(self) -> None:
        """Its response may be another request's."""
        if not self.is_inferred:
            self.problems.append(Problem("paired-by-inference", "response"))

    def explain(self, losses: list[Loss]) -> None:
        """Its request lies in these losses."""
        if self.is_shown:
            self.problems += as_problems(losses, "request")
            losses.clear()
        self.problems.append(Problem("request-lost", "request"))
        self.request_lost = True

    def take_over(self, held: Slot) -> None:
        """The response of `held` is this request's."""
        held.became = self
        self.response = held.response
        self.informational += held.informational
        self.interim = held.interim or self.interim
        self.problems += held.problems


def losses_of(message: Message) -> list[Loss]:
    """What its problems say of bytes that are missing, at their places in the direction."""
    return [
        Loss(each.code, message.position + each.offset, each.length, each.reason, each.detail)
        for each in message.problems
        if each.code in _LOSSES and each.offset is not None
    ]


def as_problems(losses: Sequence[Loss], side: Flow) -> list[Problem]:
    """Losses that swallowed the beginning of a message: offsets count from the first of them."""
    start = losses[0].position if losses else 0
    return [Problem(loss.code, side, loss.position - start, loss.length, loss.reason, loss.detail) for loss in losses]
