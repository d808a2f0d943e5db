"""info, dump, slice, merge and redact: each writes a valid capture file, and what it says or keeps is true."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from capfile.event import MarkCode
from capfile.frames import Chunk, Mark, Process, Ring
from capfile.reader import Reader
from replay.cli import main
from replay.exchange import Exchange
from replay.pipeline import exchanges
from replay.source import recordings
from tests.build import Capture


def replayed(path: Path) -> list[Exchange]:
    recording = recordings([str(path)])[0]
    try:
        return [item for item in exchanges(recording, "both") if isinstance(item, Exchange)]
    finally:
        recording.close()


def targets(path: Path) -> list[str]:
    return [each.request.target for each in replayed(path) if each.request]


def request(target: str, more: str = "") -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: h\r\n{more}\r\n".encode()


def answer(body: str = "ok", more: str = "") -> bytes:
    return f"HTTP/1.1 200 OK\r\n{more}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def talk(capture: Capture, pid: int, *names: str, more: str = "") -> None:
    """One connection of a process with a request for each name, a second apart."""
    server = capture.process(pid)
    connection = server.accept("127.0.0.1:80", f"127.0.0.1:{40_000 + pid}")
    for name in names:
        connection.receive(request(name, more)).send(answer(name))
        capture.wait(1_000_000_000)
    connection.close()


@pytest.fixture
def capture() -> Capture:
    found = Capture(cpus=2, drain_every=4)
    talk(found, 100, "/a1", "/a2", "/a3")
    talk(found, 200, "/b1", "/b2")
    return found


@pytest.fixture
def path(capture: Capture, tmp_path: Path) -> Path:
    return capture.write(tmp_path / "whole.cap")


def complete(path: Path) -> bool:
    with Reader.open(path) as reader:
        list(reader)
        return reader.state == "complete"


# -- info and dump ---------------------------------------------------------------------------------


def test_info_says_what_is_in_the_file(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--json", str(path)]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["state"] == "complete"
    assert facts["events"]["data"] == 10
    assert facts["sockets"] == {"seen": 2}
    assert [each["pid"] for each in facts["processes"]] == [100, 200]
    assert facts["captured_bytes"] == sum(len(request(n)) + len(answer(n)) for n in ("/a1", "/a2", "/a3", "/b1", "/b2"))
    assert 5e9 < facts["duration_ns"] < 5.1e9
    assert main(["info", str(path), str(path)]) == 0
    text = capsys.readouterr().out
    assert text.count("complete") == 2
    assert "100 server /usr/bin/server" in text


def test_info_counts_the_bytes_that_verify_counts(capsys: pytest.CaptureFixture[str]) -> None:
    """The name of the file that sendfile sent stands in its event, and is no byte of the stream."""
    recording = str(Path(__file__).parents[2] / "fixtures/nginx-with-sendfile-on-kernel-5.10.cap")
    assert main(["info", "--json", recording]) == 0
    info = json.loads(capsys.readouterr().out)
    assert main(["verify", "--json", recording]) == 1
    totals = json.loads(capsys.readouterr().out)["totals"]
    assert (info["captured_bytes"], info["missing_bytes"]) == (totals["captured"], totals["gaps"])


def test_info_names_losses_gaps_and_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capture = Capture(drain_every=2)
    server = capture.process(1, comm="evil\x1b[31m")
    server.mark(MarkCode.IO_URING)
    server.accept().receive(request("/")).send(answer()).gap(500).close()
    data = bytearray(capture.bytes(end=False))
    data[len(data) // 2] ^= 1
    (tmp_path / "a.cap").write_bytes(data + b"tail")
    assert main(["info", str(tmp_path / "a.cap")]) == 0
    text = capsys.readouterr().out
    assert "damaged" in text.splitlines()[0]
    assert text.count("  damage ") >= 2
    assert "\x1b" not in text


def test_dump_lists_every_event(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dump", "--json", str(path)]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    data = [row for row in rows if row["is"] == "event" and row["kind"] == 1]
    assert len(data) == 10
    assert bytes.fromhex(data[0]["payload"]).startswith((b"GET /a1", b"HTTP/1.1 200"))
    assert rows[0]["is"] == "header"
    assert rows[-1] == {"is": "file", "state": "complete", "unknown": {}}
    assert main(["dump", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(rows)
    assert sum(" data receive " in line for line in lines) == 5
    assert all(line.isascii() for line in lines if " data " in line)


def test_dump_of_a_damaged_file_says_where_and_exits_with_1(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = bytearray(path.read_bytes())
    data[600] ^= 1
    path.write_bytes(data)
    assert main(["dump", str(path)]) == 1
    assert "damage offset=" in capsys.readouterr().out


# -- slice -----------------------------------------------------------------------------------------


def test_a_slice_of_a_connection_has_its_exchanges_and_loses_nothing(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "slice.cap"
    assert main(["slice", str(path), "--connection", "2", "-o", str(out)]) == 0
    assert targets(out) == ["/b1", "/b2"]
    assert all(each.complete for each in replayed(out))
    assert complete(out)
    assert main(["verify", str(out)]) == 0
    assert out.stat().st_mode & 0o777 == 0o600


def test_a_slice_of_a_process_or_a_filter_keeps_whole_connections(path: Path, tmp_path: Path) -> None:
    assert main(["slice", str(path), "--process", "100", "-o", str(tmp_path / "one.cap")]) == 0
    assert targets(tmp_path / "one.cap") == ["/a1", "/a2", "/a3"]
    assert main(["slice", str(path), "--filter", 'path == "/b2"', "-o", str(tmp_path / "two.cap")]) == 0
    assert targets(tmp_path / "two.cap") == ["/b1", "/b2"]
    both = ["--process", "100", "--connection", "2"]
    assert main(["slice", str(path), *both, "-o", str(tmp_path / "none.cap")]) == 1
    assert complete(tmp_path / "none.cap")


def test_a_slice_of_time_begins_where_the_streams_are_then(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "slice.cap"
    assert main(["slice", str(path), "--from", "500ms", "--to", "1.5s", "-o", str(out), "--force"]) == 0
    assert targets(out) == ["/a2"]
    assert [each.complete for each in replayed(out)] == [True]
    assert main(["verify", str(out)]) == 0
    assert main(["slice", str(path), "--from", "2026-01-01", "-o", str(out), "--force"]) == 0
    assert len(targets(out)) == 5
    assert main(["slice", str(path), "--from", "2100-01-01T00:00:00Z", "-o", str(out), "--force"]) == 1


def test_a_slice_keeps_the_real_losses(tmp_path: Path) -> None:
    capture = Capture(drain_every=3)
    server = capture.process(1)
    one = server.accept("127.0.0.1:80", "127.0.0.1:1")
    two = server.accept("127.0.0.1:80", "127.0.0.1:2")
    for number in range(4):
        one.receive(request(f"/one{number}")).send(answer())
        two.receive(request(f"/two{number}"))
        if number == 2:
            two.lose(len(answer()))
        else:
            two.send(answer())
    source = capture.write(tmp_path / "a.cap")
    assert main(["slice", str(source), "--connection", "1", "-o", str(tmp_path / "b.cap")]) == 0
    assert [each.complete for each in replayed(tmp_path / "b.cap")] == [True] * 4
    lost = {}
    for name in ("a", "b"):
        recording = recordings([str(tmp_path / f"{name}.cap")])[0]
        from replay.verify import Verification

        verification = Verification(recording)
        list(verification.accounts())
        lost[name] = sum(ring.lost for ring in verification.report().rings)
        recording.close()
    assert lost["a"] == lost["b"] > 0


@pytest.mark.parametrize(
    "words",
    [["--from", "soon"], ["--from", "1.5"], ["--to", "nan"], ["--connection", "x"], ["--filter", "path =="]],
)
def test_a_slice_that_cannot_be_is_a_usage_error(path: Path, tmp_path: Path, words: list[str]) -> None:
    assert main(["slice", str(path), *words, "-o", str(tmp_path / "b.cap")]) == 2


def test_a_slice_of_a_damaged_file_says_so_in_marks(path: Path, tmp_path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[700] ^= 1
    path.write_bytes(data)
    out = tmp_path / "b.cap"
    main(["slice", str(path), "-o", str(out)])
    with Reader.open(out) as reader:
        marks = [frame.code for frame in reader if isinstance(frame, Mark)]
    assert "source-damaged" in marks
    assert complete(out)


# -- merge -----------------------------------------------------------------------------------------


def test_merged_recordings_have_the_exchanges_of_both(path: Path, tmp_path: Path) -> None:
    other = Capture(cpus=3)
    other.header = other.header.__class__(
        **{name: getattr(other.header, name) for name in other.header.__slots__}
        | {"recording_id": "other", "wall_time": other.header.wall_time + 10**10}
    )
    talk(other, 300, "/c1", "/c2")
    second = other.write(tmp_path / "second.cap")
    out = tmp_path / "merged.cap"
    assert main(["merge", str(path), str(second), "-o", str(out)]) == 0
    assert sorted(targets(out)) == ["/a1", "/a2", "/a3", "/b1", "/b2", "/c1", "/c2"]
    assert all(each.complete for each in replayed(out))
    assert main(["verify", str(out)]) == 0
    dates = {each.request.target: each.started_at for each in (*replayed(path), *replayed(second)) if each.request}
    assert {each.request.target: each.started_at for each in replayed(out) if each.request} == dates


def test_merged_segments_are_one_recording_again(tmp_path: Path) -> None:
    """Segments as the recorder rotates them: cut here between two requests of one connection."""
    capture = Capture()
    talk(capture, 1, "/a", "/b", "/c")
    whole = capture.write(tmp_path / "whole.cap")
    pieces = []
    for number, (first, last) in enumerate((("0s", "0.5s"), ("0.5s", "1.5s"), ("1.5s", "9s"))):
        piece = tmp_path / f"{number}.cap"
        assert main(["slice", str(whole), "--from", first, "--to", last, "-o", str(piece)]) == 0
        pieces.append(_as_segment(piece, number))
    out = tmp_path / "merged.cap"
    assert main(["merge", *map(str, pieces), "-o", str(out)]) == 0
    assert targets(out) == ["/a", "/b", "/c"]
    assert complete(out)
    assert main(["merge", str(pieces[0]), str(pieces[2]), "-o", str(out), "--force"]) == 1
    with Reader.open(out) as reader:
        assert "segment-missing" in [frame.code for frame in reader if isinstance(frame, Mark)]


def _as_segment(path: Path, number: int) -> Path:
    from dataclasses import replace

    from capfile.frames import Header, Index
    from capfile.writer import Writer

    with Reader.open(path) as reader:
        frames = [frame for frame in reader if not isinstance(frame, Index)]
    assert isinstance(frames[0], Header)
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC)
    writer = Writer(fd, number)
    for frame in (replace(frames[0], segment=number, recording_id="r"), *frames[1:]):
        writer.write(frame)
    os.close(fd)
    return path


def test_the_output_may_not_be_the_input(path: Path, tmp_path: Path) -> None:
    assert main(["merge", str(path), "-o", str(path)]) == 2
    assert complete(path)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert main(["merge", str(path), "-o", str(tmp_path / "link")]) == 2


def test_what_is_made_of_one_input_is_the_same_each_time(path: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        main(["slice", str(path), "--connection", "1", "-o", str(tmp_path / name)])
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


# -- redact ----------------------------------------------------------------------------------------

SECRETS = ["topsecret-bearer-token", "session=abcdef123456", "dXNlcjpwYXNzd29yZA==", "sid=server-made-cookie"]


def secret_capture() -> Capture:
    capture = Capture(cpus=2)
    server = capture.process(1)
    bearer = f"Authorization: Bearer {SECRETS[0]}\r\nCookie: {SECRETS[1]}\r\n"
    first = server.accept("127.0.0.1:80", "127.0.0.1:1")
    whole = request("/1", bearer)
    first.receive(whole[:45]).receive(whole[45:50]).receive(whole[50:])
    first.send(answer("one", f"Set-Cookie: {SECRETS[3]}\r\n"))
    first.receive(request("/2", bearer.lower() + "X-Api-Key: key-for-all\r\n")).send(answer("two")).close()
    second = server.accept("127.0.0.1:80", "127.0.0.1:2")
    second.receive(request("/3", f"proxy-authorization:basic {SECRETS[2]}\r\ncookie: {SECRETS[1]}\r\n"))
    second.send(answer("three"))
    second.close()
    return capture


def field_of(exchange: Exchange, name: str) -> str:
    assert exchange.request is not None
    return next(value for key, value in exchange.request.headers if key.lower() == name)


def test_a_redacted_copy_holds_no_secret_and_replays_the_same(tmp_path: Path) -> None:
    source = secret_capture().write(tmp_path / "a.cap")
    out = tmp_path / "b.cap"
    assert main(["redact", str(source), "-o", str(out), "--header", "X-Api-Key"]) == 0
    with Reader.open(out) as reader:
        list(reader)
        assert reader.header is not None
        assert "X-Api-Key" in reader.header.redaction["headers"]
    assert main(["dump", "--json", str(out)]) == 0
    before, after = replayed(source), replayed(out)
    for one, other in zip(before, after, strict=True):
        assert one.request is not None
        assert other.request is not None
        assert one.response is not None
        assert other.response is not None
        assert other.complete
        assert (one.request.target, one.response.body, one.request.end_position) == (
            other.request.target,
            other.response.body,
            other.request.end_position,
        )
        assert len(one.request.raw_head) == len(other.request.raw_head)
        text = str(other)
        assert not any(secret in text for secret in [*SECRETS, "key-for-all"])
    assert field_of(after[0], "authorization").startswith("Bearer ")
    assert field_of(after[0], "cookie") == field_of(after[1], "cookie") == field_of(after[2], "cookie")
    assert field_of(after[0], "cookie") != SECRETS[1]
    assert len(field_of(after[2], "proxy-authorization")) == len(f"basic {SECRETS[2]}")
    assert main(["verify", str(out)]) == 0


def test_the_key_decides_whether_two_runs_give_equal_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = secret_capture().write(tmp_path / "a.cap")

    def cookie() -> str:
        assert main(["redact", str(source), "-o", str(tmp_path / "b.cap"), "--force"]) == 0
        return field_of(replayed(tmp_path / "b.cap")[0], "cookie")

    assert cookie() != cookie()
    monkeypatch.setenv("EBPF_REPLAY_REDACTION_KEY", "of this test")
    assert cookie() == cookie()


def test_payload_that_cannot_be_searched_is_dropped_unless_it_is_to_be_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capture = Capture()
    hello = b"\x16\x03\x01\x00\x10\x01\x00\x00\x0c\x03\x03" + b"authorization: no"
    capture.process(1).accept().receive(hello).send(b"\x16\x03\x03\x00\x04abcd").close()
    source = capture.write(tmp_path / "a.cap")
    assert main(["redact", str(source), "-o", str(tmp_path / "b.cap"), "--force"]) == 0
    assert "payload of 1 connection without HTTP/1 in clear dropped" in capsys.readouterr().err
    main(["info", "--json", str(tmp_path / "b.cap")])
    facts = json.loads(capsys.readouterr().out)
    assert facts["captured_bytes"] == 0
    assert facts["missing_bytes"] == {"redacted": len(hello) + 9}
    assert main(["redact", str(source), "--keep-opaque", "-o", str(tmp_path / "b.cap"), "--force"]) == 0
    main(["info", "--json", str(tmp_path / "b.cap")])
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["captured_bytes"] == len(hello) + 9


def test_a_header_that_cannot_be_one_is_a_usage_error(path: Path, tmp_path: Path) -> None:
    assert main(["redact", str(path), "--header", "a b", "-o", str(tmp_path / "b.cap")]) == 2


# -- what is no capture ----------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["info", "dump", "slice", "merge", "redact", "show", "verify"])
@pytest.mark.parametrize("kind", ["text", "empty", "directory", "missing", "header cut"])
def test_what_is_no_capture_gives_one_line_and_status_3(
    command: str, kind: str, tmp_path: Path, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = tmp_path / "input"
    if kind == "directory":
        name.mkdir()
    elif kind != "missing":
        name.write_bytes({"text": b"hello\n" * 99, "empty": b"", "header cut": path.read_bytes()[:100]}[kind])
    output = ["-o", str(tmp_path / "out")] if command in ("slice", "merge", "redact") else []
    assert main([command, str(name), *output]) == 3
    caught = capsys.readouterr()
    assert caught.out == ""
    assert caught.err.count("\n") == 1
    assert str(name) in caught.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["slice", "merge", "redact", "diff"])
@pytest.mark.parametrize("kind", ["cut", "damaged"])
def test_what_is_made_of_a_cut_or_damaged_file_says_so(
    command: str, kind: str, tmp_path: Path, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit status is of what was asked: a copy was written, the rest is compared."""
    data = bytearray(path.read_bytes())
    data[700] ^= 1
    broken = tmp_path / "broken.cap"
    broken.write_bytes(data if kind == "damaged" else path.read_bytes()[:-60])
    rest = [str(broken)] if command == "diff" else ["-o", str(tmp_path / "out.cap")]
    assert main([command, str(broken), *rest]) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if str(broken) in line]
    assert len(said) == (2 if command == "diff" else 1)
    assert all(line.startswith(f"ebpf-replay: {broken} is {kind}") for line in said)
    assert "verify says what is missing" in said[0]


def test_processes_are_carried_along(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "b.cap"
    main(["slice", str(path), "--connection", "1", "-o", str(out)])
    with Reader.open(out) as reader:
        assert {frame.pid for frame in reader if isinstance(frame, Process)} == {100, 200}


# -- reading only what is needed


def test_a_connection_or_a_time_is_shown_from_the_chunks_that_it_needs(tmp_path: Path) -> None:
    """The answer is that of the whole file, and most of the file was not read for it."""
    capture = Capture(drain_every=8)
    for number in range(1, 31):
        talk(capture, number, f"/{number}/1", f"/{number}/2")
    path = capture.write(tmp_path / "a.cap")
    whole = replayed(path)

    def narrowed(generations: set[int] | None, first: int = 0, last: int = 1 << 64) -> tuple[list[Exchange], int]:
        recording = recordings([str(path)])[0]
        recording.narrow(generations, first, last)
        items = [item for item in exchanges(recording, "both") if isinstance(item, Exchange)]
        passed_over = recording.segments[0].reader.passed_over
        recording.close()
        return items, passed_over

    found, passed_over = narrowed({7})
    wanted = [each for each in whole if each.connection.generation == 7]
    assert [each for each in found if each.connection.generation == 7] == wanted
    assert passed_over > 10
    began = capture.header.monotonic_time
    first, last = began + 20 * 10**9, began + 24 * 10**9
    offset = capture.header.wall_time - began
    found, passed_over = narrowed(None, first, last)
    inside = [each for each in whole if first <= each.started_at - offset <= last]
    assert [each for each in found if first <= each.started_at - offset <= last] == inside
    assert len(inside) >= 4
    assert passed_over > 10


def test_an_index_that_lists_sockets_leaves_still_less_to_read(tmp_path: Path) -> None:
    """Two connections that live all the time, each in its own chunks; a merged file has an index of that kind."""
    capture = Capture(drain_every=6)
    one = capture.process(1).accept("127.0.0.1:80", "127.0.0.1:1")
    two = capture.process(2).accept("127.0.0.1:80", "127.0.0.1:2")
    for number in range(40):
        connection = one if number // 10 % 2 else two
        connection.receive(request(f"/{number}")).send(answer())
    capture.write(tmp_path / "a.cap")
    assert main(["merge", str(tmp_path / "a.cap"), "-o", str(tmp_path / "b.cap")]) == 0
    passed_over = []
    for name in ("a.cap", "b.cap"):
        recording = recordings([str(tmp_path / name)])[0]
        recording.narrow({1})
        items = [item for item in exchanges(recording) if isinstance(item, Exchange)]
        assert sum(item.connection.generation == 1 for item in items) == 20
        passed_over.append(recording.segments[0].reader.passed_over)
        recording.close()
    assert passed_over[0] == 0
    assert passed_over[1] > 3


def test_where_control_events_are_missing_everything_is_read(tmp_path: Path) -> None:
    capture = Capture(drain_every=8)
    for number in range(1, 11):
        talk(capture, number, f"/{number}")
    path = tmp_path / "a.cap"
    path.write_bytes(capture.bytes())
    data = bytearray(path.read_bytes())
    with Reader.open(path, lazy=True) as reader:
        control = [reader.offset for frame in reader if isinstance(frame, Chunk) and frame.ring == Ring.CONTROL]
    data[control[1] + 100] ^= 1
    path.write_bytes(data)
    recording = recordings([str(path)])[0]
    recording.narrow({3})
    assert recording.segments[0].wanted is None
    recording.close()


def test_show_narrows_by_connection_and_time(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(path), "--connection", "2", "--format", "jsonl"]) == 0
    assert [json.loads(line)["request"]["target"] for line in capsys.readouterr().out.splitlines()] == ["/b1", "/b2"]
    assert main(["show", str(path), "--from", "500ms", "--to", "1.5s", "--format", "jsonl"]) == 0
    assert [json.loads(line)["request"]["target"] for line in capsys.readouterr().out.splitlines()] == ["/a2"]
