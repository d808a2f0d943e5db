"""Headers of encapsulation in, the network layer packets inside them out: one small function per tunnel, in two tables.

Knows the headers of the tunnels and nothing of what they carry. What is too short or of another kind gives None. IPsec,
WireGuard, L2TP and AYIYA are not taken apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from replay.importers import link
from replay.importers.link import ETHERTYPE_BRIDGING, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Network

PROTOCOL_IPV4: Final = 4
PROTOCOL_UDP: Final = 17
PROTOCOL_IPV6: Final = 41
PROTOCOL_GRE: Final = 47
PROTOCOL_MPLS: Final = 137

Tunnel = Callable[[memoryview, int], Network | None]


def _gre(data: memoryview, original: int) -> Network | None:
    """RFC 2784, 2890 (key, sequence number), 2637 (version 1: PPP), and ERSPAN's three types over it."""
    if len(data) < 4:
        return None
    flags, kind = data[0] << 8 | data[1], data[2] << 8 | data[3]
    size = 4 + sum(4 for bit in (0x8000, 0x2000, 0x1000) if flags & bit)
    size += 4 if flags & 7 == 1 and flags & 0x80 else 0  # version 1: an acknowledgement number
    body, left = data[size:], original - size
    if kind == 0x88BE:  # ERSPAN type I has no header and no sequence number, type II has 8 bytes
        skip = 8 if flags & 0x1000 else 0
        return link.ethernet(body[skip:], left - skip)
    if kind == 0x22EB:  # ERSPAN type III: 12 bytes, and 8 more when its last bit says so
        skip = 20 if len(body) >= 12 and body[11] & 1 else 12
        return link.ethernet(body[skip:], left - skip)
    if kind == 0x880B:
        return link.LINK_TYPES[9](body, left, "big")
    return _inner(kind, body, left)


def _inner(kind: int, data: memoryview, original: int) -> Network | None:
    if kind == ETHERTYPE_BRIDGING:
        return link.ethernet(data, original)
    return link.ethertype(kind, data, original)


def _vxlan(data: memoryview, original: int) -> Network | None:
    """RFC 7348 §5: eight bytes, whose first says that the network identifier is valid."""
    return link.ethernet(data[8:], original - 8) if len(data) >= 8 and data[0] & 8 else None


def _geneve(data: memoryview, original: int) -> Network | None:
    """RFC 8926 §3.4: version 0, options in units of four bytes, an EtherType."""
    if len(data) < 8 or data[0] >> 6:
        return None
    size = 8 + (data[0] & 0x3F) * 4
    return _inner(data[2] << 8 | data[3], data[size:], original - size)


def _teredo(data: memoryview, original: int) -> Network | None:
    """RFC 4380 §5.1.1: IPv6, after an authentication and an origin indication where they are."""
    if len(data) >= 4 and bytes(data[:2]) == b"\0\1":
        size = 4 + data[2] + data[3] + 9
        data, original = data[size:], original - size
    if bytes(data[:2]) == b"\0\0":
        data, original = data[8:], original - 8
    return Network(ETHERTYPE_IPV6, data, original) if data and data[0] >> 4 == 6 else None


def _gtp(data: memoryview, original: int) -> Network | None:
    """3GPP TS 29.281 §5: a G-PDU (255) of version 1, with its optional fields and extension headers."""
    if len(data) < 8 or data[0] >> 5 != 1 or data[1] != 255:
        return None
    size = 8
    if data[0] & 7:
        size, more = 12, data[11] if len(data) >= 12 and data[0] & 4 else 0
        while more and size < len(data) and data[size]:
            length = data[size] * 4
            more = data[size + length - 1] if size + length <= len(data) else 0
            size += length
    return link.raw(data[size:], original - size)


def _udp(data: memoryview, original: int) -> Network | None:
    """A tunnel by one of its two port numbers (the receiver's first)."""
    if len(data) < 8:
        return None
    for at in (2, 0):
        tunnel = UDP_TUNNELS.get(data[at] << 8 | data[at + 1])
        if tunnel:
            return tunnel(data[8:], original - 8)
    return None


UDP_TUNNELS: Final[dict[int, Tunnel]] = {
    2152: _gtp,
    3544: _teredo,
    4789: _vxlan,
    8472: _vxlan,  # what Linux took before the number was assigned
    6081: _geneve,
}
TUNNELS: Final[dict[int, Tunnel]] = {
    PROTOCOL_IPV4: lambda data, original: Network(ETHERTYPE_IPV4, data, original),
    PROTOCOL_IPV6: lambda data, original: Network(ETHERTYPE_IPV6, data, original),
    PROTOCOL_GRE: _gre,
    PROTOCOL_UDP: _udp,
    PROTOCOL_MPLS: lambda data, original: link.ethertype(0x8847, data, original),  # MPLS in IP, RFC 4023
}
