"""What a file is that is not the recording it was said to be: the answer to "and what is it then?"."""

from __future__ import annotations

import re
from typing import Final

from capfile.wire import START
from replay.importers.packets import MAGIC_NUMBERS

_BEGINNINGS: Final[dict[bytes, str]] = {
    START: "it is a capture file already, and needs no import",
    **dict.fromkeys(MAGIC_NUMBERS, "it is a packet capture: import pcap"),
    b"snoop\0\0\0": "it is a packet capture of snoop: editcap -F pcap converts it",
    b"\x28\xb5\x2f\xfd": "it is compressed with zstd: unpack it first",
    b"\xfd7zXZ\0": "it is compressed with xz: unpack it first",
    b"BZh": "it is compressed with bzip2: unpack it first",
    b"\x04\x22\x4d\x18": "it is compressed with lz4: unpack it first",
    b"PK\x03\x04": "it is a zip archive: unpack it first",
}
_ROW: Final = re.compile(rb'\s*\{\s*"(?:conn|open|ts|dir)"')
_CALL: Final = re.compile(rb"(?:\[pid +\d+\] |\d+ +)?(?:[\d:.]+ +)?(?:\[[ 0-9a-f]+\] )*[a-z_][a-z0-9_]*\(")


def hint(beginning: bytes, asked: str) -> str:
    """A clause that says what a file begins like; nothing where that is not known, or is what was asked for."""
    if not beginning:
        return "it is empty"
    for start, what in _BEGINNINGS.items():
        if beginning.startswith(start):
            return what
    if _ROW.match(beginning) and asked != "streams":
        return "it looks like stream rows: import streams"
    return "it looks like a log of strace: import strace" if _CALL.match(beginning) and asked != "strace" else ""
