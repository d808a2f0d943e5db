"""bpf/event.h against capfile.event: every field, constant and payload struct, by the C compiler's own rules."""

from __future__ import annotations

import re
import struct
from enum import IntEnum, IntFlag
from pathlib import Path

import pytest

from capfile import event

HEADER = (Path(__file__).parent.parent / "bpf" / "event.h").read_text()
CODES = {"u8": "B", "u16": "H", "u32": "I", "s32": "i", "u64": "Q", "s64": "q"}


def defined(name: str) -> int:
    match = re.search(rf"^#define {name} (\d+)$", HEADER, re.MULTILINE)
    assert match, name
    return int(match[1])


def c_struct(name: str) -> list[tuple[str, str]]:
    """(field, struct code) in order; arrays become a counted s."""
    body = re.search(rf"^struct {name} {{\n(.*?)^}};", HEADER, re.MULTILINE | re.DOTALL)
    assert body, name
    fields = re.findall(r"^\t([us]\d+) (\w+)(?:\[(\w+)\])?;", body[1], re.MULTILINE)
    return [(field, f"{array_size(count)}s" if count else CODES[type_]) for type_, field, count in fields]


def array_size(count: str) -> int:
    return int(count) if count.isdigit() else defined(count)


def c_enum(name: str) -> dict[str, int]:
    body = re.search(rf"enum {name} {{(.*?)}};", HEADER, re.DOTALL)
    assert body, name
    return {key: int(value) for key, value in re.findall(r"([A-Z0-9_]+) = (\d+)", body[1])}


def natural_size(fields: list[tuple[str, str]]) -> int:
    """The size with the compiler's own padding."""
    return struct.calcsize("".join(code for _, code in fields))


def test_event_fields_have_the_names_types_and_offsets_of_the_c_struct() -> None:
    fields = c_struct("event")
    assert [(name, code) for name, code, _ in event.FIELDS] == fields
    offset = 0
    for (_, code), (_, _, place) in zip(fields, event.FIELDS, strict=True):
        assert place == offset
        offset += struct.calcsize(code)
    assert offset == event.EVENT_SIZE == natural_size(fields), "no padding anywhere"
    assert event.Event._fields[:-1] == tuple(name for name, _ in fields)


@pytest.mark.parametrize(
    ("name", "packed"), [("socket_facts", event.SOCKET_FACTS), ("socket_audit", event.SOCKET_AUDIT)]
)
def test_payload_struct_is_read_with_the_c_layout(name: str, packed: struct.Struct) -> None:
    fields = c_struct(name)
    assert packed.format == "<" + "".join(code for _, code in fields)
    assert packed.size == natural_size(fields), "no padding anywhere"


def test_socket_facts_have_the_names_of_the_c_struct() -> None:
    assert event.SocketFacts._fields == tuple(name for name, _ in c_struct("socket_facts"))


@pytest.mark.parametrize(
    ("name", "prefix", "mirror"),
    [
        ("event_kind", "EVENT_", event.Kind),
        ("event_direction", "DIRECTION_", event.Direction),
        ("event_reason", "REASON_", event.Reason),
        ("event_flag", "FLAG_", event.Flag),
        ("mark_code", "MARK_", event.MarkCode),
    ],
)
def test_enum_has_the_same_names_and_numbers(name: str, prefix: str, mirror: type[IntEnum] | type[IntFlag]) -> None:
    assert {prefix + member.name: int(member) for member in mirror} == c_enum(name)


def test_abi_number_is_the_same() -> None:
    assert defined("EVENT_ABI") == event.EVENT_ABI
