"""The hash of a body made beside the reading is that of its blocks in order; a body is equal with either form of it."""

from __future__ import annotations

import pickle
import random
from hashlib import sha256

import pytest
from msgspec.structs import replace

from replay.exchange import Body
from replay.http1.hashing import MAX_WAITING, WORTH_A_THREAD, Hash

BLOCKS = [random.Random(number).randbytes(WORTH_A_THREAD + number) for number in range(MAX_WAITING + 3)]


def fed(*blocks: bytes) -> Hash:
    made = Hash()
    for block in blocks:
        made.update(block)
    return made


@pytest.mark.parametrize(
    "blocks",
    [[], [b"small"], BLOCKS[:1], [b"small", *BLOCKS], [*BLOCKS, b"small", b"again"], [BLOCKS[0], b"small", BLOCKS[1]]],
    ids=["nothing", "a small one", "a large one", "a small one first", "small ones last", "a small one between"],
)
def test_the_hash_is_that_of_the_blocks_in_their_order(blocks: list[bytes]) -> None:
    assert fed(*blocks).hexdigest() == sha256(b"".join(blocks)).hexdigest()


def test_a_hash_that_is_there_is_its_text() -> None:
    assert fed(b"small").digest() == sha256(b"small").hexdigest()
    waited_for = fed(BLOCKS[0])
    waited_for.hexdigest()
    assert isinstance(waited_for.digest(), str)


def test_a_body_whose_hash_is_in_the_making_is_one_whose_hash_is_there() -> None:
    text = sha256(BLOCKS[0]).hexdigest()
    there = Body(1, 1, b"x", text)
    making = Body(1, 1, b"x", fed(BLOCKS[0]))
    assert making.sha256 == there.sha256 == text
    assert making == there == Body(1, 1, b"x", fed(BLOCKS[0])) == making
    assert hash(making) == hash(there)
    assert making != replace(there, digest="0" * 64)
    assert type(pickle.loads(pickle.dumps(making)).digest) is str
