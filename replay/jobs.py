"""A recording in, the lines of its results out, made by several processes and byte for byte as one would make them.

Each process reads the recording by itself and makes the lines of its own sockets (`replay.sharing`). By the numbers
that these have in all processes alike, this one puts the others' lines between its own. Who is ahead waits: for a slot
(`replay.relay`), or for the one that is most behind. A recording that cannot be divided is this process's alone.
"""

from __future__ import annotations

import os
import signal
from bisect import bisect_left
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from operator import itemgetter
from typing import Final, NoReturn

from capfile.errors import CapfileError
from replay.census import Census, Indivisible
from replay.connections import SidePolicy
from replay.dispatch import Result
from replay.pipeline import exchanges
from replay.relay import FOREVER, Batch, Line, Receiver, Relay, Sender
from replay.sharing import Found, Share
from replay.source import LookedAhead, Recording, prefixes

BATCH: Final = 256  # lines that are handed over and put in order together
BATCH_BYTES: Final = 128 << 10  # … unless they are longer than that together
MAX_WAITING_BYTES: Final = 4 << 20  # of lines that wait here for their turn
MERGING: Final = 0.1  # what it costs to put a line between others, in what it costs to make one

Encode = Callable[[Result], bytes | None]  # None: not wanted
_NUMBER: Final = itemgetter(0)


def text(found: Sequence[Recording], side: SidePolicy, encode: Encode, jobs: int) -> Generator[bytes, None, None]:
    """The encoded results of all recordings, in order, many at a time. What a worker raises is raised here."""
    for recording, prefix in zip(found, prefixes(len(found)), strict=True):
        done = 0
        try:
            for part in _by_several(recording, side, prefix, encode, jobs):
                done += len(part)
                yield part
        except (Indivisible, CapfileError):  # the latter where, among the lines, one process would have met it
            for result in exchanges(recording, side, prefix):
                line = encode(result) or b""
                if done:
                    done -= len(line)
                else:
                    yield line


def _by_several(recording: Recording, side: SidePolicy, prefix: str, encode: Encode, jobs: int) -> Iterator[bytes]:
    census = Census()
    outlook = LookedAhead(census.of(recording.frames()))
    division = census.division(_weights(jobs))

    def found(index: int) -> Iterator[Found]:
        return Share(division, index).results(recording, outlook, side, prefix)

    with closing(_Workers(found, encode, jobs)) as workers:
        for batch in _batches(found(0), encode):
            yield from workers.merged(batch)


def _weights(jobs: int) -> list[float]:
    """How much of the work is whose, so that all are busy for the same time, this process with the others' lines too:
    x + m(1 - x) = (1 - x) / (jobs - 1)."""
    if jobs == 1:
        return [1]
    left = max(0, 1 / (jobs - 1) - MERGING)
    own = left / (1 + left)
    return [own, *[(1 - own) / (jobs - 1)] * (jobs - 1)]


def _batches(found: Iterable[Found], encode: Encode) -> Iterator[Batch]:
    numbers: list[int] = []
    generations: list[int] = []
    lines: list[bytes] = []
    size = 0
    for number, generation, result in found:
        if result is not None:
            line = encode(result)
            if line is None:
                continue
            numbers.append(number)
            generations.append(generation)
            lines.append(line)
            size += len(line)
            if len(lines) < BATCH and size < BATCH_BYTES:
                continue
        yield Batch(number if result is not None else number + 1, numbers, generations, lines, size)
        numbers, generations, lines, size = [], [], [], 0
    yield Batch(FOREVER, numbers, generations, lines, size)


class _Workers:
    """The other processes, and the lines that wait for their turn."""

    def __init__(self, found: Callable[[int], Iterator[Found]], encode: Encode, jobs: int) -> None:
        self._workers: list[tuple[int, Receiver]] = []
        self._ordinal = 0
        self._waiting: list[Line] = []
        self._size = 0  # bytes of them
        for index in range(1, jobs):
            relay = Relay()
            pid = os.fork()
            if not pid:
                # held here too, our ends would keep a worker from noticing that nobody takes its lines any more
                self._close_receivers()
                _work(relay, found, index, encode)
            self._workers.append((pid, Receiver(relay)))

    def merged(self, batch: Batch) -> Iterator[bytes]:
        """Take lines of this process; those of all whose turn it is."""
        ordinals = range(self._ordinal, self._ordinal + len(batch.lines))
        self._ordinal = ordinals.stop
        self._waiting += zip(batch.numbers, batch.generations, ordinals, batch.lines, strict=True)
        self._size += batch.size
        for _, each in self._workers:
            if each.complete <= batch.complete or self._size < MAX_WAITING_BYTES:
                self._take(each)
        yield self._whole(batch.complete)
        while (slowest := self._slowest(batch.complete)) is not None:
            slowest.wait()
            self._take(slowest)
            yield self._whole(batch.complete)

    def _take(self, receiver: Receiver) -> None:
        try:
            for lines, size in receiver.take():
                self._waiting += lines
                self._size += size
        except EOFError:
            raise RuntimeError("a worker process ended before its work was done") from None

    def _whole(self, complete: int) -> bytes:
        """The lines that no other can come before."""
        complete = min([complete, *[each.complete for _, each in self._workers]])
        waiting = self._waiting
        waiting.sort()  # no two lines are compared: those of one number and generation are one process's
        end = bisect_left(waiting, complete, key=_NUMBER) if complete < FOREVER else len(waiting)
        whole = b"".join([line for _, _, _, line in waiting[:end]])
        del waiting[:end]
        self._size -= len(whole)
        return whole

    def _slowest(self, complete: int) -> Receiver | None:
        """Who must be waited for: too much waits here for its lines, or all of this process are there."""
        if self._size < MAX_WAITING_BYTES and complete < FOREVER:
            return None
        behind = [each for _, each in self._workers if each.complete < complete]
        return min(behind, key=lambda each: each.complete, default=None)

    def close(self) -> None:
        """End them."""
        self._close_receivers()
        for pid, _ in self._workers:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def _close_receivers(self) -> None:
        for _, each in self._workers:
            each.close()


def _work(relay: Relay, found: Callable[[int], Iterator[Found]], index: int, encode: Encode) -> NoReturn:
    """What another process does; nothing else of the program happens in it."""
    try:
        sender = Sender(relay)
        with suppress(BrokenPipeError):  # nobody wants more
            try:
                for batch in _batches(found(index), encode):
                    sender.send(batch)
            except BrokenPipeError:
                raise
            except Exception as error:
                sender.fail(error)
    finally:
        os._exit(0)
