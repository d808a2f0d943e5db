"""Frames of a link layer in, network layer packets out: one small function per LINKTYPE, in a table.

Knows the link headers only (https://www.tcpdump.org/linktypes.html names each format). What is too short or of another
kind gives None; nothing is raised. Written out here because each header is a few fixed fields, and because a library's
decoder stops where a frame was cut by the snap length, which is just what has to be measured here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from replay.importers.packets import ByteOrder, Packet

MAX_TAGS: Final = 8  # VLAN tags and MPLS labels before the network layer; two are common

ETHERTYPE_IPV4: Final = 0x0800
ETHERTYPE_IPV6: Final = 0x86DD
ETHERTYPE_BRIDGING: Final = 0x6558  # transparent Ethernet bridging, in GRE and GENEVE
ETHERTYPE_MPLS: Final = (0x8847, 0x8848)
ETHERTYPE_PPPOE_SESSION: Final = 0x8864
ETHERTYPE_VLAN: Final = (0x8100, 0x88A8, 0x9100, 0x9200)  # 802.1Q, 802.1ad and its two predecessors
PPP_PROTOCOLS: Final = {0x0021: ETHERTYPE_IPV4, 0x0057: ETHERTYPE_IPV6}
# AF_INET6 of Linux, the BSDs and macOS: a loopback header holds the number of the system that wrote it
ADDRESS_FAMILIES: Final = {2: ETHERTYPE_IPV4} | dict.fromkeys((10, 24, 28, 30), ETHERTYPE_IPV6)


class Network(NamedTuple):
    """A network layer packet: its EtherType, its captured bytes and its length on the wire (padding included)."""

    ethertype: int
    data: memoryview
    original: int


Decoder = Callable[[memoryview, int, ByteOrder], Network | None]


def network(packet: Packet) -> Network | None:
    """The network layer packet of a frame; None when there is none or the link type is unknown."""
    decoder = LINK_TYPES.get(packet.link)
    return decoder(packet.data, packet.original, packet.order) if decoder else None


def ethertype(kind: int, data: memoryview, original: int) -> Network | None:
    """What follows an EtherType: tags, labels and PPPoE are taken off."""
    for _ in range(MAX_TAGS):
        if kind in ETHERTYPE_VLAN and len(data) >= 4:
            kind, data, original = _u16(data, 2), data[4:], original - 4
        elif kind == ETHERTYPE_PPPOE_SESSION and len(data) >= 8:  # RFC 2516 §4: six bytes, then a PPP protocol
            return _known(PPP_PROTOCOLS.get(_u16(data, 6)), data[8:], original - 8)
        elif kind in ETHERTYPE_MPLS and len(data) >= 4:  # RFC 3032 §2.1: the bottom of the stack is marked
            bottom = data[2] & 1
            data, original = data[4:], original - 4
            kind = (_version(data) or 0) if bottom else kind
        else:
            return _known(kind, data, original)
    return None


def ethernet(data: memoryview, original: int, _: ByteOrder = "big") -> Network | None:
    """IEEE 802.3; a length instead of a type means 802.2, of which only SNAP can hold IP."""
    if len(data) < 14:
        return None
    kind = _u16(data, 12)
    return _llc(data[14:], original - 14, _) if kind < 0x600 else ethertype(kind, data[14:], original - 14)


def raw(data: memoryview, original: int, _: ByteOrder = "big") -> Network | None:
    """No link header: the version of IP is in the first four bits."""
    return _known(_version(data), data, original)


def _known(kind: int | None, data: memoryview, original: int) -> Network | None:
    return Network(kind, data, original) if kind in (ETHERTYPE_IPV4, ETHERTYPE_IPV6) else None


def _version(data: memoryview) -> int | None:
    return {4: ETHERTYPE_IPV4, 6: ETHERTYPE_IPV6}.get(data[0] >> 4) if data else None


def _u16(data: memoryview, at: int) -> int:
    return data[at] << 8 | data[at + 1]


def _llc(data: memoryview, original: int, _: ByteOrder) -> Network | None:
    """802.2 with SNAP (RFC 1042): AA AA 03, an organisation, an EtherType."""
    if len(data) < 8 or bytes(data[:3]) != b"\xaa\xaa\x03":
        return None
    return ethertype(_u16(data, 6), data[8:], original - 8)


def _loopback(data: memoryview, original: int, order: ByteOrder) -> Network | None:
    """LINKTYPE_NULL: an address family in the byte order of the machine; in either, because files are converted."""
    if len(data) < 4:
        return None
    families = (int.from_bytes(data[:4], "little"), int.from_bytes(data[:4], "big"))
    kind = next((ADDRESS_FAMILIES[family] for family in families if family in ADDRESS_FAMILIES), None)
    return _known(kind, data[4:], original - 4)


def _cooked(header: int, protocol_at: int) -> Decoder:
    """Linux "cooked" captures: no addresses that matter here, and an EtherType (4: 802.2 follows)."""

    def decode(data: memoryview, original: int, order: ByteOrder) -> Network | None:
        if len(data) < header:
            return None
        kind, body = _u16(data, protocol_at), data[header:]
        return _llc(body, original - header, order) if kind == 4 else ethertype(kind, body, original - header)

    return decode


def _ppp(data: memoryview, original: int, _: ByteOrder) -> Network | None:
    """PPP, with or without the HDLC address and control bytes and with the protocol field compressed or not."""
    start = 2 if bytes(data[:2]) == b"\xff\x03" else 0
    if len(data) < start + 2:
        return None
    size = 1 if data[start] & 1 else 2  # RFC 1661 §6.5
    protocol = int.from_bytes(data[start : start + size], "big")
    return _known(PPP_PROTOCOLS.get(protocol), data[start + size :], original - start - size)


def _cisco_hdlc(data: memoryview, original: int, _: ByteOrder) -> Network | None:
    return ethertype(_u16(data, 2), data[4:], original - 4) if len(data) >= 4 else None


def _pppoe(data: memoryview, original: int, _: ByteOrder) -> Network | None:
    return ethertype(ETHERTYPE_PPPOE_SESSION, data, original)


def _nflog(data: memoryview, original: int, order: ByteOrder) -> Network | None:
    """LINKTYPE_NFLOG: family, version, resource; then attributes, of which NFULA_PAYLOAD (9) is the packet."""
    at = 4
    while at + 4 <= len(data):
        length = int.from_bytes(data[at : at + 2], order)
        if int.from_bytes(data[at + 2 : at + 4], order) == 9:
            return raw(data[at + 4 : at + max(length, 4)], length - 4)
        at += max(-(-length // 4) * 4, 4)
    return None


def _packet_filter(data: memoryview, original: int, _: ByteOrder) -> Network | None:
    """LINKTYPE_PFLOG: its first byte is its own length, padded to four."""
    size = -(-data[0] // 4) * 4 if data else 0
    return raw(data[size:], original - size)


def _wireless(data: memoryview, original: int, order: ByteOrder) -> Network | None:
    """IEEE 802.11: data frames that are not encrypted (§9.3.2.1 of the standard), then 802.2."""
    if len(data) < 24 or data[0] & 0x0C != 0x08 or data[1] & 0x40 or data[0] & 0x40:
        return None
    size = 24 + (6 if data[1] & 3 == 3 else 0) + (2 if data[0] & 0x80 else 0)
    size += 4 if data[0] & 0x80 and data[1] & 0x80 else 0  # HT control
    return _llc(data[size:], original - size, order)


def _radiotap(data: memoryview, original: int, order: ByteOrder) -> Network | None:
    size = int.from_bytes(data[2:4], "little")
    return _wireless(data[size:], original - size, order) if size >= 8 else None


def _per_packet(data: memoryview, original: int, order: ByteOrder) -> Network | None:
    """LINKTYPE_PPI: its own length and the link type of what follows, both little-endian."""
    if len(data) < 8:
        return None
    size, link = int.from_bytes(data[2:4], "little"), int.from_bytes(data[4:8], "little")
    decoder = LINK_TYPES.get(link)
    return decoder(data[size:], original - size, order) if decoder and size >= 8 and link != 192 else None


LINK_TYPES: Final[dict[int, Decoder]] = {
    0: _loopback,  # LINKTYPE_NULL
    1: ethernet,
    9: _ppp,
    12: raw,  # DLT_RAW of most systems
    14: raw,  # and of OpenBSD
    50: _ppp,  # with HDLC framing
    51: _pppoe,
    101: raw,
    104: _cisco_hdlc,
    105: _wireless,
    108: _loopback,  # LINKTYPE_LOOP: the family in network byte order
    113: _cooked(16, 14),  # LINKTYPE_LINUX_SLL
    117: _packet_filter,
    127: _radiotap,
    192: _per_packet,
    228: raw,  # LINKTYPE_IPV4
    229: raw,  # LINKTYPE_IPV6
    239: _nflog,
    276: _cooked(20, 0),  # LINKTYPE_LINUX_SLL2
}
