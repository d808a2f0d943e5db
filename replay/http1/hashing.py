"""The blocks of one body in, its SHA-256 out, made beside the reading where the body is large.

A block of 4 MiB takes a thread milliseconds, in which this one reads on, and then writes the body out: the digest is
asked for when all else is done. hashlib holds no lock of the interpreter meanwhile.
"""

from __future__ import annotations

import hashlib
from collections import deque
from threading import Lock, Thread
from typing import Final

WORTH_A_THREAD: Final = 4 << 20  # bytes of a block: handing it over costs next to nothing then
MAX_WAITING: Final = 4  # blocks not hashed yet: those of a body beyond its limit are held by nobody else


class Hash:
    """SHA-256 of the blocks of one body; equal to its hexadecimal text. `replay.exchange.Digest`."""

    __slots__ = ("_lock", "_sha256", "_thread", "_waiting")

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._lock = Lock()
        self._waiting: deque[bytes] = deque()
        self._thread: Thread | None = None  # None: nothing waits, all that came is hashed

    def update(self, block: bytes) -> None:
        """The next bytes."""
        if self._thread is None and len(block) < WORTH_A_THREAD:
            self._sha256.update(block)
            return
        if len(self._waiting) >= MAX_WAITING:
            self._wait()
        with self._lock:
            self._waiting.append(block)
            if self._thread is not None:
                return
            thread = self._thread = Thread(target=self._work)
        thread.start()

    def digest(self) -> str | Hash:
        """Its text if that is there, else what will have it: nothing may follow."""
        return self._sha256.hexdigest() if self._thread is None else self

    def hexdigest(self) -> str:
        """Of all blocks; waits for it."""
        self._wait()
        return self._sha256.hexdigest()

    def __eq__(self, other: object) -> bool:
        return self.hexdigest() == (other.hexdigest() if isinstance(other, Hash) else other)

    def __hash__(self) -> int:
        return hash(self.hexdigest())

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (self.hexdigest(),)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                block = self._waiting.popleft()
            self._sha256.update(block)

    def _wait(self) -> None:
        thread = self._thread
        if thread is not None:
            thread.join()
