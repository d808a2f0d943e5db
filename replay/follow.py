"""A recording that is still being written: its frames as they come, from a growing file, its next segments, or a pipe.

The only stage with a thread and a clock: reading waits in the thread, so that silence can be noticed. Silence matters
because the last events of every ring are held until a later turn of the drain proves that nothing earlier is to come; a
recorder that has not written for QUIET_SECONDS has nothing earlier.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections.abc import Iterator
from typing import BinaryIO, Final

from capfile.damage import Damage
from capfile.frames import Chunk, Counters, Frame, Header, Process, Ring
from capfile.reader import Reader
from replay.events import FOREVER, Quiet
from replay.source import frames

POLL_SECONDS: Final = 0.05  # how often a file that does not grow is looked at
QUIET_SECONDS: Final = 1.0  # five times the recorder's flush interval
QUEUED_FRAMES: Final = 256  # read ahead of the replay


class Turns:
    """An `Outlook` that relies on how rings are drained: in turns, each taking the control rings and then the data
    rings in the order of CPUs, everything that each holds at that moment.

    When a turn begins, the one before is read completely; it took from every ring what was there after the last chunk
    of the turn before *that* was written. So nothing earlier than that chunk can still come.
    """

    processes: tuple[Process, ...] = ()
    counters: Counters | None = None

    def __init__(self) -> None:
        self._key = (-1, -1)
        self._last = self._turn_before = self._safe = 0

    def after(self, frame: Frame | Damage | Quiet) -> int:
        """See `replay.events.Outlook`."""
        if isinstance(frame, Quiet):
            return FOREVER - 1
        if isinstance(frame, Chunk):
            key = (0 if frame.ring == Ring.CONTROL else 1, frame.cpu)
            if key <= self._key:
                self._safe, self._turn_before = self._turn_before, self._last
            self._key, self._last = key, max(self._last, frame.last_time)
        return self._safe


class Followed:
    """Like `replay.source.Recording`, of one name: a file, or "-" for standard input. Ends with the recording."""

    def __init__(self, name: str) -> None:
        """Opens it and waits for its Header; OSError as `open`, `CapfileError` if it is no capture."""
        self._name = name
        self._file, self._reader = self._open()
        self._queue: queue.Queue[Frame | Damage | BaseException | None] = queue.Queue(QUEUED_FRAMES)
        self._thread = threading.Thread(target=self._pump, name="follow", daemon=True)  # may wait in a read for ever
        self._thread.start()
        self._before: list[Frame | Damage] = []
        self.header = self._wait_for_header()

    @property
    def clock_offset_ns(self) -> int:
        """What must be added to CLOCK_MONOTONIC to have ns since 1970."""
        return self.header.wall_time - self.header.monotonic_time

    def outlook(self) -> Turns:
        """What is known of the frames to come."""
        return Turns()

    def close(self) -> None:
        """Nothing to do: the thread ends with the program."""

    def frames(self) -> Iterator[Frame | Damage | Quiet]:
        """Frames as they come, and `Quiet` when none has come for a while."""
        yield from self._before
        waiting = True
        while True:
            try:
                item = self._queue.get(timeout=QUIET_SECONDS if waiting else None)
            except queue.Empty:
                waiting = False
                yield Quiet()
                continue
            waiting = True
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    def _wait_for_header(self) -> Header:
        while True:
            item = self._queue.get()
            if isinstance(item, BaseException):
                raise item
            assert item is not None  # the reader raises where there is no header
            self._before.append(item)
            if isinstance(item, Header):
                return item

    # -- in the thread

    def _pump(self) -> None:
        try:
            for frame in self._read():
                self._queue.put(frame)
            self._queue.put(None)
        except BaseException as error:
            self._queue.put(error)

    def _read(self) -> Iterator[Frame | Damage]:
        """This segment to its End frame, then the next ones; a pipe to its end."""
        while True:
            reader = self._reader
            while True:
                yield from frames(reader)
                if reader.end is not None or not reader.follow:
                    break
                time.sleep(POLL_SECONDS)
            if reader.end is None or not reader.end.next_segment:
                return
            self._file, self._reader = self._next_segment()

    def _open(self) -> tuple[BinaryIO, Reader]:
        file: BinaryIO = sys.stdin.buffer if self._name == "-" else open(self._name, "rb", buffering=0)  # noqa: SIM115
        return file, Reader(file, follow=True)

    def _next_segment(self) -> tuple[BinaryIO, Reader]:
        """Rotation has moved the finished file away and begins a new one under the same name."""
        finished = os.fstat(self._file.fileno())
        while True:
            try:
                if not os.path.samestat(os.stat(self._name), finished):
                    return self._open()
            except FileNotFoundError:
                pass
            time.sleep(POLL_SECONDS)
