"""`ebpf-rec`: words in, one subcommand run, exit status out. Imports a command's module only when it is asked for.

Exit status: 0 done; 1 the recording is not what was asked for (the disk was full); 2 usage; 4 the host cannot capture.
`capture -- COMMAND` ends with the command's own status, 126 or 127 when it cannot be run.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from capfile.version import VERSION
from recorder.errors import OutputError, RecorderError, UsageError

# name -> (module, one line of help)
COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "capture": ("recorder.commands.capture", "record processes into a file"),
    "doctor": ("recorder.commands.doctor", "what this host can record, what is missing, what mends it"),
    "probes": ("recorder.commands.probes", "the kernel's hook points and their prototypes"),
}
USAGE: Final = 2
CANNOT_CAPTURE: Final = 4


def main(words: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run one command; every expected error becomes one line on standard error and its exit status.

    `environment` is the caller's: it tells who called, and belongs to the command that is recorded.
    """
    _occupy_standard_streams()
    ours, program = split_command(words)
    try:
        arguments = _parser(ours[0] if ours else "").parse_args(ours)
        arguments.program, arguments.words, arguments.environment = program, list(words), dict(environment)
        status: int = importlib.import_module(COMMANDS[arguments.command][0]).run(arguments)
        _flush()
        return status
    except UsageError as error:
        return _complain(error, getattr(error, "status", USAGE))
    except RecorderError as error:
        return _complain(error, CANNOT_CAPTURE)
    except BrokenPipeError:
        _forget_output()  # its reader went away: no error
        return 0
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        return _complain(RecorderError(f"{error.filename}: {error.strerror}" if error.filename else str(error)), 4)


def _occupy_standard_streams() -> None:
    """No file of ours gets the number of a stream that the caller has closed: what is printed would go into it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  until the process ends


def _flush() -> None:
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _forget_output()
        raise OutputError(f"standard output: {error.strerror}") from error


def _forget_output() -> None:
    """What could not be written would make Python complain once more while it closes standard output."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def split_command(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words before and after the first `--`: what is behind it belongs to the command that is run."""
    if "--" not in words:
        return list(words), []
    at = list(words).index("--")
    return list(words[:at]), list(words[at + 1 :])


def _complain(error: RecorderError | UsageError, status: int) -> int:
    print(f"ebpf-rec: {error}", file=sys.stderr)
    return status


def _parser(command: str) -> argparse.ArgumentParser:
    """The whole parser; only `command`'s own options are configured, so that the other modules need no import."""
    parser = argparse.ArgumentParser(
        prog="ebpf-rec", description="Record what processes say over their sockets, by eBPF.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"ebpf-rec {VERSION}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, help_line) in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=help_line, allow_abbrev=False)
        if name == command:
            importlib.import_module(module).configure(subparser)
    return parser
