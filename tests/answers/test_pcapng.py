"""pcapng: tshark reads it without complaint, its exchanges agree with ours, and holes are holes."""

import io
import ipaddress
import itertools
import json
import re
import shutil
import struct
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

import replay
from capfile.event import Direction, Reason
from replay.cli import main
from replay.output import pcapng
from replay.output.synthetic_tcp import checksum, endpoints
from replay.pipeline import passages
from replay.source import recordings
from tests.answers import hostile, shop
from tests.answers.examples import CONNECTION
from tests.build import Capture

needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark (apt-get install tshark)")
GET = b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n"


def packets(path):
    recording = recordings([str(path)])[0]
    return [(passage, packet) for passage, packet in pcapng.packets(passages(recording))]


def converted(path):
    out = path.with_suffix(".pcapng")
    assert main(["show", str(path), "--format", "pcapng", "-o", str(out)]) == 0
    return out


def tshark(path, *words):
    command = ["tshark", "-n", "-r", str(path), "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def complaints(path):
    return tshark(path, "-Y", "tcp.analysis.flags or _ws.malformed or _ws.expert.severity >= 0x600000")


def agreed(path, out):
    """Both sides' (method, target) and status lists, by connection."""
    rows = tshark(out, "-Y", "http", "-T", "json", "-e", "tcp.stream", "-e", "http.request.method",
                  "-e", "http.request.uri", "-e", "http.response.code")  # fmt: skip
    theirs = {"request": [], "response": []}
    for row in json.loads(rows):
        layers = row["_source"]["layers"]
        stream = layers["tcp.stream"][0]
        for method, uri in zip(layers.get("http.request.method", []), layers.get("http.request.uri", []), strict=True):
            theirs["request"].append((stream, method, uri))
        theirs["response"] += [(stream, int(code)) for code in layers.get("http.response.code", [])]
    streams = {}
    ours = {"request": [], "response": []}
    for exchange in replay.open(path):
        stream = streams.setdefault(exchange.connection.id, str(len(streams)))
        if exchange.request:
            ours["request"].append((stream, exchange.request.method, exchange.request.target))
        if exchange.response:
            ours["response"].append((stream, exchange.response.status))
    return ours, theirs


@needs_tshark
def test_tshark_agrees_and_has_nothing_to_complain_about(tmp_path):
    path = shop.record(tmp_path / "shop.cap")
    out = converted(path)
    assert complaints(out) == ""
    ours, theirs = agreed(path, out)
    assert ours == theirs


@needs_tshark
@pytest.mark.parametrize("address", ["[::1]:80", "/run/app.sock", "10.0.0.9:8080"])
def test_every_family_large_bodies_and_pipelining_are_read(tmp_path, address):
    capture = Capture()
    one = capture.process(7, comm="server").accept(address, *(["[::1]:4000"] if address[0] == "[" else []))
    one.receive(GET % 1 + GET % 2).send(b"HTTP/1.1 204 No Content\r\n\r\n")
    body = bytes(range(256)) * 800
    one.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)).send(body)
    one.receive(b"POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(body)).receive(body)
    one.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n").close()
    path = capture.write(tmp_path / "x.cap")
    out = converted(path)
    assert complaints(out) == ""
    ours, theirs = agreed(path, out)
    assert sorted(ours["request"]) == sorted(theirs["request"])
    assert ours["response"] == theirs["response"]


@needs_tshark
def test_a_hole_is_missing_in_the_sequence_numbers_and_named_in_a_comment(tmp_path):
    capture = Capture()
    one = capture.process(7).accept()
    one.receive(GET % 1).send(b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n").gap(50_000, Reason.SENDFILE)
    one.receive(GET % 2).send(b"HTTP/1.1 204 No Content\r\n\r\n").close()
    out = converted(capture.write(tmp_path / "x.cap"))
    assert len(tshark(out, "-Y", "tcp.analysis.lost_segment").splitlines()) == 1
    assert "not captured: 50000 bytes of the response direction (sendfile)" in tshark(out, "-Y", "frame.comment", "-V")
    last = tshark(out, "-Y", "tcp.len > 0 and tcp.srcport == 80", "-T", "fields", "-e", "tcp.seq").split()
    assert int(last[1]) - int(last[0]) == 50_000 + len(b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n")


@needs_tshark
def test_joined_reused_and_reset_connections_are_told_apart(tmp_path):
    capture = Capture()
    server = capture.process(7)
    for number in (1, 2, 3):
        server.accept().receive(GET % number).send(b"HTTP/1.1 204 No Content\r\n\r\n").close()
    joined = server.joined("127.0.0.1:80", "127.0.0.1:41000")
    joined.receive(GET % 4).send(b"HTTP/1.1 204 No Content\r\n\r\n")
    path = capture.write(tmp_path / "x.cap")
    out = converted(path)
    ours, theirs = agreed(path, out)
    assert ours == theirs
    assert len(tshark(out, "-Y", "tcp.flags.syn == 1 and tcp.flags.ack == 0").splitlines()) == 3
    assert "retransmission" not in tshark(out).lower()


@needs_tshark
def test_times_are_the_recorded_ones_in_ns(tmp_path):
    path = shop.record(tmp_path / "shop.cap")
    first = tshark(converted(path), "-Y", 'http.request.uri contains "pay"', "-T", "fields", "-e", "frame.time_epoch")
    started = replay.open(path).first().started_at
    assert first.strip() == f"{started // 10**9}.{started % 10**9:09d}"


@needs_tshark
def test_the_process_stands_in_the_first_packet_s_comment(tmp_path):
    out = converted(shop.record(tmp_path / "shop.cap"))
    found = [line.strip() for line in tshark(out, "-c", "1", "-V").splitlines()]
    assert "connection 1, server shop[100], /usr/bin/shop" in found


def test_our_own_importer_reads_the_same_exchanges_from_it(tmp_path):
    path = shop.record(tmp_path / "shop.cap")
    again = tmp_path / "again.cap"
    assert main(["import", "pcap", str(converted(path)), "-o", str(again)]) == 0
    facts = [
        [
            (e.request.method, e.request.target, e.response.status, e.response.body.data, e.started_at)
            for e in replay.open(p)
        ]
        for p in (path, again)
    ]
    assert facts[0] == facts[1]


def test_a_filter_chooses_connections_and_repeated_runs_give_the_same_bytes(tmp_path, capfdbinary):
    path = str(shop.record(tmp_path / "shop.cap"))
    outs = []
    for words in ([], [], ["--filter", 'path == "/health"']):
        assert main(["show", path, "--format", "pcapng", *words]) == 0
        outs.append(capfdbinary.readouterr().out)
    assert outs[0] == outs[1]
    assert b"GET /health" in outs[2]
    assert b"GET /cart" not in outs[2]


def test_hostile_process_facts_are_escaped_in_comments(tmp_path):
    capture = Capture()
    evil = capture.process(1, comm="\x1b[31m", exe=hostile.ESCAPES)
    evil.accept("/run/\x1b[2J.sock").receive(GET % 1).close()
    comments = [packet.comment for _, packet in packets(capture.write(tmp_path / "x.cap"))]
    raw = io.BytesIO()
    pcapng.write(passages(recordings([str(tmp_path / "x.cap")])[0]), raw)
    assert any("\x1b" in comment for comment in comments)
    assert b"\x1b" not in raw.getvalue()


def test_bytes_and_positions_are_all_there(tmp_path):
    capture = Capture()
    one = capture.process(7).accept()
    one.receive(GET % 1).gap(5, direction=Direction.RECEIVE).receive(b"x" * 40_000).send(b"y" * 70_000).close()
    seen = {"request": {}, "response": {}}
    for _, packet in packets(capture.write(tmp_path / "x.cap")):
        header = packet.data[20:]
        offset = header[12] >> 4 << 2
        sequence = struct.unpack_from(">I", header, 4)[0]
        if data := header[offset:]:
            seen[packet.flow][sequence] = data
    request = sorted(seen["request"].items())
    assert [b[0] - a[0] - len(a[1]) for a, b in itertools.pairwise(request)] == [5, 0, 0]
    assert b"".join(data for _, data in request) == GET % 1 + b"x" * 40_000
    assert b"".join(data for _, data in sorted(seen["response"].items())) == b"y" * 70_000


@given(st.binary(max_size=100))
def test_the_checksum_of_data_with_its_checksum_is_zero(data):
    """RFC 1071 §1: the sum over everything, the checksum included, is all ones."""
    even = data + b"\0" * (len(data) % 2)
    assert checksum(even + struct.pack(">H", checksum(data))) == 0


@pytest.mark.parametrize(
    ("client", "server", "family", "made_up"),
    [
        ("127.0.0.1:4000", "10.0.0.1:80", 4, False),
        ("[::1]:4000", "[fe80::1%eth0]:80", 6, False),
        ("", "127.0.0.1:80", 6, True),
        ("127.0.0.1:4000", "[::1]:80", 6, True),
        ("", "/run/x.sock", 6, True),
        ("1.2.3:99999", "x:y", 6, True),
    ],
)
def test_addresses_that_no_packet_can_have_are_made_up_and_said_so(client, server, family, made_up):
    from msgspec.structs import replace

    found = endpoints(replace(CONNECTION, client=client, server=server), 3)
    assert found[0] == family
    assert bool(re.search("made up", found[3])) is made_up
    assert (ipaddress.ip_address(found[2][0]) in ipaddress.ip_network("100::/64")) is made_up
