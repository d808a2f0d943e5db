"""Times for people: ns since 1970 in, RFC 3339 text with all nine digits out."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache


def moment(ns: int) -> str:
    """`2026-11-22T10:00:00.000000001Z`. Any int64 is a valid time (years 1677 to 2262)."""
    seconds, rest = divmod(ns, 1_000_000_000)
    return f"{second(seconds)}.{rest:09d}Z"


@lru_cache(maxsize=64)  # thousands of exchanges start in the same second, and this is the slow part
def second(seconds: int) -> str:
    """The same without the fraction and the zone, of seconds."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"
