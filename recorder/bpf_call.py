"""bpf(2) itself, for what needs no library: map elements as bytes and what the kernel says of a loaded program.

Law: thin. Takes and gives bytes and numbers, raises `OSError` as the system call does.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from recorder.host import Kind

SYS_BPF: Final = (
    {"x86_64": 321, "aarch64": 280}[os.uname().machine] if os.uname().machine in ("x86_64", "aarch64") else -1
)
MAP_CREATE: Final = 0
MAP_LOOKUP: Final = 1
MAP_UPDATE: Final = 2
MAP_DELETE: Final = 3
MAP_NEXT_KEY: Final = 4
PROGRAM_LOAD: Final = 5
OBJECT_INFO: Final = 15
RAW_TRACEPOINT_OPEN: Final = 17
PROGRAM_TYPES: Final = {Kind.RAW: 17, Kind.CLASSIC: 5}  # BPF_PROG_TYPE_RAW_TRACEPOINT, BPF_PROG_TYPE_TRACEPOINT
ATTRIBUTE_BYTES: Final = 128

# struct bpf_prog_info of include/uapi/linux/bpf.h; older kernels fill less of it and leave the rest zero.
PROGRAM_INFO_BYTES: Final = 232
_XLATED_BYTES_AT: Final = 20
_RECURSION_MISSES_AT: Final = 208
_VERIFIED_AT: Final = 216
INSTRUCTION_BYTES: Final = 8
MAP_INFO: Final = struct.Struct("<IIIIII16s")  # struct bpf_map_info: type, id, key, value, entries, flags, name
NAME_BYTES: Final = 15  # BPF_OBJ_NAME_LEN without its NUL: the kernel cuts names there

_libc: Final = ctypes.CDLL(None, use_errno=True)


class ProgramInfo(NamedTuple):
    """`instructions`: after the verifier's rewriting; `verified`: steps the verifier took (0 before 5.16); `misses`:
    runs the kernel left out because the program was already running on that CPU."""

    instructions: int
    verified: int
    misses: int


class MapInfo(NamedTuple):
    """What a map is: numbers of include/uapi/linux/bpf.h, sizes in bytes, its name as far as the kernel keeps it."""

    type: int
    key_size: int
    value_size: int
    entries: int
    flags: int
    name: str


def _bpf(command: int, attributes: bytes) -> int:
    buffer = ctypes.create_string_buffer(attributes, ATTRIBUTE_BYTES)
    result: int = _libc.syscall(SYS_BPF, command, buffer, ATTRIBUTE_BYTES)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def _element(command: int, map_fd: int, key: bytes | None, value: ctypes.Array[ctypes.c_char] | None) -> None:
    key_buffer = None if key is None else ctypes.create_string_buffer(key, len(key))
    key_at = 0 if key_buffer is None else ctypes.addressof(key_buffer)
    value_at = 0 if value is None else ctypes.addressof(value)
    _bpf(command, struct.pack("<IIQQQ", map_fd, 0, key_at, value_at, 0))


def update(map_fd: int, key: bytes, value: bytes) -> None:
    """Set one element."""
    _element(MAP_UPDATE, map_fd, key, ctypes.create_string_buffer(value, len(value)))


def lookup(map_fd: int, key: bytes, size: int) -> bytes:
    """One element's value; a per-CPU map gives one value of 8-byte-rounded size per possible CPU. `KeyError`: none."""
    value = ctypes.create_string_buffer(size)
    try:
        _element(MAP_LOOKUP, map_fd, key, value)
    except FileNotFoundError as error:
        raise KeyError(key) from error
    return value.raw


def keys(map_fd: int, key_size: int) -> Iterator[bytes]:
    """The keys; elements that come or go meanwhile may be missed or seen twice."""
    key: bytes | None = None
    following = ctypes.create_string_buffer(key_size)
    while True:
        try:
            _element(MAP_NEXT_KEY, map_fd, key, following)
        except FileNotFoundError:
            return
        key = following.raw
        yield key


def program_info(program_fd: int) -> ProgramInfo:
    """What the kernel says of a loaded program."""
    info = ctypes.create_string_buffer(PROGRAM_INFO_BYTES)
    _bpf(OBJECT_INFO, struct.pack("<IIQ", program_fd, PROGRAM_INFO_BYTES, ctypes.addressof(info)))
    xlated = struct.unpack_from("<I", info.raw, _XLATED_BYTES_AT)[0]
    misses = struct.unpack_from("<Q", info.raw, _RECURSION_MISSES_AT)[0]
    verified = struct.unpack_from("<I", info.raw, _VERIFIED_AT)[0]
    return ProgramInfo(xlated // INSTRUCTION_BYTES, verified, misses)


def map_info(map_fd: int) -> MapInfo:
    """What the kernel says of a map."""
    info = ctypes.create_string_buffer(MAP_INFO.size)
    _bpf(OBJECT_INFO, struct.pack("<IIQ", map_fd, MAP_INFO.size, ctypes.addressof(info)))
    kind, _, key_size, value_size, entries, flags, name = MAP_INFO.unpack(info.raw)
    return MapInfo(kind, key_size, value_size, entries, flags, name.rstrip(b"\0").decode())


def create_map(about: MapInfo) -> int:
    """Make a map; its descriptor, which is closed on exec."""
    numbers = (about.type, about.key_size, about.value_size, about.entries, about.flags, 0, 0)
    return _bpf(MAP_CREATE, struct.pack("<7I16s", *numbers, about.name.encode()[:NAME_BYTES]))


def load_program(kind: Kind, name: str, code: bytes) -> int:
    """Have the kernel verify and take a program for tracepoints, under the licence GPL; its descriptor."""
    instructions, licence = ctypes.create_string_buffer(code, len(code)), ctypes.create_string_buffer(b"GPL")
    at = (ctypes.addressof(instructions), ctypes.addressof(licence))
    head = (PROGRAM_TYPES[kind], len(code) // INSTRUCTION_BYTES, *at, 0, 0, 0, 0, 0)
    return _bpf(PROGRAM_LOAD, struct.pack("<IIQQIIQII16s", *head, name.encode()[:NAME_BYTES]))


def open_raw_tracepoint(tracepoint: str, program_fd: int) -> int:
    """Have a program run at a raw tracepoint until the descriptor that is returned is closed."""
    name = ctypes.create_string_buffer(tracepoint.encode())
    return _bpf(RAW_TRACEPOINT_OPEN, struct.pack("<QI", ctypes.addressof(name), program_fd))


def possible_cpus() -> int:
    """How many values a per-CPU map's element has (/sys/devices/system/cpu/possible)."""
    with open("/sys/devices/system/cpu/possible", encoding="ascii") as file:
        return int(file.read().strip().split(",")[-1].split("-")[-1]) + 1
