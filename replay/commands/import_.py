"""`ebpf-replay import`: another program's recording becomes a capture file.

Exit status: 0 imported (what the source itself lacked is said on standard error and marked in the file); 2 usage;
3 the input is not such a recording, or damaged at its beginning.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from capfile.writer import Writer
from replay.errors import UsageError
from replay.importers.pcap import read_pcap
from replay.importers.recording import Recording
from replay.importers.source import Source
from replay.importers.strace import read_strace
from replay.importers.streams import read_streams
from replay.output.opening import opened

# A reader imports everything it can and returns the remarks that the user should see.
READERS: Final[dict[str, tuple[Callable[[Source, Recording], list[str]], str]]] = {
    "pcap": (read_pcap, "packets (pcap or pcapng, plain or gzip)"),
    "strace": (read_strace, "log of strace -f -tt -s N -e trace=network,desc"),
    "streams": (read_streams, "stream rows (JSON Lines, plain or gzip)"),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `import`."""
    parser.add_argument("source", choices=sorted(READERS), help="; ".join(f"{k}: {v[1]}" for k, v in READERS.items()))
    parser.add_argument("input", metavar="INPUT", help='the recording; "-" is standard input')
    parser.add_argument(
        "-o", "--output", metavar="FILE", required=True, help='the capture file; "-" is standard output'
    )
    parser.add_argument("--force", action="store_true", help="overwrite FILE")


def run(arguments: argparse.Namespace) -> int:
    """Import one recording; an output file that could not be finished is removed."""
    source = Source.open(arguments.input)
    with output(arguments.output, arguments.force, arguments.input) as descriptor:
        recording = Recording(Writer(descriptor), arguments.source)
        for remark in READERS[arguments.source][0](source, recording):
            print(f"ebpf-replay: {remark}", file=sys.stderr)
    return 0


@contextmanager
def output(path: str, force: bool, source: str) -> Iterator[int]:
    """A descriptor to write to. A file that is there stays as it is without `force`; a new one is removed on errors."""
    if path == "-" or force or (os.path.exists(path) and not os.path.isfile(path)):
        with opened(path, [source], unbuffered=True) as file:
            yield file.fileno()
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise UsageError(f"{path} exists; --force overwrites it") from None
    try:
        yield descriptor
    except BaseException:
        os.unlink(path)
        raise
    finally:
        os.close(descriptor)
