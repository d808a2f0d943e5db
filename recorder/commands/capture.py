"""`ebpf-rec capture`: options to one session, its outcome to a summary and an exit status."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Final

from capfile.redaction import NAMES, is_field_name
from recorder import output, ownership, rings, summary
from recorder.constants import Cgroup, Filters, Limits
from recorder.errors import UsageError
from recorder.limits import RecordingLimits, parse_duration, parse_size
from recorder.options import Options
from recorder.output import STANDARD_OUTPUT
from recorder.program import Program
from recorder.session import Session, warn
from recorder.status import StatusLine

DEFAULT_OUTPUT: Final = "recording.cap"


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `capture`."""
    parser.usage = "ebpf-rec capture [OPTION ...] [-- COMMAND ARG ...]"
    _what(parser.add_argument_group("what to record (without any of these: every process but the recorder)"))
    _where(parser.add_argument_group("where to and how"))
    _limits(parser.add_argument_group("limits"))


def _what(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--pid", type=int, action="append", default=[], help="this process and its children (repeat)")
    group.add_argument("--comm", action="append", default=[], help="processes of this name (repeat)")
    group.add_argument("--uid", type=int, action="append", default=[], help="processes of this user number (repeat)")
    group.add_argument("--cgroup", help="processes in this control group: a path below the v2 hierarchy")
    group.add_argument("--port", type=int, action="append", default=[], help="connections with this port (repeat)")
    group.add_argument("--follow-forks", action=argparse.BooleanOptionalAction, default=True, help="children too")


def _where(group: argparse._ArgumentGroup) -> None:
    group.add_argument("-o", "--output", default=DEFAULT_OUTPUT, help="a file, a FIFO, or - (default: %(default)s)")
    group.add_argument("--force", action="store_true", help="replace an existing output")
    group.add_argument("--user", help="who to become after attaching (default: who called sudo, else who runs this)")
    group.add_argument(
        "--compress", action=argparse.BooleanOptionalAction, default=True, help="zstd where the host has time to spare"
    )
    group.add_argument("--ring-size", type=parse_size, help="memory per CPU for data (default: 64M, less if scarce)")
    group.add_argument(
        "--redact",
        action=argparse.BooleanOptionalAction,
        default=False,
        help=f"tokens instead of the values of {', '.join(NAMES)}, before anything is written",
    )
    group.add_argument(
        "--redact-header", action="append", default=[], metavar="NAME", help="with --redact: this header too (repeat)"
    )
    group.add_argument("--quiet", action="store_true", help="neither status line nor summary")
    group.add_argument("--debug-bpf", action="store_true", help="show the kernel program's own trace lines")


def _limits(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--duration", type=parse_duration, help="stop after this time (seconds, or 90s, 5m, 1h)")
    group.add_argument("--max-size", type=parse_size, help="stop before more bytes are written")
    group.add_argument("--max-events", type=int, help="stop after this many data events")
    group.add_argument("--snaplen", type=parse_size, help="bytes kept of each call; the rest is a sized gap")
    group.add_argument("--turn-limit", type=parse_size, help="bytes kept of each direction until it turns")
    group.add_argument("--rotate-size", type=parse_size, help="begin a new segment when one has this size")
    group.add_argument("--rotate-seconds", type=parse_duration, help="begin a new segment after this time")
    group.add_argument("--keep", type=int, help="segments to keep, the newest included")


def run(arguments: argparse.Namespace) -> int:
    """Record; the exit status."""
    options = read_options(arguments)
    if arguments.output == STANDARD_OUTPUT:
        output.check_standard_output()
    status = StatusLine() if sys.stderr.isatty() and not arguments.quiet else None
    session = Session(
        options, lambda pids: load(arguments, pids), status, lambda: None if arguments.quiet else announce(options)
    )
    try:
        outcome = session.run()
    finally:
        if status is not None:
            status.close()
    if not arguments.quiet:
        summary.show(outcome, options.output, sys.stderr)
    return outcome.status


def announce(options: Options) -> None:
    """What should be known before it begins."""
    if not (options.command or options.pids or options.filters):
        warn("no filter: recording every process of this machine but this one")
    if os.geteuid() == 0 and (remark := ownership.remark()):
        warn(f"{remark}: install it for root where that matters")


def load(arguments: argparse.Namespace, pids: frozenset[int]) -> Program:
    """The kernel program for these processes and the other filters, compiled and loaded."""
    filters = Filters(
        pids=pids,
        comms=frozenset(arguments.comm),
        uids=frozenset(arguments.uid),
        cgroup=None if arguments.cgroup is None else Cgroup.at(arguments.cgroup),
        ports=frozenset(arguments.port),
        follow_forks=arguments.follow_forks,
    )
    limits = Limits(snaplen=arguments.snaplen, turn_limit=arguments.turn_limit)
    return Program.load(filters, limits, debug=arguments.debug_bpf)


def read_options(arguments: argparse.Namespace) -> Options:
    """The session's options; `UsageError` for what cannot be."""
    if arguments.ring_size is not None and not rings.MIN_RING_SIZE <= arguments.ring_size <= rings.MAX_RING_SIZE:
        raise UsageError(
            f"--ring-size {arguments.ring_size} is out of range",
            f"{rings.MIN_RING_SIZE} to {rings.MAX_RING_SIZE} bytes",
        )
    if any(pid < 1 for pid in arguments.pid):
        raise UsageError("--pid takes process numbers")
    if any(not 0 < port < 1 << 16 for port in arguments.port):
        raise UsageError("--port takes numbers from 1 to 65535")
    filters = ("pid", "comm", "uid", "cgroup", "port")
    return Options(
        output=arguments.output,
        command=arguments.program,
        pids=arguments.pid,
        follow_forks=arguments.follow_forks,
        filters={name: getattr(arguments, name) for name in filters if getattr(arguments, name)},
        limits=RecordingLimits(
            arguments.duration,
            arguments.max_size,
            arguments.max_events,
            arguments.rotate_size,
            arguments.rotate_seconds,
            arguments.keep,
        ),
        kernel_limits={
            name: getattr(arguments, name) for name in ("snaplen", "turn_limit") if getattr(arguments, name) is not None
        },
        ring_size=arguments.ring_size and rings.power_of_two(arguments.ring_size),
        compress=arguments.compress,
        force=arguments.force,
        debug=arguments.debug_bpf,
        user=arguments.user,
        redact=redacted_headers(arguments.redact, arguments.redact_header),
        environment=arguments.environment,
        words=["ebpf-rec", *arguments.words],
    )


def redacted_headers(redact: bool, more: Sequence[str]) -> tuple[str, ...]:
    """The headers whose values must not be written; none unless it was asked for."""
    if more and not redact:
        raise UsageError("--redact-header goes with --redact")
    for name in more:
        if not is_field_name(name):
            raise UsageError(f"--redact-header {name!r} cannot be a header's name")
    return (*NAMES, *more) if redact else ()
