"""Where does a body end? One reader for each kind of framing (RFC 9112 §6.3), all with one face.

`read` takes bytes and returns the index after those that belong to the body; `miss` takes a gap and returns how many of
its bytes belong to the body; `outcome` says whether the body goes on. The chunked one is in `chunked`.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Protocol

from replay.exchange import Headers, Problem
from replay.http1.bodies import BodyBuilder


class Outcome(Enum):
    """Whether a body goes on."""

    READING = auto()
    DONE = auto()
    LOST = auto()  # its end is not known any more


class BodyReader(Protocol):
    """What the framer knows of a body."""

    trailers: Headers
    problems: list[Problem]

    @property
    def outcome(self) -> Outcome:
        """Whether the body goes on."""

    def read(self, data: bytes, at: int) -> int:
        """Take `data` from `at`; the index of the first byte that is not the body's."""

    def miss(self, length: int | None) -> int:
        """`length` bytes were not seen; how many of them are the body's."""

    def end(self, *, orderly: bool) -> bool:
        """The direction ended; whether that makes the body whole."""

    @property
    def untouched(self) -> bool:
        """Whether not one byte of the body was seen."""

    def give_back(self) -> bytes:
        """Bytes that were taken by `read` before the present call and are not the body's after all."""


class LengthReader:
    """Step 6: a body of so many bytes."""

    __slots__ = ("_body", "_remaining", "outcome", "problems", "trailers")

    def __init__(self, body: BodyBuilder, length: int) -> None:
        self.outcome = Outcome.READING
        self.trailers: Headers = ()
        self.problems: list[Problem] = []
        self._body = body
        self._remaining = length

    def read(self, data: bytes, at: int) -> int:
        """See `BodyReader`."""
        remaining = self._remaining
        stop = len(data)
        if stop - at >= remaining:
            stop = at + remaining
            self.outcome = Outcome.DONE
        self._body.add(data, at, stop)
        self._remaining = remaining - (stop - at)
        return stop

    def miss(self, length: int | None) -> int:
        """A sized gap is skipped exactly; one of unknown size loses the end."""
        if length is None:
            self.outcome = Outcome.LOST
            return 0
        inside = min(length, self._remaining)
        self._body.miss(inside)
        self._remaining -= inside
        if not self._remaining:
            self.outcome = Outcome.DONE
        return inside

    def end(self, *, orderly: bool) -> bool:
        """§8: a body shorter than its length is incomplete."""
        return False

    @property
    def untouched(self) -> bool:
        """See `BodyReader`."""
        return not self._body.size

    def give_back(self) -> bytes:
        """Nothing: the length is known."""
        return b""


class CloseReader:
    """Step 8: everything until the direction ends."""

    __slots__ = ("_body", "outcome", "problems", "trailers")

    def __init__(self, body: BodyBuilder) -> None:
        self.outcome = Outcome.READING
        self.trailers: Headers = ()
        self.problems: list[Problem] = []
        self._body = body

    def read(self, data: bytes, at: int) -> int:
        """See `BodyReader`."""
        self._body.add(data, at, len(data))
        return len(data)

    def miss(self, length: int | None) -> int:
        """Whatever is missing is the body's."""
        self._body.miss(length or 0)
        return length or 0

    def end(self, *, orderly: bool) -> bool:
        """Whole if the sender ended it."""
        return orderly

    @property
    def untouched(self) -> bool:
        """See `BodyReader`."""
        return not self._body.size

    def give_back(self) -> bytes:
        """Nothing: every byte is the body's."""
        return b""
