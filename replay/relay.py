"""Lines and their places from one process to another: the lines through memory that both see, the rest through a pipe.

A batch of lines goes into a slot of the memory; there are few of them, so that who is ahead waits. What fits no slot
goes through the pipe like the rest, and so does an exception.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count
from select import select
from typing import Final, NamedTuple

SLOTS: Final = 8
SLOT_BYTES: Final = 256 << 10
READ_BYTES: Final = 64 << 10
PIPE_BYTES: Final = 1 << 20  # the most room that Linux gives to users who are not root (pipe(7))
FOREVER: Final = (1 << 64) - 1

# The number of what finished it, the generation of its socket, a number of its own in its process, the line.
Line = tuple[int, int, int, bytes]
# Before a batch in the pipe: `complete`, how many lines, their bytes, and whether these are in a slot. Then come the
# numbers, the generations and the lengths of all lines. An exception is _RAISED lines.
_HEAD: Final = struct.Struct("=QQQQ")
_EACH: Final = 3 * 8
_RAISED: Final = FOREVER


class Batch(NamedTuple):
    """Lines, and before which number there are no others of this process that were not given before."""

    complete: int
    numbers: Sequence[int]
    generations: Sequence[int]
    lines: Sequence[bytes]
    size: int  # bytes of the lines


class Relay:
    """What both processes have from before they part."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, SLOTS * SLOT_BYTES)
        self.batches = os.pipe()
        with suppress(OSError):  # the user is at a limit: then lines that fit no slot wait more often
            fcntl.fcntl(self.batches[1], fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self.free = os.pipe()  # a byte for each slot that may be written to
        os.write(self.free[1], bytes(SLOTS))


class Sender:
    """In the process that makes the lines."""

    def __init__(self, relay: Relay) -> None:
        self._memory = relay.memory
        self._batches, self._free = relay.batches[1], relay.free[0]
        os.close(relay.batches[0])
        os.close(relay.free[1])
        self._slot = 0

    def send(self, batch: Batch) -> None:
        """May wait; BrokenPipeError when nobody takes it."""
        lengths = array("Q", map(len, batch.lines))
        columns = array("Q", batch.numbers).tobytes() + array("Q", batch.generations).tobytes() + lengths.tobytes()
        text = b"".join(batch.lines)
        fits = 0 < len(text) <= SLOT_BYTES
        if fits:
            if not os.read(self._free, 1):
                raise BrokenPipeError
            start = self._slot * SLOT_BYTES
            self._memory[start : start + len(text)] = text
            self._slot = (self._slot + 1) % SLOTS
        head = _HEAD.pack(batch.complete, len(lengths), len(text), fits)
        self._write(head + columns if fits else head + columns + text)

    def fail(self, error: Exception) -> None:
        """Have it raised where the lines go."""
        import pickle

        raised = pickle.dumps(error)
        self._write(_HEAD.pack(0, _RAISED, len(raised), 0) + raised)

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self._batches, left) :]


class Receiver:
    """In the process that puts the lines in order."""

    def __init__(self, relay: Relay) -> None:
        self.complete = 0  # before this number all lines of the other process are here
        self._memory = relay.memory
        self._batches, self._free = relay.batches[0], relay.free[1]
        os.close(relay.batches[1])
        os.close(relay.free[0])
        os.set_blocking(self._batches, False)
        self._slot = 0
        self._buffer = bytearray()
        self._ordinals = count()

    def wait(self) -> None:
        """Until something may have come."""
        select([self._batches], [], [])

    def take(self) -> Iterator[tuple[Iterator[Line], int]]:
        """The lines that have come, and their bytes. EOFError where the other process is gone and has not said all;
        what it raised is raised."""
        while True:
            try:
                data = os.read(self._batches, READ_BYTES)
            except BlockingIOError:
                return
            if not data:
                if self.complete < FOREVER:
                    raise EOFError
                return
            self._buffer += data
            while (found := self._next()) is not None:
                yield found

    def _next(self) -> tuple[Iterator[Line], int] | None:
        buffer, begin = self._buffer, _HEAD.size
        if len(buffer) < begin:
            return None
        complete, number, size, in_slot = _HEAD.unpack_from(buffer)
        middle = begin if number == _RAISED else begin + number * _EACH
        end = middle if in_slot else middle + size
        if len(buffer) < end:
            return None
        if number == _RAISED:
            import pickle  # seldom needed

            raise pickle.loads(bytes(buffer[middle:end]))  # from our own child
        columns = array("Q", buffer[begin:middle]).tolist()
        lengths = columns[2 * number :]
        if in_slot:
            lines = _cut(self._memory, self._slot * SLOT_BYTES, lengths)
            self._slot = (self._slot + 1) % SLOTS
            with suppress(BrokenPipeError):  # it has said all
                os.write(self._free, b"\0")
        else:
            lines = _cut(bytes(buffer[middle:end]), 0, lengths)
        self.complete = complete
        del buffer[:end]
        numbers, generations = columns[:number], columns[number : 2 * number]
        return zip(numbers, generations, self._ordinals, lines), size  # noqa: B905  (the ordinals have no end)

    def close(self) -> None:
        """Nothing more is wanted."""
        os.close(self._batches)
        os.close(self._free)


def _cut(text: bytes | mmap.mmap, start: int, lengths: Sequence[int]) -> list[bytes]:
    lines: list[bytes] = []
    for length in lengths:
        lines.append(text[start : start + length])
        start += length
    return lines
