"""Stream rows become sockets, bytes, gaps and ends; anything else is refused with its line."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capfile.event import Flag, Reason
from replay.cli import main
from replay.importers.errors import InputError
from replay.importers.streams import read_streams
from tests.importers.reading import imported, read_back

OPEN = {"conn": 0, "open": 1.5, "client": ["10.0.0.1", 4000], "server": ["10.0.0.2", 80], "syn": True}


def data(offset: int, content: bytes, direction: str = "c2s", time: float = 2.0) -> dict[str, Any]:
    return {"conn": 0, "ts": time, "dir": direction, "off": offset, "data": base64.b64encode(content).decode()}


def gap(offset: int, length: int) -> dict[str, Any]:
    return {"conn": 0, "ts": 2.0, "dir": "c2s", "off": offset, "gap": length}


def end(direction: str, how: str, time: float = 3.0) -> dict[str, Any]:
    return {"conn": 0, "ts": time, "dir": direction, "ev": how}


def lines(*rows: Any) -> bytes:
    return b"".join((row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows)


def test_a_conversation_becomes_one_accepted_socket_with_its_addresses_times_and_ends() -> None:
    rows = lines(OPEN, data(0, b"hello"), data(0, b"world!", "s2c", 2.5), end("c2s", "fin"), end("s2c", "fin", 4))
    capture = imported(read_streams, rows)
    (seen,) = capture.sockets
    assert (seen.received, seen.sent) == ([b"hello"], [b"world!"])
    assert seen.ends == ["eof", "shutdown send", "close"]
    assert seen.flags == Flag.ACCEPTED
    assert seen.facts.local_address[:4] == socket.inet_aton("10.0.0.2")
    assert (seen.facts.local_port, seen.facts.remote_port) == (80, 4000)
    assert [each.time for each in seen.events[:3]] == [1_500_000_000, 2_000_000_000, 2_500_000_000]


def test_a_connection_without_syn_is_joined() -> None:
    (seen,) = imported(read_streams, lines(OPEN | {"syn": False})).sockets
    assert seen.flags == Flag.ACCEPTED | Flag.JOINED


def test_ipv6_and_unix_addresses_are_kept() -> None:
    six = OPEN | {"client": ["fe80::1", 1], "server": ["::1", 2]}
    unix = OPEN | {"conn": 1, "client": "", "server": "/run/x.sock"}
    first, second = imported(read_streams, lines(six, unix)).sockets
    assert (first.facts.family, first.facts.local_address) == (10, socket.inet_pton(socket.AF_INET6, "::1"))
    assert (second.facts.family, second.facts.local_path.rstrip(b"\0")) == (1, b"/run/x.sock")


def test_gaps_jumps_and_repeated_bytes_are_sized_exactly() -> None:
    rows = lines(OPEN, data(0, b"abc"), gap(3, 10), data(11, b"XYlater"), data(25, b"end"), gap(20, 8))
    (seen,) = imported(read_streams, rows).sockets
    lost = Reason.PACKET_LOSS
    assert seen.received == [b"abc", (10, lost), b"later", (7, lost), b"end"]


def test_bytes_after_the_end_of_their_direction_are_marked_and_not_kept() -> None:
    capture = imported(read_streams, lines(OPEN, data(0, b"abc"), end("c2s", "rst"), data(3, b"d"), end("s2c", "fin")))
    assert capture.sockets[0].received == [b"abc"]
    assert capture.sockets[0].ends == ["reset"]
    assert [mark.code for mark in capture.marks] == ["bytes-after-end"]


def test_a_large_row_is_split_into_parts_that_join_up() -> None:
    content = bytes(range(256)) * 512
    (seen,) = imported(read_streams, lines(OPEN, data(0, content))).sockets
    assert len(seen.received) == 4
    assert seen.joined("received") == [content]


def test_gzip_is_unpacked_and_a_cut_gzip_file_is_an_error() -> None:
    packed = gzip.compress(lines(OPEN, data(0, b"abc")))
    assert imported(read_streams, packed).sockets[0].received == [b"abc"]
    with pytest.raises(InputError, match="gzip"):
        imported(read_streams, packed[:-12])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b"{", "line 2: not JSON"),
        (b"\xff", "line 2: not JSON"),
        (b"[]", "line 2: a row must be a JSON object"),
        (b"[" * 100_000, "line 2: nested too deeply"),
        ({}, "line 2: conn is missing"),
        ({"conn": None}, "line 2: conn must be"),
        (OPEN, "line 2: connection 0 is opened twice"),
        (OPEN | {"conn": 1, "client": ["::1", 1]}, "different address families"),
        (OPEN | {"conn": 1, "client": ["::1", 65536]}, "client: a port is a number between 0 and 65535, not 65536"),
        (OPEN | {"conn": 1, "client": 7}, "client must be [ip, port] or a path, not 7"),
        (OPEN | {"conn": 1, "client": ["x", 1]}, 'client: "x" is no IP address'),
        (OPEN | {"conn": 1, "open": float("nan")}, "open must be between"),
        (OPEN | {"conn": 1, "open": "now"}, 'open must be a number of seconds, not "now"'),
        (data(0, b"") | {"conn": 9}, "connection 9 was not opened"),
        (data(0, b"") | {"dir": "up"}, 'dir must be "c2s" or "s2c", not "up"'),
        (data(0, b"") | {"dir": []}, "dir must be"),
        (data(0, b"") | {"data": "%"}, "data is not base64"),
        (data(0, b"") | {"data": 1}, "data is not base64"),
        (gap(0, -1), "gap must be"),
        (gap(1 << 63, 1), "off must be"),
        (gap(True, 1), "off must be"),
        (end("c2s", "psh"), 'ev must be "fin" or "rst", not "psh"'),
    ],
)
def test_a_row_of_another_shape_is_refused_with_its_line_number(row: Any, message: str) -> None:
    with pytest.raises(InputError, match=r"^line 2: ") as caught:
        imported(read_streams, lines(OPEN, row))
    assert message in str(caught.value)
    assert caught.value.line == 2


@settings(deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([lines(OPEN), lines(data(0, b"x")), b"\x1f\x8b"]))))
def test_garbage_gives_a_capture_or_an_input_error(pieces: list[bytes]) -> None:
    with contextlib.suppress(InputError):
        imported(read_streams, b"".join(pieces))


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=300), st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), max_size=20))
def test_any_rows_of_one_stream_give_its_bytes_and_exact_gaps(stream: bytes, ranges: list[tuple[int, int]]) -> None:
    """Every row that begins at or before the known end adds; the rest of the story is gaps, and nothing moves."""
    rows = [data(min(a, b), stream[min(a, b) : max(a, b)]) for a, b in ranges]
    (seen,) = imported(read_streams, lines(OPEN, *rows)).sockets
    position = 0
    for part in seen.received:
        if isinstance(part, bytes):
            assert part == stream[position : position + len(part)]
        position += len(part) if isinstance(part, bytes) else part[0]
    assert position == max((row["off"] + len(base64.b64decode(row["data"])) for row in rows), default=0)


def test_the_command_writes_a_private_file_and_does_not_overwrite(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_bytes(lines(OPEN, data(0, b"abc")))
    out = tmp_path / "out.cap"
    assert main(["import", "streams", str(rows), "-o", str(out)]) == 0
    assert out.stat().st_mode & 0o777 == 0o600
    assert read_back(out.read_bytes()).sockets[0].received == [b"abc"]
    assert main(["import", "streams", str(rows), "-o", str(out)]) == 2
    assert main(["import", "streams", str(rows), "-o", str(out), "--force"]) == 0
    assert main(["import", "streams", str(out), "-o", str(out), "--force"]) == 2
    assert main(["import", "streams", str(rows), "-o", "/dev/null"]) == 0


def test_the_command_leaves_no_file_behind_when_the_input_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_bytes(lines(OPEN, b"what?"))
    assert main(["import", "streams", str(rows), "-o", str(tmp_path / "out.cap")]) == 3
    assert "line 2" in capsys.readouterr().err
    assert not (tmp_path / "out.cap").exists()
