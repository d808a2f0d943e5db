"""`ebpf-replay FILE`: formats, escapes, widths, output files, and one clear line for what cannot be shown."""

import io
import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capfile.frames import Frame
from replay.cli import main
from replay.output import table
from tests.build import Capture, Target, file_bytes
from tests.replay.test_follow import busy
from tests.replay.test_pipeline import GET, ask, results


@pytest.fixture
def capture_file(tmp_path: Path) -> Path:
    capture = Capture()
    ask(ask(capture.process(100, comm="nginx").accept(), b"/a"), b"/b").close()
    return capture.write(tmp_path / "a.cap")


def test_a_file_alone_is_shown_as_a_table(capture_file: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main([str(capture_file)]) == 0
    heading, first, second = capsysbinary.readouterr().out.decode().splitlines()
    assert heading.split() == ["ID", "START", "PROCESS", "METHOD", "STATUS", "SIZE", "DURATION", "TARGET", "NOTES"]
    assert first.split() == ["1-1", "14:13:21.000", "nginx[100]", "GET", "200", "5", "B", "1", "µs", "/a"]
    assert second.split()[-1] == "/b"


def test_show_is_the_default_command_even_if_options_come_first(
    capture_file: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main(["--format", "jsonl", str(capture_file)]) == 0
    assert len(capsysbinary.readouterr().out.splitlines()) == 2


def test_jsonl_is_one_document_per_line(capture_file: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main([str(capture_file), "--format", "jsonl"]) == 0
    lines = capsysbinary.readouterr().out.splitlines()
    assert [json.loads(line)["request"]["target"] for line in lines] == ["/a", "/b"]


def test_a_filter_leaves_only_what_matches(capture_file: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main([str(capture_file), "--format", "jsonl", "--filter", 'target == "/b"']) == 0
    lines = capsysbinary.readouterr().out.splitlines()
    assert [json.loads(line)["request"]["target"] for line in lines] == ["/b"]


def test_the_same_file_gives_the_same_bytes(capture_file: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    outputs = []
    for _ in range(2):
        main([str(capture_file), "--format", "jsonl"])
        outputs.append(capsysbinary.readouterr().out)
    assert outputs[0] == outputs[1]


def test_two_recordings_have_their_number_before_their_ids(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    names = []
    for number in range(2):
        capture = Capture()
        capture.header = replace(capture.header, recording_id=f"r{number}")
        ask(capture.process(100).accept()).close()
        names.append(str(capture.write(tmp_path / f"{number}.cap")))
    assert main([*names, "--format", "jsonl"]) == 0
    lines = capsysbinary.readouterr().out.splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["1:1-1", "2:1-1"]


def test_the_output_file_is_its_owners_alone(capture_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert main([str(capture_file), "--format", "jsonl", "-o", str(out)]) == 0
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert len(out.read_text().splitlines()) == 2


def test_an_output_that_is_a_link_or_the_recording_itself_is_refused_and_left_alone(
    capture_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = capture_file.read_bytes()
    link = tmp_path / "link"
    link.symlink_to(capture_file)
    assert main([str(capture_file), "-o", str(link)]) == 2
    assert main([str(capture_file), "-o", str(capture_file)]) == 2
    assert capture_file.read_bytes() == before
    assert len(capsys.readouterr().err.splitlines()) == 2


@pytest.mark.parametrize(
    ("content", "status"), [(b"", 3), (b"just some text\n", 3), (b"\x95\xc4\x08\xebREC\r\n\x1a\n", 3), (None, 3)]
)
def test_what_is_not_a_capture_is_one_line_and_status_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, status: int
) -> None:
    path = tmp_path / "x"
    if content is not None:
        path.write_bytes(content)
    assert main([str(path)]) == status
    assert main([str(tmp_path)]) == 3
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 2
    assert all(line.startswith("ebpf-replay: ") for line in error)
    assert str(path) in error[0]


def test_a_cut_file_shows_what_is_there_and_says_that_it_is_cut(
    capture_file: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    data = capture_file.read_bytes()
    capture_file.write_bytes(data[:-10])
    assert main([str(capture_file), "--format", "jsonl"]) == 0
    out, error = capsysbinary.readouterr()
    assert len(out.splitlines()) == 2
    assert error.decode().startswith(f"ebpf-replay: {capture_file} is cut (")


class _Terminal(io.BytesIO):
    """A terminal of a width."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.columns = columns

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 1


@pytest.mark.parametrize("columns", [20, 40, 80, 100, 120, 200])
def test_on_a_terminal_every_line_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((columns, 24)))
    capture = Capture()
    server = capture.process(4194304, comm="a-very-long-comm")
    ask(server.accept(), b"/" + b"long/" * 60 + b"end").close()
    _unfinished(server)
    out = _Terminal(columns)
    table.write(results(capture, tmp_path), out)
    lines = out.getvalue().decode().splitlines()
    assert len(lines) == 3
    assert max(map(len, lines)) <= columns
    if columns >= 80:
        assert "end" in lines[1]


def _unfinished(server: Target) -> None:
    server.accept().receive(GET % (b"/" + b"x" * 300)).send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n").gap(
        5
    ).close()


def test_what_a_stranger_sent_cannot_steer_the_terminal(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    capture = Capture()
    server = capture.process(1, comm="\x1b[31mred")
    ask(server.accept(), b"/\x1b[2J\x9b31m\x07\xff").close()
    main([str(capture.write(tmp_path / "a.cap"))])
    out = capsysbinary.readouterr().out.decode()
    assert not [c for c in out if not c.isprintable() and c != "\n"]
    assert r"\x1b[2J\x9b31m\x07" in out


@given(st.integers(0, 1 << 70))
def test_sizes_are_short_whatever_they_are(size: int) -> None:
    assert len(table.size_text(min(size, 10**17))) <= 9


def test_sizes_and_durations_are_written_for_people() -> None:
    assert [table.size_text(n) for n in (0, 9_999, 10_000, 1_500_000)] == ["0 B", "9999 B", "10.0 kB", "1.5 MB"]
    assert [table.duration_text(n) for n in (950, 12_345_678, 4_560_000_000)] == ["1 µs", "12.3 ms", "4.56 s"]


def test_an_exchange_is_shown_in_full_by_its_id(capture_file: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main([str(capture_file), "1-2"]) == 0
    lines = capsysbinary.readouterr().out.decode().splitlines()
    assert lines[0] == "exchange 1-2: http/1.1, complete"
    assert "connection   1, 127.0.0.1:40000 to 127.0.0.1:80 (inet), seen by the server" in lines
    assert "process      nginx[100] /usr/bin/nginx" in lines
    assert [line for line in lines if line.startswith(">")] == ["> GET /b HTTP/1.1", "> Host: here"]
    assert lines[-1] == "hello"


def test_an_exchange_that_is_not_there_is_status_1(capture_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(capture_file), "1-2", "9-9"]) == 1
    assert capsys.readouterr().err.startswith("ebpf-replay: no exchange 9-9 in this recording")
    assert main(["show", "9-9"]) == 2


@pytest.mark.parametrize("form", ["table", "jsonl", "pcapng"])
def test_a_connection_that_is_not_there_is_status_1_and_one_without_a_match_is_not(
    capture_file: Path, capsysbinary: pytest.CaptureFixture[bytes], form: str
) -> None:
    assert main([str(capture_file), "--connection", "1", "--connection", "999", "--format", form]) == 1
    assert b"no connection 999 in this recording" in capsysbinary.readouterr().err
    assert main([str(capture_file), "--connection", "1", "--filter", "status == 599", "--format", form]) == 0
    assert main([str(capture_file), "--connection", "1", "--side", "both", "--format", form]) == 0
    assert capsysbinary.readouterr().err == b""


def test_the_other_end_of_a_connection_is_there_with_both_sides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capture = Capture()
    capture.pair(capture.process(1), capture.process(2)).request(GET % b"/").response(
        b"HTTP/1.1 204 No Content\r\n\r\n"
    ).close()
    path = str(capture.write(tmp_path / "a.cap"))
    statuses = {name: main([path, "--connection", name]) for name in ("1", "2")}
    assert sorted(statuses.values()) == [0, 1]
    assert "--side both" in capsys.readouterr().err
    assert [main([path, "--side", "both", "--connection", name]) for name in statuses] == [0, 0]


def test_a_segment_that_is_given_twice_is_refused_whatever_its_names(
    capture_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy.cap"
    copy.write_bytes(capture_file.read_bytes())
    assert main([str(capture_file), str(capture_file)]) == 2
    assert main(["merge", str(capture_file), str(copy), "-o", str(tmp_path / "out.cap")]) == 2
    nameless = Capture()
    nameless.header = replace(nameless.header, recording_id="")
    path = ask(nameless.process(100).accept()).close() and nameless.write(tmp_path / "nameless.cap")
    (tmp_path / "link").hardlink_to(path)
    assert main(["stats", str(path), str(tmp_path / "link")]) == 2
    assert capsys.readouterr().err.count("would count twice") == 3
    assert not (tmp_path / "out.cap").exists()


def test_the_events_behind_an_exchange_are_its_evidence(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    capture = Capture()
    socket = ask(ask(capture.process(100).accept(), b"/a"), b"/b")
    socket.receive(GET % b"/c").send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n").sendfile(9, "f\x1b").close()
    path = str(capture.write(tmp_path / "a.cap"))
    assert main([path, "--evidence", "1-2"]) == 0
    kinds = [line.split()[1] for line in capsysbinary.readouterr().out.decode().splitlines()]
    assert kinds == ["socket", "data", "data", "close"]
    assert main([path, "--evidence", "1-3"]) == 0
    lines = capsysbinary.readouterr().out.decode().splitlines()
    assert lines[1].endswith(r'receive 62..93  "GET /c HTTP/1.1\r\nHost: here\r\n\r\n"')
    assert lines[3].endswith(r'captured=0 reason=sendfile  flags=file_name  "f\x1b"')
    assert main([path, "--evidence", "7-7"]) == 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--connection", "2"], ["2-1"]),
        (["--from", "4us"], ["2-1"]),
        (["--to", "4us"], ["1-1"]),
        (["--from", "2026-09-21T14:13:21.000004Z"], ["2-1"]),
        (["--from", "2026-09-21", "--to", "2027-01-01T00:00:00"], ["1-1", "2-1"]),
        (["--from", "1h"], []),
    ],
)
def test_exchanges_are_chosen_by_connection_and_by_time(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes], options: list[str], expected: list[str]
) -> None:
    capture = Capture()
    for _ in range(2):
        ask(capture.process(100).accept()).close()
    assert main([str(capture.write(tmp_path / "a.cap")), "--format", "jsonl", *options]) == 0
    assert [json.loads(line)["id"] for line in capsysbinary.readouterr().out.splitlines()] == expected


def test_a_time_that_is_none_is_the_users_mistake(capture_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(capture_file), "--from", "yesterday"]) == 2
    assert capsys.readouterr().err.startswith("ebpf-replay: yesterday is neither")


def test_the_same_recording_shown_in_full_escapes_what_a_stranger_sent(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    capture = Capture()
    socket = capture.process(1).accept().receive(b"GET / HTTP/1.1\r\nX-\x1b[1m: \x1b[2J\r\n\r\n")
    socket.send(b"HTTP/1.1 200 \x1b]0;\x07\r\nContent-Length: 4\r\n\r\n\x1b[2J").close()
    main([str(capture.write(tmp_path / "a.cap")), "1-1"])
    out = capsysbinary.readouterr().out.decode()
    assert not [c for c in out if not c.isprintable() and c != "\n"]


@pytest.mark.parametrize("options", [[], ["--format", "jsonl"], ["--filter", "status == 200"], ["--side", "both"]])
@pytest.mark.parametrize("jobs", ["2", "3"])
def test_several_processes_write_the_same_bytes_as_one(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], options: list[str], jobs: str
) -> None:
    path = str(busy(7).write(tmp_path / "a.cap"))
    main([path, *options])
    one = capfdbinary.readouterr().out
    assert len(one.splitlines()) >= 40
    assert main([path, *options, "--jobs", jobs]) == 0
    assert capfdbinary.readouterr().out == one


def test_what_goes_wrong_in_one_of_several_processes_is_said_as_ever(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.cap"
    capture = Capture()
    newer: Frame = replace(capture.header, version=1000, segment=1)
    path.write_bytes(capture.bytes() + file_bytes([newer]))
    assert main([str(path)]) == main([str(path), "--jobs", "2"]) == 3
    first, second = capsys.readouterr().err.splitlines()
    assert first == second


@pytest.mark.parametrize("options", [["--jobs", "0"], ["--jobs", "2", "--follow"], ["--jobs", "2", "--format", "har"]])
def test_what_several_processes_cannot_do_is_the_users_mistake(
    capture_file: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    assert main([str(capture_file), *options]) == 2
    assert capsys.readouterr().err.startswith("ebpf-replay: --jobs ")
