"""What the reader says of whole, cut, damaged, mixed and hostile files."""

from __future__ import annotations

import os
import threading
from itertools import accumulate
from pathlib import Path

import msgpack
import pytest

from capfile.damage import Damage
from capfile.errors import DamagedFrame, NotACapture, UnsupportedVersion
from capfile.event import layout
from capfile.frames import Chunk, End, FrameKind, Header, Index, Process
from capfile.limits import MAX_CHUNK, MAX_METADATA
from capfile.reader import Reader, compressed, decompressed
from capfile.source import Region
from capfile.writer import Writer
from tests.capfile.files import (
    TAG,
    chunk,
    frames,
    header,
    plain,
    raw_frame,
    raw_frames,
    read,
    read_anything,
    written,
)


def kinds(reader: Reader) -> list[str]:
    return [each.kind for each in reader.damage]


def test_what_was_written_is_read_back_and_called_complete() -> None:
    content = frames()
    found, reader = read(written(content))
    assert found[:-2] == [plain(each) for each in content]
    assert isinstance(found[-2], Index)
    assert isinstance(found[-1], End)
    assert found[-1].frames == len(found)
    assert (reader.state, reader.damage, dict(reader.report.unknown)) == ("complete", [], {})


def test_a_file_without_end_frame_is_cut_and_not_damaged() -> None:
    found, reader = read(written(frames(), end=False))
    assert len(found) == len(frames())
    assert (reader.state, reader.damage) == ("cut", [])


def test_a_cut_frame_is_reported_with_its_byte_range() -> None:
    file = written(frames())
    last = len(file) - len(raw_frames(file)[-1])
    found, reader = read(file[:-5])
    assert len(found) == len(frames()) + 1
    assert reader.state == "cut"
    assert reader.damage == [Damage(last, len(file) - 5 - last, "cut", "the file ends 5 bytes before the frame does")]


def test_blocks_of_zeros_at_the_end_are_what_a_power_cut_leaves() -> None:
    file = written(frames(), end=False)
    _, reader = read(file + bytes(10_000))
    assert reader.state == "cut"
    assert [(each.offset, each.length, each.kind) for each in reader.damage] == [(len(file), 10_000, "cut")]


def test_after_damage_in_the_middle_reading_goes_on_at_the_next_frame() -> None:
    parts = raw_frames(written(frames()))
    at = sum(map(len, parts[:5]))
    broken = b"".join(parts[:5]) + b"\0" + parts[5][1:] + b"".join(parts[6:])
    found, reader = read(broken)
    assert len(found) == len(parts) - 1
    assert reader.state == "damaged"
    assert [(each.offset, each.length, each.kind) for each in reader.damage] == [
        (at, len(parts[5]), "damaged"),
        (at + len(parts[5]), 0, "missing"),
    ]


def test_missing_duplicated_and_late_frames_are_told_apart() -> None:
    parts = raw_frames(written(frames()))
    _, reader = read(b"".join([*parts[:4], *parts[5:]]))
    assert kinds(reader) == ["missing"]
    found, reader = read(b"".join([*parts[:5], parts[4], *parts[5:]]))
    assert (kinds(reader), len(found)) == (["duplicate"], len(parts))
    found, reader = read(b"".join([*parts[:4], parts[5], parts[4], *parts[6:]]))
    assert (kinds(reader), len(found)) == (["missing", "reordered"], len(parts))


def test_a_damaged_header_costs_the_header_alone() -> None:
    parts = raw_frames(written(frames()))
    found, reader = read(parts[0][:50] + b"\xff" + parts[0][51:] + b"".join(parts[1:]))
    assert reader.header is None
    assert len(found) == len(parts) - 1


def test_segments_put_end_to_end_are_read_one_after_the_other() -> None:
    found, reader = read(written(frames()) + written(frames(), tag=TAG + 1))
    assert len(found) == 2 * (len(frames()) + 2)
    assert (reader.state, reader.counts[FrameKind.HEADER]) == ("complete", 2)


def test_a_capture_recorded_inside_a_capture_is_never_taken_for_the_outer_one() -> None:
    """The outer chunk is damaged, so its marker search meets the whole frames of the inner file."""
    inner = written([Header(1, layout(), 88, recording_id="inner"), Process(666)], tag=TAG + 1)
    outer = [header(), Chunk(0, 0, 0, 0, len(inner) + 1, data=b"x" + inner), Process(1)]
    file = written(outer)
    at = file.index(b"x" + inner)
    found, reader = read(file[:at] + b"y" + file[at + 1 :])
    assert Process(666) not in found
    assert Process(1) in found
    assert kinds(reader) == ["damaged", "missing"]


def test_unknown_kinds_and_fields_are_skipped_and_counted() -> None:
    process = msgpack.packb({"pid": 5, "mood": "good"})
    file = written([header()], end=False) + raw_frame(42, b"anything", 1) + raw_frame(FrameKind.PROCESS, process, 2)
    found, reader = read(file)
    assert found[1:] == [Process(5)]
    assert dict(reader.report.unknown) == {"frame kind 42": 1, "Process.'mood'": 1}
    assert reader.damage == []


def test_a_newer_major_version_is_refused_whatever_else_it_changed() -> None:
    newer = raw_frame(FrameKind.HEADER, msgpack.packb({"version": 2, "layout": "elsewhere"}))
    with pytest.raises(UnsupportedVersion, match="version 2; this program reads up to 1"):
        read(newer)


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (FrameKind.PROCESS, {"pid": "7"}),
        (FrameKind.PROCESS, {"pid": -7}),
        (FrameKind.PROCESS, {"pid": True}),
        (FrameKind.PROCESS, {"pid": 1.5}),
        (FrameKind.PROCESS, {}),
        (FrameKind.PROCESS, {"pid": 7, "command_line": ["a", 1]}),
        (FrameKind.PROCESS, [7]),
        (FrameKind.PROCESS, None),
        (FrameKind.COUNTERS, {"time": 1, "counters": {"fault": "x"}}),
        (FrameKind.COUNTERS, {"time": 1, "rings": {"data": [1]}}),
        (FrameKind.HEADER, {"version": 1, "layout": [["abi", "H", 0]], "event_size": 88}),
        (FrameKind.HEADER, {"version": "one", "layout": [], "event_size": 88}),
        (FrameKind.INDEX, {"chunks": [["a"]]}),
        (FrameKind.SOCKET, {"socket": 1, "generation": 2, "facts": "text"}),
    ],
)
def test_a_field_of_another_type_is_damage_and_reading_goes_on(kind: FrameKind, payload: object) -> None:
    file = written([header()], end=False) + raw_frame(kind, msgpack.packb(payload), 1)
    found, reader = read(file + raw_frame(FrameKind.PROCESS, msgpack.packb({"pid": 8}), 2))
    assert found[1:] == [Process(8)]
    assert kinds(reader) == ["damaged"]


@pytest.mark.parametrize(
    "payload",
    [
        b"\xc1",
        b"",
        b"\x81\xa3pid",
        b"\x91" * 2000 + b"\x01",
        b"\xdd\xff\xff\xff\xff" * 1000,
        b"\xdf\xff\xff\xff\xff",
        b"\xc7\x05\x01hello",
        b"\xdb\xff\xff\xff\xff",
        b"\x81\x90\x01",
        b"\x81\xa3pid\x07\x00",
        b"\x81\xa3pid\xd6\xff\x00\x00\x00\x00",
    ],
)
def test_no_payload_makes_the_reader_fail_with_another_error(payload: bytes) -> None:
    file = written([header()], end=False)
    for kind in FrameKind:
        _, reader = read(file + raw_frame(kind, payload, 1))
        assert kinds(reader) == ["damaged"]


def test_values_of_a_free_map_are_not_nested_without_end() -> None:
    deep: object = 1
    for _ in range(100):
        deep = [deep]
    bad = msgpack.packb({"version": 1, "layout": layout(), "event_size": 88, "filters": {"a": deep}})
    _, reader = read(raw_frame(FrameKind.HEADER, bad))
    assert kinds(reader) == ["damaged"]


def test_a_frame_longer_than_its_kind_may_be_is_skipped_by_its_marker() -> None:
    big = raw_frame(FrameKind.PROCESS, b"\0" * (MAX_METADATA + 1), 1)
    found, reader = read(written([header()], end=False) + big + raw_frame(FrameKind.PROCESS, b"\x81\xa3pid\x01", 2))
    assert found[1:] == [Process(1)]
    assert kinds(reader) == ["limit", "missing"]


def test_a_chunk_that_declares_more_than_a_ring_holds_is_skipped() -> None:
    wide = Chunk(0, 0, 0, 0, MAX_CHUNK + 1, "zstd", b"x")
    found, reader = read(written([header(), wide, Process(1)], end=False))
    assert found[1:] == [Process(1)]
    assert kinds(reader) == ["limit"]


@pytest.mark.parametrize("file", [b"", b"GET / HTTP/1.1\r\n", b"\0" * 100, os.urandom(1000), b"\x96\xc4\x08\xebREC"])
def test_other_files_are_no_capture(file: bytes) -> None:
    with pytest.raises(NotACapture):
        read(file)


def test_a_file_whose_beginning_is_lost_is_read_from_the_next_frame() -> None:
    found, reader = read(written(frames())[20:])
    assert len(found) == len(frames()) + 1
    assert kinds(reader) == ["damaged", "missing"]


def test_an_endless_input_that_is_no_capture_is_given_up() -> None:
    with open("/dev/zero", "rb", buffering=0) as zeros, pytest.raises(NotACapture):
        list(Reader(zeros))


def test_a_growing_file_is_read_as_it_grows(tmp_path: Path) -> None:
    parts = raw_frames(written(frames()))
    path = tmp_path / "a.cap"
    path.write_bytes(b"")
    with Reader.open(path, follow=True) as reader, path.open("ab", buffering=0) as file:
        got = []
        for part in parts:
            file.write(part[:10])
            got += [plain(each) for each in reader]
            file.write(part[10:])
            got += [plain(each) for each in reader]
        assert got == read(b"".join(parts))[0]
        assert reader.state == "complete"
        file.write(parts[0][:10])
        assert list(reader) == []
        reader.follow = False
        assert list(reader) == []
        assert reader.state == "cut"


def test_a_growing_file_with_damage_is_followed_beyond_it(tmp_path: Path) -> None:
    parts = raw_frames(written(frames()))
    path = tmp_path / "a.cap"
    path.write_bytes(parts[0] + b"rubbish" * 10)
    with Reader.open(path, follow=True) as reader, path.open("ab", buffering=0) as file:
        assert len(list(reader)) == 1
        assert list(reader) == []
        file.write(b"more")
        assert list(reader) == []
        file.write(parts[1])
        assert len(list(reader)) == 1
        assert [(each.offset, each.length) for each in reader.damage] == [(len(parts[0]), 74)]


def test_a_pipe_gives_each_frame_as_soon_as_it_is_whole() -> None:
    parts = raw_frames(written(frames()))
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        reader = iter(Reader(pipe))
        for part in parts:
            os.write(writing, part)
            next(reader)
        os.close(writing)
        assert list(reader) == []


def test_a_damaged_pipe_is_read_like_a_damaged_file(tmp_path: Path) -> None:
    file = bytearray(written(frames(40)))
    file[len(file) // 2] ^= 1
    (tmp_path / "a").write_bytes(file)
    reading, writing = os.pipe()

    def fill() -> None:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(file)

    thread = threading.Thread(target=fill)
    thread.start()
    with os.fdopen(reading, "rb", buffering=0) as pipe, Reader.open(tmp_path / "a") as other:
        reader = Reader(pipe)
        assert [plain(each) for each in reader] == [plain(each) for each in other]
        assert reader.damage == other.damage
    thread.join()


def test_large_chunks_of_a_file_stay_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.cap"
    path.write_bytes(written([header(), chunk(1, 200_000), chunk(2)]))
    with Reader.open(path) as reader:
        found = [each for each in reader if isinstance(each, Chunk)]
        assert isinstance(found[0].data, Region)
        assert not isinstance(found[1].data, Region)
        assert [plain(each) for each in found] == [chunk(1, 200_000), chunk(2)]
        assert reader.state == "complete"


def test_a_lazy_reader_leaves_all_chunk_data_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.cap"
    path.write_bytes(written(frames()))
    with Reader.open(path, lazy=True) as reader:
        found = list(reader)
        assert all(isinstance(each.data, Region) for each in found if isinstance(each, Chunk))
        assert [plain(each) for each in found] == read(path.read_bytes())[0]


def test_chunks_that_are_not_wanted_are_passed_over_unread(tmp_path: Path) -> None:
    path = tmp_path / "a.cap"
    path.write_bytes(written(frames()))
    with Reader.open(path, wanted=lambda _, each: each.first_time == 1200) as reader:
        found = [plain(each) for each in reader if isinstance(each, Chunk)]
        assert found == [plain(chunk(2))]
        assert (reader.passed_over, reader.state) == (5, "complete")


def test_a_file_that_shrinks_while_it_is_read_is_an_error_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.cap"
    path.write_bytes(written([header(), chunk(1, 2000)], end=False))
    with Reader.open(path, lazy=True) as reader:
        found = next(each for each in reader if isinstance(each, Chunk))
        os.truncate(path, 500)
        assert read_anything(path.read_bytes())[1] == "cut"
        with pytest.raises(DamagedFrame):
            decompressed(found)


def test_two_writers_of_one_recording_differ_in_their_tags() -> None:
    tags = {Writer(-1)._tag for _ in range(8)}
    assert len(tags) > 1


def test_compression_changes_no_byte() -> None:
    assert plain(compressed(chunk(3, 500))) == chunk(3, 500)
    assert compressed(chunk(3, 500)).codec == "zstd"


def test_checksums_are_compared_once_where_nothing_was_wrong(tmp_path: Path) -> None:
    """The second reader believes the first up to where that came, and compares from there on."""
    path = tmp_path / "twice.cap"
    path.write_bytes(written([header(), chunk(0), chunk(1), chunk(2)]))
    starts = list(accumulate([len(each) for each in raw_frames(path.read_bytes())], initial=0))
    with Reader.open(path, lazy=True) as first:
        found = list(first)
    assert first.sound == path.stat().st_size
    changed = bytearray(path.read_bytes())
    for number in (1, 2):  # the last byte of the first two chunks
        changed[starts[number + 1] - 1] ^= 1
    path.write_bytes(changed)
    with Reader.open(path, lazy=True) as comparing:
        assert len(list(comparing)) == len(found) - 2
    assert comparing.sound == starts[1]
    with path.open("rb") as file:
        assert len(list(Reader(file, lazy=True, sound=starts[2]))) == len(found) - 1


def test_what_was_passed_over_unread_is_not_called_sound(tmp_path: Path) -> None:
    path = tmp_path / "passed.cap"
    path.write_bytes(written([header(), chunk(0), chunk(1)]))
    with Reader.open(path, lazy=True, wanted=lambda offset, chunk: False) as reader:
        list(reader)
    assert reader.sound == len(raw_frames(path.read_bytes())[0])
