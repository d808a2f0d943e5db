"""A statistics document in, tables out: rich's on a terminal, aligned columns without decoration anywhere else.

Names come from recorded bytes: they are escaped, and rich is given text, never markup. What is missing stands first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TextIO

from capfile.words import counted
from replay.output.escaping import shortened, visible
from replay.output.moments import moment
from replay.output.table import duration_text, size_text

Json = dict[str, Any]
Table = tuple[str, tuple[str, ...], list[tuple[str, ...]]]  # title, headings, rows; the first column is text

MAX_ROWS: Final = 20  # of one table; `--format json` has all
MAX_NAME: Final = 60
_COUNTS: Final = ("count", "5xx", "partial", "p50", "p95", "p99", "max", "size p50", "sent")
_TITLES: Final = {
    "endpoint": "By endpoint",
    "status": "By status",
    "process": "By process",
    "connection": "By connection",
}


def write(document: Json, out: TextIO) -> None:
    """Print all tables to `out`."""
    terminal = out.isatty()
    for line in _heading(document):
        out.write(line + "\n")
    for title, headings, rows in _tables(document):
        out.write("\n")
        (_rich if terminal else _plain)(title, headings, rows, out)


def _heading(document: Json) -> Iterator[str]:
    """One line for the whole, then one for each thing that is missing."""
    total = document["total"]
    words = "complete" if document["complete"] else "INCOMPLETE"
    counts = f"{counted(total['exchanges'], 'exchange')}, {total['incomplete']} of them incomplete"
    yield f"{words}: {counts}, {total['errors']} with status 5xx"
    for sentence in document["missing"]:
        yield f"  missing: {visible(sentence)}"
    for name, count in document["completeness"].items():
        if name != "complete":
            yield f"  incomplete exchanges: {count} {visible(name)}"
    for name, count in document["problems"].items():
        yield f"  problem: {visible(name)} in {counted(count, 'exchange')}"
    for row in document["connections_without_exchanges"]:
        what = shortened(visible(row["protocol"]), MAX_NAME)
        connections = counted(row["connections"], "connection")
        yield f"  without exchanges: {connections} of {what}, {size_text(row['bytes'])}"


def _tables(document: Json) -> Iterator[Table]:
    yield "Total", ("", *_COUNTS), [_row("all", document["total"])]
    rate = document["rate"]
    if rate["slices"]:
        per_second = f", {rate['per_second']}/s" if rate["per_second"] is not None else ""
        title = f"Over time (slices of {duration_text(rate['slice_ns'])}{per_second})"
        slices: list[tuple[str, ...]] = [
            (moment(s["from"])[:23], str(s["exchanges"]), str(s["errors"])) for s in rate["slices"]
        ]
        yield title, ("from", "count", "5xx"), slices
    for kind, title in _TITLES.items():
        groups = document[f"by_{kind}"]
        rows = [_row(group["name"], group) for group in groups[:MAX_ROWS]]
        more = f" (the first {MAX_ROWS} of {len(groups)}; --format json has all)" if len(groups) > MAX_ROWS else ""
        yield title + more, (kind, *_COUNTS), rows


def _row(name: str, group: Json) -> tuple[str, ...]:
    durations = (group["duration_ns"][key] for key in ("p50", "p95", "p99", "max"))
    middle = group["response_size"]["p50"]
    return (
        shortened(visible(name), MAX_NAME),
        str(group["exchanges"]),
        str(group["errors"]),
        str(group["incomplete"]),
        *("-" if ns is None else duration_text(ns) for ns in durations),
        "-" if middle is None else size_text(middle),
        size_text(group["response_bytes"]),
    )


def _plain(title: str, headings: tuple[str, ...], rows: list[tuple[str, ...]], out: TextIO) -> None:
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    out.write(f"{title}\n")
    for row in (headings, *rows):
        first, *others = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        out.write("  ".join([row[0].ljust(len(first)), *others]).rstrip() + "\n")


def _rich(title: str, headings: tuple[str, ...], rows: list[tuple[str, ...]], out: TextIO) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    table = RichTable(
        title=Text(title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, padding=0, pad_edge=False
    )
    for number, heading in enumerate(headings):
        table.add_column(Text(heading), justify="right" if number else "left", no_wrap=number > 0, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console(file=out, highlight=False).print(table)
