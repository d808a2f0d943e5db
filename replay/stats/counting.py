"""Exchanges in, counts out: one `Group` per endpoint, status, process and connection, and one for all.

Percentiles are exact (nearest rank): eight bytes per exchange and group are kept. Groups of one kind are bounded; what
comes after the limit is counted under one name that says so, never dropped.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final

from replay import urls
from replay.exchange import Exchange, OpaqueConnection
from replay.stats.templates import template

MAX_GROUPS: Final = 10_000
OTHERS: Final = "(others, beyond the first 10000)"
QUANTILES: Final = (("p50", 0.50), ("p95", 0.95), ("p99", 0.99))
# A second's fractions and multiples that people read; the first that gives at most MAX_SLICES is taken.
_WIDTHS: Final = tuple(int(s * 1e9) for s in (0.001, 0.01, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 21600, 86400))
MAX_SLICES: Final = 20

Json = dict[str, Any]


class Group:
    """Counts of the exchanges that share something."""

    __slots__ = ("count", "durations", "errors", "incomplete", "request_bytes", "response_bytes", "sizes")

    def __init__(self) -> None:
        self.count = 0
        self.errors = 0  # status 500 and above
        self.incomplete = 0
        self.request_bytes = 0  # of bodies, after de-framing
        self.response_bytes = 0
        self.durations = array("Q")  # ns
        self.sizes = array("Q")  # of response bodies

    def add(self, exchange: Exchange) -> None:
        """Count one exchange."""
        self.count += 1
        self.incomplete += not exchange.complete
        if exchange.request is not None:
            self.request_bytes += exchange.request.body.size
        if exchange.response is not None:
            self.errors += exchange.response.status >= 500
            self.response_bytes += exchange.response.body.size
            self.sizes.append(exchange.response.body.size)
        if exchange.duration_ns is not None:
            self.durations.append(max(0, exchange.duration_ns))

    def document(self) -> Json:
        """The counts as JSON; percentiles are null where there is nothing to rank."""
        return {
            "exchanges": self.count,
            "errors": self.errors,
            "incomplete": self.incomplete,
            "request_bytes": self.request_bytes,
            "response_bytes": self.response_bytes,
            "duration_ns": percentiles(self.durations),
            "response_size": percentiles(self.sizes),
        }


def percentiles(values: Iterable[int]) -> Json:
    """p50, p95, p99 by nearest rank (the smallest value that at least that share does not exceed), and the maximum."""
    ranked = sorted(values)
    if not ranked:
        return {name: None for name, _ in QUANTILES} | {"max": None}
    found = {name: ranked[max(0, -int(-share * len(ranked) // 1) - 1)] for name, share in QUANTILES}
    return found | {"max": ranked[-1]}


def _endpoint(exchange: Exchange) -> str:
    if exchange.request is None:
        return "(request not seen)"
    path = urls.target(exchange.request, exchange.connection).path or exchange.request.target
    return f"{exchange.request.method} {template(path)}"


def _status(exchange: Exchange) -> str:
    return str(exchange.response.status) if exchange.response is not None else "(no response)"


def _process(exchange: Exchange) -> str:
    process = exchange.process
    return f"{process.comm or '?'}[{process.pid}]" if process is not None else "(unknown)"


def _connection(exchange: Exchange) -> str:
    connection = exchange.connection
    return f"{connection.id} {connection.client or '-'} > {connection.server or '-'}"


KINDS: Final[dict[str, Callable[[Exchange], str]]] = {
    "endpoint": _endpoint,
    "status": _status,
    "process": _process,
    "connection": _connection,
}


class Statistics:
    """Feed it exchanges and connections, then ask for the `document`."""

    def __init__(self) -> None:
        self._total = Group()
        self._groups: dict[str, dict[str, Group]] = {kind: {} for kind in KINDS}
        self._completeness: Counter[str] = Counter()
        self._problems: Counter[str] = Counter()
        self._opaque: Counter[str] = Counter()
        self._opaque_bytes: Counter[str] = Counter()
        self._starts: list[tuple[int, bool]] = []

    def add(self, item: Exchange | OpaqueConnection) -> None:
        """Count one item."""
        if isinstance(item, OpaqueConnection):
            self._opaque[item.protocol] += 1
            self._opaque_bytes[item.protocol] += item.request_bytes + item.response_bytes
            return
        self._total.add(item)
        self._completeness[item.completeness] += 1
        self._problems.update({problem.code for problem in item.problems})
        error = item.response is not None and item.response.status >= 500
        self._starts.append((item.started_at, error))
        for kind, name in KINDS.items():
            self._group(kind, name(item)).add(item)

    def _group(self, kind: str, name: str) -> Group:
        groups = self._groups[kind]
        if name not in groups and len(groups) >= MAX_GROUPS:
            name = OTHERS
        return groups.setdefault(name, Group())

    def document(self, missing: list[str]) -> Json:
        """Everything as JSON, `missing` (of `replay.verify`) first, so that no count is read without it."""
        return {
            "schema": 1,
            "complete": not missing and not self._total.incomplete,
            "missing": missing,
            "total": self._total.document(),
            "completeness": _ordered(self._completeness),
            "problems": _ordered(self._problems),
            "connections_without_exchanges": [
                {"protocol": name, "connections": count, "bytes": self._opaque_bytes[name]}
                for name, count in _ordered(self._opaque).items()
            ],
            "rate": self._rate(),
            **{f"by_{kind}": _groups(groups) for kind, groups in self._groups.items()},
        }

    def _rate(self) -> Json:
        """Exchanges begun per slice of time; slices have a width that people read."""
        if not self._starts:
            return {"from": None, "to": None, "per_second": None, "slice_ns": None, "slices": []}
        first, last = min(self._starts)[0], max(self._starts)[0]
        width = next((w for w in _WIDTHS if last // w - first // w < MAX_SLICES), (last - first) // MAX_SLICES + 1)
        counts = Counter(start // width for start, _ in self._starts)
        errors = Counter(start // width for start, error in self._starts if error)
        span = last - first
        return {
            "from": first,
            "to": last,
            "per_second": round(len(self._starts) / (span / 1e9), 3) if span else None,
            "slice_ns": width,
            "slices": [
                {"from": number * width, "exchanges": counts[number], "errors": errors[number]}
                for number in range(first // width, last // width + 1)
            ],
        }


def _ordered(counter: Counter[str]) -> dict[str, int]:
    return dict(sorted(counter.items(), key=lambda row: (-row[1], row[0])))


def _groups(groups: dict[str, Group]) -> list[Json]:
    rows = sorted(groups.items(), key=lambda row: (-row[1].count, row[0]))
    return [{"name": name, **group.document()} for name, group in rows]
