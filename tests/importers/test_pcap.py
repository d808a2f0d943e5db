"""Packet captures of every shape become the sockets and bytes that were in them."""

from __future__ import annotations

import contextlib
import gzip
import random
import socket
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capfile.event import Flag, Reason
from replay.importers import tcp as tcp_module
from replay.importers.errors import InputError
from replay.importers.packets import PacketFile
from replay.importers.pcap import read_pcap
from replay.importers.source import Source
from tests.importers import packet_files as make
from tests.importers.packet_files import ACK, CLIENT4, CLIENT6, RST, SERVER4, SERVER6, START, SYN, Frame, Talk
from tests.importers.reading import Capture, Seen, imported

LOST, CUT = Reason.PACKET_LOSS, Reason.SNAPLEN
REQUEST, ANSWER = b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"


def capture(file: bytes) -> Capture:
    return imported(read_pcap, file)


def only(file: bytes) -> Seen:
    (seen,) = capture(file).sockets
    return seen


def talk() -> Talk:
    return Talk().open().send(0, REQUEST).send(1, ANSWER)


def test_a_connection_becomes_the_servers_socket_with_addresses_bytes_and_ends() -> None:
    seen = only(talk().close().file())
    assert seen.flags == Flag.ACCEPTED
    assert (seen.joined("received"), seen.joined("sent")) == ([REQUEST], [ANSWER])
    assert seen.ends == ["eof", "shutdown send", "close"]
    assert seen.facts.local_address[:4] == socket.inet_aton(SERVER4[0])
    assert (seen.facts.local_port, seen.facts.remote_port) == (80, 40000)
    assert [each.time for each in seen.events[:2]] == [START, START + 3_000_000]


def test_a_connection_without_end_has_no_end_event_and_a_reset_one_says_so() -> None:
    assert only(talk().file()).ends == []
    assert only(talk().reset(1).file()).ends == ["reset"]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nanoseconds", [False, True])
def test_both_byte_orders_and_both_resolutions_give_the_same_times(order: str, nanoseconds: bool) -> None:
    frames = talk().packets
    assert only(make.pcap(frames, 101, order=order, nanoseconds=nanoseconds)).events[0].time == START


def test_nanoseconds_are_kept() -> None:
    frames = [Frame(frame.data, frame.time + 7) for frame in talk().packets]
    assert only(make.pcap(frames, 101, nanoseconds=True)).events[0].time == START + 7


def test_gzip_captures_are_unpacked_and_a_cut_one_gives_what_was_before() -> None:
    packed = gzip.compress(talk().file())
    assert only(packed).joined("sent") == [ANSWER]
    assert capture(packed[:-9]).end.reason == "input-cut"


LINKS = {
    "ethernet": (1, make.ethernet),
    "null little-endian": (0, lambda ip: struct.pack("<I", 30 if ip[0] >> 4 == 6 else 2) + ip),
    "null big-endian": (0, lambda ip: struct.pack(">I", 24 if ip[0] >> 4 == 6 else 2) + ip),
    "loop": (108, lambda ip: struct.pack(">I", 28 if ip[0] >> 4 == 6 else 2) + ip),
    "raw": (101, lambda ip: ip),
    "raw of a BSD": (12, lambda ip: ip),
    "cooked v1": (113, lambda ip: struct.pack(">HHHQ", 0, 1, 6, 0) + make.ethertype(ip) + ip),
    "cooked v2": (276, lambda ip: make.ethertype(ip) + struct.pack(">HIHBBQ", 0, 1, 1, 0, 6, 0) + ip),
    "VLAN": (1, lambda ip: make.ethernet(ip, b"\x81\x00\x00\x05")),
    "QinQ": (1, lambda ip: make.ethernet(ip, b"\x88\xa8\x00\x05\x81\x00\x00\x06")),
    "cooked v1 with VLAN": (
        113,
        lambda ip: struct.pack(">HHHQ", 0, 1, 6, 0) + b"\x81\x00\0\1" + make.ethertype(ip) + ip,
    ),
    "MPLS": (1, lambda ip: b"\0" * 12 + b"\x88\x47" + b"\0\1\0\x40" + b"\0\2\1\x40" + ip),
    "PPPoE": (1, lambda ip: b"\0" * 12 + b"\x88\x64\x11\0\0\1" + _ppp_length(ip) + _ppp(ip) + ip),
    "PPP": (9, lambda ip: b"\xff\x03" + _ppp(ip) + ip),
    "PPP compressed": (9, lambda ip: _ppp(ip)[1:] + ip),
    "Cisco HDLC": (104, lambda ip: b"\x0f\0" + make.ethertype(ip) + ip),
    "802.2 SNAP": (1, lambda ip: b"\0" * 12 + struct.pack(">H", 8 + len(ip)) + _snap(ip)),
    "NFLOG": (239, lambda ip: b"\2\0\0\0" + struct.pack("<HHI", 8, 1, 0) + struct.pack("<HH", 4 + len(ip), 9) + ip),
    "PFLOG": (117, lambda ip: b"\x3d".ljust(64, b"\0") + ip),
    "802.11": (105, lambda ip: b"\x08\x01" + b"\0" * 22 + _snap(ip)),
    "802.11 QoS": (105, lambda ip: b"\x88\x01" + b"\0" * 24 + _snap(ip)),
    "radiotap": (127, lambda ip: b"\0\0\x08\0\0\0\0\0" + b"\x08\x02" + b"\0" * 22 + _snap(ip)),
    "PPI": (192, lambda ip: struct.pack("<BBHI", 0, 0, 8, 1) + make.ethernet(ip)),
}


def _ppp(packet: bytes) -> bytes:
    return b"\0\x57" if packet[0] >> 4 == 6 else b"\0\x21"


def _ppp_length(packet: bytes) -> bytes:
    return struct.pack(">H", len(packet) + 2)


def _snap(packet: bytes) -> bytes:
    return b"\xaa\xaa\x03\0\0\0" + make.ethertype(packet) + packet


@pytest.mark.parametrize("ends", [(CLIENT4, SERVER4), (CLIENT6, SERVER6)], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("name", LINKS)
def test_every_link_layer_is_taken_off(name: str, ends: tuple[tuple[str, int], tuple[str, int]]) -> None:
    link, wrap = LINKS[name]
    conversation = Talk(*ends).open().send(0, REQUEST).send(1, ANSWER).close()
    frames = [Frame(wrap(frame.data), frame.time) for frame in conversation.packets]
    seen = only(make.pcap(frames, link))
    assert (seen.joined("received"), seen.joined("sent")) == ([REQUEST], [ANSWER])


def _gre(flags: int, kind: int, extra: bytes = b"") -> bytes:
    return struct.pack(">HH", flags, kind) + extra


def _type(packet: bytes) -> int:
    return 0x86DD if packet[0] >> 4 == 6 else 0x0800


OUTER = ("192.0.2.1", "192.0.2.2")
TUNNELS = {
    "IP in IP": lambda ip: make.ipv4(*OUTER, ip, protocol=41 if ip[0] >> 4 == 6 else 4),
    "in IPv6": lambda ip: make.ipv6("::1", "::2", ip, protocol=41 if ip[0] >> 4 == 6 else 4),
    "GRE": lambda ip: make.ipv4(*OUTER, _gre(0, _type(ip)) + ip, protocol=47),
    "GRE key and sequence": lambda ip: make.ipv4(*OUTER, _gre(0x3000, _type(ip), b"\0" * 8) + ip, protocol=47),
    "GRE bridging": lambda ip: make.ipv4(*OUTER, _gre(0, 0x6558) + make.ethernet(ip), protocol=47),
    "PPTP": lambda ip: make.ipv4(*OUTER, _gre(0x3081, 0x880B, b"\0" * 12) + _ppp(ip) + ip, protocol=47),
    "ERSPAN I": lambda ip: make.ipv4(*OUTER, _gre(0, 0x88BE) + make.ethernet(ip), protocol=47),
    "ERSPAN II": lambda ip: make.ipv4(*OUTER, _gre(0x1000, 0x88BE, b"\0" * 12) + make.ethernet(ip), protocol=47),
    "ERSPAN III": lambda ip: make.ipv4(
        *OUTER, _gre(0x1000, 0x22EB, b"\0" * 15 + b"\1" + b"\0" * 8) + make.ethernet(ip), protocol=47
    ),
    "VXLAN": lambda ip: _udp(4789, b"\x08\0\0\0\0\0\1\0" + make.ethernet(ip)),
    "GENEVE": lambda ip: _udp(6081, b"\x01\0\x65\x58\0\0\1\0" + b"\0" * 4 + make.ethernet(ip)),
    "GTP-U": lambda ip: _udp(2152, b"\x30\xff" + struct.pack(">H", len(ip)) + b"\0" * 4 + ip),
    "GTP-U with extension": lambda ip: _udp(
        2152, b"\x34\xff" + struct.pack(">H", len(ip) + 8) + b"\0" * 7 + b"\x85" + b"\1\0\0\0" + ip
    ),
    "MPLS in IP": lambda ip: make.ipv4(*OUTER, b"\0\1\1\x40" + ip, protocol=137),
}


def _udp(port: int, data: bytes) -> bytes:
    return make.ipv4(*OUTER, make.udp(55555, port, data), protocol=17)


@pytest.mark.parametrize("name", TUNNELS)
def test_every_tunnel_is_taken_off(name: str) -> None:
    for ends in ((CLIENT4, SERVER4), (CLIENT6, SERVER6)):
        conversation = Talk(*ends).open().send(0, REQUEST).send(1, ANSWER).close()
        frames = [Frame(TUNNELS[name](frame.data), frame.time) for frame in conversation.packets]
        seen = only(make.pcap(frames, 101))
        assert (seen.joined("received"), seen.joined("sent")) == ([REQUEST], [ANSWER])


@pytest.mark.parametrize(
    "prefix", [b"", b"\0\1\2\3" + b"x" * 5 + b"\0" * 9, b"\0\0" + b"\1" * 6], ids=["bare", "auth", "origin"]
)
def test_teredo_is_taken_off(prefix: bytes) -> None:
    conversation = Talk(CLIENT6, SERVER6).open().send(0, REQUEST)
    frames = [Frame(_udp(3544, prefix + frame.data), frame.time) for frame in conversation.packets]
    assert only(make.pcap(frames, 101)).joined("received") == [REQUEST]


def test_tunnels_in_tunnels_end_somewhere() -> None:
    packet = talk().packets[3].data
    for _ in range(30):
        packet = TUNNELS["IP in IP"](packet)
    result = capture(make.pcap([Frame(packet)], 101))
    assert not result.sockets
    assert [mark.detail for mark in result.marks] == ["1: too many tunnels"]


def test_pcapng_with_two_interfaces_resolutions_offsets_and_unknown_blocks() -> None:
    first, second = talk().packets[:4], talk().packets[4:]
    offset = make.option(14, struct.pack("<q", 600_000_000))
    file = make.section() + make.block(0x0BAD, b"unknown")
    file += make.interface(101, options=make.option(9, b"\x09")) + make.interface(
        1, options=make.option(9, b"\x94") + offset
    )
    file += b"".join(make.enhanced(0, frame.time, frame) for frame in first)
    file += make.block(10, b"secrets")
    for frame in second:
        ticks = (frame.time - 600_000_000 * 10**9) * 2**20 // 10**9
        file += make.enhanced(1, ticks, Frame(make.ethernet(frame.data), frame.time))
    seen = only(file)
    assert (seen.joined("received"), seen.joined("sent")) == ([REQUEST], [ANSWER])
    assert seen.events[0].time == START
    assert abs(seen.events[-1].time - second[1].time) < 1000  # 2^-20 s


def test_pcapng_big_endian_sections_and_simple_packets() -> None:
    packets = talk().packets
    file = make.section(">") + make.interface(101, ">") + b"".join(make.simple(frame, ">") for frame in packets[:4])
    file += make.section("<") + make.interface(101) + b"".join(make.simple(frame) for frame in packets[4:])
    seen = only(file)
    assert (seen.joined("received"), seen.joined("sent")) == ([REQUEST], [ANSWER])


def test_pcapng_obsolete_packet_block_and_a_block_for_an_unknown_interface() -> None:
    frame = talk().packets[3]
    head = struct.pack("<HHIIII", 0, 9, 0, 5, len(frame.data), len(frame.data))
    file = make.section() + make.interface(101) + make.block(2, head + frame.data) + make.enhanced(5, 0, frame)
    result = capture(file)
    assert result.sockets[0].received == [REQUEST]
    assert "malformed" in result.marks[-1].detail


def test_the_padding_of_short_frames_is_no_data() -> None:
    frames = [Frame(make.ethernet(frame.data), frame.time) for frame in Talk().open().send(0, b"x").packets]
    assert only(make.pcap(frames)).received == [b"x"]


def test_a_length_of_zero_means_up_to_the_end_of_the_frame() -> None:
    """Segmentation offload leaves the IP length to the network card."""
    packets = talk().packets
    data = bytearray(packets[3].data)
    data[2:4] = b"\0\0"
    packets[3] = Frame(bytes(data), packets[3].time)
    assert only(make.pcap(packets, 101)).joined("received") == [REQUEST]


def fragments(packet: bytes, size: int) -> list[bytes]:
    source, target, body = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20]), packet[20:]
    pieces = []
    for start in range(0, len(body), size):
        more = 0x2000 if start + size < len(body) else 0
        pieces.append(make.ipv4(source, target, body[start : start + size], fragment=more | start // 8))
    return pieces


def fragments6(packet: bytes, size: int) -> list[bytes]:
    """With a destination options header between the fragment header and TCP."""
    source, target = (socket.inet_ntop(socket.AF_INET6, packet[at : at + 16]) for at in (8, 24))
    body = b"\x06\0\1\4\0\0\0\0" + packet[40:]
    pieces = []
    for start in range(0, len(body), size):
        more = start + size < len(body)
        head = struct.pack(">BBHI", 60, 0, start | more, 99)
        pieces.append(make.ipv6(source, target, head + body[start : start + size], protocol=44))
    return pieces


@pytest.mark.parametrize("shuffle", [False, True])
def test_fragments_are_put_together_in_any_order(shuffle: bool) -> None:
    for split, ends in ((fragments, (CLIENT4, SERVER4)), (fragments6, (CLIENT6, SERVER6))):
        conversation = Talk(*ends).open().send(0, b"q" * 900).send(1, ANSWER)
        frames = []
        for frame in conversation.packets:
            pieces = split(frame.data, 64)
            pieces += pieces[:1]  # one comes twice
            if shuffle:
                random.Random(5).shuffle(pieces)
            frames += [Frame(piece, frame.time) for piece in pieces]
        seen = only(make.pcap(frames, 101))
        assert (seen.joined("received"), seen.joined("sent")) == ([b"q" * 900], [ANSWER])


def test_overlapping_and_missing_fragments_are_skipped_and_counted() -> None:
    conversation = Talk().open().send(0, b"q" * 900)
    pieces = fragments(conversation.packets[3].data, 64)
    overlapping = [*pieces[:2], make.ipv4(CLIENT4[0], SERVER4[0], b"z" * 64, fragment=0x2000 | 9), *pieces[3:]]
    for group, why in ((overlapping, "overlapping fragments"), (pieces[:-1], "never became whole")):
        frames = conversation.packets[:3] + [Frame(piece, START + 10**7) for piece in group]
        result = capture(make.pcap(frames, 101))
        assert result.sockets[0].received == []
        assert [mark.code for mark in result.marks] == ["packets-skipped"]
        assert why in result.marks[0].detail


def test_ipv6_extension_headers_are_walked_and_an_atomic_fragment_is_whole() -> None:
    conversation = Talk(CLIENT6, SERVER6).open().send(0, REQUEST)
    frames = []
    for frame in conversation.packets:
        chain = b"\x2b\0" + b"\0" * 6 + b"\x2c\0" + b"\0" * 6 + b"\x33\0\0\0\0\0\0\7" + b"\x06\4" + b"\0" * 22
        frames.append(Frame(make.ipv6(CLIENT6[0], SERVER6[0], chain + frame.data[40:], protocol=0), frame.time))
        source, target = (socket.inet_ntop(socket.AF_INET6, frame.data[at : at + 16]) for at in (8, 24))
        frames[-1].data = make.ipv6(source, target, chain + frame.data[40:], protocol=0)
    assert only(make.pcap(frames, 101)).joined("received") == [REQUEST]


def test_out_of_order_segments_are_put_in_order_and_retransmissions_dropped() -> None:
    conversation = Talk().open().send(0, bytes(range(250)) * 40, size=1000)
    packets = conversation.packets
    packets[3:13] = [packets[4], packets[3], packets[6], packets[8], packets[5], packets[7], *packets[9:13], packets[5]]
    assert only(conversation.file()).joined("received") == [bytes(range(250)) * 40]


def test_sequence_numbers_wrap() -> None:
    conversation = (
        Talk(initial=(0xFFFF_FFFF - 1500, 0xFFFF_FFFF)).open().send(0, b"a" * 5000).send(1, b"b" * 5000).close()
    )
    seen = only(conversation.file())
    assert (seen.joined("received"), seen.joined("sent")) == ([b"a" * 5000], [b"b" * 5000])
    assert seen.ends == ["eof", "shutdown send", "close"]


def test_the_first_seen_bytes_win_and_a_retransmission_that_differs_is_named() -> None:
    conversation = Talk().open()
    conversation.segment(0, ACK, b"first", sequence=1001)
    conversation.segment(0, ACK, b"FIRSTsecond", sequence=1001)
    result = capture(conversation.file())
    assert result.sockets[0].joined("received") == [b"firstsecond"]
    assert [mark.code for mark in result.marks] == ["tcp-overlap"]


def test_overlap_among_held_segments_keeps_the_first_seen_and_is_named() -> None:
    conversation = Talk().open()
    conversation.segment(0, ACK, b"ef", sequence=1005)
    conversation.segment(0, ACK, b"bcdEFgh", sequence=1002)
    conversation.segment(0, ACK, b"a", sequence=1001)
    result = capture(conversation.file())
    assert result.sockets[0].joined("received") == [b"abcdefgh"]
    assert [mark.code for mark in result.marks] == ["tcp-overlap"]


def test_keep_alive_probes_add_nothing() -> None:
    conversation = talk()
    conversation.segment(0, ACK, b"", sequence=conversation.next[0] - 1)
    conversation.segment(0, ACK, b"\0", sequence=conversation.next[0] - 1)
    conversation.send(0, REQUEST)
    result = capture(conversation.file())
    assert result.sockets[0].joined("received") == [REQUEST * 2]
    assert result.marks == []


def test_a_lost_packet_is_a_gap_of_its_size_once_it_was_acknowledged() -> None:
    conversation = Talk().open().send(0, b"a" * 3000)
    del conversation.packets[4]
    assert only(conversation.file()).joined("received") == [b"a" * 1000, (1000, LOST), b"a" * 1000]


def test_a_lost_tail_is_known_from_the_acknowledgement_and_what_follows() -> None:
    conversation = Talk().open().send(0, b"a" * 3000)
    del conversation.packets[5]
    conversation.send(1, ANSWER).send(0, b"b")
    seen = only(conversation.file())
    assert seen.joined("received") == [b"a" * 2000, (1000, LOST), b"b"]
    gap, answer = (
        next(i for i, each in enumerate(seen.events) if test(each))
        for test in (
            lambda each: each.reason == LOST,
            lambda each: each.payload == ANSWER,
        )
    )
    assert gap < answer, "the loss stands before the answer that proves it"


def test_a_lost_fin_is_no_lost_byte() -> None:
    conversation = talk().close()
    packets = [frame for i, frame in enumerate(conversation.packets) if i != len(conversation.packets) - 3]
    assert only(make.pcap(packets, 101)).joined("received") == [REQUEST]


def test_a_lost_last_segment_before_a_seen_fin_is_a_gap_of_its_size() -> None:
    conversation = Talk().open().send(0, b"a" * 1001, size=1000).close()
    del conversation.packets[4]
    seen = only(conversation.file())
    assert seen.joined("received") == [b"a" * 1000, (1, LOST)]
    assert seen.ends[0] == "eof"


def test_one_direction_alone_gives_the_other_as_gaps() -> None:
    conversation = talk().send(0, REQUEST).send(1, ANSWER).close()
    packets = [frame for frame in conversation.packets if frame.data[20:22] == struct.pack(">H", 40000)]
    seen = only(make.pcap(packets, 101))
    assert seen.joined("received") == [REQUEST * 2]
    assert seen.joined("sent") == [(2 * len(ANSWER), LOST)]


def test_a_hole_nobody_acknowledged_is_a_gap_at_the_end() -> None:
    conversation = Talk().open().send(0, b"a" * 3000)
    del conversation.packets[6]  # the acknowledgement
    del conversation.packets[4]
    assert only(conversation.file()).joined("received") == [b"a" * 1000, (1000, LOST), b"a" * 1000]


def test_a_packet_recorded_after_its_acknowledgement_is_waited_for() -> None:
    conversation = talk()
    packets = conversation.packets
    late = packets.pop(3)
    packets.insert(5, Frame(late.data, packets[4].time + 10))  # after the answer, even
    seen = only(make.pcap(packets, 101))
    assert (seen.joined("received"), seen.joined("sent")) == ([REQUEST], [ANSWER])
    order = [each.payload for each in seen.events if each.payload in (REQUEST, ANSWER)]
    assert order == [REQUEST, ANSWER]


def test_a_lost_request_does_not_change_the_times_of_what_follows() -> None:
    conversation = talk()
    del conversation.packets[3]
    conversation.time += 10**10
    conversation.send(0, REQUEST)
    seen = only(conversation.file())
    assert seen.joined("received") == [(len(REQUEST), LOST), REQUEST]
    (answer,) = (each for each in seen.events if each.payload == ANSWER)
    assert answer.time == conversation.packets[4].time


def test_packets_cut_by_the_snap_length_are_sized_gaps_at_their_place() -> None:
    frames = [Frame(frame.data, frame.time, snap=20 + 32 + 100) for frame in Talk().open().send(0, b"a" * 2000).packets]
    seen = only(make.pcap(frames, 101))
    assert seen.received == [b"a" * 100, (900, CUT)] * 2


def test_a_connection_joined_in_the_middle_claims_no_side_and_starts_at_its_first_byte() -> None:
    conversation = talk()
    seen = only(make.pcap(conversation.packets[5:], 101))
    assert seen.flags == Flag.JOINED
    assert seen.joined("sent") == [ANSWER]
    assert seen.facts.local_port == 80


def test_bytes_acknowledged_in_a_joined_connection_but_never_seen_are_a_gap() -> None:
    conversation = talk().send(0, b"q" * 500).send(1, ANSWER)
    packets = conversation.packets[5:]
    del packets[2]
    seen = only(make.pcap(packets, 101))
    assert (seen.joined("received"), seen.joined("sent")) == ([(500, LOST)], [ANSWER * 2])


def test_a_syn_ack_tells_the_server_where_the_syn_is_missing() -> None:
    seen = only(make.pcap(Talk(server=("10.0.0.2", 50000)).open().send(0, REQUEST).packets[1:], 101))
    assert seen.flags == Flag.ACCEPTED
    assert seen.facts.local_port == 50000


def test_a_refused_or_scanned_port_is_no_connection() -> None:
    conversation = Talk()
    conversation.segment(0, SYN, sequence=1000)
    conversation.segment(1, RST | ACK, sequence=0)
    assert capture(conversation.file()).sockets == []


def test_port_reuse_makes_a_second_connection_with_or_without_an_end_of_the_first() -> None:
    for first in (talk(), talk().close(), talk().reset(0)):
        second = Talk(initial=(777_000, 888_000), time=first.time).open().send(0, b"again").close()
        one, two = capture(make.pcap(first.packets + second.packets, 101)).sockets
        assert one.joined("received") == [REQUEST]
        assert one.ends[-1] in ("close", "reset")
        assert two.joined("received") == [b"again"]


def test_port_reuse_is_seen_even_when_the_new_syn_is_not() -> None:
    first = talk().close()
    second = Talk(initial=(777_000_000, 888_000_000), time=first.time).open().send(0, b"again")
    one, two = capture(make.pcap(first.packets + second.packets[3:], 101)).sockets
    assert (one.flags, two.flags) == (Flag.ACCEPTED, Flag.JOINED)
    assert two.joined("received") == [b"again"]


def test_data_in_the_syn_is_the_start_of_the_stream() -> None:
    conversation = Talk()
    conversation.segment(0, SYN, b"fast", sequence=1000)
    conversation.segment(1, SYN | ACK, sequence=5000, ack=1005)
    conversation.next[0] = 1005
    conversation.segment(0, ACK)
    assert only(conversation.send(0, b"open").file()).joined("received") == [b"fastopen"]


def test_a_reset_far_from_the_window_and_data_beyond_it_are_ignored() -> None:
    conversation = talk()
    conversation.segment(0, RST, sequence=conversation.next[0] + (1 << 25))
    conversation.segment(0, ACK, b"noise", sequence=conversation.next[0] + (1 << 30) + 1)
    conversation.send(0, REQUEST)
    result = capture(conversation.file())
    assert result.sockets[0].joined("received") == [REQUEST * 2]
    assert result.sockets[0].ends == []
    assert "outside any TCP window" in result.marks[0].detail


def test_a_truncated_file_gives_what_is_before_and_says_so() -> None:
    file = talk().file()
    for size in (30, 24 + 10, len(file) - 5):
        result = capture(file[:size])
        assert result.end.reason == "input-cut"
        assert result.marks[-1].code == "input-cut"
    with pytest.raises(InputError, match="header cut short"):
        capture(file[:20])


@pytest.mark.parametrize("file", [b"", b"GIF89a" * 9, b"\x0a\x0d"])
def test_another_kind_of_file_is_refused(file: bytes) -> None:
    with pytest.raises(InputError, match="neither a pcap nor a pcapng file"):
        capture(file)


def test_absurd_lengths_are_not_believed() -> None:
    head = make.pcap([], 1)
    assert capture(head + struct.pack("<IIII", 0, 0, 0xFFFFFFF0, 0xFFFFFFF0)).end.reason == "input-cut"
    for length in (0, 8, 13, 0xFFFFFFFC):
        assert capture(make.section() + struct.pack("<II", 6, length) + b"\0" * 64).end.reason == "input-cut"


def test_an_unknown_link_layer_is_counted() -> None:
    assert capture(make.pcap(talk().packets, 147)).marks[0].detail == "7: unknown link type 147"


def test_connections_beyond_the_limit_let_the_oldest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp_module, "MAX_FLOWS", 3)
    packets = []
    for port in range(1, 6):
        packets += Talk(client=("10.0.0.1", port)).open().send(0, REQUEST).packets
    result = capture(make.pcap(packets, 101))
    assert [seen.joined("received") for seen in result.sockets] == [[REQUEST]] * 5
    assert result.marks[0].detail == "2: connections let go for want of room"


def test_a_hole_with_too_much_behind_it_becomes_a_gap() -> None:
    conversation = Talk().open()
    conversation.next[0] += 7
    conversation.send(0, b"z" * (9 << 20), size=60_000)
    del conversation.packets[-1]
    assert only(conversation.file()).joined("received") == [(7, LOST), b"z" * (9 << 20)]


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_segmentation_order_and_duplication_gives_the_same_streams(data: st.DataObject) -> None:
    """Within the window in which an importer waits, nothing that a network does to packets changes the streams."""
    draw = data.draw
    streams = [draw(st.binary(min_size=1, max_size=400)) for _ in range(2)]
    conversation = Talk(initial=(draw(st.integers(0, 2**32 - 1)), draw(st.integers(0, 2**32 - 1)))).open()
    base = list(conversation.next)
    segments = [
        (sender, start, stream[start : start + draw(st.integers(1, 80))])
        for sender, stream in enumerate(streams)
        for start in draw(st.lists(st.integers(0, len(stream) - 1), max_size=6))
    ]
    for sender, stream in enumerate(streams):
        at = 0
        while at < len(stream):
            size = draw(st.integers(1, 100))
            segments.append((sender, at, stream[at : at + size]))
            at += size
    for sender, start, part in draw(st.permutations(segments)):
        conversation.segment(sender, ACK, part, sequence=base[sender] + start, ack=base[1 - sender])
    conversation.next = [base[i] + len(stream) for i, stream in enumerate(streams)]
    result = capture(conversation.close().file())
    (seen,) = result.sockets
    assert (seen.joined("received"), seen.joined("sent")) == ([streams[0]], [streams[1]])
    assert seen.ends == ["eof", "shutdown send", "close"]
    assert result.marks == []


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_losing_packets_gives_gaps_of_exactly_their_sizes(data: st.DataObject) -> None:
    conversation = Talk(initial=(2**32 - 50, 2**31)).open()
    expected: list[list[bytes | tuple[int, Reason]]] = [[], []]
    kept = list(conversation.packets)
    for number in range(data.draw(st.integers(1, 25))):
        sender = data.draw(st.integers(0, 1))
        part = bytes([number]) * data.draw(st.integers(1, 50))
        before = len(conversation.packets)
        conversation.send(sender, part)
        lost = data.draw(st.booleans())
        kept += conversation.packets[before + lost :]
        expected[sender].append((len(part), LOST) if lost else part)
    for sender in (0, 1):  # a byte each, so that a lost last byte cannot be a lost FIN
        before = len(conversation.packets)
        conversation.send(sender, b"!")
        expected[sender].append(b"!")
        kept += conversation.packets[before:]
    (seen,) = capture(make.pcap(kept, 101)).sockets
    for direction, parts in (("received", expected[0]), ("sent", expected[1])):
        assert seen.joined(direction) == Seen(seen.facts, seen.flags, received=list(parts)).joined("received")


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_garbage_gives_a_capture_or_an_input_error(data: st.DataObject) -> None:
    """Random bytes, and captures with random bytes changed, in every layer."""
    link, wrap = LINKS[data.draw(st.sampled_from(sorted(LINKS)))]
    conversation = talk().close()
    tunnel = TUNNELS[data.draw(st.sampled_from(sorted(TUNNELS)))]
    frames = [Frame(wrap(tunnel(frame.data)), frame.time) for frame in conversation.packets]
    file = bytearray(make.pcap(frames, link))
    if data.draw(st.booleans()):
        body = b"".join(make.enhanced(0, frame.time, frame) for frame in frames)
        file = bytearray(make.section() + make.interface(link, options=make.option(9, b"\x09")) + body)
    for _ in range(data.draw(st.integers(0, 12))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(InputError):
        capture(bytes(file[: data.draw(st.integers(0, len(file)))]))


def test_the_container_alone_reads_as_many_packets_as_were_written() -> None:
    import io

    packets = list(PacketFile(Source(io.BytesIO(make.pcap(talk().packets, 101)))))
    assert [packet.original for packet in packets] == [len(frame.data) for frame in talk().packets]
