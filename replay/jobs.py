"""A recording in, the lines of its results out, made by several processes and byte for byte as one would make them.

Every process reads the whole recording up to the streams, which is a small part of the work, and converses only on its
share of the connections. All of them count what the listeners hear in the same way; by that count the parent puts their
lines into the one order.
"""

from __future__ import annotations

import heapq
import multiprocessing
import pickle
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from multiprocessing.connection import Connection as Pipe
from typing import Final

from replay.connections import SidePolicy
from replay.dispatch import Conversation, Result
from replay.exchange import Connection, ProcessFacts
from replay.pipeline import listen
from replay.source import prefixes, recordings
from replay.stream import Eof, Flow, StreamEvent

MAX_JOBS: Final = 64
BATCH: Final = 256  # lines sent at a time

Line = tuple[int, int, int, bytes]  # recording, count of what was heard, place among its results, the line
Encode = Callable[[Result], bytes | None]  # None: not wanted


def lines(files: Sequence[str], side: SidePolicy, encode: Encode, jobs: int) -> Generator[bytes, None, None]:
    """The encoded results of all recordings, in order. What a process raises is raised here."""
    context = multiprocessing.get_context("fork")  # `encode` is a closure over the command line
    pipes, workers = [], []
    for share in range(jobs):
        ours, theirs = context.Pipe(duplex=False)
        worker = context.Process(target=_work, args=(theirs, files, side, encode, share, jobs), daemon=True)
        worker.start()
        theirs.close()
        pipes.append(ours)
        workers.append(worker)
    try:
        for line in heapq.merge(*map(_received, pipes)):
            yield line[-1]
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def _received(pipe: Pipe) -> Iterator[Line]:
    """What one process sends, until it sends an empty batch."""
    while batch := pickle.loads(pipe.recv_bytes()):  # from our own child
        if isinstance(batch, Exception):
            raise batch
        yield from batch


def _work(pipe: Pipe, files: Sequence[str], side: SidePolicy, encode: Encode, share: int, jobs: int) -> None:
    with suppress(BrokenPipeError):  # the parent wants no more
        try:
            batch: list[Line] = []
            for line in _share(files, side, encode, share, jobs):
                batch.append(line)
                if len(batch) >= BATCH:
                    pipe.send_bytes(pickle.dumps(batch))
                    batch = []
            pipe.send_bytes(pickle.dumps(batch))
            if batch:
                pipe.send_bytes(pickle.dumps([]))
        except BrokenPipeError:
            raise
        except Exception as error:
            pipe.send_bytes(pickle.dumps(error))


def _share(files: Sequence[str], side: SidePolicy, encode: Encode, share: int, jobs: int) -> Iterator[Line]:
    found = recordings(files)
    for number, (recording, prefix) in enumerate(zip(found, prefixes(len(found)), strict=True)):
        count = _Count()

        def make(connection: Connection, process: ProcessFacts | None, offset: int, count: _Count = count) -> _Listener:
            mine = connection.generation % jobs == share
            return _Listener(count, connection, Conversation(connection, process, offset) if mine else None)

        with closing(recording):
            for heard, place, result in listen(recording, side, prefix, make):
                line = encode(result)
                if line is not None:
                    yield number, heard, place, line


class _Count:
    """What all listeners of one recording have heard, together."""

    def __init__(self) -> None:
        self.heard = 0


class _Listener:
    """Hears every event; converses if the connection is of this process's share. Results come with their place."""

    def __init__(self, count: _Count, connection: Connection, conversation: Conversation | None) -> None:
        self.connection = connection
        self._count = count
        self._conversation = conversation
        self._open = 2

    @property
    def ended(self) -> bool:
        return not self._open

    def feed(self, flow: Flow, event: StreamEvent) -> list[tuple[int, int, Result]]:
        self._count.heard += 1
        self._open -= type(event) is Eof
        if self._conversation is None:
            return []
        results = self._conversation.feed(flow, event)
        return [(self._count.heard, place, result) for place, result in enumerate(results)]
