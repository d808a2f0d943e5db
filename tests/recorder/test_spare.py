"""Spare processor time, as /proc/stat tells it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

from recorder.spare import LEAST, LOOK_SECONDS, Spare, idle_seconds


class Host:
    """A clock, and CPUs that are idle for `idle` of the time that it is moved on."""

    def __init__(self) -> None:
        self.now = 5.0
        self.seconds = 100.0

    def move(self, passed: float, idle: float) -> None:
        self.now += passed
        self.seconds += passed * idle


def spare_on(host: Host) -> Spare:
    return Spare(lambda: host.now, lambda: host.seconds)


@pytest.mark.parametrize(("idle", "some"), [(0.0, False), (LEAST / 2, False), (2 * LEAST, True), (64.0, True)])
def test_spare_is_what_was_idle_between_two_looks(idle: float, some: bool) -> None:
    host = Host()
    spare = spare_on(host)
    host.move(LOOK_SECONDS, idle)
    assert spare() is some
    host.move(1.5 * LOOK_SECONDS, 1.0)
    assert spare()


def test_there_is_some_until_the_first_look_and_nothing_changes_between_two() -> None:
    host = Host()
    spare = spare_on(host)
    host.move(LOOK_SECONDS / 2, 0)
    assert spare()
    host.move(LOOK_SECONDS, 0)
    assert not spare()
    host.move(LOOK_SECONDS / 2, 64)
    assert not spare()


def _fails(error: Exception) -> Callable[[], float]:
    def read() -> float:
        raise error

    return read


@pytest.mark.parametrize("error", [PermissionError(), IndexError(), ValueError()])
def test_there_is_some_where_nobody_says(error: Exception) -> None:
    host = Host()
    spare = Spare(lambda: host.now, _fails(error))
    host.move(1, 0)
    assert spare()


def test_this_host_says() -> None:
    before, began = idle_seconds(), time.monotonic()
    time.sleep(0.05)
    assert 0 <= idle_seconds() - before <= (os.cpu_count() or 1) * (time.monotonic() - began) + 1
