"""Which chunks are compressed: those where it costs less processor time than it saves, and others on a small budget.

Writing a byte as it stands costs too (its checksum, the copy into the page cache), and what repeats itself is packed
faster than it is written. So both ways are measured as they are used. The budget is of time that nobody else wants:
what is recorded must not be slowed down for a smaller file. Knows no file and no event.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from capfile.codec import Packer
from recorder.spare import Spare

SHARE: Final = 0.1  # of one CPU's time that compression may cost beyond what it saves
BURST: Final = 0.1  # s of CPU time that may be saved up
FLOOR: Final = 512  # smaller chunks are not worth it
FILL_CEILING: Final = 8  # costly compression waits when a ring is filled to more than this part
PLAIN_COST: Final = 0.4e-9  # s of CPU per byte written as it stands, until it has been measured
MEMORY: Final = 16 << 20  # bytes after which an older measurement counts half


class Rate:
    """CPU seconds per byte, of the last MEMORY bytes or so."""

    def __init__(self, seconds: float, size: int) -> None:
        self._seconds = seconds
        self._size = size

    def learn(self, seconds: float, size: int) -> None:
        """`size` bytes took `seconds`."""
        self._seconds += seconds
        self._size += size
        while self._size > 2 * MEMORY:
            self._seconds /= 2
            self._size //= 2

    @property
    def value(self) -> float:
        """Seconds per byte."""
        return self._seconds / self._size if self._size else 0.0


class Compressor:
    """zstd where it is free, or while its budget lasts: CPU seconds that come in by SHARE of the time that passes, and
    are spent where the host has `spare` time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, spare: Callable[[], bool] | None = None) -> None:
        self._packer = Packer()
        self._spare = spare or Spare(clock)
        self._clock = clock
        self._filled = clock()
        self._budget = BURST
        self._plain = Rate(PLAIN_COST * MEMORY, MEMORY)
        self._packed = Rate(0.0, 0)

    def wants(self, size: int, ring_size: int) -> bool:
        """Whether a region of `size` bytes should be compressed now."""
        now = self._clock()
        self._budget = min(BURST, self._budget + (now - self._filled) * SHARE)
        self._filled = now
        if size < FLOOR:
            return False
        return self._extra() <= 0 or (self._budget > 0 and size <= ring_size // FILL_CEILING and self._spare())

    def pack(self, regions: Sequence[memoryview]) -> bytes | None:
        """One zstd frame of all regions; None where that is no smaller."""
        return self._packer.pack(regions)

    def wrote(self, size: int, seconds: float, wanted: bool) -> None:
        """A region of `size` bytes is in the file, after `seconds` of this thread's CPU time; `wanted` as asked for."""
        (self._packed if wanted else self._plain).learn(seconds, size)
        if wanted:
            self._budget -= max(0.0, seconds - size * self._plain.value)

    def _extra(self) -> float:
        """CPU seconds that compression costs per byte beyond writing it as it stands; not positive at the start."""
        return self._packed.value - self._plain.value
