"""`ebpf-replay test PATH …`: captures replayed and compared with their expectations.

Exit status: 0 all as expected (or written); 1 something is not; 2 usage, rules or expectation wrong; 3 a capture cannot
be read. The highest of all captures counts.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `test`."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="captures, or folders with *.cap + *.expected.jsonl")
    parser.add_argument("--update", action="store_true", help="write the expectations instead of comparing")
    parser.add_argument("--junit", metavar="FILE", type=Path, help="also the outcome as JUnit XML; FILE is replaced")
    parser.add_argument("--jobs", metavar="N", type=int, default=1, help="captures replayed at a time (default: 1)")


def run(arguments: argparse.Namespace) -> int:
    """Test, print, and say how it went."""
    from replay.output.opening import opened
    from replay.tester import engine, report

    captures = engine.find(arguments.paths, with_expectation=not arguments.update)
    colour, outcomes = sys.stdout.isatty(), []
    for outcome in engine.run(captures, arguments.jobs, arguments.update):
        outcomes.append(outcome)
        print("\n".join(report.lines(outcome, colour)))
    print(report.summary(outcomes))
    if arguments.junit:
        read = [str(path) for each in captures for path in (each.path, each.expected)]
        with opened(str(arguments.junit), read, force=True) as file:  # the report of the run before gives way
            file.write(report.junit(outcomes))
    return max(outcome.status for outcome in outcomes)
