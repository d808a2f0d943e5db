"""Packet files in, packets out: pcap (µs, ns, both byte orders, the modified form) and pcapng.

Knows the two containers and nothing of what a packet holds. Formats: draft-ietf-opsawg-pcap and
draft-ietf-opsawg-pcapng (the section numbers below are the latter's). A file that ends or breaks inside a packet gives
the packets before and says where in `damage`: neither container has a marker to find the next packet by.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from replay.importers.errors import InputError, WrongKind
from replay.importers.source import Source

MAX_PACKET: Final = 1 << 20  # libpcap's own limit is 256 KiB (MAXIMUM_SNAPLEN); offloaded segments stay under 512 KiB
MAX_BLOCK: Final = 16 << 20  # name tables and secrets are the largest blocks in practice; libpcap's limit too
MAX_INTERFACES: Final = 1 << 16
NANOSECONDS: Final = 1_000_000_000

ByteOrder = Literal["little", "big"]


class Packet(NamedTuple):
    """One captured frame. `time` is ns since 1970, `original` the bytes it had on the wire; `data` may be fewer."""

    time: int
    link: int  # LINKTYPE_ value
    order: ByteOrder  # of the machine that captured it: some link headers use it
    data: memoryview
    original: int


# magic number -> byte order, ns per tick of the second field, bytes of a packet header
_PCAP: Final[dict[bytes, tuple[ByteOrder, int, int]]] = {
    b"\xd4\xc3\xb2\xa1": ("little", 1000, 16),
    b"\xa1\xb2\xc3\xd4": ("big", 1000, 16),
    b"\x4d\x3c\xb2\xa1": ("little", 1, 16),
    b"\xa1\xb2\x3c\x4d": ("big", 1, 16),
    b"\x34\xcd\xb2\xa1": ("little", 1000, 24),  # Kuznetsov's patched libpcap: 8 bytes more per packet
    b"\xa1\xb2\xcd\x34": ("big", 1000, 24),
}
SECTION_HEADER: Final = b"\x0a\x0d\x0d\x0a"
MAGIC_NUMBERS: Final = (*_PCAP, SECTION_HEADER)


class PacketFile:
    """Iterate the packets of one file; afterwards `damage` says how it went ("" when it ended in order)."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.damage = ""

    def __iter__(self) -> Iterator[Packet]:
        magic = self._source.read(4)
        if magic == SECTION_HEADER:
            yield from _Sections(self, self._source).packets()
        elif magic in _PCAP:
            yield from self._pcap(*_PCAP[magic])
        else:
            raise WrongKind(self._source.damage or "neither a pcap nor a pcapng file")
        self.damage = self.damage or self._source.damage

    def _pcap(self, order: ByteOrder, tick: int, header_size: int) -> Iterator[Packet]:
        prefix = "<" if order == "little" else ">"
        head = self._source.read(20)
        if len(head) < 20:
            raise InputError("pcap file header cut short", offset=self._source.offset)
        # The upper half of the last field tells of a frame check sequence, which the IP length cuts off anyway.
        link = int(struct.unpack(prefix + "HHiIII", head)[5]) & 0xFFFF
        record = struct.Struct(prefix + "IIII")
        while header := self._source.read(header_size):
            if len(header) < header_size:
                return self._cut("inside a packet header")
            seconds, fraction, captured, original = record.unpack_from(header)
            if captured > MAX_PACKET:
                return self._cut(f"before a packet that claims {captured} bytes")
            data = self._source.read(captured)
            if len(data) < captured:
                return self._cut("inside a packet")
            time = seconds * NANOSECONDS + fraction * tick
            yield Packet(time, link, order, memoryview(data), max(original, captured))
        return None

    def _cut(self, where: str) -> None:
        self.damage = f"the input breaks off {where}, at offset {self._source.offset}"


class _Interface(NamedTuple):
    """What an Interface Description Block says (§4.2)."""

    link: int
    snaplen: int  # 0: no limit
    ticks: int  # per second
    offset: int  # seconds to add


@dataclass(slots=True)
class _Sections:
    """The blocks of a pcapng file. Unknown ones are skipped; a new section forgets the interfaces."""

    file: PacketFile
    source: Source
    order: ByteOrder = "little"
    prefix: str = "<"
    interfaces: list[_Interface] = field(default_factory=list)
    last_time: int = 0  # a Simple Packet Block has no time: it gets its predecessor's

    def packets(self) -> Iterator[Packet]:
        """After the first four bytes of the file: every packet of every section."""
        kind = SECTION_HEADER
        while kind:
            body = self._section_header() if kind == SECTION_HEADER else self._block()
            if body is None:
                return
            packet = self._dispatch(kind, body)
            if packet is not None:
                self.last_time = packet.time
                yield packet
            kind = self.source.read(4)
            if 0 < len(kind) < 4:
                self.file._cut("inside a block")
                return

    def _section_header(self) -> bytes | None:
        """§4.1: the byte order magic stands after the length whose byte order it tells."""
        head = self.source.read(8)
        if head[4:] not in (b"\x1a\x2b\x3c\x4d", b"\x4d\x3c\x2b\x1a"):
            self.file._cut("inside a section header")
            return None
        self.order = "big" if head[4] == 0x1A else "little"
        self.prefix = ">" if self.order == "big" else "<"
        self.interfaces = []
        return self._rest(head[:4], already=12)

    def _block(self) -> bytes | None:
        return self._rest(self.source.read(4), already=8)

    def _rest(self, length_field: bytes, already: int) -> bytes | None:
        """The body after `already` bytes of a block, without its trailing length (§3.1)."""
        if len(length_field) < 4:
            self.file._cut("inside a block")
            return None
        length = int.from_bytes(length_field, self.order)
        if not already + 4 <= length <= MAX_BLOCK or length % 4:
            self.file._cut(f"before a block that claims {length} bytes")
            return None
        body = self.source.read(length - already)
        if len(body) < length - already:
            self.file._cut("inside a block")
            return None
        return body[:-4]

    def _dispatch(self, kind: bytes, body: bytes) -> Packet | None:
        number = int.from_bytes(kind, self.order)
        try:
            if number == 1:
                self._interface(body)
            elif number == 2:
                return self._packet(body, "HHIIII", skip_drops=True)
            elif number == 3:
                return self._simple(body)
            elif number == 6:
                return self._packet(body, "IIIII")
        except (struct.error, IndexError):
            self.file.damage = f"a block before offset {self.source.offset} is malformed; skipped"
        return None

    def _interface(self, body: bytes) -> None:
        link, _, snaplen = struct.unpack_from(self.prefix + "HHI", body)
        if len(self.interfaces) >= MAX_INTERFACES:
            raise IndexError("too many interfaces")
        ticks, offset = 1_000_000, 0
        for code, value in self._options(body[8:]):
            if code == 9 and value:  # if_tsresol: a power of 10, or of 2 with the high bit set
                ticks = 2 ** (value[0] & 0x7F) if value[0] & 0x80 else 10 ** value[0]
            elif code == 14 and len(value) == 8:  # if_tsoffset
                offset = int.from_bytes(value, self.order, signed=True)
        self.interfaces.append(_Interface(link, snaplen, ticks, offset))

    def _options(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """§3.5: code, length, value padded to four bytes; code 0 ends the list."""
        at = 0
        while at + 4 <= len(data):
            code, length = struct.unpack_from(self.prefix + "HH", data, at)
            if code == 0:
                return
            yield code, data[at + 4 : at + 4 + length]
            at += 4 + -(-length // 4) * 4

    def _packet(self, body: bytes, shape: str, skip_drops: bool = False) -> Packet:
        """An Enhanced Packet Block (§4.3), or an obsolete Packet Block, which has a drop count too (appendix A)."""
        fields = struct.unpack_from(self.prefix + shape, body)
        index, (high, low, captured, original) = fields[0], fields[2:] if skip_drops else fields[1:]
        interface = self.interfaces[index]
        ticks = high << 32 | low
        time = interface.offset * NANOSECONDS + ticks * NANOSECONDS // interface.ticks
        return self._made(interface, time, body[20:], captured, original)

    def _simple(self, body: bytes) -> Packet:
        """§4.4: the first interface's; as long as its snap length allows."""
        (original,) = struct.unpack_from(self.prefix + "I", body)
        interface = self.interfaces[0]
        captured = min(original, interface.snaplen or original, len(body) - 4)
        return self._made(interface, self.last_time, body[4:], captured, original)

    def _made(self, interface: _Interface, time: int, data: bytes, captured: int, original: int) -> Packet:
        if captured > len(data):
            raise IndexError("packet longer than its block")
        return Packet(time, interface.link, self.order, memoryview(data)[:captured], max(original, captured))
