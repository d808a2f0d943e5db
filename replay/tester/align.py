"""Two lists of documents in normal form in, pairs out: which exchange of one is which of the other.

By what a person would go by: first the same method and target at the same turn of the same connection number, then at
the same turn anywhere (connections may come in another order), then whatever stands in the same place of the same
connection (its target changed). What is left is on one side only. Nothing is paired twice; the order is the left's,
with the right's own at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Final

Json = dict[str, Any]
Pair = tuple[Json | None, Json | None]


def align(left: list[Json], right: list[Json]) -> list[Pair]:
    """Pairs of (left, right); None where the other side has none."""
    partner: dict[int, int] = {}
    for key in _KEYS:
        free_left = [i for i in range(len(left)) if i not in partner]
        taken = set(partner.values())
        free_right = [j for j in range(len(right)) if j not in taken]
        places = {turn: j for j, turn in zip(free_right, _turns(right, free_right, key), strict=True)}
        for i, turn in zip(free_left, _turns(left, free_left, key), strict=True):
            if turn in places:
                partner[i] = places[turn]
    taken = set(partner.values())
    pairs: list[Pair] = [(each, right[partner[i]] if i in partner else None) for i, each in enumerate(left)]
    return pairs + [(None, each) for j, each in enumerate(right) if j not in taken]


def _turns(documents: list[Json], chosen: list[int], key: Callable[[Json], Hashable]) -> list[Hashable]:
    """For each chosen document its key and how often that key came before."""
    counts: dict[Hashable, int] = {}
    turns: list[Hashable] = []
    for index in chosen:
        name = key(documents[index])
        counts[name] = counts.get(name, 0) + 1
        turns.append((name, counts[name]))
    return turns


def _said(document: Json) -> tuple[Hashable, ...]:
    request = document.get("request") or {}
    return document["kind"], document["protocol"], request.get("method"), request.get("target")


def _path(document: Json) -> tuple[Hashable, ...]:
    kind, protocol, method, target = _said(document)
    return kind, protocol, method, target.partition("?")[0] if isinstance(target, str) else None


def _place(document: Json) -> Hashable:
    return document["kind"], document["id"]


_KEYS: Final[tuple[Callable[[Json], Hashable], ...]] = (
    lambda document: (document["connection"]["id"], _said(document)),
    _said,
    _path,
    _place,
)
