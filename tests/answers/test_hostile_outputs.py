"""A recording made by an enemy, through every format and command: nothing of it steers what shows it."""

import io
import json
import os
import re
import resource

import pytest

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
    return str(made.write(tmp_path_factory.mktemp("evil") / "evil.cap"))


@pytest.mark.parametrize("form", TEXTUAL)
def test_no_text_output_holds_a_control_character(form, capture, capfdbinary):
    assert main(["show", capture, "--format", form]) == 0
    out = capfdbinary.readouterr().out.decode("utf-8")
    assert out.count("\n") >= 4
    # JSON Lines are for programs: JSON escapes C0 and keeps the rest; nothing a line reader could trip over.
    assert not (re.search("[\x00-\x09\x0b-\x1f]", out) if form == "jsonl" else UNSAFE.search(out))


@pytest.mark.parametrize("words", [["stats"], ["stats", "--format", "json"], ["verify"], ["show", "1-1"]])
def test_no_command_for_eyes_prints_a_control_character(words, capture, capfd):
    command, *options = words
    main([command, capture, *options])
    assert not UNSAFE.search(capfd.readouterr().out)


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
