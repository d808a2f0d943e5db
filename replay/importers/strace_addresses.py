"""Socket addresses as strace prints them, decoded (`{sa_family=AF_INET, …}`) or noted beside a descriptor (-yy).

A pure function for each notation; what is no address gives None.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
from typing import Final

from capfile.event import AF_INET, AF_INET6, AF_UNIX
from replay.importers.strace_values import Structure, Text, Value, Word, unescape

FAMILIES: Final = {"AF_UNIX": AF_UNIX, "AF_LOCAL": AF_UNIX, "AF_INET": AF_INET, "AF_INET6": AF_INET6}
NOTED_FAMILIES: Final = {"TCP": AF_INET, "TCPv6": AF_INET6, "UNIX-STREAM": AF_UNIX, "UNIX": AF_UNIX}

Endpoint = tuple[bytes, int] | bytes

_NOTE: Final = re.compile(r"(TCP|TCPv6|UNIX-STREAM|UNIX):\[(.*)\]", re.DOTALL)
_PATH: Final = re.compile(r',\s*(@?)"((?:[^"\\]|\\.)*)"')
_INODE: Final = re.compile(r"socket:\[(\d+)\]")


def sockaddr(value: Value) -> tuple[int, Endpoint] | None:
    """(family, end) of a sockaddr structure."""
    if not isinstance(value, Structure):
        return None
    name = value.fields.get("sa_family")
    family = FAMILIES.get(name.text) if isinstance(name, Word) else None
    if family is None:
        return None
    if family == AF_UNIX:
        path = value.fields.get("sun_path")
        return family, path.data[:108] if isinstance(path, Text) else b""
    port = value.fields.get("sin_port") or value.fields.get("sin6_port")
    address = _address(value)
    if address is None or not isinstance(port, Word) or not port.arguments:
        return None
    number = port.arguments[0].number if isinstance(port.arguments[0], Word) else None
    return (family, (address, number)) if number is not None and 0 <= number <= 0xFFFF else None


def _address(value: Structure) -> bytes | None:
    """`sin_addr=inet_addr("127.0.0.1")`, `inet_pton(AF_INET6, "::1", &sin6_addr)`: the text in either."""
    calls = [*value.values, *(value.fields[name] for name in ("sin_addr", "sin6_addr") if name in value.fields)]
    for call in calls:
        for argument in call.arguments if isinstance(call, Word) else ():
            if isinstance(argument, Text):
                with contextlib.suppress(ValueError):
                    return ipaddress.ip_address(argument.data.decode("latin-1")).packed
    return None


def noted(note: str) -> tuple[int, Endpoint, Endpoint] | None:
    """(family, local, remote) of a note of -yy that has both ends: `TCP:[127.0.0.1:80->127.0.0.1:40000]`."""
    match = _NOTE.fullmatch(note)
    if match is None:
        return None
    family = NOTED_FAMILIES[match[1]]
    if family == AF_UNIX:
        path = _PATH.search(match[2])
        with contextlib.suppress(ValueError):
            return family, (b"\0" if path[1] else b"") + unescape(path[2])[:107] if path else b"", b""
        return None
    local, arrow, remote = match[2].partition("->")
    ends = _noted_end(local), _noted_end(remote)
    return (family, ends[0], ends[1]) if arrow and ends[0] and ends[1] else None


def _noted_end(text: str) -> Endpoint | None:
    address, _, port = text.rpartition(":")
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(address.strip("[]")).packed, int(port) & 0xFFFF
    return None


def is_stream(note: str) -> bool | None:
    """Whether a noted descriptor is a stream socket; None where the note does not say (`socket:[1234]`)."""
    if not note or _INODE.fullmatch(note):
        return None
    return note.partition(":")[0] in ("TCP", "TCPv6", "UNIX-STREAM") or (note.startswith("UNIX:[") and "->" in note)


def keys(note: str) -> list[str]:
    """What identifies the socket in a note: its inode number, or both its addresses."""
    if _INODE.fullmatch(note):
        return [note]
    match = _NOTE.fullmatch(note)
    if match is None:
        return []
    if match[1].startswith("UNIX"):
        inode = re.match(r"\d+", match[2])
        return [f"socket:[{inode[0]}]"] if inode else []
    return [note] if "->" in note else [f"socket:[{match[2]}]"] if match[2].isdigit() else []
