"""What a framer asks and tells: the face of whoever knows both directions."""

from __future__ import annotations

from typing import Protocol

from replay.http1.framing import Framing
from replay.http1.grammar import Head
from replay.http1.message import Loss, Message


class Sink(Protocol):
    """Who is told of the messages of one direction."""

    def began(self, message: Message, losses: list[Loss], *, doubt: bool, skipped: bool) -> None:
        """A start line begins. `losses` came before it; with `doubt` the framing was lost since the last message,
        with `skipped` at least one whole start line went by unseen."""

    def skipped(self, losses: list[Loss], *, sure: bool) -> None:
        """At least one start line went by unseen; `losses` are those since the last message, this one included.
        If not `sure`, it may be one that was told of before."""

    def framing(self, message: Message) -> Framing:
        """Which body follows its head."""

    def ended(self, message: Message) -> None:
        """Nothing more of it will come."""

    def dropped(self, message: Message) -> None:
        """It was no message after all."""

    def supports_start(self, *, in_message: bool, at_edge: bool) -> bool:
        """Whether the other direction makes a start line believable after a loss (`in_message`: the loss is in an
        unfinished message; `at_edge`: it is the first byte of a read or write)."""

    def headless(self, message: Message) -> Head | None:
        """The head to assume where no start line stands, if the other direction asked for such a message."""

    def foreign(self, first: bytes) -> bool:
        """The direction does not begin with HTTP/1. Whether it is to be given up."""
