"""Whole frames or none: what the writer leaves behind when the disk is full, the pipe closed or the program killed."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from capfile import writer as writer_module
from capfile.frames import Chunk, End, Index, Process
from capfile.limits import MAX_METADATA
from capfile.payload import encode
from capfile.reader import Reader
from capfile.writer import INDEX_ROWS, Writer
from tests.capfile.files import TAG, chunk, frames, header, plain, raw_frames, read, written


def test_a_full_disk_leaves_whole_frames_and_room_for_the_end(tmp_path: Path) -> None:
    """RLIMIT_FSIZE makes the kernel write a part and then fail, as a full disk does."""
    path = tmp_path / "a.cap"
    child = os.fork()
    if child == 0:  # the limit can not be lifted again by everyone
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
        fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        output = Writer(fd, TAG)
        output.write(header())
        caught = 0
        for number in range(1, 20):
            try:
                output.write(chunk(number))
            except OSError as error:
                caught = error.errno or 0
                break
        output.write(End(1, "disk-full"))
        os._exit(0 if caught == errno.EFBIG and os.fstat(fd).st_size == output.bytes else 1)
    assert os.waitpid(child, 0)[1] == 0
    found, reader = read(path.read_bytes())
    assert reader.state == "complete"
    assert found[1:-2] == [plain(chunk(number)) for number in range(1, len(found) - 2)]
    assert len(found) > 4


def test_a_frame_written_in_part_into_a_pipe_reads_as_cut() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    output = Writer(writing, TAG)
    output.write(header())
    with pytest.raises(BlockingIOError):
        output.chunk(Chunk(0, 0, 0, 0, 1 << 20), [bytes(1 << 20)])
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        reader = Reader(pipe)
        assert len(list(reader)) == 1
        assert reader.state == "cut"


def test_many_regions_and_short_writes_make_one_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.writev
    monkeypatch.setattr(writer_module.os, "writev", lambda fd, parts: real(fd, [memoryview(parts[0])[:7]]))
    fd = os.open(tmp_path / "a.cap", os.O_RDWR | os.O_CREAT)
    output = Writer(fd, TAG)
    output.write(header())
    whole = chunk(1)
    data = bytes(whole.data)  # type: ignore[arg-type]
    output.chunk(whole, [data[:3], b"", memoryview(data)[3:50], data[50:]])
    os.close(fd)
    assert read((tmp_path / "a.cap").read_bytes())[0][1] == whole


def test_the_end_says_how_many_frames_there_are_and_where_the_index_is() -> None:
    file = written(frames())
    found, _ = read(file)
    end = found[-1]
    assert isinstance(end, End)
    assert end.frames == len(found)
    assert raw_frames(file[end.index[0] :])[0][11] == 7
    assert file[end.index[0] :].startswith(raw_frames(file)[-2])


def test_the_index_is_written_along_the_way_and_names_each_chunk() -> None:
    small = [Chunk(n % 4, n % 2, n, n + 1, 0) for n in range(2 * INDEX_ROWS + 10)]
    found, reader = read(written([header(), *small]))
    indexes = [each for each in found if isinstance(each, Index)]
    assert [len(each.chunks) for each in indexes] == [INDEX_ROWS, INDEX_ROWS, 10]
    rows = [row for each in indexes for row in each.chunks]
    assert [row[1:] for row in rows] == [[n % 4, n % 2, n, n + 1, 0] for n in range(len(small))]
    assert isinstance(reader.end, End)
    assert len(reader.end.index) == 3


def test_what_the_caller_took_back_is_not_in_the_index(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "a.cap", os.O_RDWR | os.O_CREAT)
    output = Writer(fd, TAG)
    output.write(header())
    output.write(chunk(1))
    size, count = output.bytes, output.frames
    output.write(chunk(2))
    os.ftruncate(fd, size)
    os.lseek(fd, size, os.SEEK_SET)
    output.bytes, output.frames = size, count
    output.write(End(1))
    found, reader = read((tmp_path / "a.cap").read_bytes())
    index = next(each for each in found if isinstance(each, Index))
    assert len(index.chunks) == 1
    assert reader.state == "complete"


def test_an_index_that_lists_many_sockets_stays_within_a_frame(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "a.cap", os.O_RDWR | os.O_CREAT)
    output = Writer(fd, TAG)
    output.write(header())
    output.sockets = [[2**63, 2**63 + n, 2**63, 2**63] for n in range(20_000)]
    many = [2**63 + n for n in range(8000)]
    for n in range(100):
        output.chunk(Chunk(0, 0, 2**63, 2**63, 0), [], many if n % 10 else [*many, *many])
    need = output.closing_bytes
    before = output.bytes
    output.write(End(1))
    assert output.bytes - before <= need
    found, reader = read((tmp_path / "a.cap").read_bytes())
    indexes = [each for each in found if isinstance(each, Index)]
    assert reader.state == "complete"
    assert max(len(encode(each)) for each in indexes) < MAX_METADATA
    assert sum(len(each.sockets) for each in indexes) == 20_000
    lists = [each for index in indexes for each in index.generations]
    assert [each is None for each in lists] == [n % 10 == 0 for n in range(100)]


KILLED = """
import os, sys
from capfile.writer import Writer
from tests.capfile.files import chunk, header
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
output = Writer(fd)
output.write(header())
print("ready", flush=True)
number = 0
while True:
    number += 1
    output.write(chunk(number, 50))
    output.sync()
"""


def test_a_writer_killed_at_any_moment_leaves_a_cut_file_at_worst(tmp_path: Path) -> None:
    path = tmp_path / "a.cap"
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    time.sleep(0.1)
    child.kill()
    child.wait()
    child.stdout.close()
    found, reader = read(path.read_bytes())
    assert reader.state == "cut"
    assert found[1:] == [plain(chunk(number, 50)) for number in range(1, len(found))]
    assert len(found) > 2


def test_strings_that_are_not_utf8_survive() -> None:
    odd = Process(1, comm="a\udcff\udc80", command_line=["\udcfe"])
    found, _ = read(written([header(), odd]))
    assert found[1] == odd
