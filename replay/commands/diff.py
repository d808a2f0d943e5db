"""`ebpf-replay diff A B`: two captures compared exchange by exchange, statuses, headers and bodies; times as ratios.

Exit status: 0 the same; 1 something differs; 2 usage; 3 not a capture. That a file is cut or damaged is said on
standard error, and its remaining exchanges are compared.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from capfile.words import counted

if TYPE_CHECKING:
    from replay.diff import Pair
    from replay.tester.report import Style


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `diff`."""
    parser.add_argument("a", metavar="A", help="a capture")
    parser.add_argument("b", metavar="B", help="the capture compared with it")
    parser.add_argument("--filter", metavar="EXPR", help="only matching exchanges (see filter-help)")
    parser.add_argument("--rules", metavar="FILE", help="rules (default: replay.toml beside A, if it is there)")
    parser.add_argument("--format", choices=["text", "json"], default="text", help="text (the default) or json")


def run(arguments: argparse.Namespace) -> int:
    """Compare and print."""
    from contextlib import closing
    from pathlib import Path

    from replay import diff, remarks
    from replay import filter as filters
    from replay.source import recordings
    from replay.tester import rules as rules_files
    from replay.tester.report import Style

    wanted = filters.compile(arguments.filter) if arguments.filter else None
    rules = rules_files.load(Path(arguments.rules)) if arguments.rules else diff.rules_beside(arguments.a)
    sides = []
    for path in (arguments.a, arguments.b):
        (recording,) = recordings([path])
        with closing(recording):
            sides.append(diff.load(recording, rules, wanted))
            remarks.say([recording])
    pairs = list(diff.compare(*sides))
    differ = any(pair.kind != "same" for pair in pairs)
    if arguments.format == "json":
        print(json.dumps(_document(pairs, diff.times(pairs)), indent=1))
    else:
        print("\n".join(_lines(pairs, diff.times(pairs), Style(sys.stdout.isatty()))))
    return 1 if differ else 0


def _lines(pairs: list[Pair], times: dict[str, Any], style: Style) -> Iterator[str]:
    from replay.output.escaping import shortened, visible
    from replay.output.table import duration_text
    from replay.tester.report import difference_lines

    for pair in pairs:
        head = f"{visible(pair.ids[0] or pair.ids[1] or '')}  {shortened(visible(pair.title), 100)}"
        if pair.kind in ("only-a", "only-b"):
            yield f"{head}: only in {pair.kind[-1].upper()}"
        elif pair.kind == "changed":
            yield head + _took(pair)
            for difference in pair.differences:
                yield from ("  " + line[4:] for line in difference_lines(difference, style, ("A", "B")))
    count = {kind: sum(pair.kind == kind for pair in pairs) for kind in ("same", "changed", "only-a", "only-b")}
    alone = f"{count['only-a']} only in A, {count['only-b']} only in B"
    yield f"{count['same']} the same, {count['changed']} changed, {alone}"
    for name, (a, b, ratio) in times.items():
        yield f"duration {name}: {duration_text(a)} in A, {duration_text(b)} in B" + (
            f", {ratio} times" if ratio else ""
        )
    partial = sum(any(d.path == "completeness" for d in pair.differences) for pair in pairs)
    if partial:
        yield f"{counted(partial, 'exchange')} not as complete in one as in the other"


def _took(pair: Pair) -> str:
    from replay.output.table import duration_text

    a, b = pair.durations
    if a is None or b is None:
        return ""
    times = "" if pair.ratio is None else f", {pair.ratio} times"
    return f"  ({duration_text(a)} in A, {duration_text(b)} in B{times})"


def _document(pairs: list[Pair], times: dict[str, Any]) -> dict[str, Any]:
    from replay.tester.compare import MISSING

    return {
        "schema": 1,
        "durations": {name: {"a_ns": a, "b_ns": b, "ratio": ratio} for name, (a, b, ratio) in times.items()},
        "exchanges": [
            {
                "kind": pair.kind,
                "a": pair.ids[0],
                "b": pair.ids[1],
                "title": pair.title,
                "a_ns": pair.durations[0],
                "b_ns": pair.durations[1],
                "ratio": pair.ratio,
                "differences": [
                    {"path": each.path}
                    | ({} if each.expected is MISSING else {"a": each.expected})
                    | ({} if each.actual is MISSING else {"b": each.actual})
                    for each in pair.differences
                ],
            }
            for pair in pairs
        ],
    }
