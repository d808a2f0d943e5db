"""`ebpf-replay FILE …`: the exchanges, in one of the formats.

Exit status: 0 shown; 1 the exchange asked for is not there; 2 usage; 3 not a capture.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from replay import filter as filters
from replay.dispatch import Result
from replay.exchange import Exchange
from replay.output.formats import FORMATS
from replay.output.opening import opened
from replay.pipeline import exchanges
from replay.source import recordings


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `show`."""
    parser.add_argument("files", nargs="+", metavar="FILE", help='capture files, or "-" for standard input')
    what = "; ".join(f"{name}: {row.help}" for name, row in FORMATS.items())
    parser.add_argument("--format", choices=list(FORMATS), default="table", help=what)
    parser.add_argument("-o", "--output", metavar="OUT", help="write there instead of standard output, mode 0600")
    parser.add_argument("--filter", metavar="EXPR", help="only matching exchanges (see filter-help)")
    parser.add_argument(
        "--side",
        choices=["auto", "server", "client", "both"],
        default="auto",
        help="of connections recorded at both ends; auto: once, as the server saw it",
    )


def run(arguments: argparse.Namespace) -> int:
    """Show the exchanges."""
    wanted = filters.compile(arguments.filter) if arguments.filter else None
    with ExitStack() as stack:
        items = _items(arguments, stack)
        if wanted is not None:
            items = (item for item in items if isinstance(item, Exchange) and wanted(item))
        row = FORMATS[arguments.format]
        if row.target == "folder":
            row.write(items, Path(arguments.output or "bodies"))
        else:
            row.write(items, stack.enter_context(opened(arguments.output, arguments.files)))
    return 0


def _items(arguments: argparse.Namespace, stack: ExitStack) -> Iterator[Result]:
    found = recordings(arguments.files)
    for recording in found:
        stack.callback(recording.close)
    # Ids are unique within one recording; with several each gets its number in front.
    prefixes = [f"{number}:" for number in range(1, len(found) + 1)] if len(found) > 1 else [""]
    return (
        item
        for recording, prefix in zip(found, prefixes, strict=True)
        for item in exchanges(recording, arguments.side, prefix)
    )
