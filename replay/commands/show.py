"""`ebpf-replay FILE …`: the exchanges, in one of the formats.

Exit status: 0 shown; 1 an exchange or a connection asked for is not there; 2 usage; 3 not a capture.
"""

from __future__ import annotations

import argparse
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing
from datetime import UTC, datetime
from decimal import Decimal
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from replay import remarks
from replay.dispatch import Result
from replay.errors import UsageError
from replay.events import FOREVER
from replay.exchange import Exchange
from replay.output.formats import FORMATS
from replay.output.opening import FORCE_HELP, opened
from replay.pipeline import Passage, exchanges, passages
from replay.source import Recording, prefixes, recordings

if TYPE_CHECKING:
    from replay.follow import Followed

MAX_JOBS: Final = 64
_BY_LINE: Final = ("table", "jsonl")  # one line per item: these can be made by several processes
EXCHANGE_ID: Final = re.compile(r"(?:\d+:)?\d+-\d+")
_DURATION: Final = re.compile(r"\+?(\d+(?:\.\d+)?)(ns|us|µs|ms|s|min|m|h)")
_UNITS: Final = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "min": 60 * 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `show`."""
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help='capture files, or "-" for standard input; exchange ids after them (as 12-3) show these in full',
    )
    what = "; ".join(f"{name}: {row.help}" for name, row in FORMATS.items())
    parser.add_argument("--format", choices=list(FORMATS), default="table", help=what)
    parser.add_argument("-o", "--output", metavar="OUT", help="write there instead of standard output, mode 0600")
    parser.add_argument("--force", action="store_true", help=FORCE_HELP)
    parser.add_argument("--filter", metavar="EXPR", help="only matching exchanges (see filter-help)")
    parser.add_argument(
        "--side",
        choices=["auto", "server", "client", "both"],
        default="auto",
        help="of connections recorded at both ends; auto: once, as the server saw it, or the client if that is whole",
    )
    parser.add_argument("--connection", metavar="ID", action="append", help="only this connection (may be repeated)")
    when = 'a time ("2026-11-22T10:00:00.5Z"), or a duration since the recording began ("1.5s", "200ms", "3m")'
    parser.add_argument("--from", metavar="TIME", dest="first", help=f"only exchanges started then or later: {when}")
    parser.add_argument("--to", metavar="TIME", dest="last", help="only exchanges started then or earlier")
    parser.add_argument("--evidence", metavar="ID", help="the recorded events that this exchange was made from")
    parser.add_argument(
        "--follow", action="store_true", help="FILE (or a pipe) is still being written: exchanges as they end"
    )
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="use N processes (table and jsonl); the output is the same"
    )


def run(arguments: argparse.Namespace) -> int:
    """Show the exchanges."""
    files, ids = _split(arguments.files)
    if arguments.follow and (len(files) > 1 or arguments.evidence):
        raise UsageError("--follow takes one FILE, and no --evidence")
    if arguments.jobs != 1:
        _check_jobs(arguments, files, ids)
    with ExitStack() as stack:
        found = _followed(files[0]) if arguments.follow else recordings(files)
        for recording in found:
            stack.callback(recording.close)
        read = [recording for recording in found if isinstance(recording, Recording)]
        if arguments.evidence:
            return _evidence(read, arguments, files)
        wanted = _wanted(arguments, set(ids), found[0].header.wall_time)
        if arguments.jobs != 1:
            _in_parallel(arguments, read, files, wanted, stack)
            remarks.say(read)
            return 0
        if len(read) == 1:
            _narrow(read[0], arguments)
        missing = _Missing(ids, arguments.connection or (), arguments.side)
        items = missing.connections_of(_items(found, arguments.side))
        if wanted is not None:
            items = filter(wanted, items)
        if FORMATS[arguments.format].target == "passages":
            chosen = _chosen(arguments, ids, missing.exchanges_of(items))
            _write(arguments, _passages(found, arguments.side, chosen), False, stack, files)
        else:
            _write(arguments, missing.exchanges_of(items), bool(ids), stack, files)
        remarks.say(read)
    return missing.say()


def _followed(name: str) -> list[Followed]:
    from replay.follow import Followed  # what most runs do not use is not loaded: it costs every start

    return [Followed(name)]


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """Files and exchange ids: a word that looks like an id and is no file is one."""
    ids = [word for word in words if EXCHANGE_ID.fullmatch(word) and not os.path.exists(word)]
    files = [word for word in words if word not in ids]
    if not files:
        raise UsageError(f"{ids[0]} names an exchange; which FILE is it in?")
    return files, ids


def _write(
    arguments: argparse.Namespace, items: Iterator[Any], in_full: bool, stack: ExitStack, files: list[str]
) -> None:
    row = FORMATS[arguments.format]
    if row.target == "folder":
        if arguments.force:
            raise UsageError(f"--format {arguments.format} replaces nothing: give an empty folder instead of --force")
        from pathlib import Path  # likewise

        row.write(items, Path(arguments.output or arguments.format))
        return
    out = stack.enter_context(_output(arguments, files))
    if in_full and arguments.format == "table":
        from replay.output import full  # likewise

        full.write(items, out)
    else:
        row.write(items, out)


def _output(arguments: argparse.Namespace, files: list[str]) -> AbstractContextManager[BinaryIO]:
    return opened(arguments.output, files, force=arguments.force, at_once=arguments.follow)


def _check_jobs(arguments: argparse.Namespace, files: list[str], ids: list[str]) -> None:
    if not 1 <= arguments.jobs <= MAX_JOBS:
        raise UsageError(f"--jobs takes a number from 1 to {MAX_JOBS}")
    if arguments.format not in _BY_LINE or arguments.follow or ids or arguments.connection or arguments.evidence:
        raise UsageError("--jobs is for whole recordings as table or jsonl")
    for name in files:
        if name == "-" or not stat.S_ISREG(os.stat(name).st_mode):
            raise UsageError(f"--jobs reads every FILE several times, and {name} is a stream")


def _in_parallel(
    arguments: argparse.Namespace,
    found: list[Recording],
    files: list[str],
    wanted: Callable[[Result], bool] | None,
    stack: ExitStack,
) -> None:
    from replay import jobs  # likewise
    from replay.output import jsonl, table

    out = stack.enter_context(_output(arguments, files))
    if arguments.format == "table":
        out.write(table.heading(out))
    encode = (table if arguments.format == "table" else jsonl).encoder(out)

    def line(item: Result) -> bytes | None:
        return encode(item) if wanted is None or wanted(item) else None

    with closing(jobs.text(found, arguments.side, line, arguments.jobs)) as parts:
        out.writelines(parts)


class _Missing:
    """Exchanges and connections that were asked for and have not passed yet."""

    def __init__(self, exchange_ids: Iterable[str], connection_ids: Iterable[str], side: str) -> None:
        self._exchanges = set(exchange_ids)
        self._connections = set(connection_ids)
        self._unless = "" if side == "both" else ", unless as the other end of one that is shown: --side both"

    def exchanges_of(self, items: Iterator[Result]) -> Iterator[Result]:
        """The same items; their exchanges are no longer missing."""
        return _noted(items, self._exchanges, lambda item: item.id if isinstance(item, Exchange) else "")

    def connections_of(self, items: Iterator[Result]) -> Iterator[Result]:
        """The same items; their connections are no longer missing."""
        return _noted(items, self._connections, lambda item: item.connection.id)

    def say(self) -> int:
        """Name them on standard error; the exit status."""
        for what, ids in (("exchange", self._exchanges), ("connection", self._connections)):
            if ids:
                named = f"no {what} {', '.join(sorted(ids))} in this recording"
                print(f"ebpf-replay: {named}{self._unless}", file=sys.stderr)
        return 1 if self._exchanges or self._connections else 0


def _noted(items: Iterator[Result], missing: set[str], name: Callable[[Result], str]) -> Iterator[Result]:
    def note(item: Result) -> Result:
        missing.discard(name(item))
        return item

    return map(note, items) if missing else items


def _items(found: list[Recording] | list[Followed], side: str) -> Iterator[Result]:
    return chain.from_iterable(
        exchanges(recording, side, prefix)  # type: ignore[arg-type]  # argparse has checked the side
        for recording, prefix in zip(found, prefixes(len(found)), strict=True)
    )


def _chosen(arguments: argparse.Namespace, ids: list[str], items: Iterator[Result]) -> set[str] | None:
    """The connections whose exchanges are wanted; None for all of them."""
    if not (ids or arguments.connection or arguments.filter or arguments.first or arguments.last):
        return None
    if arguments.follow:
        raise UsageError(f"--format {arguments.format} reads a chosen connection twice; --follow reads once")
    return {item.connection.id for item in items}


def _passages(found: list[Recording] | list[Followed], side: str, chosen: set[str] | None) -> Iterator[Passage]:
    for recording, prefix in zip(found, prefixes(len(found)), strict=True):
        for passage in passages(recording, side, prefix):  # type: ignore[arg-type]  # argparse has checked the side
            if chosen is None or passage.connection.id in chosen:
                yield passage


def _evidence(found: list[Recording], arguments: argparse.Namespace, files: list[str]) -> int:
    from replay.evidence import event_line, evidence  # likewise

    wanted = arguments.evidence
    for recording, prefix in zip(found, prefixes(len(found)), strict=True):
        for item in exchanges(recording, "both", prefix):
            if isinstance(item, Exchange) and item.id == wanted:
                with _output(arguments, files) as out:
                    for event in evidence(recording, item):
                        line = event_line(event, recording.clock_offset_ns)
                        out.write(line.encode("utf-8", "backslashreplace") + b"\n")
                return 0
    return _Missing([wanted], (), "both").say()


# -- what is wanted


def _wanted(arguments: argparse.Namespace, ids: set[str], began: int) -> Callable[[Result], bool] | None:
    """All conditions in one; None: everything. A filter, an id or a time speaks of exchanges; connections without any
    are left out."""
    tests: list[Callable[[Result], bool]] = []
    if arguments.connection:
        connections = set(arguments.connection)
        tests.append(lambda item: item.connection.id in connections)
    if ids:
        tests.append(lambda item: isinstance(item, Exchange) and item.id in ids)
    if arguments.first or arguments.last:
        first = moment_ns(arguments.first, began) if arguments.first else -(1 << 64)
        last = moment_ns(arguments.last, began) if arguments.last else 1 << 65
        tests.append(lambda item: isinstance(item, Exchange) and first <= item.started_at <= last)
    if arguments.filter:
        from replay import filter as filters  # likewise

        matches = filters.compile(arguments.filter)
        tests.append(lambda item: isinstance(item, Exchange) and matches(item))
    return (lambda item: all(test(item) for test in tests)) if tests else None


def _narrow(recording: Recording, arguments: argparse.Namespace) -> None:
    """Have only those chunks read that can matter to the connections or the time asked for."""
    began, offset = recording.header.wall_time, recording.clock_offset_ns
    if arguments.connection:
        if all(name.isdecimal() for name in arguments.connection):
            recording.narrow({int(name) for name in arguments.connection})
    elif arguments.first or arguments.last:
        first = moment_ns(arguments.first, began) - offset if arguments.first else 0
        last = moment_ns(arguments.last, began) - offset if arguments.last else FOREVER
        recording.narrow(None, first, last)


def moment_ns(text: str, began: int) -> int:
    """ns since 1970 of a time (UTC unless it says otherwise) or of a duration after `began`; UsageError."""
    if match := _DURATION.fullmatch(text):
        return began + int(Decimal(match[1]) * _UNITS[match[2]])
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f'{text} is neither a time ("2026-11-22T10:00:00.5Z") nor a duration ("1.5s")') from None
    past = moment.replace(tzinfo=moment.tzinfo or UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return ((past.days * 86_400 + past.seconds) * 10**6 + past.microseconds) * 1000
