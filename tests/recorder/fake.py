"""A ring in plain memory, filled as the kernel fills one; and a kernel program that was never loaded."""

from __future__ import annotations

from capfile.event import Event, Kind, encode, encode_lost
from capfile.frames import Ring as RingKind
from recorder.rings import PAGE, Ring


class FakeRing(Ring):
    """A `Ring` over a bytearray, with the kernel's side of it."""

    def __init__(self, size: int = 4096, kind: RingKind = RingKind.DATA, cpu: int = 0) -> None:
        self.memory = bytearray(PAGE + size)
        view = memoryview(self.memory)
        super().__init__(kind, cpu, view)
        self._bytes = view[PAGE:]
        self._sequence = 0

    def put(self, record: bytes) -> None:
        """Copy one record in at the head, as the kernel does: wrapping, and only if there is room."""
        head, size = self._head[0], self.size
        if head + len(record) - self.tail > size:
            raise BufferError("ring is full")
        for i, byte in enumerate(record):
            self._bytes[(head + i) & (size - 1)] = byte
        self._head[0] = head + len(record)

    def event(self, kind: Kind = Kind.DATA, payload: bytes = b"", **fields: int) -> Event:
        """Put an event with the next sequence number; returns it."""
        values = dict.fromkeys(Event._fields[:-1], 0)
        values.update(
            abi=1,
            kind=kind,
            captured=len(payload),
            size=len(payload),
            sequence=self._sequence,
            time=1000 + self._sequence,
            socket=7,
            generation=1,
            tgid=42,
        )
        values.update(fields)
        event = Event(**values, payload=payload)
        self._sequence += 1
        self.put(encode(event))
        return event

    def lose(self, number: int) -> None:
        """Put a PERF_RECORD_LOST."""
        self._sequence += number
        self.put(encode_lost(number))
