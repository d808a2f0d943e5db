"""`ebpf-replay import` on what is not the recording it was said to be: one line that names the file and says what it
is, the documented status, nothing written."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from replay.cli import main
from replay.commands.import_ import READERS
from tests.build import Capture
from tests.importers import packet_files as make
from tests.importers.packet_files import Frame, Talk

every_importer = pytest.mark.parametrize("kind", sorted(READERS))
PACKETS = Talk().open().send(0, b"GET / HTTP/1.1\r\n\r\n").close().file()
ROWS = json.dumps({"conn": 0, "open": 1, "client": ["10.0.0.1", 4000], "server": ["10.0.0.2", 80]}).encode() + b"\n"
LOG = b'12:00:00.1 connect(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("10.0.0.2")}, 16) = 0\n'
LOG = b"12:00:00.0 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3\n" + LOG + b"12:00:00.2 close(3) = 0\n"
RIGHT = {"pcap": PACKETS, "strace": LOG, "streams": ROWS}

# content -> what the message says of it, whoever was asked to read it
ALIEN: dict[bytes, str] = {
    b"": "it is empty",
    bytes(range(256)) * 40: "",
    b"hello\nworld\n": "",
    b"\xff\xfe" * 99: "",
    Capture().bytes(): "it is a capture file already",
    lzma.compress(PACKETS): "it is compressed with xz",
    bz2.compress(PACKETS): "it is compressed with bzip2",
    b"\x28\xb5\x2f\xfd" + bytes(99): "it is compressed with zstd",
    b"snoop\0\0\0" + bytes(99): "it is a packet capture of snoop",
    gzip.compress(b"")[:5]: "the gzip data break off",
    gzip.compress(PACKETS)[:10] + b"\xff" * 99: "the gzip data are damaged",
    gzip.compress(b"hello\nworld\n"): "",
    PACKETS[:20]: "header cut short",
}


def refused(kind: str, path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What is said of an input that cannot be imported, with all that must be so."""
    out = path.parent / "out.cap"
    assert main(["import", kind, str(path), "-o", str(out)]) == 3
    said = capsys.readouterr().err
    assert said.startswith(f"ebpf-replay: {path}: ")
    assert said.count("\n") == 1
    assert not out.exists()
    for raw in ("Error", "codec", "Errno", "invalid", "expected", "b'"):
        assert raw not in said, "Python's own words"
    return said


@every_importer
@pytest.mark.parametrize("content", ALIEN, ids=range(len(ALIEN)))
def test_what_is_no_recording_is_named_and_described(
    kind: str, content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "input"
    path.write_bytes(content)
    said = refused(kind, path, capsys)
    assert ALIEN[content] in said or (kind != "pcap" and content == PACKETS[:20] and "import pcap" in said)


@every_importer
@pytest.mark.parametrize("other", sorted(READERS))
def test_a_recording_of_another_kind_is_told_by_its_beginning(
    kind: str, other: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for content in (RIGHT[other], gzip.compress(RIGHT[other])):
        path = tmp_path / "input"
        path.write_bytes(content)
        if kind == other:
            assert main(["import", kind, str(path), "-o", str(tmp_path / "out"), "--force"]) == 0
            assert capsys.readouterr().err == ""
        else:
            assert f"import {other}\n" in refused(kind, path, capsys)


@every_importer
def test_files_that_cannot_be_read_are_named_with_the_reason(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "No such file" in refused(kind, tmp_path / "missing", capsys)
    (tmp_path / "folder").mkdir()
    assert "Is a directory" in refused(kind, tmp_path / "folder", capsys)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"hello\n")))
    assert main(["import", kind, "-", "-o", str(tmp_path / "out.cap")]) == 3
    assert capsys.readouterr().err.startswith("ebpf-replay: standard input: ")


# what is a recording, but holds no connection -> what is said of it
EMPTY: dict[str, tuple[str, Callable[[], bytes], list[str]]] = {
    "no packet": ("pcap", lambda: make.pcap([], 1), []),
    "no packet in pcapng": ("pcap", lambda: make.section() + make.interface(1), []),
    "UDP alone": (
        "pcap",
        lambda: make.pcap([Frame(make.ipv4("10.0.0.1", "10.0.0.2", make.udp(53, 53, b"x"), protocol=17))] * 2, 101),
        ["2 packets skipped: not TCP"],
    ),
    "ARP alone": (
        "pcap",
        lambda: make.pcap([Frame(b"\2" * 12 + b"\x08\x06" + bytes(46))], 1),
        ["1 packet skipped: no IP packet"],
    ),
    "USB": ("pcap", lambda: make.pcap([Frame(bytes(64))], 189), ["1 packet skipped: unknown link type 189"]),
    "no socket": ("strace", lambda: b'openat(AT_FDCWD, "/x", O_RDONLY) = 3\nread(3, "x", 1) = 1\n', []),
}


@pytest.mark.parametrize("name", EMPTY)
def test_a_recording_without_a_connection_is_imported_and_status_1_says_so(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind, content, remarks = EMPTY[name]
    path = tmp_path / "input"
    path.write_bytes(content())
    assert main(["import", kind, str(path), "-o", str(tmp_path / "out.cap")]) == 1
    expected = [f"ebpf-replay: {path}: {remark}" for remark in (*remarks, "no connection is in it")]
    assert capsys.readouterr().err.splitlines() == expected
    assert main(["verify", str(tmp_path / "out.cap")]) == 0


def test_a_retransmission_that_differs_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    talk = Talk().open()
    for data in (b"GET /one HTTP/1.1\r\n\r\n", b"GET /two HTTP/1.1\r\n\r\n"):
        talk.segment(0, make.ACK, data, sequence=1001)
    path = tmp_path / "input"
    path.write_bytes(talk.file())
    assert main(["import", "pcap", str(path), "-o", str(tmp_path / "out.cap")]) == 0
    assert "1 connection in which a retransmission says something else" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["cut", "cut gzip"])
def test_what_breaks_off_is_imported_up_to_there_and_named(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "input"
    path.write_bytes(PACKETS[:-7] if name == "cut" else gzip.compress(PACKETS)[:-9])
    assert main(["import", "pcap", str(path), "-o", str(tmp_path / "out.cap")]) == 0
    assert f"{path}: the {'input breaks' if name == 'cut' else 'gzip data break'} off" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"hello\n", make.pcap([], 1)], ids=["no recording", "no connection"])
def test_a_files_name_does_nothing_to_a_terminal(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a\x1b[2J\n.pcap"
    path.write_bytes(content)
    assert main(["import", "pcap", str(path), "-o", str(tmp_path / "out.cap")]) in (1, 3)
    said = capsys.readouterr().err
    assert r"a\x1b[2J\x0a.pcap" in said
    assert said.count("\n") == 1


@every_importer
def test_the_same_input_gives_the_same_bytes(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(RIGHT[kind])
    for name in "ab":
        assert main(["import", kind, str(path), "-o", str(tmp_path / name)]) == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
