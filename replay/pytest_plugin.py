"""The pytest plugin: captures are tests, and tests ask captures (docs/testing.md).

Collects every `*.cap` with a `*.expected.jsonl` beside it, by the engine of `ebpf-replay test`. Fixtures: `capture`
opens a stored capture, `record` records a block of code. Imports the rest of the house only when a capture is met:
every pytest run of an environment loads this file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from replay.api import Capture

CAPTURE = ".cap"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of `pytest`."""
    group = parser.getgroup("ebpf-replay", "captures as tests")
    group.addoption("--update-captures", action="store_true", help="write what captures say as their expectations")
    group.addoption(
        "--record",
        choices=["auto", "always", "never"],
        default="auto",
        help="whether the `record` fixture records: auto (the default) where this host can, else the stored capture",
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A capture with its expectation is a test file of one test."""
    if file_path.suffix != CAPTURE:
        return None
    update = parent.config.getoption("--update-captures")
    expected = file_path.with_name(file_path.stem + ".expected.jsonl")
    if not (update or expected.exists()):
        return None
    return CaptureFile.from_parent(parent, path=file_path)


class CaptureFile(pytest.File):
    """One `*.cap` file."""

    def collect(self) -> Iterator[pytest.Item]:
        """Its one test."""
        yield CaptureItem.from_parent(self, name="replay")


class NotAsExpected(Exception):
    """The capture's outcome is not the expected one; carries it for the report."""

    def __init__(self, outcome: Any) -> None:
        super().__init__(outcome.error or "not as expected")
        self.outcome = outcome


class CaptureItem(pytest.Item):
    """Replays the capture and compares."""

    def runtest(self) -> None:
        """Pass, or raise NotAsExpected."""
        from replay import tester

        work = tester.update if self.config.getoption("--update-captures") else tester.check
        outcome = work(tester.Capture(self.path, self.config.rootpath))
        if outcome.status:
            raise NotAsExpected(outcome)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The differences, as `ebpf-replay test` shows them."""
        if not isinstance(excinfo.value, NotAsExpected):
            return super().repr_failure(excinfo, style)
        from replay.tester import report

        return "\n".join(report.lines(excinfo.value.outcome))

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """How the test is named."""
        return self.path, None, f"capture: {self.path.name}"


@pytest.fixture
def capture(request: pytest.FixtureRequest) -> Callable[[str], Capture]:
    """`capture("checkout.cap")`: the stored capture of that name beside the test file."""

    def opened(name: str) -> Capture:
        import replay

        return replay.open(_beside(request, name))

    return opened


@pytest.fixture
def record(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., AbstractContextManager[Capture]]:
    """`with record("checkout.cap") as seen: …`: what this process (or `pid=…`) and its children say in the block.

    After the block `seen` has the exchanges. Where this host cannot record (no root, no BPF), the block runs all the
    same and `seen` reads the stored capture of that name; without one the test is skipped, with the reason. With
    `--update-captures` a recording made replaces the stored capture. `seen.live` tells which of the two it was.
    """
    config = request.config

    def recorder(name: str, pid: int | None = None) -> AbstractContextManager[Capture]:
        from replay import live

        update = bool(config.getoption("--update-captures"))
        stored = _beside(request, name)
        return live.recorded(stored, tmp_path, pid or os.getpid(), config.getoption("--record"), update, _skip)

    return recorder


def _skip(why: str) -> NoReturn:
    pytest.skip(why)


def _beside(request: pytest.FixtureRequest, name: str) -> Path:
    return Path(request.path).parent / name
