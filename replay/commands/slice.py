"""`ebpf-replay slice FILE … -o OUT`: a part of a recording as a capture file of its own.

Exit status: 0 written; 1 written, but nothing of the recording is in it; 2 usage; 3 not a capture. That a file is cut
or damaged is said on standard error and by Marks of the new one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import closing

from replay import filter as filters
from replay import remarks
from replay.commands.show import moment_ns
from replay.dispatch import Result
from replay.errors import UsageError
from replay.exchange import Exchange
from replay.output.opening import FORCE_HELP, opened
from replay.pipeline import exchanges
from replay.rewrite import Rewriter
from replay.slicing import OpenSockets, Slice
from replay.source import Recording, recordings


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `slice`."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="the segments of one recording")
    parser.add_argument("-o", "--output", metavar="OUT", required=True, help='the new file; "-" is standard output')
    parser.add_argument("--force", action="store_true", help=FORCE_HELP)
    moment = 'a time ("2026-11-22T10:00:00.5Z"), or a duration since the recording began ("1.5s", "200ms", "3m")'
    parser.add_argument("--from", dest="first", metavar="TIME", help=f"leave out what was before: {moment}")
    parser.add_argument("--to", dest="last", metavar="TIME", help="leave out what was after")
    parser.add_argument("--connection", action="append", metavar="ID", help="this connection (may be repeated)")
    parser.add_argument("--process", action="append", type=int, metavar="PID", help="connections of this process")
    parser.add_argument("--filter", metavar="EXPR", help="connections with a matching exchange (see filter-help)")


def run(arguments: argparse.Namespace) -> int:
    """Write the slice."""
    found = recordings(arguments.files)
    if len(found) > 1:
        raise UsageError("these files are not of one recording; merge them first")
    with closing(found[0]) as recording, opened(arguments.output, arguments.files, force=arguments.force) as output:
        wanted = _wanted(arguments, recording)
        rewriter = Rewriter(output.fileno(), recording.header, _purpose(arguments))
        if wanted.first:
            sockets = OpenSockets(wanted.first)
            sockets.feed(recording.frames())
            for socket in sockets.frames(wanted):
                rewriter.write(socket)
        counters = rewriter.copy(recording.frames(), wanted.event, wanted.fact)
        rewriter.finish("slice", counters)
        remarks.say([recording])
    if not rewriter.events:
        print("ebpf-replay: no event of the recording is in this slice", file=sys.stderr)
    return 0 if rewriter.events else 1


def _purpose(arguments: argparse.Namespace) -> str:
    """What was asked for, in words."""
    asked = {
        "from": arguments.first,
        "to": arguments.last,
        "connection": arguments.connection,
        "process": arguments.process,
        "filter": arguments.filter,
    }
    return "slice" + "".join(f" --{name} {value}" for name, value in asked.items() if value)


def _wanted(arguments: argparse.Namespace, recording: Recording) -> Slice:
    processes = frozenset(arguments.process) if arguments.process else None
    return Slice(
        _moment(arguments.first, recording) if arguments.first else 0,
        _moment(arguments.last, recording) if arguments.last else (1 << 64) - 1,
        _generations(arguments, recording),
        processes,
    )


def _moment(text: str, recording: Recording) -> int:
    """CLOCK_MONOTONIC of the recording, ns."""
    return max(0, moment_ns(text, recording.header.wall_time) - recording.clock_offset_ns)


def _generations(arguments: argparse.Namespace, recording: Recording) -> frozenset[int] | None:
    """The sockets of the connections asked for; of several conditions all must hold."""
    sets = []
    if arguments.connection:
        sets.append(frozenset(_number(text) for text in arguments.connection))
    if arguments.filter:
        matches = filters.compile(arguments.filter)
        sets.append(_generations_of(recording, lambda item: isinstance(item, Exchange) and bool(matches(item))))
    if arguments.process:
        pids = set(arguments.process)
        sets.append(_generations_of(recording, lambda item: item.process is not None and item.process.pid in pids))
    return frozenset.intersection(*sets) if sets else None


def _generations_of(recording: Recording, wanted: Callable[[Result], bool]) -> frozenset[int]:
    """The sockets on which something was wanted, both ends where both were recorded."""
    return frozenset(item.connection.generation for item in exchanges(recording, "both") if wanted(item))


def _number(text: str) -> int:
    """An id as `show` prints it: of a connection, or of an exchange on it ("7-2")."""
    plain = text.partition("-")[0]
    if not plain.isdecimal():
        raise UsageError(f"{text}: not the id of a connection (see ebpf-replay show)")
    return int(plain)
