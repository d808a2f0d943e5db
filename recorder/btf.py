"""BTF: the running kernel's own description of its types, read for the byte offsets of struct members.

Knows the format of Documentation/bpf/btf.rst and nothing of what the offsets are for. Headers are no substitute: bcc
compiles against whatever is installed, and another kernel's headers give other offsets without a word.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import Final, NamedTuple

from recorder.errors import NoBtf

VMLINUX: Final = Path("/sys/kernel/btf/vmlinux")
MAGIC: Final = 0xEB9F
POINTER_BYTES: Final = 8


class TypeKind(IntEnum):
    """BTF_KIND_* of include/uapi/linux/btf.h."""

    INT = 1
    PTR = 2
    ARRAY = 3
    STRUCT = 4
    UNION = 5
    ENUM = 6
    FWD = 7
    TYPEDEF = 8
    VOLATILE = 9
    CONST = 10
    RESTRICT = 11
    FUNC = 12
    FUNC_PROTO = 13
    VAR = 14
    DATASEC = 15
    FLOAT = 16
    DECL_TAG = 17
    TYPE_TAG = 18
    ENUM64 = 19


COMPOSITE: Final = (TypeKind.STRUCT, TypeKind.UNION)
MODIFIERS: Final = (TypeKind.TYPEDEF, TypeKind.VOLATILE, TypeKind.CONST, TypeKind.RESTRICT, TypeKind.TYPE_TAG)
# Bytes that follow the 12 of struct btf_type: (once, per entry of vlen).
TAIL: Final[dict[int, tuple[int, int]]] = {
    TypeKind.INT: (4, 0),
    TypeKind.ARRAY: (12, 0),
    TypeKind.STRUCT: (0, 12),
    TypeKind.UNION: (0, 12),
    TypeKind.ENUM: (0, 8),
    TypeKind.FUNC_PROTO: (0, 8),
    TypeKind.VAR: (4, 0),
    TypeKind.DATASEC: (0, 12),
    TypeKind.DECL_TAG: (4, 0),
    TypeKind.ENUM64: (0, 12),
}

# How C spells the kinds that need a keyword before the name.
_SPELLED: Final = {
    TypeKind.STRUCT: "struct",
    TypeKind.UNION: "union",
    TypeKind.ENUM: "enum",
    TypeKind.ENUM64: "enum",
    TypeKind.FWD: "struct",
}

_HEADER: Final = struct.Struct("<HBBIIIII")
_TYPE: Final = struct.Struct("<III")  # name_off, info, size or type
_INFO: Final = struct.Struct("<II")
_ARRAY: Final = struct.Struct("<III")  # element type, index type, count


class Type(NamedTuple):
    """One struct btf_type: `reference` is its size or the type it refers to, by kind."""

    name: int
    kind: int
    entries: int
    bit_fields: bool
    reference: int


class Field(NamedTuple):
    """Where a member stands: offset in bits from the outermost struct, size in bytes, width in bits of a bit field."""

    bits: int
    size: int
    width: int


class Btf:
    """The types of one BTF blob. Raises `NoBtf` for a blob that is none and for names that are not in it."""

    def __init__(self, data: bytes) -> None:
        try:
            self._index(data)
        except (struct.error, IndexError) as error:
            raise NoBtf(f"the kernel's BTF is cut or damaged ({error})") from error

    @classmethod
    def running_kernel(cls, path: Path = VMLINUX) -> Btf:
        """The running kernel's own; `NoBtf` where it has none."""
        try:
            return cls(path.read_bytes())
        except OSError as error:
            raise NoBtf(
                f"no BTF of the running kernel at {path}", "run a kernel built with CONFIG_DEBUG_INFO_BTF=y"
            ) from error

    def _index(self, data: bytes) -> None:
        magic, version, _, header_size, type_start, type_size, string_start, string_size = _HEADER.unpack_from(data)
        if magic != MAGIC or version != 1:
            raise NoBtf(f"not BTF version 1 (magic {magic:#x}, version {version})")
        self._strings = data[header_size + string_start : header_size + string_start + string_size]
        self._types = types = data[header_size + type_start : header_size + type_start + type_size]
        self._places = places = [0]  # type number -> offset in _types; number 0 is void
        self._named = named = dict[tuple[int, int], int]()
        # A kernel has 100,000 types, and reading an enum's member costs as much as all else: plain numbers.
        unpack, position, end = _INFO.unpack_from, 0, len(types)
        sizes = {int(kind): (_TYPE.size + once, each) for kind in TypeKind for once, each in [TAIL.get(kind, (0, 0))]}
        looked_up = {int(TypeKind.STRUCT), int(TypeKind.UNION), int(TypeKind.TYPEDEF)}
        while position < end:
            name, info = unpack(types, position)
            kind = info >> 24 & 31
            if kind not in sizes:
                raise NoBtf(f"BTF type {len(places)} is of the unknown kind {kind}")
            if kind in looked_up and name:
                named.setdefault((name, kind), len(places))
            places.append(position)
            once, each = sizes[kind]
            position += once + each * (info & 0xFFFF)

    def type(self, number: int) -> Type:
        """The type with this number."""
        name, info, reference = _TYPE.unpack_from(self._types, self._places[number])
        return Type(name, info >> 24 & 31, info & 0xFFFF, bool(info >> 31), reference)

    def name(self, offset: int) -> str:
        """The string at this offset, as `Type.name` gives it."""
        return self._strings[offset : self._strings.index(b"\0", offset)].decode(errors="replace")

    def function(self, name: str) -> list[tuple[str, int]] | None:
        """(name, type) of each parameter of the kernel function `name`; None if BTF does not describe it."""
        position = self._strings.find(b"\0" + name.encode() + b"\0") + 1
        if not position:
            return None
        for number in range(1, len(self._places)):
            type_ = self.type(number)
            if type_.kind == TypeKind.FUNC and type_.name == position:
                return list(self._parameters(type_.reference))
        return None

    def _parameters(self, prototype: int) -> Iterator[tuple[str, int]]:
        place = self._places[prototype] + _TYPE.size
        for index in range(self.type(prototype).entries):
            name, type_ = _INFO.unpack_from(self._types, place + index * _INFO.size)
            yield self.name(name), type_

    def spelled(self, number: int) -> str:
        """The type in C, as a parameter is declared: `const struct sock *`."""
        if not number:
            return "void"
        type_ = self.type(number)
        name = self.name(type_.name)
        if type_.kind == TypeKind.PTR:
            inner = self.spelled(type_.reference)
            return f"{inner}*" if inner.endswith("*") else f"{inner} *"
        if type_.kind in _SPELLED:
            return f"{_SPELLED[TypeKind(type_.kind)]} {name or '(anonymous)'}"
        if type_.kind in (TypeKind.CONST, TypeKind.VOLATILE, TypeKind.RESTRICT):
            return f"{TypeKind(type_.kind).name.lower()} {self.spelled(type_.reference)}"
        if type_.kind == TypeKind.FUNC_PROTO:
            return "function"
        return name or self.spelled(type_.reference)

    def size(self, number: int) -> int:
        """Bytes of a value of this type; 0 for void."""
        return self._size(number) if number else 0

    def _strip(self, number: int) -> int:
        """Through typedefs and qualifiers to what they name."""
        while number and (type_ := self.type(number)).kind in MODIFIERS:
            number = type_.reference
        return number

    def find(self, name: str) -> int:
        """The number of the struct or union with this name, also through a typedef; `NoBtf` if there is none."""
        position = self._strings.find(b"\0" + name.encode() + b"\0")
        for kind in (TypeKind.STRUCT, TypeKind.UNION, TypeKind.TYPEDEF):
            if position >= 0 and (number := self._named.get((position + 1, kind))):
                return self._strip(number)
        raise NoBtf(f"the running kernel has no struct {name}")

    def _members(self, number: int) -> Iterator[tuple[int, int, int, int]]:
        """(name, type, offset in bits, width in bits) of each member."""
        type_ = self.type(number)
        for index in range(type_.entries):
            place = self._places[number] + _TYPE.size * (index + 1)
            name, member, offset = _TYPE.unpack_from(self._types, place)
            yield (name, member, offset & 0xFFFFFF, offset >> 24) if type_.bit_fields else (name, member, offset, 0)

    def _member(self, number: int, name: bytes) -> tuple[int, int, int] | None:
        """(offset in bits, type, width) of a member, also of one inside an anonymous struct or union."""
        for name_offset, member, bits, width in self._members(number):
            if name_offset:
                if self._strings.startswith(name, name_offset):
                    return bits, member, width
            elif self.type(inner := self._strip(member)).kind in COMPOSITE and (hit := self._member(inner, name)):
                return bits + hit[0], hit[1], hit[2]
        return None

    def _size(self, number: int) -> int:
        type_ = self.type(number := self._strip(number))
        if type_.kind == TypeKind.PTR:
            return POINTER_BYTES
        if type_.kind == TypeKind.ARRAY:
            element, _, count = _ARRAY.unpack_from(self._types, self._places[number] + _TYPE.size)
            return self._size(element) * int(count)
        return type_.reference

    def field(self, struct_name: str, path: str) -> Field:
        """`field("sock", "__sk_common.skc_family")`; `NoBtf` when the running kernel has no such member."""
        number, bits, width = self.find(struct_name), 0, 0
        for part in path.split("."):
            stripped = self._strip(number)
            hit = self._member(stripped, part.encode() + b"\0") if self.type(stripped).kind in COMPOSITE else None
            if hit is None:
                raise NoBtf(f"the running kernel's struct {struct_name} has no {path}")
            bits, number, width = bits + hit[0], hit[1], hit[2]
        return Field(bits, self._size(number), width)

    def offset(self, struct_name: str, path: str) -> int:
        """The member's offset in bytes; `NoBtf` for a bit field, which has none."""
        bits, _, width = self.field(struct_name, path)
        if width or bits % 8:
            raise NoBtf(f"struct {struct_name}'s {path} is a bit field")
        return bits // 8

    def has(self, struct_name: str, path: str) -> bool:
        """Whether the running kernel's struct has this member."""
        try:
            self.field(struct_name, path)
        except NoBtf:
            return False
        return True
