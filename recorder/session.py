"""One recording from start to end: the order of things, and what ends it.

    check → command forked → kernel program loaded → rings → attached → root dropped → output opened → header
    → run → detached → drained → counters → End → summary

Knows the order and the reasons to stop; every step is another module's. Whatever fails, the kernel program is detached
and a command that was not released is ended.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import sys
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from capfile.frames import Counters, Frame, Header, Mark
from recorder import output, priority, privileges, processes
from recorder.command import Command, CommandError
from recorder.compression import Compressor
from recorder.control import Control
from recorder.drain import FLUSH_SECONDS, STREAM_FLUSH_SECONDS, Drain
from recorder.errors import RecorderError, TargetError
from recorder.flush import Flusher
from recorder.header import header
from recorder.limits import space_to_keep
from recorder.options import KernelProgram, Options, Outcome
from recorder.preflight import output_as
from recorder.reasons import ENDS_COMMAND, FAILURES, SIGNAL_STATUS, Reasons, foreground
from recorder.recording import Recording
from recorder.redaction import Redactor
from recorder.ringset import RingSet
from recorder.tracepipe import TracePipe

LOOK_SECONDS: Final = 0.25  # how often limits, free space and processes are looked at
GRACE_SECONDS: Final = 3.0  # what a command gets to end by itself after a signal


class Session:
    """One recording.

    `load(pids)` compiles and loads the kernel program for these processes; `announce()` is called once
    when nothing speaks against it, before that; `progress(session)` now and then.
    """

    def __init__(
        self,
        options: Options,
        load: Callable[[frozenset[int]], KernelProgram],
        progress: Callable[[Session], None] | None = None,
        announce: Callable[[], None] = lambda: None,
    ) -> None:
        self.options = options
        self._announce = announce
        self._load = load
        self._progress = progress
        self._command: Command | None = None
        self._reasons = Reasons()
        self._chunks: deque[bytes] = deque()
        self._recording_id = str(uuid.uuid4())
        self._deadline: float | None = None
        self.control = Control()
        self._redactor = Redactor(options.redact) if options.redact else None

    def run(self) -> Outcome:
        """Record until something ends it. Raises `RecorderError` or `UsageError` when it cannot begin."""
        self.identity = privileges.invoking_identity(self.options.environment, self.options.user)
        privileges.check(changes_user=self.identity.uid != os.geteuid())
        self.kept = privileges.kept_while_recording(os.uname().release)
        target = output_as(self.identity, self.options)
        missing = [pid for pid in self.options.pids if not processes.alive(pid)]
        if missing:
            raise TargetError(f"no process {missing[0]}", "look it up with ps or pgrep")
        self._announce()
        with contextlib.ExitStack() as stack:
            if self.options.command:
                self._command = Command(self.options.command, self.identity, self.options.environment)
                stack.callback(self._abandon_command)
            stack.enter_context(self._reasons.from_signals())
            wanted = self._wanted()
            self.program = self._load(wanted)
            stack.callback(self.program.close)
            self._rings = RingSet(self.program, self.options.ring_size)
            self.program.attach()
            self._meet(wanted)
            trace = TracePipe() if self.options.debug else None
            priority.advance()
            privileges.drop(self.identity, self.kept)
            if trace is not None:
                trace.start()
                stack.callback(trace.close)
            return self._record(target)

    @property
    def seconds(self) -> float:
        """How long it has been recording."""
        return time.monotonic() - self.started

    def _wanted(self) -> frozenset[int]:
        """The processes that were named and, if asked for, those below them."""
        named = set(self.options.pids)
        if self._command is not None:
            named.add(self._command.pid)
        if self.options.follow_forks and named:
            named |= processes.descendants(named, processes.parents())
        return frozenset(named)

    def _meet(self, wanted: frozenset[int]) -> None:
        """Name the children that were made while the program was compiled, and read what there is to know of all."""
        known = set(wanted)
        while new := self._wanted() - known:
            for pid in sorted(new):
                self.program.add_target(pid)
            known |= new
        now = time.monotonic_ns()
        self.control.live |= known
        self.control.executables = processes.executables()
        command = self._command
        if command is not None and processes.is_elf(command.file):
            self.control.expected[command.pid] = command.file
        for pid in sorted(known - {command.pid if command else 0}):  # the command is still a copy of this process
            self.control.learn(pid, now)

    def _record(self, target: output.Target) -> Outcome:
        fd = output.open_output(target, lambda: bool(self._reasons))
        self.started = time.monotonic()
        self.recording = Recording(
            target, fd, self.options.limits, self._describe, self._introduction, self._reasons.add
        )
        for frame in self.control.take():
            self.recording.write(frame)
        self._takes_space = target.is_file
        self.drain = Drain(
            self._rings.data,
            self._rings.control,
            self.recording,
            self._hand_over,
            self._ledger,
            Compressor() if self.options.compress else None,
            FLUSH_SECONDS if target.is_file else STREAM_FLUSH_SECONDS,
            self._redactor,
        )
        self.drain.start()
        priority.stand_back()
        flusher = Flusher(self.recording)
        failure: CommandError | None = None
        try:
            if self._command is not None and not self._reasons:
                self._command.release()
            self._loop()
        except CommandError as error:
            failure = error
            self._reasons.add("command-failed")
        finally:
            self.program.detach()
            self.drain.finish()
        outcome = self._close()
        flusher.finish()
        if failure is not None:
            raise failure
        if self.drain.error is not None:
            raise RecorderError(f"the recording was cut short by a fault of its own: {self.drain.error!r}")
        return outcome

    def _hand_over(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._reasons.notify()

    def _loop(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._reasons.wake, selectors.EVENT_READ)
            if self._command is not None:
                selector.register(self._command.pidfd, selectors.EVENT_READ)
            look = 0.0
            while not self._ended():
                selector.select(self._patience())
                self._reasons.heard()
                self._heed_control()
                if time.monotonic() >= look:
                    look = time.monotonic() + LOOK_SECONDS
                    self._look()

    def _patience(self) -> float:
        ends = [LOOK_SECONDS]
        if self.options.limits.duration is not None:
            ends.append(self.options.limits.duration - self.seconds)
        if self._deadline is not None:
            ends.append(self._deadline - time.monotonic())
        return max(0.0, min(ends))

    def _ended(self) -> bool:
        """Whether it is over; a command is given time to end by itself first."""
        duration = self.options.limits.duration
        if duration is not None and self.seconds >= duration:
            self._reasons.add("duration")
        command = self._command
        if command is not None and command.poll():
            self._reasons.add("child-exit")
            return True
        if not self._reasons:
            return False
        if command is None or self._reasons.first not in ENDS_COMMAND:
            return True
        if self._deadline is None:
            self._deadline = time.monotonic() + GRACE_SECONDS
            if not (self._reasons.first == "interrupt" and foreground()):  # the terminal has sent it to the command too
                command.signal(signal.SIGTERM if self._reasons.first != "interrupt" else signal.SIGINT)
        return time.monotonic() >= self._deadline

    def _heed_control(self) -> None:
        while self._chunks:
            self.control.feed(self._chunks.popleft())
        for frame in self.control.take():
            self.drain.submit(frame)

    def _look(self) -> None:
        self.control.forget_dead(processes.alive)
        if self.drain.error is not None:
            self._reasons.add("internal-error")
        if self.options.pids and not self.control.live & self._awaited():
            self._reasons.add("target-exit")
        self._guard_space()
        if self._progress is not None:
            self._progress(self)

    def _awaited(self) -> set[int]:
        return self.control.live if self.options.follow_forks else set(self.options.pids)

    def _guard_space(self) -> None:
        if not self._takes_space:
            return
        folder = os.path.dirname(self.options.output) or "."
        with contextlib.suppress(OSError):
            space = os.statvfs(folder)
            if space.f_bavail * space.f_frsize < space_to_keep(space.f_blocks * space.f_frsize):
                self._reasons.add("disk-full")

    def _describe(self, segment: int) -> Header:
        redaction = self._redactor.facts() if self._redactor is not None else None
        return header(self.options, segment, self._recording_id, self.program.probes, self._rings.size, redaction)

    def _introduction(self) -> Iterator[Frame]:
        yield from self.control.known()
        yield from self.program.open_sockets()

    def _ledger(self, last: bool = False) -> Counters:
        rows = self._rings.ledger(self.program.next_sequences())
        return Counters(time.monotonic_ns(), self.program.counters(last=last), rows)

    def _close(self) -> Outcome:
        self._heed_control()
        reason = self.recording.stopped or self._reasons.first
        for frame in self.control.take():
            self.recording.write(frame)
        if new := self._rings.new_cpus():
            self.recording.write(Mark("cpu-online", time.monotonic_ns(), detail=f"CPUs {new} came without a ring"))
        for open_socket in self.program.open_sockets(counted=True):
            self.recording.write(open_socket)
        counters = self._ledger(last=True)
        ended = self.recording.finish(counters, reason)
        return Outcome(
            reason=reason,
            status=self._status(reason),
            seconds=self.seconds,
            events=sum(row[0] for row in self.recording.kept(counters).rings["data"]),
            bytes=self.recording.written,
            segments=self.recording.segment + 1,
            kept=self.recording.segments_kept,
            connections=self.control.connections,
            counters=counters.counters,
            perf_lost=sum(row[1] for rows in counters.rings.values() for row in rows),
            marks=dict(self.control.marks),
            user=self.identity.name,
            capability="CAP_BPF alone, which this kernel asks for" if self.kept else "",
            redacted=self._redactor.count if self._redactor is not None else None,
            ended=ended,
            high_water=self.drain.high_water,
        )

    def _status(self, reason: str) -> int:
        if self._command is not None and self._command.released:
            if reason not in ENDS_COMMAND:
                self._command.wait()
            elif not self._command.poll():
                return SIGNAL_STATUS + signal.SIGTERM
            return self._command.status or 0
        if reason in FAILURES:
            return 1
        return 0 if self._command is None else SIGNAL_STATUS + signal.SIGTERM  # the command never ran

    def _abandon_command(self) -> None:
        if self._command is not None:
            self._command.abandon()


def warn(message: str) -> None:
    """One line on standard error."""
    print(f"ebpf-rec: {message}", file=sys.stderr, flush=True)
