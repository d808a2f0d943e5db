"""`ebpf-replay stats FILE …`: how many, how fast, how large, by endpoint, status, process and connection.

Exit status: 0 counted, whatever is missing (it is said; `verify` is the judge); 2 usage; 3 not a capture.
"""

from __future__ import annotations

import argparse
import sys


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `stats`."""
    parser.add_argument("files", nargs="+", metavar="FILE", help='capture files, or "-" for standard input')
    parser.add_argument("--format", choices=["table", "json"], default="table", help="json has every group")
    parser.add_argument("--filter", metavar="EXPR", help="only matching exchanges (see filter-help)")
    parser.add_argument("--side", choices=["auto", "server", "client", "both"], default="auto", help="as for show")


def run(arguments: argparse.Namespace) -> int:
    """Count and print."""
    import json

    from replay import filter as filters
    from replay.exchange import Exchange
    from replay.pipeline import exchanges
    from replay.source import recordings
    from replay.stats import tables
    from replay.stats.counting import Statistics
    from replay.verify import Verification

    wanted = filters.compile(arguments.filter) if arguments.filter else None
    statistics, missing = Statistics(), []
    found = recordings(arguments.files)
    for number, recording in enumerate(found, 1):
        try:
            for item in exchanges(recording, arguments.side, f"{number}:" if len(found) > 1 else ""):
                if wanted is None or (isinstance(item, Exchange) and wanted(item)):
                    statistics.add(item)
            verification = Verification(recording)
            for _ in verification.accounts():
                pass
            missing += verification.report().missing
        finally:
            recording.close()
    document = statistics.document(missing)
    if arguments.format == "json":
        sys.stdout.write(json.dumps(document, indent=1) + "\n")
    else:
        tables.write(document, sys.stdout)
    return 0
