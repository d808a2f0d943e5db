"""Socket facts in, the two addresses as people write them out. Pure; knows nothing of traffic.

Both ends of one connection give the same two texts, so that they can be found to be one: a v4-mapped IPv6 address
(RFC 4291 §2.5.5.2) is written as the IPv4 address it stands for.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, Literal, NamedTuple
from zlib import crc32

from capfile.event import AF_INET, AF_INET6, AF_UNIX, SocketFacts

Family = Literal["inet", "inet6", "unix"]
_MAPPED: Final = bytes(10) + b"\xff\xff"
TCP_LISTEN: Final = 10  # include/net/tcp_states.h


class Addresses(NamedTuple):
    """Of one socket, seen from its process. Texts are empty where the socket has no address."""

    family: Family
    local: str
    remote: str
    local_port: int = 0
    remote_port: int = 0


def addresses(facts: SocketFacts) -> Addresses:
    """The addresses of a socket of any family; unknown families count as inet without addresses."""
    if facts.family == AF_UNIX:
        return Addresses("unix", unix_path(facts.local_path), unix_path(facts.remote_path))
    local, remote = _local_and_remote(facts)
    if not local:
        return Addresses("inet", "", "")
    family: Family = "inet6" if len(local) == 16 or len(remote) == 16 else "inet"
    return Addresses(
        family,
        inet_text(local, facts.local_port),
        inet_text(remote, facts.remote_port),
        facts.local_port,
        facts.remote_port,
    )


def _local_and_remote(facts: SocketFacts) -> tuple[bytes, bytes]:
    """4 or 16 bytes each, none of a family that is not known."""
    if facts.family == AF_INET:
        return facts.local_address[:4], facts.remote_address[:4]
    if facts.family == AF_INET6:
        return _unmapped(facts.local_address), _unmapped(facts.remote_address)
    return b"", b""


def inet_text(address: bytes, port: int) -> str:
    """`127.0.0.1:80` of 4 bytes, `[::1]:80` of 16 (RFC 3986 §3.2.2)."""
    if len(address) == 4:
        return f"{'.'.join(map(str, address))}:{port}"
    import socket  # most recordings hold no such address, and this costs every start 4 ms

    return f"[{socket.inet_ntop(socket.AF_INET6, address)}]:{port}"


def unix_path(raw: bytes) -> str:
    """sun_path as ss(8) writes it: an abstract name starts with "@"; what is not printable is escaped."""
    abstract = raw[:1] == b"\0" and raw.strip(b"\0") != b""
    name = raw[1:].rstrip(b"\0") if abstract else raw.partition(b"\0")[0]
    text = name.decode("utf-8", "backslashreplace")
    return ("@" if abstract else "") + "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode())


def _unmapped(address: bytes) -> bytes:
    return address[12:] if address.startswith(_MAPPED) else address


def ends(inode: int, facts: SocketFacts, known: Addresses) -> tuple[Hashable, Hashable]:
    """(what this socket is, what its other end would be), None where unknown; crosswise equal for one connection.

    A Unix client does not know its peer before the server has accepted; the server knows its client: that is enough.
    A loopback address means something only inside its network namespace; any other is taken to be the same everywhere.
    """
    if known.family == "unix":
        return ("unix", inode), ("unix", facts.peer_socket) if facts.peer_socket else None
    if not known.local_port or not known.remote_port:
        return None, None
    where = facts.netns if known.local.startswith(("127.", "[::1]")) else 0
    return (known.local, known.remote, where), (known.remote, known.local, where)


def names(inode: int, facts: SocketFacts) -> tuple[int, int]:
    """(of this socket, of what its other end would be): numbers that seldom are those of others, 0 where unknown;
    crosswise equal wherever `ends` are, and the same in every process."""
    if facts.family == AF_UNIX:
        return inode, facts.peer_socket
    local, remote = _local_and_remote(facts)
    if not (local and facts.local_port and facts.remote_port):
        return 0, 0
    here = local + facts.local_port.to_bytes(2, "big")
    there = remote + facts.remote_port.to_bytes(2, "big")
    return crc32(here + there) or 1, crc32(there + here) or 1
