"""An strace log in, a capture file out: lines, calls, what each call means for the stream sockets.

The stages: `strace_lines` puts calls together, `strace_values` reads their arguments, `strace_calls` says what each
means, `strace_sockets` and `strace_descriptors` which socket it speaks of.
"""

from __future__ import annotations

from typing import Final

from capfile.words import counted
from replay.importers.errors import InputError, WrongKind
from replay.importers.recording import Recording
from replay.importers.source import Source
from replay.importers.strace_calls import CALLS, NUMBERS
from replay.importers.strace_descriptors import OpenFile
from replay.importers.strace_lines import Exited, result
from replay.importers.strace_sockets import OTHER, Sockets
from replay.importers.strace_values import arguments

PLAIN: Final = frozenset(("read", "write", "readv", "writev", "close"))  # not in strace's class "network"
MAX_LINE: Final = 64 << 20  # -s of 16 MiB with four characters a byte


class StraceLog:
    """`feed` lines, then `finish`."""

    def __init__(self, recording: Recording) -> None:
        self._sockets = Sockets(recording, NUMBERS)
        self.lines = self._sockets.lines
        self.remarks = self._sockets.remarks

    def feed(self, line: str) -> None:
        """One line without its end."""
        sockets = self._sockets
        call = self.lines.feed(line)
        if isinstance(call, Exited):
            sockets.descriptors.exit(call.pid)
            sockets.close_ended(call.time)
        elif call is not None:
            try:
                values, at = arguments(call.text, call.at)
                CALLS[call.name](sockets, call, values, result(call.text, at))
            except (ValueError, IndexError):
                self.remarks["lines-skipped", "line", "with arguments that could not be read, skipped"] += 1
            if isinstance(call.bound, OpenFile) and call.bound is not OTHER:
                sockets.descriptors.release(call.bound)
            sockets.close_ended(call.time)

    def finish(self) -> None:
        """The log is over: what was closed and not used again is closed."""
        sockets = self._sockets
        sockets.descriptors.finish()
        sockets.close_ended(self.lines.clock.now)
        if sockets.recording.sockets and self.lines.seen.isdisjoint(PLAIN):
            rest = "but not one read, write or close, which -e trace=network,desc shows"
            self.remarks["calls-missing", "socket", rest] = sockets.recording.sockets
        if sockets.descriptors.presumed and not sockets.noted:
            detail = f"{sockets.descriptors.presumed} that nobody was seen to make are taken for threads of another"
            sockets.recording.mark("threads-presumed", self.lines.clock.now, detail)


def read_strace(source: Source, recording: Recording) -> list[str]:
    """Import a whole log. Returns what the user should know; `InputError` when no line of it is strace's."""
    log = StraceLog(recording)
    number = 0
    while line := source.line(MAX_LINE):
        number += 1
        if len(line) == MAX_LINE and not line.endswith(b"\n"):
            raise InputError(f"longer than {MAX_LINE} bytes", line=number)
        log.feed(line.decode("latin-1").rstrip("\r\n"))
    if not log.lines.calls:
        raise WrongKind(source.damage or "no line of it is a system call as strace prints it")
    log.finish()
    if log.lines.skipped:
        log.remarks["lines-skipped", "line", "not of strace's, skipped"] = log.lines.skipped
    remarks = [counted(count, noun, rest) for (_, noun, rest), count in log.remarks.items()]
    for (code, _, _), remark in zip(log.remarks, remarks, strict=True):
        recording.mark(code, log.lines.clock.now, remark)
    recording.finish("input-cut" if source.damage else "imported")
    return [*remarks, source.damage] if source.damage else remarks
