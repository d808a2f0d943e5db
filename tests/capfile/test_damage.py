"""Whatever happens to a file's bytes: what is read is a subset of what was written, and errors are ours alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from capfile.frames import Frame
from tests.capfile.files import TAG, chunk, frames, header, plain, raw_frames, read, read_anything, written

CONTENT = frames(12)
FILE = written(CONTENT)
TRUTH = read(FILE)[0]
POSITIONS = [len(FILE) * number // 1000 for number in range(1000)]


def assert_subset(found: list[Frame], truth: list[Frame]) -> None:
    """Each frame is one of the truth's, and none comes twice."""
    left = list(truth)
    for each in found:
        assert each in left
        left.remove(each)


def test_a_file_cut_at_each_of_a_thousand_positions_reads_to_its_last_whole_frame() -> None:
    ends, at = [], 0
    for part in raw_frames(FILE):
        at += len(part)
        ends.append(at)
    assert len(set(POSITIONS)) == 1000
    for position in POSITIONS:
        found, verdict = read_anything(FILE[:position])
        whole = sum(end <= position for end in ends)
        assert found == TRUTH[:whole]
        assert verdict == ("cut" if whole else "NotACapture")


def test_a_bit_flipped_at_each_of_a_thousand_positions_costs_the_frame_it_is_in() -> None:
    for number, position in enumerate(POSITIONS):
        flipped = bytearray(FILE)
        flipped[position] ^= 1 << number % 8
        found, verdict = read_anything(bytes(flipped))
        assert_subset(found, TRUTH)
        assert len(found) == len(TRUTH) - 1
        assert verdict == ("damaged" if position < len(FILE) - len(raw_frames(FILE)[-1]) else verdict)
        assert verdict in ("damaged", "cut")


class DamagedFiles(RuleBasedStateMachine):
    """Write, then cut, flip, insert, remove, duplicate and reorder, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.file = b""
        self.truth: list[Frame] = []

    @initialize(chunks=st.integers(0, 5), end=st.booleans())
    def begin(self, chunks: int, end: bool) -> None:
        self.file = written(frames(chunks), end)
        self.truth = read(self.file)[0]

    @rule(number=st.integers(10, 20), zstd=st.booleans())
    def write_another_segment(self, number: int, zstd: bool) -> None:
        more = written([header(segment=number), chunk(number, zstd=zstd)], tag=TAG + number)
        self.file += more
        self.truth += read(more)[0]

    @rule(data=st.data())
    def cut(self, data: st.DataObject) -> None:
        self.file = self.file[: data.draw(self._position())]

    @rule(data=st.data(), bit=st.integers(0, 7))
    def flip(self, data: st.DataObject, bit: int) -> None:
        if self.file:
            position = data.draw(self._position(-1))
            self.file = self.file[:position] + bytes([self.file[position] ^ 1 << bit]) + self.file[position + 1 :]

    @rule(data=st.data(), what=st.binary(max_size=100))
    def insert(self, data: st.DataObject, what: bytes) -> None:
        position = data.draw(self._position())
        self.file = self.file[:position] + what + self.file[position:]

    @rule(data=st.data(), length=st.integers(1, 500))
    def remove(self, data: st.DataObject, length: int) -> None:
        position = data.draw(self._position())
        self.file = self.file[:position] + self.file[position + length :]

    @rule(data=st.data(), length=st.integers(1, 5000))
    def duplicate(self, data: st.DataObject, length: int) -> None:
        """Any stretch of the file, also one that holds whole frames, comes again somewhere else."""
        start, position = data.draw(self._position()), data.draw(self._position())
        self.file = self.file[:position] + self.file[start : start + length] + self.file[position:]

    @rule(data=st.data(), length=st.integers(1, 3000))
    def swap(self, data: st.DataObject, length: int) -> None:
        """Two neighbouring stretches change places."""
        at = data.draw(self._position())
        one, two = self.file[at : at + length], self.file[at + length : at + 2 * length]
        self.file = self.file[:at] + two + one + self.file[at + 2 * length :]

    def _position(self, less: int = 0) -> Any:
        return st.integers(0, max(0, len(self.file) + less))

    @invariant()
    def what_is_read_is_true(self) -> None:
        found, _ = read_anything(self.file)
        if self.file.count(b"\xa7segment") < 2:  # of two segments a duplicated one may be read twice
            assert_subset(found, self.truth)
        else:
            assert all(each in self.truth for each in found)


TestDamagedFiles = DamagedFiles.TestCase
TestDamagedFiles.settings = settings(max_examples=60, stateful_step_count=12, deadline=None)


@pytest.mark.parametrize("order", ["reversed", "evens first"])
def test_frames_in_any_order_are_all_read(order: str) -> None:
    parts = raw_frames(FILE)
    rest = parts[1:]
    shuffled = rest[::-1] if order == "reversed" else rest[::2] + rest[1::2]
    found, reader = read(parts[0] + b"".join(shuffled))
    assert sorted(map(str, found)) == sorted(map(str, TRUTH))
    assert reader.state == "damaged"
    assert plain(found[0]) == TRUTH[0]
