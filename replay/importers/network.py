"""Network layer packets in, TCP segments out: IPv4, IPv6 and its extension headers.

Knows RFC 791 and RFC 8200; fragments are put together by `fragments`, and what `tunnels` carry is taken like any other
packet. What cannot be read (too short, not TCP, a fragment whose others never come) is counted in `skipped` by reason.
A segment that the snap length cut keeps its true length. Checksums are not looked at: a capture at the sender is full
of wrong ones, because the network card fills them in later.
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from replay.importers.fragments import Datagram, Fragments, Piece, Skipped
from replay.importers.link import ETHERTYPE_IPV4, Network
from replay.importers.tunnels import TUNNELS

MAX_TUNNELS: Final = 8  # headers of encapsulation around one segment; real stacks have three or four

PROTOCOL_TCP: Final = 6
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


@dataclass(slots=True)
class NetworkLayer:
    """`segment` turns packets into segments. Holds fragments only."""

    skipped: Counter[str] = field(default_factory=Counter)
    _fragments: Fragments = field(default_factory=Fragments)

    def segment(self, packet: Network | None, time: int) -> Segment | None:
        """The TCP segment in `packet`, if there is one and it is whole."""
        try:
            return self._climb(packet, time)
        except Skipped as skipped:
            self.skipped[str(skipped)] += 1
            return None

    def finish(self) -> None:
        """No packet follows: what is still in pieces is skipped."""
        self._fragments.finish()
        self.skipped[NEVER_WHOLE] += self._fragments.expired

    def _climb(self, packet: Network | None, time: int) -> Segment | None:
        for _ in range(MAX_TUNNELS):
            if packet is None:
                raise Skipped("no IP packet")
            datagram = _ipv4(packet) if packet.ethertype == ETHERTYPE_IPV4 else _ipv6(packet)
            if isinstance(datagram, Piece):
                whole = self._fragments.add(datagram, time)
                if whole is None:
                    return None
                datagram = _beyond(whole)
            if datagram.protocol == PROTOCOL_TCP:
                return _tcp(datagram, time)
            tunnel = TUNNELS.get(datagram.protocol)
            packet = tunnel(datagram.data, datagram.original) if tunnel else None
            if packet is None:
                raise Skipped("not TCP")
        raise Skipped("too many tunnels")


def _beyond(whole: Datagram) -> Datagram:
    """In IPv6, extension headers may follow the fragment header."""
    if len(whole.source) == 4:
        return whole
    beyond = _extensions(*whole)
    if isinstance(beyond, Piece):
        raise Skipped("fragments of fragments")
    return beyond


def _ipv4(packet: Network) -> Datagram | Piece:
    data = packet.data
    if len(data) < 20 or data[0] >> 4 != 4:
        raise Skipped("malformed IP header")
    header, total = (data[0] & 15) * 4, data[2] << 8 | data[3]
    if total == 0:  # segmentation offload: the card writes the length, so all that is there belongs to it
        total = packet.original
    if header < 20 or total < header:
        raise Skipped("malformed IP header")
    source, target, protocol = bytes(data[12:16]), bytes(data[16:20]), data[9]
    body, original = data[header:total], total - header
    fragment = data[6] << 8 | data[7]
    if fragment & 0x3FFF:
        identification, offset = data[4] << 8 | data[5], (fragment & 0x1FFF) * 8
        more = bool(fragment & 0x2000)
        return Piece(source, target, protocol, identification, offset, more, body, len(body) < original)
    return Datagram(source, target, protocol, body, original)


def _ipv6(packet: Network) -> Datagram | Piece:
    data = packet.data
    if len(data) < 40 or data[0] >> 4 != 6:
        raise Skipped("malformed IP header")
    length = data[4] << 8 | data[5]
    if length == 0:  # a jumbogram (RFC 2675) or segmentation offload
        length = packet.original - 40
    source, target = bytes(data[8:24]), bytes(data[24:40])
    return _extensions(source, target, data[6], data[40 : 40 + length], length)


def _extensions(source: bytes, target: bytes, kind: int, body: memoryview, original: int) -> Datagram | Piece:
    """RFC 8200 §4: walk the extension headers; a fragment header ends the walk unless it is an atomic one."""
    while kind in EXTENSIONS or kind in (PROTOCOL_FRAGMENT, PROTOCOL_AUTHENTICATION):
        if len(body) < 8:
            raise Skipped("malformed IP header")
        size = 8
        if kind == PROTOCOL_FRAGMENT:
            fragment = body[2] << 8 | body[3]
            if fragment & 0xFFF9:
                identification = int.from_bytes(body[4:8], "big")
                rest, more = body[8:], bool(fragment & 1)
                cut = len(body) < original
                return Piece(source, target, body[0], identification, fragment & 0xFFF8, more, rest, cut)
        elif kind == PROTOCOL_AUTHENTICATION:
            size = (body[1] + 2) * 4  # RFC 4302 §2.2: in units of 4 bytes
        else:
            size = (body[1] + 1) * 8
        kind, body, original = body[0], body[size:], original - size
    return Datagram(source, target, kind, body, original)


def _tcp(datagram: Datagram, time: int) -> Segment:
    data = datagram.data
    if len(data) < 20:
        raise Skipped("TCP header cut or malformed")
    source, target, sequence, acknowledgement, offset, flags, _ = _TCP.unpack_from(data)
    header = (offset >> 4) * 4
    length = datagram.original - header
    if header < 20 or length < 0:
        raise Skipped("TCP header cut or malformed")
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
