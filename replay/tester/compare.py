"""Two documents in normal form in, their differences out: one per field, with the path a person would point at.

Structural: header fields by name without case (their order between names has no meaning, RFC 9110 §5.3), JSON member
by member, text line by line. Durations compare by ratio where a rule asks for it.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from replay.tester.rules import TimingRules

Json = dict[str, Any]

# A difference in text shows this many lines; SequenceMatcher is quadratic, so longer lists go element by element.
MAX_TEXT_LINES: Final = 20
MAX_ALIGNED: Final = 500
MAX_TEXT_COMPARED: Final = 200_000


class Missing:
    """The type of `MISSING`: no value may stand for "there is none"."""

    def __repr__(self) -> str:
        return "nothing"


MISSING: Final = Missing()


@dataclass(frozen=True, slots=True)
class Difference:
    """At `path` there should be `expected` and there is `actual` (either may be MISSING). `lines` is the difference
    of two texts as `diff -u` shows it, without its header."""

    path: str
    expected: Any
    actual: Any
    lines: tuple[str, ...] = ()


def differences(expected: Json, actual: Json, timings: TimingRules | None = None) -> list[Difference]:
    """All differences of one exchange, in the order of the document. Ids are names, not facts: not compared."""
    return list(_document(expected, actual, timings or TimingRules()))


def _document(expected: Json, actual: Json, timings: TimingRules) -> Iterator[Difference]:
    for key in dict.fromkeys((*expected, *actual)):
        left, right = expected.get(key, MISSING), actual.get(key, MISSING)
        if key == "id":
            continue
        if key == "duration_ns":
            yield from _duration(left, right, timings)
        elif key == "connection":
            yield from _values(key, _without_id(left), _without_id(right))
        elif key in ("request", "response") and isinstance(left, dict) and isinstance(right, dict):
            yield from _message(key, left, right)
        else:
            yield from _values(key, left, right)


def _without_id(connection: Any) -> Any:
    return {k: v for k, v in connection.items() if k != "id"} if isinstance(connection, dict) else connection


def _duration(expected: Any, actual: Any, timings: TimingRules) -> Iterator[Difference]:
    if not timings.max_ratio or not isinstance(expected, int) or not isinstance(actual, int):
        return
    slow, fast = max(expected, actual), min(expected, actual)
    if slow > timings.floor_ms * 1e6 and slow > fast * timings.max_ratio:
        yield Difference("duration_ns", expected, actual)


def _message(side: str, expected: Json, actual: Json) -> Iterator[Difference]:
    for key in dict.fromkeys((*expected, *actual)):
        left, right = expected.get(key, MISSING), actual.get(key, MISSING)
        if key in ("headers", "trailers") and isinstance(left, list) and isinstance(right, list):
            yield from _headers(f"{side}.{key}", left, right)
        else:
            yield from _values(f"{side}.{key}", left, right)


def _headers(path: str, expected: list[list[str]], actual: list[list[str]]) -> Iterator[Difference]:
    left, right, names = _by_name(expected), _by_name(actual), {}
    for name, _ in (*actual, *expected):
        names[name.lower()] = name
    for key, name in sorted(names.items()):
        ours, theirs = left.get(key, []), right.get(key, [])
        if ours != theirs:
            yield Difference(f"{path}.{name}", _one(ours), _one(theirs))


def _by_name(headers: list[list[str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name.lower(), []).append(value)
    return found


def _one(values: list[str]) -> Any:
    return MISSING if not values else values[0] if len(values) == 1 else values


def _values(path: str, expected: Any, actual: Any) -> Iterator[Difference]:
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in dict.fromkeys((*expected, *actual)):
            yield from _values(_member(path, key), expected.get(key, MISSING), actual.get(key, MISSING))
    elif isinstance(expected, list) and isinstance(actual, list):
        yield from _lists(path, expected, actual)
    elif not _same(expected, actual):
        yield Difference(path, expected, actual, _lines(expected, actual))


def _same(expected: Any, actual: Any) -> bool:
    # True == 1 in Python, and not in JSON.
    return isinstance(expected, bool) == isinstance(actual, bool) and bool(expected == actual)


def _member(path: str, key: str) -> str:
    return f"{path}.{key}" if key.isidentifier() else f"{path}[{json.dumps(key)}]"


def _lists(path: str, expected: list[Any], actual: list[Any]) -> Iterator[Difference]:
    """Elements that are equal are aligned, so that one inserted in front is one difference, not all of them."""
    for left, right in _blocks(expected, actual):
        for offset in range(max(len(left), len(right))):
            ours = expected[left[offset]] if offset < len(left) else MISSING
            theirs = actual[right[offset]] if offset < len(right) else MISSING
            index = left[offset] if offset < len(left) else right[offset]
            yield from _values(f"{path}[{index}]", ours, theirs)


def _blocks(expected: list[Any], actual: list[Any]) -> Iterator[tuple[range, range]]:
    if max(len(expected), len(actual)) > MAX_ALIGNED:
        yield range(len(expected)), range(len(actual))
        return
    ours, theirs = ([json.dumps(each, sort_keys=True) for each in side] for side in (expected, actual))
    for tag, a, b, c, d in difflib.SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes():
        if tag != "equal":
            yield range(a, b), range(c, d)


def _lines(expected: Any, actual: Any) -> tuple[str, ...]:
    if not (isinstance(expected, str) and isinstance(actual, str) and "\n" in expected + actual):
        return ()
    if len(expected) + len(actual) > MAX_TEXT_COMPARED:
        return ()
    found = list(difflib.unified_diff(expected.splitlines(), actual.splitlines(), lineterm="", n=1))[2:]
    more = [f"… {len(found) - MAX_TEXT_LINES} more lines"] if len(found) > MAX_TEXT_LINES else []
    return (*found[:MAX_TEXT_LINES], *more)
