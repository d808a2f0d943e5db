"""`ebpf-replay merge FILE … -o OUT`: segments, or whole recordings, as one capture file.

Exit status: 0 written; 1 written, but segments are missing between those given; 2 usage; 3 not a capture. That a file
is cut or damaged is said on standard error and by Marks of the new one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack

from capfile.damage import Damage
from capfile.frames import Counters, Frame, Header
from capfile.index import missing_segments
from replay import remarks
from replay.merging import MAX_CPU, MAX_RECORDINGS, Move, joined
from replay.output.opening import FORCE_HELP, opened
from replay.rewrite import Rewriter
from replay.source import Recording, recordings


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `merge`."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="capture files; segments of one recording join up")
    parser.add_argument("-o", "--output", metavar="OUT", required=True, help='the new file; "-" is standard output')
    parser.add_argument("--force", action="store_true", help=FORCE_HELP)


def run(arguments: argparse.Namespace) -> int:
    """Write the merged file."""
    found = recordings(arguments.files)[:MAX_RECORDINGS]
    status = 0
    with ExitStack() as stack:
        for recording in found:
            stack.callback(recording.close)
        output = stack.enter_context(opened(arguments.output, arguments.files, force=arguments.force))
        rewriter = Rewriter(output.fileno(), found[0].header, _purpose(found))
        counters: Counters | None = None
        cpus = 0
        for number, recording in enumerate(found):
            move = Move.of(number, cpus, found[0].header, recording.header)
            frames = Moving(recording, move)
            counted = rewriter.copy(frames, move.event, move.fact)
            if counted is not None:
                counters = joined(counters, counted, cpus)
            cpus += max(frames.cpus, _cpus(counted))
            missing = missing_segments([segment.header for segment in recording.segments])
            for segment in missing:
                rewriter.mark("segment-missing", f"segment {segment} of recording {number + 1}")
                print(f"ebpf-replay: segment {segment} is missing", file=sys.stderr)
                status = 1
        rewriter.finish("merge", counters)
        remarks.say(found)
    return status


def _purpose(found: list[Recording]) -> str:
    """Which recordings these were."""
    return "merge " + " ".join(recording.header.recording_id or "unnamed" for recording in found)[:2000]


def _cpus(counters: Counters | None) -> int:
    """How many CPUs the ledger has."""
    if counters is None:
        return 0
    return max([*map(len, counters.counters.values()), *map(len, counters.rings.values())], default=0)


class Moving:
    """The frames of a recording, moved; afterwards `cpus` says how many it had."""

    def __init__(self, recording: Recording, move: Move) -> None:
        self._recording = recording
        self._move = move
        self.cpus = 0

    def __iter__(self) -> Iterator[Frame | Damage]:
        for frame in self._recording.frames():
            if isinstance(frame, Damage | Header):
                yield frame
                continue
            moved = self._move.frame(frame)
            self.cpus = max(self.cpus, min(getattr(frame, "cpu", -1), MAX_CPU) + 1)
            yield moved
