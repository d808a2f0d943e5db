"""Whether the host has processor time that nobody wants: how long its CPUs were idle lately (proc(5), /proc/stat)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

STAT: Final = Path("/proc/stat")
LOOK_SECONDS: Final = 0.2  # twenty of the kernel's ticks on each CPU
LEAST: Final = 0.2  # CPUs: twice what compression may take (`recorder.compression.SHARE`)
# Words of the first line, which begins with its name.
_IDLE: Final = 4
_IOWAIT: Final = 5


def idle_seconds() -> float:
    """Seconds that all CPUs together have been idle; `OSError`, `IndexError` or `ValueError` where nobody says."""
    words = STAT.read_text().partition("\n")[0].split()
    return (int(words[_IDLE]) + int(words[_IOWAIT])) / os.sysconf("SC_CLK_TCK")


class Spare:
    """Ask as often as you like: it looks again after LOOK_SECONDS. Until then, and where nobody says, there is some."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, idle: Callable[[], float] = idle_seconds) -> None:
        self._clock = clock
        self._idle = idle
        self._looked = clock()
        self._before = self._seen()
        self._some = True

    def __call__(self) -> bool:
        """Whether at least LEAST CPUs were idle between the last two looks."""
        passed = self._clock() - self._looked
        if passed >= LOOK_SECONDS:
            now = self._seen()
            self._some = now is None or self._before is None or now - self._before >= LEAST * passed
            self._looked += passed
            self._before = now
        return self._some

    def _seen(self) -> float | None:
        try:
            return self._idle()
        except (OSError, IndexError, ValueError):
            return None
