"""Paths in, outcomes out: each `*.cap` is replayed and compared with its `*.expected.jsonl`, or that is written.

What is wrong with a file is an outcome too, so that one bad capture does not hide the others. The order is that of the
names, and the outcome of a capture depends on nothing but its files: any number of jobs gives the same.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from capfile.errors import CapfileError
from replay.document import to_document
from replay.errors import UsageError
from replay.pipeline import exchanges
from replay.source import recordings
from replay.tester.align import align
from replay.tester.compare import Difference, differences
from replay.tester.normal import normal_form
from replay.tester.rules import Rules, rules_for

Json = dict[str, Any]

CAPTURE: Final = ".cap"
EXPECTED: Final = ".expected.jsonl"


@dataclass(frozen=True, slots=True)
class Capture:
    """A capture and the folder up to which its rules are looked for."""

    path: Path
    top: Path

    @property
    def expected(self) -> Path:
        """Where its expectation is."""
        return self.path.with_name(self.path.name.removesuffix(CAPTURE) + EXPECTED)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One exchange that is not as expected. `kind`: "changed", "missing" (expected and not there) or "unexpected"."""

    id: str
    title: str  # method and target
    kind: Literal["changed", "missing", "unexpected"]
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one capture. `status` is the exit status it asks for: 0 as expected or written, 1 not so, 2 the
    rules or the expectation are wrong, 3 the capture cannot be read. `error` says why in the last two cases."""

    path: Path
    status: int
    exchanges: int = 0
    mismatches: tuple[Mismatch, ...] = ()
    error: str = ""
    written: bool = False


def find(paths: Sequence[str | Path], with_expectation: bool = True) -> list[Capture]:
    """The captures that these paths name or that are in these folders; UsageError where there is none.

    In folders only those with an expectation beside them are taken (all, if not `with_expectation`)."""
    found: dict[Path, Capture] = {}
    for name in paths:
        path = Path(name)
        for capture in _captures(path):
            if path.is_dir() and with_expectation and not capture.expected.exists():
                continue
            found.setdefault(capture.path, capture)
    if not found:
        raise UsageError(f"no {CAPTURE} file with its {EXPECTED} in {', '.join(map(str, paths))}; --update writes them")
    return [found[path] for path in sorted(found)]


def _captures(path: Path) -> Iterator[Capture]:
    if path.is_dir():
        for each in path.rglob(f"*{CAPTURE}"):
            if each.is_file():
                yield Capture(each, path)
    elif path.exists():
        yield Capture(path, path.parent)
    else:
        raise UsageError(f"{path}: no such file or folder")


def replayed(path: Path, rules: Rules) -> list[Json]:
    """What the capture says, in normal form. CapfileError, OSError."""
    documents = []
    for recording in recordings([str(path)]):
        try:
            documents += [msgspec.to_builtins(to_document(item)) for item in exchanges(recording)]
        finally:
            recording.close()
    return normal_form(documents, rules)


def expectation(path: Path, rules: Rules) -> list[Json]:
    """What is expected, in normal form; UsageError, with the line, where the file is no JSON Lines of ours."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        raise UsageError(f"{path}: not there; --update writes it") from None
    return normal_form([_expected(line, f"{path}, line {number}") for number, line in enumerate(lines, 1)], rules)


def _expected(line: bytes, place: str) -> Json:
    """One line of an expectation, proven to be a document that has a normal form."""
    try:
        document: Json = json.loads(line)
        normal_form([json.loads(line)], Rules())
        return document
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"{place}: not an exchange ({type(error).__name__}: {error})") from None


def check(capture: Capture) -> Outcome:
    """Replay and compare one capture."""
    return _guarded(capture, _check)


def update(capture: Capture) -> Outcome:
    """Replay one capture and write what it says as its expectation, atomically."""
    return _guarded(capture, _update)


def _guarded(capture: Capture, work: Any) -> Outcome:
    try:
        outcome: Outcome = work(capture, rules_for(capture.path, capture.top))
        return outcome
    except UsageError as error:
        return Outcome(capture.path, 2, error=str(error))
    except (CapfileError, OSError) as error:
        return Outcome(capture.path, 3, error=str(error))


def _check(capture: Capture, rules: Rules) -> Outcome:
    expected = expectation(capture.expected, rules)
    actual = replayed(capture.path, rules)
    found = tuple(mismatches(expected, actual, rules))
    total = len(expected) + sum(each.kind == "unexpected" for each in found)
    return Outcome(capture.path, 1 if found else 0, total, found)


def _update(capture: Capture, rules: Rules) -> Outcome:
    documents = replayed(capture.path, rules)
    text = "".join(json.dumps(document, ensure_ascii=True) + "\n" for document in documents)
    part = capture.expected.with_name(f".{capture.expected.name}.{os.getpid()}")
    part.write_text(text)
    part.replace(capture.expected)
    return Outcome(capture.path, 0, len(documents), written=True)


def mismatches(expected: list[Json], actual: list[Json], rules: Rules) -> Iterator[Mismatch]:
    """What two lists of documents in normal form do not share."""
    for left, right in align(expected, actual):
        if right is None:
            assert left is not None
            yield Mismatch(left["id"], title(left), "missing")
        elif left is None:
            yield Mismatch(right["id"], title(right), "unexpected")
        elif found := differences(left, right, rules.timings):
            yield Mismatch(right["id"], title(left), "changed", tuple(found))


def title(document: Json) -> str:
    """`GET /path` of a document, or what the connection speaks."""
    request = document.get("request")
    if request:
        return f"{request.get('method', '')} {request.get('target', '')}"
    response = document.get("response")
    return f"a response {response.get('status')} without its request" if response else str(document["protocol"])


def run(captures: Sequence[Capture], jobs: int = 1, write: bool = False) -> Iterator[Outcome]:
    """The outcome of each capture, in their order, by `jobs` processes."""
    work = update if write else check
    if jobs <= 1 or len(captures) <= 1:
        yield from map(work, captures)
        return
    with ProcessPoolExecutor(min(jobs, len(captures))) as pool:
        yield from pool.map(work, captures)
