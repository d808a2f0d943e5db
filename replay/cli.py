"""`ebpf-replay`: words in, one subcommand run, exit status out. Imports a command's module only when it is asked for.

Exit status: 0 done; 1 the thing asked about is not so; 2 usage; 3 not a capture, or damaged beyond reading.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Final

from capfile.errors import CapfileError
from capfile.version import VERSION
from replay.errors import UsageError as UsageError
from replay.output.escaping import visible
from replay.output.opening import NO_ROOM

# name -> (module, one line of help)
COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "show": ("replay.commands.show", "the exchanges (the default command)"),
    "filter-help": ("replay.commands.filter_help", "the filter language: every field, with an example"),
    "verify": ("replay.commands.verify", "complete, or exactly what is missing"),
    "stats": ("replay.commands.stats", "totals, rates, latencies and sizes, by endpoint, status, process, connection"),
    "diff": ("replay.commands.diff", "two captures compared exchange by exchange, times as ratios"),
    "test": ("replay.commands.test", "captures as tests: replayed and compared with what was expected"),
    "info": ("replay.commands.info", "what is in a file: host, processes, sockets, counts, losses, segments"),
    "dump": ("replay.commands.dump", "every frame and event, one line each, for debugging"),
    "slice": ("replay.commands.slice", "a part of a recording as a capture file of its own"),
    "merge": ("replay.commands.merge", "segments or recordings as one capture file"),
    "redact": ("replay.commands.redact", "a copy without secrets"),
    "import": ("replay.commands.import_", "another program's recording (strace, pcap, streams) as a capture file"),
    "send": ("replay.commands.send", "the recorded requests sent again, the answers compared"),
    "serve": ("replay.commands.serve", "a server that answers from the recording"),
}
DEFAULT_COMMAND: Final = "show"
_OWN_OPTIONS: Final = ("-h", "--help", "--version")


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; every expected error becomes one line on standard error and its exit status."""
    if sys.stdout is None:  # the caller closed descriptor 1 (`>&-`): the first file we open would get its number
        return _complain("standard output is closed: open it, or send it to /dev/null", 2)
    alone = words is None  # a process of our own
    words = list(sys.argv[1:] if words is None else words)
    if words and words[0] not in COMMANDS and words[0] not in _OWN_OPTIONS:
        words.insert(0, DEFAULT_COMMAND)
    try:
        if alone:
            gc.disable()  # all that a start loads stays: to look for garbage in it is a tenth of the start
        arguments = _parser(words[0] if words else "").parse_args(words)
        if alone:
            gc.freeze()
            gc.enable()
        status: int = importlib.import_module(COMMANDS[arguments.command][0]).run(arguments)
        sys.stdout.flush()
        return status
    except UsageError as error:
        return _complain(str(error), 2)
    except CapfileError as error:
        return _complain(str(error), 3)
    except BrokenPipeError:
        return _give_up_output()  # its reader went away, which is no error
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        if error.filename is None and error.errno in NO_ROOM:
            return _give_up_output() or _complain(f"standard output: {error.strerror}", 2)
        return _complain(f"{error.filename}: {error.strerror}" if error.filename else str(error), 3)


def _give_up_output() -> int:
    """Nothing more can be written to standard output: Python would complain of that once more while it closes it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _complain(message: str, status: int) -> int:
    print(f"ebpf-replay: {visible(message)}", file=sys.stderr)
    return status


def _parser(command: str) -> argparse.ArgumentParser:
    """The whole parser; only `command`'s own options are configured, so that the other modules need no import."""
    parser = argparse.ArgumentParser(prog="ebpf-replay", description="Rebuild HTTP exchanges from a capture file.")
    parser.add_argument("--version", action="version", version=f"ebpf-replay {VERSION}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, help_line) in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=help_line)
        if name == command:
            importlib.import_module(module).configure(subparser)
    return parser
