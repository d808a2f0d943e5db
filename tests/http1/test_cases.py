"""Every conversation of the catalogue gives what its rule says."""

from __future__ import annotations

import pytest

from tests.http1.cases import CASES, Case
from tests.http1.talk import talk


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule}: {case.name}")
def test_a_conversation_gives_what_its_rule_says(case: Case) -> None:
    heard = talk(*case.steps)
    assert heard.pairs == list(case.pairs)
    assert sorted({code for codes in heard.codes for code in codes}) == sorted(case.codes)
    assert heard.completeness == list(case.completeness or ["complete"] * len(case.pairs))
    if case.bodies is not None:
        assert tuple(e.response.body.data for e in heard.exchanges if e.response) == case.bodies
