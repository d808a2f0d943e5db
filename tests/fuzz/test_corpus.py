"""What fuzzing found stays found: every kept input runs, in bounded time, with no exception but ours."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS, both

CORPUS = Path(__file__).parent / "corpus"
SECONDS = 5  # per input, two hundred times what they take


@pytest.mark.parametrize("name", TARGETS)
def test_no_kept_input_makes_the_target_fail(name: str) -> None:
    inputs = [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]
    assert len(inputs) > 20
    for data in [*seeds().values(), *inputs]:
        begin = time.monotonic()
        both(TARGETS[name], data)
        assert time.monotonic() - begin < SECONDS
