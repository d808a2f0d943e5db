"""Two captures in, what differs out: exchange by exchange, and their durations as ratios.

Both are put into the normal form of `ebpf-replay test` (what varies by nature is left out, secrets are masked) and
aligned by connection, method, target and order. Times never make a difference: they are told beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from replay.document import to_document
from replay.exchange import Exchange
from replay.filter import Predicate
from replay.pipeline import exchanges
from replay.source import Recording
from replay.stats.counting import QUANTILES, percentiles
from replay.tester.align import align
from replay.tester.compare import Difference, differences
from replay.tester.engine import title
from replay.tester.normal import normal_form
from replay.tester.rules import Rules, TimingRules, rules_for

Json = dict[str, Any]
# Any value over 0 keeps the durations in the normal form.
_WITH_TIMES: Final = TimingRules(max_ratio=1.0)


@dataclass(frozen=True, slots=True)
class Pair:
    """An exchange of A and its like in B. `kind`: "same", "changed", "only-a", "only-b"."""

    kind: Literal["same", "changed", "only-a", "only-b"]
    ids: tuple[str | None, str | None]
    title: str
    durations: tuple[int | None, int | None]  # ns
    differences: tuple[Difference, ...] = ()

    @property
    def ratio(self) -> float | None:
        """B's duration as a multiple of A's; None without both."""
        return ratio(*self.durations)


def ratio(a: int | None, b: int | None) -> float | None:
    """How many times as long B took; None where one is not known or A took no time."""
    return None if not a or b is None else round(b / a, 3)


def load(recording: Recording, rules: Rules, wanted: Predicate | None = None) -> list[Json]:
    """The recording's items in normal form with durations. CapfileError, OSError."""
    items = (item for item in exchanges(recording) if wanted is None or (isinstance(item, Exchange) and wanted(item)))
    return normal_form((msgspec.to_builtins(to_document(item)) for item in items), replace(rules, timings=_WITH_TIMES))


def compare(a: list[Json], b: list[Json]) -> Iterator[Pair]:
    """Every exchange of both, aligned; A's order, then what only B has."""
    for left, right in align(a, b):
        ids = (left["id"] if left else None, right["id"] if right else None)
        times = (left.get("duration_ns") if left else None, right.get("duration_ns") if right else None)
        shown = left or right
        assert shown is not None
        if left is None or right is None:
            yield Pair("only-a" if right is None else "only-b", ids, title(shown), times)
            continue
        found = tuple(differences(left, right))
        yield Pair("changed" if found else "same", ids, title(left), times, found)


def times(pairs: list[Pair]) -> dict[str, tuple[int, int, float | None]]:
    """p50, p95 and p99 of the durations of what both have, and B's as a multiple of A's."""
    both = [(a, b) for a, b in (pair.durations for pair in pairs) if a is not None and b is not None]
    if not both:
        return {}
    a, b = (percentiles(side) for side in zip(*both, strict=True))
    return {name: (a[name], b[name], ratio(a[name], b[name])) for name, _ in QUANTILES}


def rules_beside(path: str) -> Rules:
    """The rules of the `replay.toml` in A's folder, if there is one."""
    return rules_for(Path(path), Path(path).parent) if path != "-" else Rules()
