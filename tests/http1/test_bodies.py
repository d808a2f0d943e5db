"""A body is its pieces, however large and however cut: the same bytes, sizes and hash."""

from __future__ import annotations

import random
from hashlib import sha256

import pytest

from replay.http1 import bodies
from replay.http1.bodies import BodyBuilder
from replay.http1.limits import MAX_BODY_KEPT

BYTES = random.Random(11).randbytes(3 * bodies._BLOCK_BYTES + 12_345)


def built(content: bytes, piece: int, keep: int = MAX_BODY_KEPT) -> BodyBuilder:
    builder = BodyBuilder(keep)
    for start in range(0, len(content), piece):
        stop = min(start + piece, len(content))
        builder.add(content[start:stop], 0, stop - start)
    return builder


@pytest.mark.parametrize("piece", [32_000, bodies._BLOCK_BYTES, bodies._BLOCK_BYTES + 1, len(BYTES)])
def test_blocks_that_are_hashed_beside_the_reading_give_the_hash_of_the_whole(piece: int) -> None:
    body, remark = built(BYTES, piece).build((), ())
    assert (body.data, body.sha256, remark) == (BYTES, sha256(BYTES).hexdigest(), "")
    assert body.size == body.captured == len(BYTES)


@pytest.mark.parametrize("keep", [0, 1, bodies._BLOCK_BYTES, bodies._BLOCK_BYTES + 7, len(BYTES)])
def test_what_is_not_kept_is_hashed_all_the_same(keep: int) -> None:
    builder = built(BYTES, 32_000, keep)
    assert builder.kept == keep
    assert builder.kept_whole == (keep == len(BYTES))
    body, _ = builder.build((), ())
    assert (body.data, body.sha256, body.captured) == (BYTES[:keep], sha256(BYTES).hexdigest(), len(BYTES))


def test_pieces_of_a_byte_each_become_blocks() -> None:
    content = BYTES[: 3 * bodies._BLOCK_PIECES + 5]
    builder = built(content, 1)
    assert len(builder._blocks) + len(builder._gathered) == 3 + 5
    assert builder.build((), ())[0].data == content


def test_a_body_of_one_piece_is_that_piece() -> None:
    builder = BodyBuilder()
    builder.add(BYTES, 0, len(BYTES))
    assert builder.build((), ())[0].data is BYTES


def test_a_builder_holds_no_bytes_of_what_it_handed_out() -> None:
    builder = built(BYTES, 32_000)
    builder.build((), ())
    assert not builder._blocks
    assert not builder._gathered
