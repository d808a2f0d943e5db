"""The Python interface: a capture is opened, its exchanges iterated, filtered and counted (docs/api.md).

Every iteration replays the file, so that a recording of any size fits: nothing is kept but what the caller keeps.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final, Self

from replay import filter as filters
from replay import urls
from replay.connections import SidePolicy
from replay.errors import UsageError
from replay.exchange import Exchange, OpaqueConnection, Request, Response
from replay.filter.fields import FIELDS
from replay.output.escaping import shortened, visible
from replay.pipeline import exchanges
from replay.source import recordings
from replay.text import text_of

Predicate = Callable[[Exchange], bool]
SHOWN: Final = 5  # exchanges named in the message of `one`
_BY_KEYWORD: Final = {name.replace(".", "_"): row for name, row in FIELDS.items() if not row.argument}


def open(*paths: str | os.PathLike[str], side: SidePolicy = "auto") -> Capture:
    """The capture in these files (segments of one recording, or several recordings, in their order).

    `side` is "auto" (a connection recorded at both ends is seen once: as its server saw it, or its client where that
    end alone missed nothing), "server", "client" or "both". Raises OSError and CapfileError as they are found: a file
    that is none when it is iterated.
    """
    return Capture([os.fspath(path) for path in paths], side)


class Exchanges:
    """Exchanges that fit: an iterable that can be narrowed again and again, and replays when it is iterated."""

    def __init__(self, source: Callable[[], Iterator[Exchange]], asked: str = "") -> None:
        self._source = source
        self._asked = asked

    def __iter__(self) -> Iterator[Exchange]:
        return self._source()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        return next(iter(self), None) is not None

    def where(self, text: str = "", /, **facts: Any) -> Exchanges:
        """Those for which the filter `text` (docs/filters.md) holds and whose fields have the values given by name:
        `where("duration > 200ms", path="/pay", status=[500, 503])`; a dot in a field's name is written `_`, a list or
        set means one of its values, None that there is no value. Raises UsageError for a filter or name that is
        wrong."""
        tests: list[Predicate] = [filters.compile(text)] if text else []
        tests += [_equals(name, value) for name, value in facts.items()]
        words = [text] if text else []
        words += [f"{name}={value!r}" for name, value in facts.items()]
        asked = ", ".join([self._asked, *words] if self._asked else words)
        return Exchanges(lambda: (each for each in self if all(test(each) for test in tests)), asked)

    def one(self) -> Exchange:
        """The only exchange; LookupError, naming what there is, if there is none or more."""
        found = list(islice(self, SHOWN + 1))
        if len(found) == 1:
            return found[0]
        what = f"{len(found)} exchanges" if len(found) <= SHOWN else f"more than {SHOWN} exchanges"
        raise LookupError(f"{what if found else 'no exchange'} with {self._asked or 'no condition'}" + _list(found))

    def first(self) -> Exchange | None:
        """The first exchange, or None."""
        return next(iter(self), None)

    def all(self) -> list[Exchange]:
        """All of them, in memory."""
        return list(self)


class Capture(Exchanges):
    """One or more capture files. Iterating gives every exchange in the order in which they ended."""

    def __init__(self, paths: list[str], side: SidePolicy = "auto", live: bool = False) -> None:
        super().__init__(self._exchanges)
        self.paths: Final = tuple(paths)
        self.live: Final = live  # recorded just now (the pytest fixture `record`), not read from the repository
        self._side: Final = side

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing stays open between iterations; `with` is for symmetry."""

    def items(self) -> Iterator[Exchange | OpaqueConnection]:
        """Every exchange, and every connection that holds none that can be read. Raises OSError, CapfileError."""
        found = recordings(self.paths)
        try:
            for number, recording in enumerate(found, 1):
                yield from exchanges(recording, self._side, f"{number}:" if len(found) > 1 else "")
        finally:
            for recording in found:
                recording.close()

    def connections(self) -> Iterator[OpaqueConnection]:
        """The connections that hold no exchange that can be read."""
        return (item for item in self.items() if isinstance(item, OpaqueConnection))

    def _exchanges(self) -> Iterator[Exchange]:
        return (item for item in self.items() if isinstance(item, Exchange))


def header(message: Request | Response | None, name: str) -> str | None:
    """The first value of a message's header `name` (any case); None without it or without a message."""
    return None if message is None else urls.header(message.headers, name)


def body_text(message: Request | Response) -> str:
    """A message's body as text, content codings undone; ValueError where it is not text or is incomplete."""
    body = message.body
    if len(body.data) < body.size:
        raise ValueError(f"{len(body.data)} of the body's {body.size} bytes were captured")
    text, _ = text_of(body.data if body.decoded is None else body.decoded, message.headers)
    if text is None:
        raise ValueError("the body is not text in a charset that it declares")
    return text


def body_json(message: Request | Response) -> Any:
    """A message's body as the JSON value it is; ValueError where it is none."""
    return json.loads(body_text(message))


def _equals(name: str, value: Any) -> Predicate:
    row = _BY_KEYWORD.get(name)
    if row is None:
        raise UsageError(f"where: no field is called {name!r}; `ebpf-replay filter-help` lists them")
    if value is None:
        return lambda exchange: not row.get(exchange, "")
    wanted = value if isinstance(value, list | tuple | set | frozenset) else (value,)
    return lambda exchange: any(found in wanted for found in row.get(exchange, ""))


def _list(found: list[Exchange]) -> str:
    return (": " + "; ".join(map(_line, found[:SHOWN]))) if found else ""


def _line(exchange: Exchange) -> str:
    request, response = exchange.request, exchange.response
    asked = f"{request.method} {shortened(request.target, 60)}" if request else "?"
    return visible(f"{exchange.id} {asked} {response.status if response else 'without a response'}")
