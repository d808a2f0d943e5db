"""The index tells where to read; without it the same is found by scanning; less is read than the whole file."""

from __future__ import annotations

import os
from pathlib import Path

from capfile.event import Event
from capfile.frames import Chunk, End, Header, Ring
from capfile.index import chunk_filter, index_of, missing_segments, read_index
from capfile.reader import Reader, decompressed
from capfile.records import records
from capfile.writer import Writer
from tests.capfile.files import TAG, chunk, header, written


def capture(path: Path, end: bool = True) -> Path:
    """Twenty data chunks, two sockets each; a control chunk; each socket lives in two neighbouring chunks."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    output = Writer(fd, TAG)
    output.write(header())
    output.write(Chunk(0, Ring.CONTROL, 0, 5000, 0))
    for number in range(20):
        output.chunk(chunk(number), [chunk(number).data], [number, number + 1])  # type: ignore[list-item]
    output.sockets = [[1, number, 1000 + 100 * number - 100, 1099 + 100 * number] for number in range(21)]
    if end:
        output.write(End(1))
    os.close(fd)
    return path


def read_with(
    path: Path, intervals: list[tuple[int, int]], generations: set[int] | None = None
) -> tuple[list[int], int]:
    """First times of the data chunks read, and how many were passed over."""
    with path.open("rb") as file:
        reader = Reader(file, wanted=chunk_filter(intervals, generations, index_of(file)))
        times = [each.first_time for each in reader if isinstance(each, Chunk) and each.ring == Ring.DATA]
        return times, reader.passed_over


ALWAYS = [(0, 1 << 64)]


def test_a_time_range_reads_its_chunks_alone(tmp_path: Path) -> None:
    path = capture(tmp_path / "a.cap")
    assert read_with(path, [(1250, 1410)]) == ([1200, 1300, 1400], 17)
    assert read_with(path, [(0, 1010), (1250, 1260), (1899, 1899), (9000, 9999)]) == ([1000, 1200, 1800], 17)
    assert read_with(path, []) == ([], 20)
    assert read_with(path, ALWAYS) == ([1000 + 100 * n for n in range(20)], 0)


def test_a_socket_reads_its_chunks_alone(tmp_path: Path) -> None:
    path = capture(tmp_path / "a.cap")
    assert read_with(path, ALWAYS, {7}) == ([1600, 1700], 18)
    assert read_with(path, ALWAYS, {999}) == ([], 20)


def test_without_an_index_time_still_selects_and_sockets_need_all(tmp_path: Path) -> None:
    path = capture(tmp_path / "a.cap", end=False)
    with path.open("rb") as file:
        assert index_of(file).rebuilt
    assert read_with(path, [(1250, 1410)]) == ([1200, 1300, 1400], 17)
    assert len(read_with(path, ALWAYS, {7})[0]) == 20


def test_a_rebuilt_index_says_where_the_chunks_are_as_the_written_one_does(tmp_path: Path) -> None:
    whole, cut = capture(tmp_path / "a.cap"), capture(tmp_path / "b.cap", end=False)
    with whole.open("rb") as one, cut.open("rb") as other:
        written, rebuilt = index_of(one), index_of(other)
    assert not written.rebuilt
    assert len(written.sockets) == 21
    assert [row._replace(generations=None) for row in written.chunks] == rebuilt.chunks
    for row in written.chunks:
        with whole.open("rb") as file:
            file.seek(row.offset)
            reader = Reader(file, lazy=True)
            assert next(iter(reader)).first_time == row.first_time  # type: ignore[union-attr]


def test_an_index_that_is_damaged_is_rebuilt(tmp_path: Path) -> None:
    path = capture(tmp_path / "a.cap")
    with path.open("rb") as file:
        reader = Reader(file, lazy=True)
        frames = list(reader)
        assert reader.end is not None
        at = reader.end.index[0]
    with path.open("r+b") as file:
        file.seek(at + 60)
        file.write(b"\xff\xff")
    with path.open("rb") as file:
        assert index_of(file).rebuilt
    assert len(frames) == 24


def test_an_inner_file_s_end_is_not_taken_for_the_outer_one_s(tmp_path: Path) -> None:
    inner = capture(tmp_path / "inner.cap").read_bytes()
    fd = os.open(tmp_path / "a.cap", os.O_RDWR | os.O_CREAT)
    output = Writer(fd, TAG)
    output.write(header())
    output.write(Chunk(3, 0, 0, 0, len(inner), data=inner))
    with (tmp_path / "a.cap").open("rb") as file:
        index = index_of(file)
    assert index.rebuilt
    assert [row.cpu for row in index.chunks] == [3]


def test_events_of_a_selected_chunk_are_those_of_the_whole_file(tmp_path: Path) -> None:
    path = capture(tmp_path / "a.cap")
    with path.open("rb") as file:
        chunks = Reader(file, wanted=chunk_filter([(1300, 1350)]))
        data = [each for each in chunks if isinstance(each, Chunk) and each.ring == Ring.DATA]
    found = [each for part in data for each in records(decompressed(part)) if isinstance(each, Event)]
    assert [each.sequence for each in found] == list(range(300, 306))


def test_missing_segments_are_named() -> None:
    def numbered(*numbers: int) -> list[Header]:
        return [header(segment=number) for number in numbers]

    assert missing_segments(numbered(0, 1, 2)) == []
    assert missing_segments(numbered(5, 2, 3)) == [4]
    assert missing_segments([]) == []


def test_the_index_of_segments_put_end_to_end_is_not_taken_for_the_whole_file_s(tmp_path: Path) -> None:
    path = capture(tmp_path / "a.cap")
    one = path.read_bytes()
    other = written([header(segment=1), chunk(1)], tag=TAG + 1)
    path.write_bytes(one + other)
    with path.open("rb") as file:
        assert read_index(file) is None
    path.write_bytes(one)
    with path.open("rb") as file:
        assert read_index(file) is not None
