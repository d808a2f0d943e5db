"""A recording made by an enemy, through every format and command: nothing of it steers what shows it."""

import io
import json
import os
import re
import resource
from pathlib import Path

import pytest

from capfile.frames import Mark
from replay.cli import main
from replay.output.formats import FORMATS
from tests.answers import hostile
from tests.build import Capture

# What text for eyes may not have: control characters (C0, C1, DEL), format characters that reorder.
UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
TEXTUAL = [name for name, row in FORMATS.items() if row.target == "file"]
ESCAPES = hostile.ESCAPES.encode("latin-1")


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    made = Capture()
    process = made.process(66, comm="\x1b[31mevil", exe="/tmp/" + hostile.HTML, command_line=[hostile.SHELL, "\n"])
    one = process.accept("/run/\x1b[2J.sock")
    for target in (b"/" + ESCAPES, b"/../../etc/passwd", b"/" + hostile.HTML.encode(), b"/=cmd|'/C calc'!A0"):
        head = (
            b"GET " + target.replace(b" ", b"+") + b" HTTP/1.1\r\nHost: " + ESCAPES + b"\r\nX: " + ESCAPES + b"\r\n\r\n"
        )
        body = hostile.INVALID + hostile.HTML.encode()
        answer = b"HTTP/1.1 200 " + ESCAPES + b"\r\nContent-Type: " + ESCAPES + b"\r\n=cmd: " + ESCAPES + b"\r\n"
        one.receive(head).send(answer + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    one.close()
    made.log.append(Mark(code="mark\x1b[31m", time=made.time, detail=hostile.ESCAPES + "\u202e"))
    return str(made.write(tmp_path_factory.mktemp("evil") / "evil.cap"))


@pytest.mark.parametrize("form", TEXTUAL)
def test_no_text_output_holds_a_control_character(form, capture, capfdbinary):
    assert main(["show", capture, "--format", form]) == 0
    out = capfdbinary.readouterr().out.decode("utf-8")
    assert out.count("\n") >= 4
    # JSON Lines are for programs: JSON escapes C0 and keeps the rest; nothing a line reader could trip over.
    assert not (re.search("[\x00-\x09\x0b-\x1f]", out) if form == "jsonl" else UNSAFE.search(out))


COMMANDS = [
    ["stats"],
    ["stats", "--format", "json"],
    ["verify"],
    ["verify", "--json"],
    ["show", "1-1"],
    ["info"],
    ["dump"],
    ["show", "--side", "both"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_command_for_eyes_prints_a_control_character(words, capture, capfd):
    command, *options = words
    main([command, capture, *options])
    told = capfd.readouterr()
    assert told.out
    assert not UNSAFE.search(told.out + told.err)


def test_neither_does_what_compares_two_recordings(capture, tmp_path, capfd):
    other = tmp_path / "other.cap"
    made = Capture()
    made.process(66, comm="\x1b[31mevil").accept("/run/\x1b[2J.sock").receive(
        b"GET /" + ESCAPES.replace(b" ", b"+") + b" HTTP/1.1\r\nHost: " + ESCAPES + b"\r\n\r\n"
    ).send(
        b"HTTP/1.1 404 " + ESCAPES + b"\r\nContent-Type: x" + ESCAPES + b"\r\nContent-Length: 3\r\n\r\n\x1b[2"
    ).close()
    made.write(other)
    assert main(["diff", capture, str(other)]) == 1
    assert not UNSAFE.search(capfd.readouterr().out)
    main(["test", str(tmp_path), "--update"])
    other.write_bytes(Path(capture).read_bytes())
    assert main(["test", str(tmp_path)]) == 1
    told = capfd.readouterr()
    assert "\\x1b" in told.out
    assert not UNSAFE.search(told.out + told.err)


@pytest.mark.parametrize(
    "command", ["show", "verify", "stats", "info", "dump", "test", "diff", "slice", "merge", "redact"]
)
def test_a_name_of_a_file_does_nothing_to_a_terminal(command, tmp_path, capfd):
    """Neither one that is no capture nor one that is not there."""
    (tmp_path / "\x1b[31mno.cap").write_bytes(b"no capture\x1b[2J")
    for name in ("\x1b[31mno.cap", "\x1b]0;gone\x07.cap"):
        path = str(tmp_path / name)
        more = (
            [path]
            if command == "diff"
            else []
            if command in ("show", "verify", "stats", "info", "dump", "test")
            else ["-o", path + "o"]
        )
        try:
            status = main([command, path, *more])
        except SystemExit as stopped:
            status = stopped.code
        told = capfd.readouterr()
        assert status
        assert not UNSAFE.search(told.out + told.err), command


@pytest.mark.parametrize("form", TEXTUAL)
def test_a_header_of_10_mb_passes_in_bounded_memory(form):
    out = io.BytesIO()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    FORMATS[form].write([hostile.big()], out)
    assert out.tell() > 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400 << 10  # KiB
    if form in ("table", "curl"):
        assert out.tell() < 100_000


def test_no_cell_of_a_table_begins_as_a_spreadsheet_s_formula(capture, capfd):
    """Lines begin with our own ids, and the columns are separated by blanks: there is no field to be a formula."""
    main(["show", capture])
    lines = capfd.readouterr().out.splitlines()[1:]
    assert lines
    assert all(re.match(r"\d+-\d+ ", line) for line in lines)


def test_bodies_of_an_enemy_stay_in_their_folder(capture, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["show", capture, "--format", "bodies", "-o", "out"]) == 0
    assert os.listdir(tmp_path) == ["out"]
    rows = [json.loads(line) for line in (tmp_path / "out" / "index.jsonl").read_text().splitlines()]
    assert all(re.fullmatch(r"[0-9a-zA-Z.-]+", row["file"]) for row in rows)
    assert (tmp_path / "out" / rows[0]["file"]).read_bytes() == hostile.INVALID + hostile.HTML.encode()
