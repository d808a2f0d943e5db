"""A recording in, a balance out: every byte that passed is captured or named as missing, and the counts agree.

Runs the stages up to the streams and nothing of HTTP. Three witnesses are heard: the positions of the events, the
kernel's own count of each socket's bytes (AUDIT events), and the rings' sequence numbers against the counters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from msgspec import Struct

from capfile.event import Event, Flag, Kind, MarkCode
from capfile.frames import Mark, Ring
from capfile.words import counted
from replay.addresses import addresses
from replay.events import FOREVER, Item, named, ordered_runs
from replay.ledger import Ledger, RingTally
from replay.processes import Processes
from replay.source import Recording
from replay.stream import Bytes, Eof, Gap
from replay.streams import SocketState, Step, Streams

# Counters of the kernel program that mean bytes or news are missing which no sequence number tells of.
LOSSES: Final = {
    "scratch_busy": ("event", "dropped because a processor's scratch was in use"),
    "map_sockets_full": ("socket", "not recorded because the kernel program's map was full"),
    "unplaced_calls": ("call", "whose bytes could not be given a place"),
    "tail_call_failed": ("call", "not recorded because the kernel program could not go on"),
}
LEFT_OUT: Final = "runs_left_out"  # of the kernel program, by the kernel, for whatever process: one of ours perhaps
# What the kernel program cannot see into: nothing is missing only where the kernel counted the bytes.
BLIND_SPOTS: Final = {
    "io-uring": "used io_uring, whose bytes no system call shows",
    "compat": "made 32-bit system calls",
    "process-vm": "had its memory written by another process",
}
MAX_MARKS: Final = 1000  # different marks that are told apart
INCOMPLETE: Final = "incomplete"
COMPLETE: Final = "complete"  # only where the kernel's own count of every connection agrees
AS_FAR_AS_COUNTED: Final = "complete as far as the kernel counted"
AS_FAR_AS_THE_FILE_TELLS: Final = "complete as far as the file itself tells"  # no kernel was asked: imported, built
PERF_FORMAT_LOST_SINCE: Final = (6, 0)  # Linux


class Flow(Struct, omit_defaults=True):
    """One direction of one socket, in bytes."""

    captured: int = 0
    gaps: dict[str, int] = {}  # reason -> bytes
    counted: int | None = None  # by the kernel since the socket was first seen; null if it was not audited
    unsized: int = 0  # gaps whose length nobody knows
    end: str = ""  # how the direction ended (`replay.stream.Eof.how`)

    @property
    def missing(self) -> int:
        """Bytes that passed and are not in the file."""
        return sum(self.gaps.values())

    @property
    def balanced(self) -> bool | None:
        """Whether captured + gaps = counted; None if nobody counted."""
        return None if self.counted is None else self.captured + self.missing == self.counted

    @property
    def complete(self) -> bool:
        """Whether nothing is missing and no count contradicts."""
        return not self.gaps and not self.unsized and self.balanced is not False


class Account(Struct):
    """One connection as `verify --json` lists it."""

    id: str
    local: str
    remote: str
    pid: int
    comm: str
    joined_midstream: bool
    received: Flow
    sent: Flow
    complete: bool = False
    balanced: bool | None = None


class RingAccount(Struct):
    """One ring: what its sequence numbers say and what the recorder counted."""

    ring: str
    cpu: int
    records: int  # in the file
    lost: int  # missing by sequence numbers
    submit_failed: int | None  # as the kernel program counted; null if it did not
    perf_lost: int | None  # PERF_FORMAT_LOST; null where the kernel does not count
    agree: bool | None  # whether all that counted say the same; null where the file is damaged or cut


class SegmentAccount(Struct):
    """One file."""

    file: str
    state: str  # "complete", "cut" or "damaged"
    reason: str  # why the recording ended, as its End frame says
    damage: list[str]
    next_segment: bool


class Totals(Struct):
    """Over all connections, in bytes but for the first two."""

    connections: int = 0
    audited: int = 0  # connections whose bytes the kernel counted too
    unbalanced: int = 0  # … and counted otherwise
    captured: int = 0
    unsized: int = 0  # gaps of unknown length
    gaps: dict[str, int] = {}  # reason -> bytes


class Report(Struct):
    """The verdict. `missing` is empty exactly if `complete`."""

    complete: bool
    missing: list[str]
    totals: Totals
    rings: list[RingAccount]
    files: list[SegmentAccount]
    marks: dict[str, int]
    remarks: list[str]
    verdict: str = ""  # one of the sentences below
    proven: bool = False  # nothing is missing, and the kernel's own count of every connection says so too
    uncounted: int = 0  # connections that the kernel did not count, or whose count is not in the file
    left_out: int = 0  # runs of the kernel programs that would have counted, placed or told of something


class Verification:
    """Iterate `accounts`, then ask for the `report`."""

    def __init__(self, recording: Recording, prefix: str = "") -> None:
        self._recording = recording
        self._prefix = prefix
        self._outlook = recording.outlook()
        self._ledger = Ledger(self._outlook.counters)
        self._streams = Streams(self._ledger)
        self._marks: Counter[str] = Counter()
        self._remarks: list[str] = []
        self._totals = Totals()

    def accounts(self) -> Iterator[Account]:
        """Every connection when it ends."""
        processes = Processes(self._outlook.processes)
        passes = self._streams.passes
        for run in ordered_runs(self._recording.frames(), self._outlook, self._ledger):
            for item in run:
                if type(item) is tuple and passes(item) is not None:
                    continue
                event = named(item)
                processes.feed(event)
                self._note(event)
                for step in self._streams.carefully(event):
                    if (account := self._account(step, processes)) is not None:
                        yield account
        for step in self._streams.finish():
            if (account := self._account(step, processes)) is not None:
                yield account

    # -- connections

    def _account(self, step: Step, processes: Processes) -> Account | None:
        """Add one step to its direction; the account once the socket is gone."""
        socket, direction, event = step
        flows = socket.user
        if flows is None:
            flows = socket.user = (Flow(gaps={}), Flow(gaps={}))
        assert isinstance(flows, tuple)
        if event is None:
            return self._close(socket, flows, processes) if socket.gone else None
        flow: Flow = flows[direction - 1]
        if type(event) is Bytes:
            flow.captured += len(event.data)
        elif isinstance(event, Gap):
            if event.length is None:
                flow.unsized += 1
            else:
                flow.gaps[event.reason] = flow.gaps.get(event.reason, 0) + event.length
        elif isinstance(event, Eof):
            flow.end = event.how
        return None

    def _close(self, socket: SocketState, flows: tuple[Flow, Flow], processes: Processes) -> Account:
        received, sent = flows
        received.captured += socket.receive.passed
        sent.captured += socket.send.passed
        if socket.audit is not None:
            received.counted = socket.audit[0] - socket.receive.first
            sent.counted = socket.audit[1] - socket.send.first
            self._behind_the_end(received, socket.receive.last_time)
            self._behind_the_end(sent, socket.send.last_time)
        facts = None if socket.facts is None else addresses(socket.facts)
        local, remote = (facts.local, facts.remote) if facts else ("", "")
        account = Account(
            f"{self._prefix}{socket.generation}",
            local,
            remote,
            socket.tgid,
            processes.facts(socket.tgid, socket.opened_at).comm,
            bool(socket.flags & Flag.JOINED),
            received,
            sent,
            received.complete and sent.complete,
            None if socket.audit is None else bool(received.balanced and sent.balanced),
        )
        self._total(account)
        return account

    def _behind_the_end(self, flow: Flow, last_time: int) -> None:
        """Bytes that were lost just before a shutdown: its direction had ended when the kernel's count came."""
        assert flow.counted is not None
        lost = flow.counted - flow.captured - flow.missing
        if lost > 0:
            reason = self._ledger.reason(last_time, FOREVER)
            flow.gaps[reason] = flow.gaps.get(reason, 0) + lost

    def _total(self, account: Account) -> None:
        totals = self._totals
        totals.connections += 1
        totals.audited += account.balanced is not None
        totals.unbalanced += account.balanced is False
        for flow in (account.received, account.sent):
            totals.captured += flow.captured
            totals.unsized += flow.unsized
            for reason, size in flow.gaps.items():
                totals.gaps[reason] = totals.gaps.get(reason, 0) + size

    # -- marks

    def _note(self, item: Item) -> None:
        if type(item) is Event:
            if item.kind == Kind.MARK:
                codes = {int(code): code.name.lower().replace("_", "-") for code in MarkCode}
                self._mark(codes.get(item.ret, f"mark-{item.ret}"))
        elif isinstance(item, Mark):
            self._mark(item.code.replace("_", "-"))
            if item.detail and len(self._remarks) < MAX_MARKS:
                self._remarks.append(f"{item.code}: {item.detail}")

    def _mark(self, code: str) -> None:
        if code in self._marks or len(self._marks) < MAX_MARKS:
            self._marks[code] += 1

    # -- the verdict

    def report(self) -> Report:
        """The verdict, after `accounts` has been read to its end."""
        files = segment_accounts(self._recording)
        rings = ring_accounts(self._ledger, self._recording, whole=all(each.state == "complete" for each in files))
        missing = [
            *self._missing_bytes(),
            *(_ring_sentence(ring) for ring in rings if ring.lost or ring.agree is False),
            *self._missing_by_counters(),
            *file_sentences(files, self._recording),
            *(_skipped(what, count) for what, count in (self._streams.skipped + self._ledger.skipped).items()),
            *self._blind(),
        ]
        if self._ledger.unreadable_chunks:
            missing.append(counted(self._ledger.unreadable_chunks, "chunk", "that cannot be read in full"))
            missing += self._ledger.notes
        uncounted = self._totals.connections - self._totals.audited
        left_out = self._counter(LEFT_OUT)
        verdict = self._verdict(bool(missing), uncounted, left_out)
        return Report(
            not missing,
            missing,
            self._totals,
            rings,
            files,
            dict(self._marks),
            self._remarks,
            verdict,
            verdict == COMPLETE,
            uncounted,
            left_out,
        )

    def _verdict(self, missing: bool, uncounted: int, left_out: int) -> str:
        if missing:
            return INCOMPLETE
        if not self._recording.header.probes and uncounted == self._totals.connections:
            return AS_FAR_AS_THE_FILE_TELLS
        return AS_FAR_AS_COUNTED if uncounted or left_out else COMPLETE

    def _missing_bytes(self) -> Iterator[str]:
        totals = self._totals
        for reason, size in sorted(totals.gaps.items()):
            yield counted(size, "byte", f"({reason})")
        if totals.unsized:
            yield counted(totals.unsized, "gap", "of unknown length")
        if totals.unbalanced:
            yield counted(totals.unbalanced, "connection", "whose bytes differ from the kernel's own count")

    def _missing_by_counters(self) -> Iterator[str]:
        for name, (noun, fate) in LOSSES.items():
            if count := self._counter(name):
                yield counted(count, noun, fate)

    def _counter(self, name: str) -> int:
        """A counter of the kernel program, over all CPUs."""
        return 0 if self._ledger.counters is None else sum(self._ledger.counters.counters.get(name, []))

    def _blind(self) -> Iterator[str]:
        """A blind spot leaves nothing unseen where the kernel counted every connection."""
        for code, sentence in BLIND_SPOTS.items():
            if self._marks.get(code) and self._totals.audited < self._totals.connections:
                who = "process or socket" if self._marks[code] == 1 else "processes or sockets"
                yield f"{self._marks[code]:,} {who} {sentence}"


def segment_accounts(recording: Recording) -> list[SegmentAccount]:
    """Every file that was read: whether it is whole, and what is wrong with it."""
    return [
        SegmentAccount(
            segment.name,
            segment.reader.state,
            segment.reader.end.reason if segment.reader.end else "",
            [
                f"{each.kind} at byte {each.offset}, {counted(each.length, 'byte')}: {each.detail}"
                for each in segment.reader.damage
            ],
            segment.reader.end.next_segment if segment.reader.end else False,
        )
        for segment in recording.segments
    ]


def file_sentences(files: list[SegmentAccount], recording: Recording) -> Iterator[str]:
    """What the files themselves lack, and segments that are not there between others."""
    for each in files:
        if each.state == "cut":
            yield f"{each.file} is cut: what came after its end is unknown"
        elif each.state == "damaged":
            yield f"{each.file} is damaged: " + "; ".join(each.damage[:3])
    numbers = [segment.header.segment for segment in recording.segments]
    for before, after in pairwise(numbers):
        if after > before + 1:
            yield f"segments {before + 1} to {after - 1} of the recording are not here"


def ring_accounts(ledger: Ledger, recording: Recording, whole: bool) -> list[RingAccount]:
    """Every ring of which the file or the recorder's counters speak."""
    keys = set(ledger.rings)
    for ring in Ring:
        keys |= {(cpu, int(ring)) for cpu, row in enumerate(ledger.end_of(ring)) if any(row)}
    counts_lost = _kernel_version(recording.header.kernel) >= PERF_FORMAT_LOST_SINCE
    return [_ring_account(ledger, cpu, ring, whole, counts_lost) for cpu, ring in sorted(keys, key=lambda k: k[::-1])]


def _ring_account(ledger: Ledger, cpu: int, number: int, whole: bool, counts_lost: bool) -> RingAccount:
    name = {int(ring): ring.name.lower() for ring in Ring}.get(number, str(number))
    tally = ledger.rings.get((cpu, number)) or RingTally(next=0 if ledger.whole_from_start else None)
    row = (ledger.counters.rings.get(name, []) if ledger.counters else [])[cpu : cpu + 1]
    end, kernel_lost = (row[0][0], row[0][1]) if row and len(row[0]) >= 2 else (0, None)
    lost = tally.lost + (max(0, end - tally.next) if tally.next is not None else 0)
    failed = _at(ledger.counters.counters.get(f"{name}_lost", []) if ledger.counters else [], cpu)
    perf_lost = kernel_lost if counts_lost else None
    agree = all(count is None or count == lost for count in (failed, perf_lost)) if whole else None
    if not ledger.whole_from_start:
        agree = None  # the counters are totals since a beginning that is not here
    return RingAccount(name, cpu, tally.records, lost, failed, perf_lost, agree)


def _at(values: list[int], cpu: int) -> int | None:
    return values[cpu] if cpu < len(values) else None


def _kernel_version(release: str) -> tuple[int, int]:
    numbers = release.split(".")[:2]
    if len(numbers) < 2 or not (numbers[0].isdecimal() and numbers[1].isdecimal()):
        return (0, 0)
    return int(numbers[0]), int(numbers[1])


def _skipped(what: str, count: int) -> str:
    """`what` begins with the noun in the plural."""
    noun, _, rest = what.partition(" ")
    return counted(count, noun.removesuffix("s"), rest)


def _ring_sentence(ring: RingAccount) -> str:
    where = f"{ring.ring} ring of CPU {ring.cpu}"
    counts = ", ".join(
        f"{who} {count:,}"
        for who, count in (("kernel program counted", ring.submit_failed), ("kernel counted", ring.perf_lost))
        if count is not None
    )
    lost = f"{where}: {ring.lost:,} of {counted(ring.records + ring.lost, 'record')} lost"
    if ring.agree is False:
        return f"{lost} by sequence numbers, but the {counts}"
    return f"{lost} ({counts})" if counts else lost
