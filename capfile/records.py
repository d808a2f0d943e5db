"""Ring bytes in, events out: walks the perf records of a chunk. The hot path of every replay.

A record that cannot be one raises `EventError` with its offset in the chunk; what came before it has been yielded.
Records of other types than samples and losses are skipped, as perf_event_open(2) lets a reader do.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Final

from capfile.errors import EventError
from capfile.event import (
    CAPTURED_AT,
    EVENT_ABI,
    FIELDS,
    PERF_HEADER,
    PERF_RECORD_LOST,
    PERF_RECORD_SAMPLE,
    Event,
    LostRecord,
    Row,
)
from capfile.layout import OURS, EventLayout

_LOST: Final = struct.Struct("<QQ")
_RAW_SIZE: Final = 4  # PERF_SAMPLE_RAW: u32 size before the event
BEFORE: Final = PERF_HEADER.size + _RAW_SIZE
_SAMPLE: Final = struct.Struct("<IHHI" + "".join(code for _, code, _ in FIELDS))
MAX_RECORD: Final = 0xFFFF  # perf_event_header.size is a u16
BATCH: Final = 1024  # records in a batch at most: half a MiB of tuples

Record = Event | LostRecord
Batch = list[Row] | LostRecord
# At most BATCH samples of our own layout from the record at an offset on, and where the next one stands; the last
# argument: whether their ABI is to be checked.
Samples = Callable[[bytes | memoryview, int, bool], tuple[list[Row], int]]


def records(data: bytes | memoryview, layout: EventLayout | None = None, start: int = 0) -> Iterator[Record]:
    """The records of ring bytes that begin with a whole one; payloads are views of `data`, not copies.

    `layout` is the segment's own (`Reader.layout`); without one events must be of the ABI this program was built with.
    `start` is added to the offsets in errors.
    """
    return _one_by_one(batches_of([memoryview(data)], layout, start))


def records_of(pieces: Iterable[bytes | memoryview], layout: EventLayout | None = None) -> Iterator[Record]:
    """The same, of ring bytes that come in pieces cut anywhere: memory stays that of a piece."""
    return _one_by_one(batches_of(pieces, layout))


def _one_by_one(batches: Iterator[Batch]) -> Iterator[Record]:
    for batch in batches:
        if isinstance(batch, LostRecord):
            yield batch
        else:
            yield from map(Event._make, batch)


def batches_of(
    pieces: Iterable[bytes | memoryview],
    layout: EventLayout | None = None,
    start: int = 0,
    samples: Samples | None = None,
) -> Iterator[Batch]:
    """The same in lists and without names, for whoever counts the nanoseconds of each event. `samples` may make
    something else of them (`capfile.sifting`)."""
    rest = b""
    for piece in pieces:
        data = rest + bytes(piece) if rest else piece
        tail = yield from _walk(data, layout, start, samples or _samples)
        start += len(data) - tail
        rest = bytes(data[len(data) - tail :])
        if tail > MAX_RECORD:
            break
    if rest:
        raise EventError(f"{len(rest)} bytes left over at offset {start} of the chunk")


def _walk(
    data: bytes | memoryview, layout: EventLayout | None, start: int, samples: Samples
) -> Generator[Batch, None, int]:
    """Yield batches of whole records; return how many bytes of an unfinished one are left."""
    fast = layout is None or layout.is_ours
    offset, end = 0, len(data)
    while offset < end:
        if fast:
            batch, offset = samples(data, offset, layout is None)
            if batch:
                yield batch
                continue
        if end - offset < PERF_HEADER.size:
            break
        kind, _, size = PERF_HEADER.unpack_from(data, offset)
        if size < PERF_HEADER.size:
            raise EventError(f"record of {size} bytes at offset {start + offset} of the chunk")
        if offset + size > end:
            break
        if kind == PERF_RECORD_SAMPLE:
            yield [_event(data[offset + BEFORE : offset + size], layout, start + offset)]
        elif kind == PERF_RECORD_LOST and size >= PERF_HEADER.size + _LOST.size:
            yield LostRecord(_LOST.unpack_from(data, offset + PERF_HEADER.size)[1])
        offset += size
    return end - offset


def _samples(data: bytes | memoryview, offset: int, check_abi: bool) -> tuple[list[Row], int]:
    """At most BATCH samples of our own layout that follow each other, and where the next record stands.

    One `unpack_from` for the record's header and the event's fields, one tuple, one slice: about 0.6 µs an event, where
    calls of `decode` take 1.3. What it does not like is left to the careful path, which says why.
    """
    unpack, header = _SAMPLE.unpack_from, _SAMPLE.size
    end = len(data)
    events: list[Row] = []
    while offset + header <= end and len(events) < BATCH:
        # fmt: off
        (record, _, length, _, abi, kind, direction, captured, sequence, time, socket, generation, position, size, ret,
         tgid, tid, fd, syscall, reason, flags, depth) = unpack(data, offset)
        # fmt: on
        after, payload = offset + length, offset + header
        if (
            record != PERF_RECORD_SAMPLE
            or payload + captured > after
            or after > end
            or (check_abi and abi != EVENT_ABI)
        ):
            break
        events.append(
            (abi, kind, direction, captured, sequence, time, socket, generation, position, size, ret, tgid, tid, fd,
             syscall, reason, flags, depth, data[payload : payload + captured])
        )  # fmt: skip
        offset = after
    return events, offset


def _event(raw: bytes | memoryview, layout: EventLayout | None, offset: int) -> Row:
    """One event by its layout."""
    fields_of = layout or OURS
    if len(raw) < fields_of.size:
        raise EventError(f"event of {len(raw)} bytes at offset {offset} of the chunk, {fields_of.size} expected")
    fields = fields_of.fields(raw, 0)
    abi, captured = fields[0], fields[CAPTURED_AT]
    if layout is None and abi != EVENT_ABI:
        raise EventError(f"event of ABI {abi} at offset {offset} of the chunk, and no header to explain it")
    there = len(raw) - fields_of.size
    if captured > there:
        raise EventError(f"event at offset {offset} of the chunk claims {captured} payload bytes, {there} are there")
    return (*fields, raw[fields_of.size : fields_of.size + captured])  # type: ignore[return-value]  # as many as there are
