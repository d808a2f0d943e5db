"""The list of problem codes, the page made from it, the source and the tests name the same codes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from replay.problems import PROBLEMS, ProblemCode, page
from replay.stream import Flow
from tests.http1.cases import CASES, GET, GET2, LENGTH, OK2, R, S, chunked
from tests.http1.gap_cases import GAP_CASES
from tests.http1.talk import SERVER, Step, talk

ROOT = Path(__file__).parents[2]
NAMES = [code.name for code in PROBLEMS]

# Conversations whose only point is a bound or a rarity.
ODDITIES: tuple[tuple[Step, ...], ...] = (
    ((R, b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 50_000),),
    ((R, GET), (S, chunked(b"2;" + b"x" * 20_000 + b"\r\n"))),
    ((R, b"GET / HTTP/1.1\r\n" + b"A b: c\r\n" * 100 + b"\r\n"),),
    ((R, GET * 5000), (S, OK2 * 2)),
    ((R, b"CONNECT h:1 HTTP/1.1\r\n\r\n\x16\x03"), (R, b"\x01"), (S, "fin"), (R, GET)),
    ((R, GET), (S, LENGTH % b"40" + b"x" * 40)),
    ((R, GET), (S, b"HTTP/1.1 102 Processing\r\n\r\n" * 1100 + OK2)),
)


def codes_of(example: tuple[str, ...]) -> set[str]:
    """Those that the reader names when it hears the example of a row."""
    joined = example[0] == "(joined)"
    steps = [step for each in example[joined:] for step in _steps(each)]
    heard = talk(*steps, connection=replace(SERVER, joined_midstream=joined))
    beside = {"undecided-tunnel"} & {loss.code for loss in heard.unplaced}  # which no exchange can state
    return {code for codes in heard.codes for code in codes} | beside


def _steps(written: str) -> list[Step]:
    """`> GET …`, `< (40)`, `> A: b\\r\\n {65}`."""
    flow: Flow = "request" if written[0] == ">" else "response"
    what, _, count = written[2:].partition(" {")
    if what.startswith("("):
        return [(flow, int(what[1:-1]))]
    raw = what.encode("latin-1").decode("unicode_escape").encode("latin-1")
    return [(flow, raw * int(count.removesuffix("}") or 1))]


@pytest.mark.parametrize("code", PROBLEMS, ids=NAMES)
def test_the_example_of_a_row_is_one(code: ProblemCode) -> None:
    assert code.name in codes_of(code.example)
    assert code.rule


@pytest.mark.parametrize("code", PROBLEMS, ids=NAMES)
def test_no_part_of_an_example_can_be_left_out(code: ProblemCode) -> None:
    """It is the smallest: without one of its steps it shows something else."""
    for at in range(len(code.example)):
        fewer = code.example[:at] + code.example[at + 1 :]
        assert not fewer or code.name not in codes_of(fewer), fewer


def raised() -> set[str]:
    """Every code that a conversation of the catalogues raises, on an exchange or beside them."""
    heard = [talk(*case.steps) for case in (*CASES, *GAP_CASES)]
    heard += [talk(*steps, keep=20) for steps in ODDITIES]
    joined = SERVER.__class__("c", "inet", "a:1", "b:2", "server", joined_midstream=True)
    heard.append(talk((R, b"the end of a body"), (S, OK2), (R, GET2), (S, OK2), connection=joined))
    return {code for each in heard for codes in each.codes for code in codes} | {
        loss.code for each in heard for loss in each.unplaced
    }


def named_in_source() -> Iterator[str]:
    """Every string literal of the reader's modules that is the name of a code or stands where one must stand."""
    for path in (ROOT / "replay" / "http1").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                literal = node.args[0] if node.args else None
                if name in ("Problem", "Loss", "problem", "_problem", "_lose_bytes") and isinstance(
                    literal, ast.Constant
                ):
                    yield str(literal.value)


def test_the_page_is_made_from_the_list() -> None:
    assert (ROOT / "docs" / "problems.md").read_text() == page()


def test_a_code_is_listed_once() -> None:
    assert len(set(NAMES)) == len(NAMES)


def test_every_code_in_the_source_is_in_the_list() -> None:
    assert set(named_in_source()) <= set(NAMES)


def test_every_code_is_raised_by_a_conversation_and_none_that_is_not_listed() -> None:
    assert raised() == set(NAMES)
