"""FORMAT.md is true: its example, its limits and its tables, and a reader written from it alone."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from capfile import limits
from capfile.event import EVENT_SIZE, FIELDS, SOCKET_FACTS, Event, Kind, encode
from capfile.frames import FORMAT_VERSION, FRAME_TYPES, Chunk, Frame, FrameKind, Process
from capfile.reader import Reader, decompressed
from capfile.records import records
from tests import tiny_reader
from tests.capfile.files import event, frames, header, raw_frames, written

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "capfile/FORMAT.md").read_text()
FIXTURES = sorted((ROOT / "fixtures").rglob("*.cap"))


def counted(path: Path) -> tuple[list[str], int]:
    """What the tiny reader says of a file, found by ours."""
    with Reader.open(path) as reader:
        names, total = [], 0
        for frame in reader:
            names.append(type(frame).__name__)
            if isinstance(frame, Chunk):
                found = [each for each in records(decompressed(frame), reader.layout) if isinstance(each, Event)]
                total += sum(each.captured for each in found if each.kind == Kind.DATA)
        assert reader.state == "complete"
        return names, total


def test_the_worked_example_is_what_the_writer_writes() -> None:
    block = re.findall(r"```\n(.*?)```", TEXT, re.DOTALL)[0]
    lines = [line.split("#")[0] for line in block.splitlines()]
    one = event(0, b"hi", socket=7, generation=1, tgid=42, tid=42, time=1000)
    data = encode(one)
    content: list[Frame] = [header(), Process(42, comm="nginx"), Chunk(0, 0, 1000, 1001, len(data), data=data)]
    parts = raw_frames(written(content, end=False))
    assert bytes.fromhex("".join(lines)) == parts[1] + parts[2]


def test_the_limits_in_the_text_are_those_of_the_reader() -> None:
    listed = dict(re.findall(r"^\| `([A-Z_]+)`.*\| (\d+) \|$", TEXT, re.MULTILINE))
    assert len(listed) == 10
    assert {name: int(number) for name, number in listed.items()} == {name: getattr(limits, name) for name in listed}
    for number in limits.MAX_FRAMES.values():
        assert str(number) in TEXT


def test_every_field_of_every_frame_is_described_in_its_section() -> None:
    for kind, cls in FRAME_TYPES.items():
        section = TEXT.split(f"### {cls.__name__} ({kind.value})")[1].split("\n### ")[0].split("\n## ")[0]
        described = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\|([^|]*)\|", section, re.MULTILINE))))
        assert {each.name for each in fields(cls)} - {"data"} <= described, cls


def test_the_event_s_fields_are_described_with_their_offsets() -> None:
    section = TEXT.split("## 5. The event")[1].split("## 6.")[0]
    rows = re.findall(r"^\| (`.*?) \| (\w) \| ([\d, ]+) \|", section, re.MULTILINE)
    listed = [
        (name.strip(" `"), code, int(offset))
        for names, code, offsets in rows
        for name, offset in zip(names.split(","), offsets.split(","), strict=True)
    ]
    assert tuple(listed) == FIELDS
    assert f"packed, little-endian, {SOCKET_FACTS.size} bytes" in TEXT
    assert EVENT_SIZE == 88


def test_counters_are_listed_by_the_names_that_the_recorder_gives_them() -> None:
    from recorder.kernel_maps import COUNTERS

    section = TEXT.split("### Counters (5)")[1].split("### Mark")[0]
    assert set(COUNTERS) <= set(re.findall(r"`(\w+)`", section))


def test_a_reader_written_from_the_text_alone_agrees_with_ours(tmp_path: Path) -> None:
    path = tmp_path / "a.cap"
    path.write_bytes(written(frames(20)))
    assert tiny_reader.read(path.read_bytes()) == counted(path)
    assert counted(path)[1] > 1000


def test_the_tiny_reader_uses_nothing_of_ours() -> None:
    source = (ROOT / "tests/tiny_reader.py").read_text()
    imported = set(re.findall(r"^(?:from|import) (\w+)", source, re.MULTILINE))
    assert imported == {"__future__", "io", "struct", "sys", "zlib", "typing", "msgpack", "backports"}


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_the_tiny_reader_lists_every_fixture_as_ours_does(path: Path) -> None:
    assert tiny_reader.read(path.read_bytes()) == counted(path)


def test_the_tiny_reader_runs_by_itself() -> None:
    command = [sys.executable, str(ROOT / "tests/tiny_reader.py"), str(ROOT / "fixtures/version-1.cap")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Header" in done.stdout


def test_there_is_a_file_of_every_version_and_it_is_read() -> None:
    for version in range(1, FORMAT_VERSION + 1):
        with Reader.open(ROOT / f"fixtures/version-{version}.cap") as reader:
            kinds = {type(each) for each in reader}
            assert (reader.state, dict(reader.report.unknown)) == ("complete", {})
            assert reader.header is not None
            assert reader.header.version == version
            assert kinds == set(FRAME_TYPES.values())
        assert set(FrameKind) == set(FRAME_TYPES)
