"""Outcomes in, text for people out, and JUnit XML for machines. Recorded text is escaped in both.

Colour is given only by the caller's word (a terminal); without it the text is plain.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from typing import Any, Final

from replay.output.escaping import shortened, visible
from replay.tester.compare import MISSING, Difference
from replay.tester.engine import Mismatch, Outcome

MAX_VALUE: Final = 160  # characters of one value
MAX_MISMATCHES: Final = 50  # exchanges shown per capture; the others are counted

_RED: Final = "\x1b[31m"
_GREEN: Final = "\x1b[32m"
_BOLD: Final = "\x1b[1m"
_END: Final = "\x1b[0m"


class Style:
    """Colours, or none."""

    def __init__(self, colour: bool) -> None:
        self._colour = colour

    def __call__(self, code: str, text: str) -> str:
        """`text` in that colour."""
        return f"{code}{text}{_END}" if self._colour else text


def lines(outcome: Outcome, colour: bool = False) -> Iterator[str]:
    """One capture's outcome, the differences of its exchanges below it."""
    style, name = Style(colour), visible(str(outcome.path))
    if outcome.error:
        yield f"{style(_RED, 'ERROR')}  {name}: {_text(outcome.error)}"
    elif outcome.written:
        yield f"{style(_GREEN, 'wrote')}  {name}: {_count(outcome.exchanges)}"
    elif not outcome.mismatches:
        yield f"{style(_GREEN, 'ok')}     {name}: {_count(outcome.exchanges)}"
    else:
        yield f"{style(_RED, 'FAIL')}   {name}: {_score(outcome)}"
        yield from details(outcome, style)


def details(outcome: Outcome, style: Style | None = None) -> Iterator[str]:
    """The exchanges that are not as expected, field by field."""
    style = style or Style(False)
    for mismatch in outcome.mismatches[:MAX_MISMATCHES]:
        yield from _mismatch(mismatch, style)
    if len(outcome.mismatches) > MAX_MISMATCHES:
        yield f"  … and {len(outcome.mismatches) - MAX_MISMATCHES} more"


def summary(outcomes: Sequence[Outcome]) -> str:
    """The last line."""
    failed = sum(outcome.status == 1 for outcome in outcomes)
    errors = sum(outcome.status > 1 for outcome in outcomes)
    words = [f"{len(outcomes)} captures" if len(outcomes) != 1 else "1 capture"]
    words += [f"{failed} failed"] if failed else []
    words += [f"{errors} in error"] if errors else []
    return ", ".join(words) + ("" if failed or errors else ": all as expected")


def _score(outcome: Outcome) -> str:
    return f"{len(outcome.mismatches)} of {_count(outcome.exchanges)} not as expected"


def _count(exchanges: int) -> str:
    return "1 exchange" if exchanges == 1 else f"{exchanges} exchanges"


def _mismatch(mismatch: Mismatch, style: Style) -> Iterator[str]:
    head = f"  {visible(mismatch.id)}  {style(_BOLD, shortened(visible(mismatch.title), 100))}"
    if mismatch.kind == "missing":
        yield f"{head}: expected, not in the capture"
    elif mismatch.kind == "unexpected":
        yield f"{head}: in the capture, not expected"
    else:
        yield head
        for difference in mismatch.differences:
            yield from difference_lines(difference, style)


def difference_lines(
    difference: Difference, style: Style, names: tuple[str, str] = ("expected", "got     ")
) -> Iterator[str]:
    """One difference: its path, and below it the two values after their names, or the lines of the two texts."""
    yield f"      {shortened(visible(difference.path), MAX_VALUE)}"
    if difference.lines:
        for line in difference.lines:
            code = _RED if line.startswith("-") else _GREEN if line.startswith("+") else ""
            text = shortened(visible(line), MAX_VALUE)
            yield f"        {style(code, text) if code else text}"
        return
    expected, actual = value_text(difference.expected), value_text(difference.actual)
    yield f"        {style(_RED, f'- {names[0]} {expected}')}"
    yield f"        {style(_GREEN, f'+ {names[1]} {actual}')}"


def value_text(value: Any) -> str:
    """A value on one line, as JSON; "nothing" where there is none."""
    if value is MISSING:
        return "nothing"
    return shortened(visible(json.dumps(value, ensure_ascii=False)), MAX_VALUE)


def _text(text: str) -> str:
    return "\n       ".join(visible(line) for line in text.splitlines())


def junit(outcomes: Sequence[Outcome]) -> bytes:
    """JUnit's XML, one test case per capture. No times: the same outcomes are the same bytes."""
    suite = ElementTree.Element(
        "testsuite",
        name="ebpf-replay test",
        tests=str(len(outcomes)),
        failures=str(sum(outcome.status == 1 for outcome in outcomes)),
        errors=str(sum(outcome.status > 1 for outcome in outcomes)),
    )
    for outcome in outcomes:
        name = visible(outcome.path.name)
        case = ElementTree.SubElement(suite, "testcase", classname=visible(str(outcome.path.parent)), name=name)
        if outcome.error:
            ElementTree.SubElement(case, "error", message=visible(outcome.error)).text = _text(outcome.error)
        elif outcome.mismatches:
            ElementTree.SubElement(case, "failure", message=_score(outcome)).text = "\n".join(details(outcome))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"
