"""What a recording may take: the numbers of the command line, read once, with their bounds. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from recorder.errors import UsageError

_UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE: Final = re.compile(r"(\d+)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

# Header, Counters and End of a segment have to fit beside at least one chunk of the largest event.
MIN_FILE_SIZE: Final = 1 << 20
# Kept free at the end of a file of limited size for the closing frames.
CLOSING_RESERVE: Final = 128 << 10
# The free-space guard: stop while this much, or this part of the file system if that is less, is still free.
FREE_SPACE_RESERVE: Final = 256 << 20
FREE_SPACE_SHARE: Final = 0.05


def parse_size(text: str) -> int:
    """`64M`, `1GiB` or `4096` as bytes (powers of 1024); `UsageError` otherwise."""
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise UsageError(f"{text!r} is not a size", "write bytes, or a number with K, M, G or T")
    return int(match[1]) * _UNITS[match[2].upper()]


def parse_duration(text: str) -> float:
    """`90`, `1.5m` or `2h` as seconds; `UsageError` otherwise."""
    match = _DURATION.fullmatch(text.strip())
    if not match or not float(match[1]):
        raise UsageError(f"{text!r} is not a duration", "write seconds, or a number with ms, s, m, h or d")
    return float(match[1]) * _SECONDS[match[2]]


@dataclass(frozen=True, slots=True)
class RecordingLimits:
    """Sizes in bytes, times in seconds; None: no limit."""

    duration: float | None = None
    max_size: int | None = None
    max_events: int | None = None
    rotate_size: int | None = None
    rotate_seconds: float | None = None
    keep: int | None = None

    def __post_init__(self) -> None:
        for name in ("max_size", "rotate_size"):
            size = getattr(self, name)
            if size is not None and size < MIN_FILE_SIZE:
                raise UsageError(f"--{name.replace('_', '-')} {size} is too small", f"give at least {MIN_FILE_SIZE}")
        if self.keep is not None and (self.keep < 1 or not self.rotates):
            raise UsageError("--keep needs rotation and at least 1", "add --rotate-size or --rotate-seconds")
        if self.max_events is not None and self.max_events < 1:
            raise UsageError("--max-events must be at least 1")

    @property
    def rotates(self) -> bool:
        """Whether the recording is written in segments."""
        return self.rotate_size is not None or self.rotate_seconds is not None

    def as_dict(self) -> dict[str, float | int]:
        """The limits that are set, for the Header frame."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in values.items() if value is not None}


def space_to_keep(total: int) -> int:
    """Bytes to leave free on a file system of `total` bytes."""
    return min(FREE_SPACE_RESERVE, int(total * FREE_SPACE_SHARE))
