"""Recordings to exchanges: sides, both ends, processes, protocols, and that nothing but the content decides."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capfile.event import Direction, Flag
from capfile.frames import End
from replay.connections import SidePolicy
from replay.dispatch import Result
from replay.exchange import Exchange, OpaqueConnection
from replay.pipeline import exchanges
from replay.source import recordings
from tests.build import Capture, RecordedSocket, file_bytes

GET = b"GET %s HTTP/1.1\r\nHost: here\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"
TLS_HELLO = b"\x16\x03\x01\x00\x20\x01" + bytes(31)


def ask(socket: RecordedSocket, target: bytes = b"/", body: bytes = b"hello") -> RecordedSocket:
    """One exchange as a server sees it."""
    return socket.receive(GET % target).send(OK % (len(body), body))


def results(capture: Capture, path: Path, side: SidePolicy = "auto") -> list[Result]:
    recording = recordings([str(capture.write(path / "capture.cap"))])[0]
    items = list(exchanges(recording, side))
    recording.close()
    return items


def shown(items: list[Result]) -> list[tuple[str, str, int | None]]:
    """(id, target, status) of the exchanges."""
    return [
        (item.id, item.request.target if item.request else "", item.response.status if item.response else None)
        for item in items
        if isinstance(item, Exchange)
    ]


def one(items: list[Result]) -> Exchange:
    assert len(items) == 1
    assert isinstance(items[0], Exchange)
    return items[0]


def test_an_accepted_connection_is_the_servers_and_its_exchanges_are_numbered(tmp_path: Path) -> None:
    capture = Capture()
    ask(ask(capture.process(100).accept(), b"/a"), b"/b").close()
    items = results(capture, tmp_path)
    assert shown(items) == [("1-1", "/a", 200), ("1-2", "/b", 200)]
    assert items[0].connection.side == "server"
    assert (items[0].connection.client, items[0].connection.server) == ("127.0.0.1:40000", "127.0.0.1:80")


def test_a_connected_socket_is_the_clients_and_its_addresses_are_not_swapped(tmp_path: Path) -> None:
    capture = Capture()
    capture.process(100, comm="curl").connect().send(GET % b"/").receive(OK % (2, b"hi")).close()
    exchange = one(results(capture, tmp_path))
    assert exchange.connection.side == "client"
    assert (exchange.connection.client, exchange.connection.server) == ("127.0.0.1:40000", "127.0.0.1:80")
    assert exchange.complete


@pytest.mark.parametrize("flags", [0, Flag.JOINED])
def test_without_accept_or_connect_the_side_is_known_by_who_asks(tmp_path: Path, flags: int) -> None:
    capture = Capture()
    process = capture.process(100)
    ask(process._open("10.0.0.1:50000", "10.0.0.2:50001", Flag(flags)))
    process._open("10.0.0.1:50000", "10.0.0.2:50001", Flag(flags)).send(GET % b"/").receive(OK % (0, b""))
    assert [item.connection.side for item in results(capture, tmp_path)] == ["server", "client"]


def test_joined_in_the_middle_of_a_response_the_next_exchange_is_still_found(tmp_path: Path) -> None:
    capture = Capture()
    ask(capture.process(100).joined().send(b"the end of a body"), b"/next").close()
    items = results(capture, tmp_path)
    assert ("/next", 200) in [(target, status) for _, target, status in shown(items)]
    assert items[0].connection.joined_midstream


@pytest.mark.parametrize(
    ("at", "client", "family"),
    [
        ("127.0.0.1:80", "127.0.0.1:40000", "inet"),
        ("[::1]:80", "[::1]:40000", "inet6"),
        ("/run/app.sock", "", "unix"),
        ("@abstract", "", "unix"),
    ],
)
def test_one_exchange_recorded_at_both_ends_is_shown_once(tmp_path: Path, at: str, client: str, family: str) -> None:
    capture = Capture()
    ends = capture.pair(capture.process(1, comm="curl"), capture.process(2, comm="nginx"), at, client or "@unnamed")
    ends.request(GET % b"/").response(OK % (2, b"hi")).close()
    exchange = one(results(capture, tmp_path))
    assert (exchange.connection.side, exchange.connection.server, exchange.connection.family) == ("server", at, family)


def test_a_mapped_address_is_written_as_the_ipv4_address_it_is_and_pairs_with_it(tmp_path: Path) -> None:
    capture = Capture()
    client, server = capture.process(1), capture.process(2)
    connecting = client.connect("127.0.0.1:80", "127.0.0.1:40000")
    accepted = server.accept("[::ffff:127.0.0.1]:80", "[::ffff:127.0.0.1]:40000")
    connecting.send(GET % b"/")
    ask(accepted)
    connecting.receive(OK % (5, b"hello"))
    exchange = one(results(capture, tmp_path))
    assert (exchange.connection.server, exchange.connection.side) == ("127.0.0.1:80", "server")


@pytest.mark.parametrize(("side", "expected"), [("both", ["client", "server"]), ("client", ["client"])])
def test_the_side_can_be_chosen(tmp_path: Path, side: SidePolicy, expected: list[str]) -> None:
    capture = Capture()
    ends = capture.pair(capture.process(1), capture.process(2))
    ends.request(GET % b"/").response(OK % (2, b"hi")).close()
    assert sorted(item.connection.side for item in results(capture, tmp_path, side)) == expected


def test_equal_loopback_addresses_in_two_network_namespaces_are_two_connections(tmp_path: Path) -> None:
    capture = Capture()
    connecting = capture.process(1).connect(netns=1).send(GET % b"/")
    ask(capture.process(2).accept(netns=2))
    connecting.receive(OK % (0, b""))
    assert len(results(capture, tmp_path)) == 2


def test_the_process_is_the_one_that_serves_not_the_one_that_accepted(tmp_path: Path) -> None:
    capture = Capture()
    master = capture.process(100, comm="gunicorn")
    worker = master.fork(101)
    ask(master.accept().by(worker)).close()
    process = one(results(capture, tmp_path)).process
    assert process is not None
    assert (process.pid, process.comm) == (101, "gunicorn")


def test_facts_read_after_the_event_still_belong_to_the_program_that_ran_then(tmp_path: Path) -> None:
    """The recorder reads /proc a little late; an exec in between is another program."""
    capture = Capture()
    shell = capture.process(100, comm="sh")
    ask(shell.accept(), b"/shell").close()
    shell.exec("python3")
    ask(shell.accept(), b"/python").close()
    capture.process(100, comm="python3", exe="/usr/bin/python3.13")
    found = [item.process for item in results(capture, tmp_path)]
    assert [(p.comm, p.exe) for p in found if p] == [("sh", "/usr/bin/sh"), ("python3", "/usr/bin/python3.13")]


def test_tls_is_listed_with_its_byte_counts_and_not_read_as_http(tmp_path: Path) -> None:
    capture = Capture()
    capture.process(100).accept().receive(TLS_HELLO).gap(100).send(b"\x17\x03\x03\x00\x05hello").close()
    (item,) = results(capture, tmp_path)
    assert isinstance(item, OpaqueConnection)
    assert (item.protocol, item.request_bytes, item.response_bytes, item.missing_bytes) == ("tls", 37, 110, 100)


def test_a_protocol_is_recognised_from_single_bytes_too(tmp_path: Path) -> None:
    capture = Capture()
    socket = capture.process(100).accept()
    for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":
        socket.receive(bytes([byte]))
    socket.close()
    (item,) = results(capture, tmp_path)
    assert isinstance(item, OpaqueConnection)
    assert (item.protocol, item.request_bytes) == ("http/2", 24)


def test_after_a_switch_to_websocket_the_rest_is_counted_apart(tmp_path: Path) -> None:
    capture = Capture()
    upgrade = b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    socket = capture.process(100).accept().receive(b"GET /ws HTTP/1.1\r\n" + upgrade)
    socket.send(b"HTTP/1.1 101 Switching Protocols\r\n" + upgrade + b"abc").receive(b"12345").send(b"d").close()
    exchange, rest = results(capture, tmp_path)
    assert isinstance(exchange, Exchange)
    assert isinstance(rest, OpaqueConnection)
    assert (rest.protocol, rest.request_bytes, rest.response_bytes) == ("websocket", 5, 4)


def test_a_tunnel_begins_behind_the_answer_to_connect(tmp_path: Path) -> None:
    capture = Capture()
    socket = capture.process(100).accept().receive(b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n")
    socket.send(b"HTTP/1.1 200 OK\r\n\r\n").receive(TLS_HELLO).send(bytes(10)).close()
    _, rest = results(capture, tmp_path)
    assert isinstance(rest, OpaqueConnection)
    assert (rest.protocol, rest.request_bytes, rest.response_bytes) == ("tunnel", 37, 10)


def test_a_connection_without_a_byte_is_nothing_to_show(tmp_path: Path) -> None:
    capture = Capture()
    capture.process(100).accept().close()
    assert results(capture, tmp_path) == []


def test_a_hole_of_lost_records_is_a_problem_of_the_exchange_it_is_in(tmp_path: Path) -> None:
    capture = Capture()
    socket = capture.process(100).accept().receive(GET % b"/").send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
    ask(socket.lose(10), b"/next").close()
    first, second = results(capture, tmp_path)
    assert isinstance(first, Exchange)
    assert isinstance(second, Exchange)
    assert (first.completeness, second.completeness) == ("gap", "complete")
    assert [(p.reason, p.length) for p in first.problems] == [("ring-full", 10)]


def test_bytes_lost_between_and_behind_messages_are_listed_too(tmp_path: Path) -> None:
    capture = Capture()
    ask(capture.process(100).accept()).gap(77).close()
    exchange, rest = results(capture, tmp_path)
    assert isinstance(exchange, Exchange)
    assert isinstance(rest, OpaqueConnection)
    assert (exchange.complete, rest.protocol, rest.missing_bytes) == (True, "http/1", 77)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 1 << 32), cpus=st.integers(1, 4), drain=st.integers(1, 60))
def test_any_chunking_and_any_cpus_give_the_same_exchanges(
    tmp_path_factory: pytest.TempPathFactory, seed: int, cpus: int, drain: int
) -> None:
    folder = tmp_path_factory.mktemp("pipeline")
    chance = random.Random(seed)
    capture = Capture(drain_every=drain).spread(lambda _: chance.randrange(cpus))
    for number in range(3):
        socket = capture.process(100 + number).accept()
        for data, direction in (
            (GET % b"/a" + GET % b"/b", Direction.RECEIVE),
            (OK % (5, b"hello") + OK % (0, b""), Direction.SEND),
        ):
            while data:
                size = chance.randint(1, len(data))
                (socket.receive if direction == Direction.RECEIVE else socket.send)(data[:size])
                data = data[size:]
        socket.close()
    assert [row[1:] for row in shown(results(capture, folder))] == [("/a", 200), ("/b", 200)] * 3


def test_segments_of_one_recording_are_read_as_one_in_any_order_of_their_names(tmp_path: Path) -> None:
    capture = Capture(drain_every=1)
    ask(ask(capture.process(100).accept(), b"/a"), b"/b").close()
    frames = capture.frames()
    cut = len(frames) // 2
    first = [*frames[:cut], End(time=capture.time, reason="rotated", frames=cut + 1, next_segment=True)]
    (tmp_path / "b.cap").write_bytes(file_bytes(first))
    (tmp_path / "a.cap").write_bytes(file_bytes([replace(capture.header, segment=1), *frames[cut:]]))
    found = recordings([str(tmp_path / "a.cap"), str(tmp_path / "b.cap")])
    assert len(found) == 1
    assert shown(list(exchanges(found[0]))) == [("1-1", "/a", 200), ("1-2", "/b", 200)]


def test_what_is_appended_while_a_file_is_read_is_left_for_later(tmp_path: Path) -> None:
    """Several readings of one recording, in several processes perhaps, agree on where it ends."""
    capture = Capture(drain_every=1)
    ask(ask(capture.process(100).accept(), b"/a"), b"/b").close()
    whole = file_bytes(capture.frames())
    path = tmp_path / "grows.cap"
    path.write_bytes(whole[: len(whole) * 2 // 3])
    before = list(exchanges(recordings([str(path)])[0]))
    recording = recordings([str(path)])[0]
    recording.outlook()
    path.write_bytes(whole)
    assert list(exchanges(recording)) == before
    assert shown(before) != shown(list(exchanges(recordings([str(path)])[0])))
