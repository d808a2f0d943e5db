"""The BTF reader: offsets of a hand-made blob, anonymous members, and damage that becomes the host's typed error."""

from __future__ import annotations

import struct

import pytest

from recorder.btf import VMLINUX, Btf, TypeKind
from recorder.errors import NoBtf


def blob(types: bytes, strings: bytes) -> bytes:
    """A BTF blob of these two sections."""
    return struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings)) + types + strings


def type_(name: int, kind: int, entries: int, reference: int, bit_fields: bool = False) -> bytes:
    return struct.pack("<III", name, bit_fields << 31 | kind << 24 | entries, reference)


def member(name: int, number: int, bits: int) -> bytes:
    return struct.pack("<III", name, number, bits)


STRINGS = b"\0int\0outer\0first\0inside\0alias\0list\0flag\0"
INT, OUTER, FIRST, INSIDE, ALIAS, LIST, FLAG = (
    STRINGS.index(b"\0" + word + b"\0") + 1 for word in STRINGS[1:-1].split(b"\0")
)
TYPES = (
    type_(INT, TypeKind.INT, 0, 4) + struct.pack("<I", 32)  # 1
    + type_(0, TypeKind.UNION, 1, 4) + member(INSIDE, 1, 0)  # 2: anonymous
    + type_(0, TypeKind.ARRAY, 0, 0) + struct.pack("<III", 1, 1, 3)  # 3: int[3]
    + type_(OUTER, TypeKind.STRUCT, 4, 24, bit_fields=True)  # 4
    + member(FIRST, 1, 0) + member(0, 2, 32) + member(LIST, 3, 64) + member(FLAG, 1, 1 << 24 | 160)
    + type_(ALIAS, TypeKind.TYPEDEF, 0, 5 + 1)  # 5
    + type_(0, TypeKind.CONST, 0, 4)  # 6
)  # fmt: skip
BTF = Btf(blob(TYPES, STRINGS))


def test_offset_of_a_plain_member_is_in_bytes() -> None:
    assert BTF.offset("outer", "first") == 0
    assert BTF.offset("outer", "list") == 8


def test_member_of_an_anonymous_union_is_found_as_c_finds_it() -> None:
    assert BTF.offset("outer", "inside") == 4


def test_typedefs_and_qualifiers_are_looked_through() -> None:
    assert BTF.offset("alias", "list") == 8


def test_size_of_an_array_is_that_of_all_its_elements() -> None:
    assert BTF.field("outer", "list").size == 12


def test_bit_field_has_a_place_in_bits_and_no_byte_offset() -> None:
    assert (BTF.field("outer", "flag").bits, BTF.field("outer", "flag").width) == (160, 1)
    with pytest.raises(NoBtf, match="bit field"):
        BTF.offset("outer", "flag")


ABSENT = [("nothing", "first"), ("outer", "second"), ("outer", "first.deeper"), ("int", "x")]


@pytest.mark.parametrize(("name", "path"), ABSENT)
def test_name_that_the_kernel_does_not_have_is_a_typed_error(name: str, path: str) -> None:
    assert not BTF.has(name, path)
    with pytest.raises(NoBtf, match="running kernel"):
        BTF.offset(name, path)


@pytest.mark.parametrize("length", [0, 7, 23, 24, 40, 60])
def test_cut_blob_is_a_typed_error_and_never_another_exception(length: int) -> None:
    with pytest.raises(NoBtf):
        Btf(blob(TYPES, STRINGS)[:length]).offset("outer", "list")


def test_foreign_bytes_are_refused_with_their_magic() -> None:
    with pytest.raises(NoBtf, match="0x457f"):
        Btf(b"\x7fELF" + bytes(60))


@pytest.mark.skipif(not VMLINUX.exists(), reason=f"this kernel has no {VMLINUX}")
def test_running_kernel_describes_what_every_kernel_has() -> None:
    btf = Btf.running_kernel()
    assert btf.offset("sock_common", "skc_daddr") == 0
    assert btf.field("sock_common", "skc_v6_daddr").size == 16
    assert btf.offset("pt_regs", "di") == 14 * 8
