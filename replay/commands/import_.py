"""`ebpf-replay import`: another program's recording becomes a capture file.

Exit status: 0 imported (what the source itself lacked is said on standard error and marked in the file); 1 imported,
but no connection is in it; 2 usage; 3 the input is not such a recording, or damaged at its beginning.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Final

from capfile.errors import CapfileError
from capfile.writer import Writer
from replay.importers.errors import InputError, WrongKind
from replay.importers.kinds import hint
from replay.importers.pcap import read_pcap
from replay.importers.recording import Recording
from replay.importers.source import Source
from replay.importers.strace import read_strace
from replay.importers.streams import read_streams
from replay.output.escaping import visible
from replay.output.opening import FORCE_HELP, opened

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
    parser.add_argument("-o", "--output", metavar="OUT", required=True, help='the new file; "-" is standard output')
    parser.add_argument("--force", action="store_true", help=FORCE_HELP)


def run(arguments: argparse.Namespace) -> int:
    """Import one recording."""
    name = "standard input" if arguments.input == "-" else arguments.input
    with (
        closing(Source.open(arguments.input)) as source,
        opened(arguments.output, [arguments.input], force=arguments.force) as output,
        _naming(name, source, arguments.source),
    ):
        # A tag from the input, not a random one: the same input gives the same bytes.
        writer = Writer(output.fileno(), tag=zlib.crc32(source.beginning))
        recording = Recording(writer, arguments.source)
        remarks = READERS[arguments.source][0](source, recording)
    if not recording.sockets:
        remarks.append("no connection is in it")
    for remark in remarks:
        print(f"ebpf-replay: {visible(name)}: {remark}", file=sys.stderr)
    return 0 if recording.sockets else 1


@contextmanager
def _naming(name: str, source: Source, kind: str) -> Iterator[None]:
    """Errors of the input say its name, and what it may be if it is of another kind."""
    try:
        yield
    except WrongKind as error:
        what = hint(source.beginning, kind) if source.beginning or not source.damage else ""
        raise CapfileError(f"{name}: {error}" + (f"; {what}" if what else ""), error.offset) from None
    except InputError as error:
        raise CapfileError(f"{name}: {error}", error.offset) from None
