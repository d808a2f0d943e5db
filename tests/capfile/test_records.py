"""Ring bytes to events: layouts of other programs, records cut anywhere, and what cannot be a record."""

from __future__ import annotations

import contextlib
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capfile.errors import DamagedFrame, EventError
from capfile.event import EVENT_SIZE, FIELDS, Event, LostRecord, decode, encode, encode_lost, layout
from capfile.layout import EventLayout
from capfile.limits import MAX_EVENT_SIZE
from capfile.records import records, records_of
from tests.capfile.files import event, ring

_RANGES = {"B": (0, 0xFF), "H": (0, 0xFFFF), "I": (0, 2**32 - 1), "Q": (0, 2**64 - 1), "i": (-(2**31), 2**31 - 1)}
_RANGES["q"] = (-(2**63), 2**63 - 1)


@st.composite
def events(draw: st.DrawFn) -> Event:
    payload = draw(st.binary(max_size=200))
    values = [draw(st.integers(*_RANGES[code])) for _, code, _ in FIELDS]
    return Event(*values, payload)._replace(abi=1, captured=len(payload))


@given(st.lists(st.one_of(events(), st.integers(0, 2**64 - 1))), st.integers(1, 300))
def test_records_come_back_as_they_were_whole_or_in_pieces(written: list[Event | int], size: int) -> None:
    data = b"".join(encode(each) if isinstance(each, Event) else encode_lost(each) for each in written)
    wanted = [each if isinstance(each, Event) else LostRecord(each) for each in written]
    assert list(records(data)) == wanted
    assert list(records_of(data[at : at + size] for at in range(0, len(data), size))) == wanted
    assert list(records(data, EventLayout(layout(), EVENT_SIZE))) == wanted


@given(st.binary(max_size=300), st.integers(1, 50))
def test_any_bytes_give_records_or_an_event_error(data: bytes, size: int) -> None:
    outcomes = []
    for walk in (records(data), records_of(data[at : at + size] for at in range(0, len(data), size))):
        found: list[object] = []
        try:
            found += walk
        except EventError as error:
            found.append(type(error))
        outcomes.append(found)
    assert outcomes[0] == outcomes[1]


@given(st.integers(0, 600), st.integers(0, 7))
def test_a_flipped_bit_in_a_ring_never_escapes_as_another_error(position: int, bit: int) -> None:
    data = bytearray(ring(0, 5))
    data[position % len(data)] ^= 1 << bit
    with contextlib.suppress(EventError):
        list(records(bytes(data)))


def test_the_fast_walk_and_the_single_decoder_agree() -> None:
    raw = encode(event(5, b"payload"))[12:]
    assert [decode(raw)] == list(records(encode(event(5, b"payload"))))


def test_records_of_other_types_are_skipped() -> None:
    other = struct.pack("<IHH", 12, 0, 16) + bytes(8)
    assert [each for each in records(other + encode(event(1)) + other) if isinstance(each, Event)] == [event(1)]


def test_fields_are_found_where_the_file_says_they_are() -> None:
    """A later program appended a field, widened one and moved all of them."""
    rows: list[list[Any]] = [["mood", "Q", 0]]
    at = 8
    for name, code, _ in reversed(FIELDS):
        code = "Q" if name == "reason" else code
        rows.append([name, code, at])
        at += 8
    values = event(3, b"abc")._asdict() | {"mood": 99}
    raw = bytearray(at)
    for name, code, offset in rows:
        struct.pack_into("<" + code, raw, offset, values[name])
    body = bytes(raw) + b"abc" + bytes((4 - at - 3 - 12) % 8)
    data = struct.pack("<IHHI", 9, 0, 12 + len(body), len(body)) + body
    found = EventLayout(rows, at)
    assert found.unknown == ("mood",)
    assert not found.is_ours
    assert list(records(data, found)) == [event(3, b"abc")]


def test_trailing_fields_of_a_newer_program_are_skipped() -> None:
    rows = [*layout(), ["mood", "I", EVENT_SIZE], ["moon", "I", EVENT_SIZE + 4]]
    raw = encode(event(3, b""))[12 : 12 + EVENT_SIZE] + bytes(8)
    data = struct.pack("<IHHI", 9, 0, 12 + len(raw) + 4, len(raw) + 4) + raw + bytes(4)
    assert list(records(data, EventLayout(rows, EVENT_SIZE + 8))) == [event(3, b"")]


def test_without_a_header_events_of_another_abi_are_not_guessed_at() -> None:
    data = encode(event()._replace(abi=2))
    with pytest.raises(EventError, match="ABI 2"):
        list(records(data))
    assert list(records(data, EventLayout(layout(), EVENT_SIZE))) == [event()._replace(abi=2)]


def _changed(name: str, row: list[Any]) -> list[list[Any]]:
    return [row if each[0] == name else list(each) for each in FIELDS]


@pytest.mark.parametrize(
    ("rows", "size"),
    [
        ([], EVENT_SIZE),
        (layout(), EVENT_SIZE - 1),
        (layout(), 0),
        (layout(), MAX_EVENT_SIZE + 1),
        (layout() * 20, EVENT_SIZE),
        ([*layout(), ["time", "Q", 88]], 96),
        (_changed("time", ["tide", "Q", 16]), EVENT_SIZE),
        (_changed("time", ["time", "Q", 17]), EVENT_SIZE),
        (_changed("time", ["time", "Q", -8]), EVENT_SIZE),
        (_changed("time", ["time", "Q", 2**70]), EVENT_SIZE),
        (_changed("time", ["time", "q", 16]), EVENT_SIZE),
        (_changed("time", ["time", "d", 16]), EVENT_SIZE),
        (_changed("time", ["time", "s", 16]), EVENT_SIZE),
        (_changed("time", ["time", 8, 16]), EVENT_SIZE),
        (_changed("time", ["time", "Q", "16"]), EVENT_SIZE),
        (_changed("time", ["time", "Q", True]), EVENT_SIZE),
        (_changed("time", ["time"]), EVENT_SIZE),
        (_changed("time", [["time"], "Q", 16]), EVENT_SIZE),
    ],
)
def test_a_layout_that_no_event_could_have_is_refused(rows: list[list[Any]], size: int) -> None:
    with pytest.raises(DamagedFrame, match="impossible event layout"):
        EventLayout(rows, size)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (encode(event())[:-1], "left over at offset 0"),
        (encode(event()) + b"1234567", "7 bytes left over at offset 112"),
        (struct.pack("<IHH", 9, 0, 7), "record of 7 bytes at offset 0"),
        (struct.pack("<IHH", 9, 0, 0), "record of 0 bytes at offset 0"),
        (struct.pack("<IHHI", 9, 0, 16, 4) + bytes(4), "event of 4 bytes at offset 0"),
        (struct.pack("<IHH", 9, 0, 8), "event of 0 bytes at offset 0"),
        (encode(event()._replace(captured=50)), "claims 50 payload bytes, 12 are there"),
    ],
)
def test_what_cannot_be_a_record_says_why_and_where(data: bytes, message: str) -> None:
    with pytest.raises(EventError, match=message):
        list(records(data))
    with pytest.raises(EventError, match=message):
        list(records_of([data[:5], data[5:]]))
