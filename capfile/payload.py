"""A frame's payload: msgpack bytes in, one frame object out, and back. Every field's type is checked here.

A map that lacks a field, or has one of another type, is a `DamagedFrame`; keys that this program does not know are
skipped and named. Strings keep bytes that are not UTF-8 (a process may be called anything) as surrogate escapes.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Annotated, Any, Final, NamedTuple, TypeGuard, get_args, get_origin, get_type_hints

import msgpack

from capfile.errors import DamagedFrame, LimitExceeded, UnsupportedVersion
from capfile.frames import FORMAT_VERSION, FRAME_TYPES, SIGNED, Chunk, Frame, Header
from capfile.limits import MAX_CHUNK, MAX_CHUNK_MAP, MAX_ITEMS, MAX_NESTING
from capfile.wire import BIN32

Check = Callable[[Any], bool]

CHUNK_PREFIX: Final = MAX_CHUNK_MAP + BIN32.size  # what of a Chunk's payload `decode_chunk_map` may need
_ERRORS: Final = (ValueError, TypeError, OverflowError, RecursionError, msgpack.exceptions.UnpackException)


class _Field(NamedTuple):
    check: Check
    required: bool
    wanted: str  # for the message


class Decoded(NamedTuple):
    """A frame and the keys of its map that this program does not know."""

    frame: Frame
    unknown: tuple[str, ...]


class DecodedChunk(NamedTuple):
    """A Chunk without its data, where in the payload those begin, and the unknown keys of the map."""

    chunk: Chunk
    data_offset: int
    unknown: tuple[str, ...]


def encode(frame: Frame) -> bytes:
    """The payload; of a Chunk its map alone, which the data follow."""
    values = {f.name: getattr(frame, f.name) for f in fields(frame) if f.name != "data"}
    packed: bytes = msgpack.packb(values, unicode_errors="surrogateescape")
    return packed


def decode(cls: type[Frame], payload: bytes) -> Decoded:
    """The frame that `encode` made; `DamagedFrame` if it is none."""
    unpacker = _unpacker(payload)
    values = _map(cls, unpacker)
    if unpacker.tell() != len(payload):
        raise DamagedFrame(f"{cls.__name__} frame: {len(payload) - unpacker.tell()} bytes after its map")
    return _frame(cls, values)


def decode_chunk_map(prefix: bytes, length: int) -> DecodedChunk:
    """The map at the front of a Chunk's payload of `length` bytes, of which `prefix` are the first (CHUNK_PREFIX)."""
    unpacker = _unpacker(prefix[:CHUNK_PREFIX])
    chunk, unknown = _frame(Chunk, _map(Chunk, unpacker))
    assert isinstance(chunk, Chunk)
    start = unpacker.tell() + BIN32.size
    if start > len(prefix) or BIN32.unpack_from(prefix, start - BIN32.size) != (0xC6, length - start):
        raise DamagedFrame("Chunk frame: its data do not fill the frame")
    if chunk.size > MAX_CHUNK:
        raise LimitExceeded(f"chunk of {chunk.size} bytes, at most {MAX_CHUNK} are read")
    return DecodedChunk(chunk, start, unknown)


def _unpacker(data: bytes) -> msgpack.Unpacker:
    unpacker = msgpack.Unpacker(
        max_buffer_size=max(1, len(data)),
        max_array_len=MAX_ITEMS,
        max_map_len=MAX_ITEMS,
        max_ext_len=0,
        unicode_errors="surrogateescape",
    )
    unpacker.feed(data)
    return unpacker


def _map(cls: type[Frame], unpacker: msgpack.Unpacker) -> dict[Any, Any]:
    try:
        values = unpacker.unpack()
    except _ERRORS as error:
        raise DamagedFrame(f"{cls.__name__} frame: not msgpack within its limits ({type(error).__name__})") from None
    if not isinstance(values, dict):
        raise DamagedFrame(f"{cls.__name__} frame: {type(values).__name__} instead of a map")
    return values


def _frame(cls: type[Frame], values: dict[Any, Any]) -> Decoded:
    known = _LAWS[cls]
    if cls is Header and _is_number(version := values.get("version")) and version > FORMAT_VERSION:
        raise UnsupportedVersion(f"capture file of format version {version}; this program reads up to {FORMAT_VERSION}")
    for name, law in known.items():
        if name not in values:
            if law.required:
                raise DamagedFrame(f"{cls.__name__} frame: field {name} is missing")
        elif not law.check(values[name]):
            raise DamagedFrame(f"{cls.__name__} frame: field {name} is not {law.wanted}")
    unknown = tuple(repr(name)[:40] for name in values if name not in known)
    return Decoded(cls(**{name: values[name] for name in known if name in values}), unknown)


def _laws_of(cls: type[Any]) -> dict[str, _Field]:
    """Name -> law of each field that travels in the map, from the annotations of the class."""
    hints = get_type_hints(cls, include_extras=True)
    return {
        f.name: _Field(
            _check(hints[f.name]), f.default is MISSING and f.default_factory is MISSING, str(f.type).split("[", 1)[0]
        )
        for f in fields(cls)
        if f.name != "data"
    }


def _check(hint: Any) -> Check:
    """A test of one annotation."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        assert SIGNED in hint.__metadata__
        return _is_signed
    if origin is types.UnionType:
        checks = [_check(argument) for argument in arguments]
        return lambda value: any(check(value) for check in checks)
    if origin is list:
        item = _check(arguments[0])
        return lambda value: type(value) is list and all(map(item, value))
    if origin is dict:
        entry = _check(arguments[1])
        return lambda value: (
            type(value) is dict and all(type(key) is str for key in value) and all(map(entry, value.values()))
        )
    return _SIMPLE[hint]


def _is_signed(value: Any) -> bool:
    return type(value) is int


def _is_number(value: Any) -> TypeGuard[int]:
    return type(value) is int and value >= 0


def _is_plain(value: Any, depth: int = 3) -> bool:
    """Anything that JSON could say, nested to MAX_NESTING at most (the frame's map and the field count as two)."""
    if type(value) is list:
        return depth <= MAX_NESTING and all(_is_plain(item, depth + 1) for item in value)
    if type(value) is dict:
        return depth <= MAX_NESTING and all(
            type(key) is str and _is_plain(item, depth + 1) for key, item in value.items()
        )
    return value is None or type(value) in (str, int, float, bool)


_SIMPLE: Final[dict[Any, Check]] = {
    int: _is_number,
    str: lambda value: type(value) is str,
    bytes: lambda value: type(value) is bytes,
    bool: lambda value: type(value) is bool,
    type(None): lambda value: value is None,
    Any: _is_plain,
}

_LAWS: Final[dict[type[Any], dict[str, _Field]]] = {cls: _laws_of(cls) for cls in FRAME_TYPES.values()}
