"""Body text in, the JSON value it is out; or nothing, where reading it as JSON would lose something.

Duplicate names, NaN, numbers that no float holds and nesting beyond a limit are kept as text: a value must stand for
its bytes up to white space, the order of members and the spelling of numbers.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final

# Comparing and writing recurse a few frames per level, and Python allows 1000.
MAX_DEPTH: Final = 100


class NotJson(ValueError):
    """The text is not JSON, or more than one value would read the same."""


def parse(text: str) -> Any:
    """The value of an object or array; NotJson for everything else."""
    if text.lstrip()[:1] not in ("{", "["):
        raise NotJson("neither an object nor an array")
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_constant=_refused, parse_float=_float, parse_int=_integer
        )
    except (ValueError, RecursionError) as error:
        raise NotJson(str(error)) from None
    if _too_deep(value):
        raise NotJson(f"nested more than {MAX_DEPTH} deep")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotJson("a name stands twice in one object")
    return found


def _refused(name: str) -> Any:
    raise NotJson(f"{name} is not JSON")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise NotJson(f"no float holds {text[:20]}")
    return value


def _integer(text: str) -> int:
    if len(text) > 100:
        raise NotJson("a number of more than 100 digits")
    return int(text)


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for each in level
            if isinstance(each, dict | list)
            for child in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return False
    return True
