"""Network layer packets in, TCP segments out: IPv4, IPv6 and its extension headers, fragments, tunnels.

Knows RFC 791, RFC 8200 and the headers of the tunnels in the tables below; a tunnelled packet is taken like any other.
What cannot be read (too short, not TCP, a fragment whose others never come) is counted in `skipped` by reason. A
segment that the snap length cut keeps its true length. Checksums are not looked at: a capture at the sender is full of
wrong ones, because the network card fills them in later.
"""

from __future__ import annotations

import struct
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from replay.importers import link
from replay.importers.link import ETHERTYPE_BRIDGING, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Network

MAX_TUNNELS: Final = 8  # headers of encapsulation around one segment; real stacks have three or four
MAX_DATAGRAMS: Final = 1024  # waiting for fragments at once; with their 64 KiB each, 64 MiB
MAX_FRAGMENTS: Final = 1024  # of one datagram: 64 KiB in pieces of 64 bytes, under any real path's MTU
FRAGMENT_NS: Final = 30_000_000_000  # net.ipv4.ipfrag_time; RFC 8200 §4.5 says 60 s

PROTOCOL_IPV4: Final = 4
PROTOCOL_TCP: Final = 6
PROTOCOL_UDP: Final = 17
PROTOCOL_IPV6: Final = 41
PROTOCOL_GRE: Final = 47
PROTOCOL_FRAGMENT: Final = 44
PROTOCOL_AUTHENTICATION: Final = 51
# RFC 8200 §4 and the IANA list of extension headers that have their length in the second byte, in units of 8 bytes
EXTENSIONS: Final = frozenset((0, 43, 60, 135, 139, 140))

FIN: Final = 1
SYN: Final = 2
RST: Final = 4
ACK: Final = 16

NEVER_WHOLE: Final = "fragments of a datagram that never became whole"

_TCP: Final = struct.Struct(">HHIIBBH")


class _Skipped(Exception):
    """This packet holds no segment, because …"""


class Segment(NamedTuple):
    """One TCP segment. Addresses in network order; `data` may be shorter than `length`, what it had on the wire."""

    time: int
    source: tuple[bytes, int]
    target: tuple[bytes, int]
    sequence: int
    acknowledgement: int
    flags: int
    data: memoryview
    length: int


class _Datagram(NamedTuple):
    """An IP payload on its way up: `original` bytes on the wire, of which `data` were captured."""

    source: bytes
    target: bytes
    protocol: int
    data: memoryview
    original: int


@dataclass(slots=True)
class _Fragments:
    """The pieces of one datagram so far."""

    time: int
    pieces: dict[int, memoryview] = field(default_factory=dict)
    total: int | None = None  # known once the last piece is here
    size: int = 0


@dataclass(slots=True)
class NetworkLayer:
    """`segment` turns packets into segments. Holds fragments only, within the limits above."""

    skipped: Counter[str] = field(default_factory=Counter)
    _fragments: OrderedDict[tuple[bytes, bytes, int, int], _Fragments] = field(default_factory=OrderedDict)

    def segment(self, packet: Network | None, time: int) -> Segment | None:
        """The TCP segment in `packet`, if there is one and it is whole."""
        try:
            return self._climb(packet, time)
        except _Skipped as skipped:
            self.skipped[str(skipped)] += 1
            return None

    def _climb(self, packet: Network | None, time: int) -> Segment | None:
        for _ in range(MAX_TUNNELS):
            if packet is None:
                raise _Skipped("no IP packet")
            datagram = _ipv4(packet) if packet.ethertype == ETHERTYPE_IPV4 else _ipv6(packet)
            if isinstance(datagram, _Piece):
                whole = self._reassemble(datagram, time)
                if whole is None:
                    return None
                datagram = whole
            if datagram.protocol == PROTOCOL_TCP:
                return _tcp(datagram, time)
            tunnel = TUNNELS.get(datagram.protocol)
            packet = tunnel(datagram.data, datagram.original) if tunnel else None
            if packet is None:
                raise _Skipped("not TCP")
        raise _Skipped("too many tunnels")

    def finish(self) -> None:
        """No packet follows: what is still in pieces is skipped."""
        self.skipped[NEVER_WHOLE] += len(self._fragments)
        self._fragments.clear()

    def _reassemble(self, piece: _Piece, time: int) -> _Datagram | None:
        """RFC 791 §3.2, RFC 8200 §4.5. A datagram with overlapping fragments is discarded whole (RFC 5722)."""
        self._expire(time)
        key = (piece.source, piece.target, piece.protocol, piece.identification)
        fragments = self._fragments.setdefault(key, _Fragments(time))
        if piece.offset in fragments.pieces and fragments.pieces[piece.offset] == piece.data:
            return None  # a repetition
        fragments.pieces[piece.offset] = piece.data
        fragments.size += len(piece.data)
        if not piece.more:
            fragments.total = piece.offset + len(piece.data)
        if len(fragments.pieces) > MAX_FRAGMENTS or fragments.size > 0xFFFF or piece.cut:
            del self._fragments[key]
            raise _Skipped("fragments cut or too many")
        if fragments.total is None or fragments.size < fragments.total:
            return None
        del self._fragments[key]
        data = _joined(fragments)
        if data is None:
            raise _Skipped("overlapping fragments")
        whole = _Datagram(piece.source, piece.target, piece.protocol, memoryview(data), len(data))
        if len(piece.source) == 4:
            return whole
        beyond = _extensions(*whole)  # extension headers may follow the fragment header
        if isinstance(beyond, _Piece):
            raise _Skipped("fragments of fragments")
        return beyond

    def _expire(self, time: int) -> None:
        while self._fragments:
            oldest = next(iter(self._fragments))
            fresh = 0 <= time - self._fragments[oldest].time <= FRAGMENT_NS
            if fresh and len(self._fragments) < MAX_DATAGRAMS:
                return
            del self._fragments[oldest]
            self.skipped[NEVER_WHOLE] += 1


class _Piece(NamedTuple):
    """One fragment of a datagram."""

    source: bytes
    target: bytes
    protocol: int
    identification: int
    offset: int
    more: bool
    data: memoryview
    cut: bool


def _joined(fragments: _Fragments) -> bytes | None:
    """The datagram, or None when its pieces do not join up exactly."""
    data = bytearray()
    for offset in sorted(fragments.pieces):
        if offset != len(data):
            return None
        data += fragments.pieces[offset]
    return bytes(data) if len(data) == fragments.total else None


def _ipv4(packet: Network) -> _Datagram | _Piece:
    data = packet.data
    if len(data) < 20 or data[0] >> 4 != 4:
        raise _Skipped("malformed IP header")
    header, total = (data[0] & 15) * 4, data[2] << 8 | data[3]
    if total == 0:  # segmentation offload: the card writes the length, so all that is there belongs to it
        total = packet.original
    if header < 20 or total < header:
        raise _Skipped("malformed IP header")
    source, target, protocol = bytes(data[12:16]), bytes(data[16:20]), data[9]
    body, original = data[header:total], total - header
    fragment = data[6] << 8 | data[7]
    if fragment & 0x3FFF:
        identification, offset = data[4] << 8 | data[5], (fragment & 0x1FFF) * 8
        more = bool(fragment & 0x2000)
        return _Piece(source, target, protocol, identification, offset, more, body, len(body) < original)
    return _Datagram(source, target, protocol, body, original)


def _ipv6(packet: Network) -> _Datagram | _Piece:
    data = packet.data
    if len(data) < 40 or data[0] >> 4 != 6:
        raise _Skipped("malformed IP header")
    length = data[4] << 8 | data[5]
    if length == 0:  # a jumbogram (RFC 2675) or segmentation offload
        length = packet.original - 40
    source, target = bytes(data[8:24]), bytes(data[24:40])
    return _extensions(source, target, data[6], data[40 : 40 + length], length)


def _extensions(source: bytes, target: bytes, kind: int, body: memoryview, original: int) -> _Datagram | _Piece:
    """RFC 8200 §4: walk the extension headers; a fragment header ends the walk unless it is an atomic one."""
    while kind in EXTENSIONS or kind in (PROTOCOL_FRAGMENT, PROTOCOL_AUTHENTICATION):
        if len(body) < 8:
            raise _Skipped("malformed IP header")
        size = 8
        if kind == PROTOCOL_FRAGMENT:
            fragment = body[2] << 8 | body[3]
            if fragment & 0xFFF9:
                identification = int.from_bytes(body[4:8], "big")
                rest, more = body[8:], bool(fragment & 1)
                cut = len(body) < original
                return _Piece(source, target, body[0], identification, fragment & 0xFFF8, more, rest, cut)
        elif kind == PROTOCOL_AUTHENTICATION:
            size = (body[1] + 2) * 4  # RFC 4302 §2.2: in units of 4 bytes
        else:
            size = (body[1] + 1) * 8
        kind, body, original = body[0], body[size:], original - size
    return _Datagram(source, target, kind, body, original)


def _tcp(datagram: _Datagram, time: int) -> Segment:
    data = datagram.data
    if len(data) < 20:
        raise _Skipped("TCP header cut or malformed")
    source, target, sequence, acknowledgement, offset, flags, _ = _TCP.unpack_from(data)
    header = (offset >> 4) * 4
    length = datagram.original - header
    if header < 20 or length < 0:
        raise _Skipped("TCP header cut or malformed")
    return Segment(
        time,
        (datagram.source, source),
        (datagram.target, target),
        sequence,
        acknowledgement,
        flags,
        data[header:],
        length,
    )


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
    137: lambda data, original: link.ethertype(0x8847, data, original),  # MPLS in IP, RFC 4023
}
