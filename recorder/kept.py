"""The compiled kernel program, kept for the next start and loaded again without bcc.

Only where the administrator has made FOLDER: nothing is left on a host unasked. Root loads what a kept file says, so
the folder and the file must be root's and writable by root alone. What a program depends on is in its file's name;
whatever else is wrong with a file, the program is compiled as if it were not there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import stat
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from recorder import bpf_call
from recorder.errors import LoadRefused
from recorder.host import Kind

FOLDER: Final = Path("/var/cache/ebpf-rec")
FORMAT: Final = 1
MAX_BYTES: Final = 16 << 20  # of a kept file; ours has 0.4 MB

# struct bpf_insn of include/uapi/linux/bpf.h: code, registers (source in the high half), offset, immediate
INSTRUCTION: Final = struct.Struct("<BBhi")
LOAD_WIDE: Final = 0x18  # BPF_LD | BPF_IMM | BPF_DW, of two instructions
PSEUDO_MAP_FD: Final = 1  # the immediate is a map's descriptor


def key(text: str, flags: Sequence[str]) -> str:
    """The name of what a text and its flags compile to on this kernel."""
    system = os.uname()
    parts = [str(FORMAT), system.release, system.version, system.machine, *flags, text]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _roots_alone(about: os.stat_result) -> bool:
    return about.st_uid == 0 and not about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def folder_is_there() -> bool:
    """Whether programs are kept: root's own folder, made by an administrator, and this process is root."""
    try:
        about = FOLDER.lstat()
    except OSError:
        return False
    return os.geteuid() == 0 and stat.S_ISDIR(about.st_mode) and _roots_alone(about)


def _references(code: bytes) -> Iterator[tuple[int, int]]:
    """(offset of the instruction, its immediate) wherever a map is named."""
    wide = False
    for at in range(0, len(code), INSTRUCTION.size):
        operation, registers, _, immediate = INSTRUCTION.unpack_from(code, at)
        if wide:
            wide = False
        elif operation == LOAD_WIDE:
            wide = True
            if registers >> 4 == PSEUDO_MAP_FD:
                yield at, immediate


def _with_references(code: bytes, replaced: dict[int, int]) -> bytes:
    changed = bytearray(code)
    for at, immediate in _references(code):
        struct.pack_into("<i", changed, at + 4, replaced[immediate])
    return bytes(changed)


def keep(name: str, functions: dict[str, bytes]) -> None:
    """Write the functions as the kernel was given them, and what their maps are; nothing where that fails."""
    descriptors = sorted({immediate for code in functions.values() for _, immediate in _references(code)})
    places = {descriptor: place for place, descriptor in enumerate(descriptors)}
    document = {
        "maps": [bpf_call.map_info(descriptor)._asdict() for descriptor in descriptors],
        "functions": {each: _with_references(code, places).hex() for each, code in functions.items()},
    }
    new = FOLDER / f".{name}.{os.getpid()}"
    with contextlib.suppress(OSError):
        try:
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w") as file:
                json.dump(document, file)
            new.rename(FOLDER / name)
        except OSError:
            new.unlink(missing_ok=True)
            raise


def _document(path: Path) -> dict[str, Any] | None:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode) or not _roots_alone(about) or about.st_size > MAX_BYTES:
                return None
            found = json.loads(file.read())
            return found if isinstance(found, dict) else None
    except (OSError, ValueError):
        return None


class Kept:
    """A kept program, its maps made anew: serves as `recorder.compiled.Compiled` does."""

    def __init__(self, document: dict[str, Any]) -> None:
        """Make the maps; `OSError` when the kernel refuses, `KeyError` and its kin when the document is none."""
        self._descriptors: list[int] = []
        self._maps: dict[str, int] = {}
        self._loaded: dict[str, int] = {}
        try:
            self._code = {each: bytes.fromhex(code) for each, code in document["functions"].items()}
            for row in document["maps"]:
                about = bpf_call.MapInfo(**row)
                self._maps[about.name] = bpf_call.create_map(about)
                self._descriptors.append(self._maps[about.name])
        except BaseException:
            self.close()
            raise

    def load(self, function: str, kind: Kind) -> int:
        """The descriptor of a function that the verifier has accepted; `LoadRefused` if it has not."""
        code = _with_references(self._code[function], dict(enumerate(self._descriptors)))
        try:
            self._loaded[function] = bpf_call.load_program(kind, function, code)
        except OSError as error:
            raise LoadRefused(f"the kernel refused {function}: {error}") from error
        return self._loaded[function]

    def map(self, name: str) -> int:
        """The descriptor of a map."""
        return self._maps[name[: bpf_call.NAME_BYTES]]

    def close(self) -> None:
        """Free every map and program."""
        for descriptor in (*self._loaded.values(), *self._descriptors):
            os.close(descriptor)
        self._loaded, self._descriptors = {}, []


def kept(name: str) -> Kept | None:
    """The program of this name; None where none is kept that can be used."""
    document = _document(FOLDER / name)
    if document is None:
        return None
    with contextlib.suppress(OSError, ValueError):  # before Linux 5.11 maps count against this limit
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    with contextlib.suppress(OSError, KeyError, TypeError, ValueError, AttributeError):
        return Kept(document)
    return None
