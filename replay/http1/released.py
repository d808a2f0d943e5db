"""Requests that were handed out before their answer, because too many waited: so that it is given to no other one."""

from __future__ import annotations

from collections import deque


class Released:
    """In their order: methods, and how many requests with that method in a row."""

    __slots__ = ("_runs",)

    def __init__(self) -> None:
        self._runs: deque[tuple[str, int]] = deque()

    def __bool__(self) -> bool:
        return bool(self._runs)

    def add(self, method: str) -> None:
        """A further request is handed out."""
        count = self._runs.pop()[1] if self._runs and self._runs[-1][0] == method else 0
        self._runs.append((method, count + 1))

    def take(self) -> str:
        """The oldest is answered: its method."""
        method, count = self._runs.popleft()
        if count > 1:
            self._runs.appendleft((method, count - 1))
        return method
