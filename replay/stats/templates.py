"""A request's path in, its template out: `/users/17/orders/9` is `/users/{id}/orders/{id}`, one endpoint for all.

By the look of each segment alone, so that the same path has the same template in every capture.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

# The first row that fits a whole segment names it. A slug or a name stays: guessing would merge true endpoints.
_ROWS: Final = (
    ("{id}", re.compile(r"\d+", re.ASCII)),
    ("{uuid}", re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)),
    ("{date}", re.compile(r"\d{4}-\d\d-\d\d(T[\d:.Z+-]*)?", re.ASCII)),
    ("{hex}", re.compile(r"(?=[a-f]*\d)[0-9a-f]{8,}", re.IGNORECASE | re.ASCII)),
    ("{token}", re.compile(r"(?=[^\d]*\d)(?=[^A-Z]*[A-Z])(?=[^a-z]*[a-z])[A-Za-z0-9_-]{16,}", re.ASCII)),
    ("{email}", re.compile(r"[^/@\s]+(@|%40)[^/@\s]+\.[A-Za-z]+")),
)
MAX_PATH: Final = 400  # characters; a longer path is cut, or a million of them would fill the memory


@lru_cache(maxsize=4096)
def template(path: str) -> str:
    """The path with its variable segments replaced; the query is no part of it."""
    return "/".join(map(_segment, path[:MAX_PATH].split("/")))


def _segment(segment: str) -> str:
    stem, dot, extension = segment.rpartition(".")
    if dot and extension.isalpha() and len(extension) <= 5 and (named := _named(stem)):
        return f"{named}.{extension}"
    return _named(segment) or segment


def _named(segment: str) -> str:
    return next((name for name, pattern in _ROWS if pattern.fullmatch(segment)), "")
