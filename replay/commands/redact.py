"""`ebpf-replay redact FILE … -o OUT`: a copy whose secret header values are replaced by tokens of the same length.

Exit status: 0 written; 2 usage; 3 not a capture. That a file is cut or damaged is said on standard error and by
Marks of the new one.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from contextlib import closing
from typing import Final

from capfile.redaction import NAMES, Tokens, is_field_name
from capfile.words import counted
from replay import remarks
from replay.errors import UsageError
from replay.events import ordered
from replay.exchange import OpaqueConnection
from replay.ledger import Ledger
from replay.output.opening import FORCE_HELP, opened
from replay.pipeline import exchanges
from replay.redacting import Secrets
from replay.rewrite import Rewriter
from replay.source import LookedAhead, Recording, recordings
from replay.streams import Streams

KEY_VARIABLE: Final = "EBPF_REPLAY_REDACTION_KEY"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `redact`."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="the segments of one recording")
    parser.add_argument("-o", "--output", metavar="OUT", required=True, help='the new file; "-" is standard output')
    parser.add_argument("--force", action="store_true", help=FORCE_HELP)
    parser.add_argument(
        "--header", action="append", default=[], metavar="NAME", help=f"also this header (always: {', '.join(NAMES)})"
    )
    parser.add_argument(
        "--keep-opaque",
        action="store_true",
        help="keep the payload of connections that are not HTTP/1 in clear, though nothing can be found in it",
    )
    parser.epilog = (
        "Equal secrets get equal tokens. The key is random for each run unless the environment has "
        f"{KEY_VARIABLE}. Not replaced: secrets in request targets, in bodies and in other headers."
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the redacted copy."""
    found = recordings(arguments.files)
    if len(found) > 1:
        raise UsageError("these files are not of one recording; merge them first")
    names = (*NAMES, *arguments.header)
    for name in names:
        if not is_field_name(name):
            raise UsageError(f"{name!r} cannot be a header's name")
    key = os.environb.get(KEY_VARIABLE.encode()) or secrets.token_bytes(32)
    with closing(found[0]) as recording, opened(arguments.output, arguments.files, force=arguments.force) as output:
        places = Secrets(Tokens(key), names, frozenset() if arguments.keep_opaque else _opaque(recording))
        _search(recording, places)
        how = {"headers": list(names), "opaque": "kept" if arguments.keep_opaque else "dropped"}
        rewriter = Rewriter(output.fileno(), recording.header, "redact", **how)
        counters = rewriter.copy(recording.frames(), places.event)
        rewriter.finish("redact", counters)
        remarks.say([recording])
    unread = counted(len(places.opaque), "connection", "without HTTP/1 in clear")
    dropped = f", payload of {unread} dropped" if places.opaque else ""
    print(f"ebpf-replay: {counted(places.count, 'value')} replaced{dropped}", file=sys.stderr)
    return 0


def _opaque(recording: Recording) -> frozenset[int]:
    """The sockets whose bytes are not, or not only, HTTP/1: a tunnel's beginning is dropped with its rest."""
    items = exchanges(recording, "both")
    return frozenset(item.connection.generation for item in items if isinstance(item, OpaqueConnection))


def _search(recording: Recording, places: Secrets) -> None:
    outlook = LookedAhead(recording.frames())
    ledger = Ledger(outlook.counters)
    streams = Streams(ledger)
    for item in ordered(recording.frames(), outlook, ledger):
        places.search(streams.feed(item))
    places.search(streams.finish())
    places.finish()
