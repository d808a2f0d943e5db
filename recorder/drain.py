"""The drain: ring memory to the recording, a whole region at a time; no Python runs per event.

One thread runs it. A pass takes the heads of the data rings, then everything in the control rings, then the data up to
those heads: so every data event in the file comes after the SOCKET event that introduces it. A tail moves only after
the bytes before it are written, but then at once: a full ring has room again long before all of it is in the file.
Only with a redactor is anything copied, and then what is written is the copy without secrets. What is compressed,
recorder/compression.py decides.
"""

from __future__ import annotations

import select
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from capfile.frames import Chunk, Counters, Frame
from capfile.frames import Ring as RingKind
from recorder.compression import Compressor
from recorder.recording import Recording, Regions, first_event
from recorder.redaction import Redactor, length_until
from recorder.rings import Ring

TICK_SECONDS: Final = 0.02  # how soon the recorder hears of a new process: before most short-lived ones are gone
FLUSH_SECONDS: Final = 0.2  # the flush interval: what SIGKILL may cost at most
STREAM_FLUSH_SECONDS: Final = 0.05  # the same when somebody reads along
LEDGER_SECONDS: Final = 1.0  # how often the counters are sampled into the file
FOREVER: Final = (1 << 64) - 1  # ns: later than any event


class Drain:
    """Moves what the rings hold into `recording`.

    `on_control(bytes)` gets a copy of every control chunk; `ledger()` samples the kernel program's counters.
    """

    def __init__(
        self,
        data: Sequence[Ring],
        control: Sequence[Ring],
        recording: Recording,
        on_control: Callable[[bytes], None],
        ledger: Callable[[], Counters],
        compressor: Compressor | None = None,
        flush_seconds: float = FLUSH_SECONDS,
        redactor: Redactor | None = None,
    ) -> None:
        self._data = data
        self._control = control
        self._recording = recording
        self._on_control = on_control
        self._ledger = ledger
        self._compressor = compressor
        self._flush_seconds = flush_seconds
        self._redactor = redactor
        self._frames: deque[Frame] = deque()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="drain")
        self._last_pass = 0.0
        self._last_ledger = time.monotonic()
        self._last_counters: tuple[object, object] = ({}, {})
        self.error: BaseException | None = None
        self.high_water = 0.0  # the fullest any data ring has been, as a part of its size
        self.bytes = 0  # of ring memory

    def start(self) -> None:
        """Begin to drain in a thread of its own."""
        self._thread.start()

    def finish(self) -> None:
        """Drain what is left and end the thread; `error` says what ended it before, if anything did.

        The kernel program is detached already, so that what is left is the last.
        """
        self._stop.set()
        self._thread.join()

    def submit(self, frame: Frame) -> None:
        """Have the drain's thread append `frame`; safe from any thread."""
        self._frames.append(frame)

    def _run(self) -> None:
        try:
            poller = select.poll()
            for ring in (*self._data, *self._control):
                poller.register(ring.fd, select.POLLIN)
            while not self._stop.is_set():
                self.step(bool(poller.poll(TICK_SECONDS * 1000)))
            self.drain_pass(last=True)
            self._write_frames()
        except BaseException as error:
            self.error = error

    def step(self, woken: bool) -> None:
        """One turn of the loop: a pass if a ring asked for it or one is due, and what comes due with it."""
        now = time.monotonic()
        due = now - self._last_pass >= self._flush_seconds
        if woken or due or any(ring.head() != ring.tail for ring in self._control):
            counters = self._ledger_due(now)  # before the pass: everything it counts is in the file before it
            self.drain_pass()
            if counters is not None:
                self._recording.write(counters)
        self._write_frames()
        if self._recording.rotation_due():
            counters = self._ledger()
            self.drain_pass()
            self._recording.rotate(counters)

    def _ledger_due(self, now: float) -> Counters | None:
        if now - self._last_ledger < LEDGER_SECONDS:
            return None
        self._last_ledger = now
        counters = self._ledger()
        if (counters.counters, counters.rings) == self._last_counters:
            return None
        self._last_counters = (counters.counters, counters.rings)
        return counters

    def drain_pass(self, last: bool = False) -> None:
        """Everything up to now, control before data. `last`: the kernel program is detached."""
        self._last_pass = time.monotonic()
        now = FOREVER if last else time.monotonic_ns()
        heads = [(ring, ring.head()) for ring in self._data]
        for ring in self._control:
            head = ring.head()
            self._move(ring, head, ring.regions(head))
        if self._redactor is None:
            for ring, head in heads:
                self._move(ring, head, ring.regions(head))
        else:
            self._move_redacted(self._redactor, heads, now)

    def _move_redacted(self, redactor: Redactor, heads: Sequence[tuple[Ring, int]], now: int) -> None:
        """The same by way of a copy.

        An event later than `now`, which was read before the heads, waits: the one before it in its stream may be in
        another CPU's ring and behind the head that was read there.
        """
        copies = [bytearray(b"".join(ring.regions(head))) for ring, head in heads]
        for copy in copies:
            del copy[length_until(copy, now) :]
        redactor.replace(copies)
        for (ring, _), copy in zip(heads, copies, strict=True):
            self._move(ring, ring.tail + len(copy), [memoryview(copy)])

    def _move(self, ring: Ring, head: int, regions: Regions) -> None:
        size = head - ring.tail
        if not size:
            return
        now = time.monotonic_ns()
        first = first_event(regions)
        if ring.kind is RingKind.CONTROL:
            self._on_control(b"".join(regions))
        else:
            self.bytes += size
            self.high_water = max(self.high_water, size / ring.size)
        compressor = self._compressor
        pack = compressor.pack if compressor is not None and compressor.wants(size, ring.size) else None
        begin = time.thread_time()
        chunk = Chunk(ring.cpu, ring.kind, first[1] if first else 0, now, size)
        start = ring.tail
        self._recording.chunk(chunk, regions, pack, lambda done: ring.release(start + done))
        if compressor is not None:
            compressor.wrote(size, time.thread_time() - begin, pack is not None)
        ring.release(head)

    def _write_frames(self) -> None:
        while self._frames:
            self._recording.write(self._frames.popleft())
