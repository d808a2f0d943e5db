"""A recording in, the lines of its results out, made by several processes and byte for byte as one would make them.

This process reads the recording up to the conversations, which cannot be divided, and numbers what they hear. It holds
some of the conversations and sends the others' events to its workers, in batches. A worker sends back the lines of its
results with their numbers; by these all lines come into the one order.
"""

from __future__ import annotations

import multiprocessing
import pickle
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from multiprocessing.connection import Connection as Pipe
from multiprocessing.process import BaseProcess
from operator import itemgetter
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final

from replay.connections import Listener, SidePolicy
from replay.dispatch import Conversation, Result
from replay.exchange import Connection, ProcessFacts
from replay.pipeline import listen
from replay.source import prefixes, recordings
from replay.stream import Bytes, Eof, Flow, StreamEvent

# An event waits until so many, or so many bytes, go to its worker together, or until so many were heard by all.
BATCH: Final = 256
BATCH_BYTES: Final = 1 << 20
PATIENCE: Final = 8192
MAX_UNANSWERED: Final = 8  # batches on their way to and from one worker: bounds the lines that wait for their turn
# Of 100 conversations, those that are held here beside one worker: reading and putting in order is nearly as much work
# as conversing. Beside more workers it is all that this process does.
OWN: Final = 5
_SCATTER: Final = 61  # coprime to 100, so that neighbours go different ways

Line = tuple[int, bytes]  # the number of what was heard, and the line that came of it
Encode = Callable[[Result], bytes | None]  # None: not wanted
# (number, conversation, flow, (position, time, bytes)) or (…, another event); with flow "" the beginning or None
Task = tuple[int, int, str, Any]
_NUMBER: Final = itemgetter(0)
_DIED: Final = "a worker process ended before its work was done"


def lines(files: Sequence[str], side: SidePolicy, encode: Encode, jobs: int) -> Generator[bytes, None, None]:
    """The encoded results of all recordings, in order. What a worker raises is raised here."""
    with closing(_Workers(encode, jobs - 1)) as workers:
        found = recordings(files)
        number = 0
        waiting: list[Line] = []
        for recording, prefix in zip(found, prefixes(len(found)), strict=True):
            with closing(recording):
                for heard in listen(recording, side, prefix, workers.listener):
                    number += 1
                    if type(heard) is tuple:
                        workers.tell(number, *heard)
                    elif (line := encode(heard)) is not None:
                        waiting.append((number, line))
                    if not number % BATCH:
                        waiting += workers.answers(number)
                        waiting, whole = _divided(waiting, workers.complete(number))
                        yield from whole
        workers.finish()
        waiting += workers.answers(number)
        yield from _divided(waiting, number)[1]


def _divided(waiting: list[Line], number: int) -> tuple[list[Line], list[bytes]]:
    """What must wait for others before it, and the lines up to `number` in order."""
    waiting.sort(key=_NUMBER)  # stable: the lines of one number come from one process, in their order
    end = bisect_right(waiting, number, key=_NUMBER)
    return waiting[end:], [line for _, line in waiting[:end]]


class _Far:
    """A listener that hands on what it hears, for the conversation in a worker."""

    def __init__(self, connection: Connection, worker: _Worker, key: int) -> None:
        self.connection = connection
        self._worker = worker
        self._key = key
        self._open = 2

    @property
    def ended(self) -> bool:
        return not self._open

    def feed(self, flow: Flow, event: StreamEvent) -> list[tuple[_Worker, int, Flow, StreamEvent]]:
        if type(event) is Eof:
            self._open -= 1
        return [(self._worker, self._key, flow, event)]

    def leave(self) -> None:
        self._worker.over.append(self._key)


class _Workers:
    """The other processes, and who of them holds which conversation."""

    def __init__(self, encode: Encode, count: int) -> None:
        self._workers: list[_Worker] = []
        self._answers: SimpleQueue[tuple[_Worker, bytes]] = SimpleQueue()
        self._told = 0  # the number up to which all batches were sent
        self._conversations = 0
        self._own = OWN if count == 1 else 0 if count else 100
        context = multiprocessing.get_context("fork")  # `encode` is a closure over the command line
        pipes = [context.Pipe() for _ in range(count)]
        for ours, theirs in pipes:
            others = [end for pair in pipes for end in pair if end is not theirs]
            process = context.Process(target=_work, args=(theirs, others, encode), daemon=True)
            process.start()
            self._workers.append(_Worker(process, ours))
        for _, theirs in pipes:
            theirs.close()
        for worker in self._workers:  # now that nothing is forked any more
            Thread(target=worker.listen, args=(self._answers,), daemon=True).start()

    def listener(self, connection: Connection, process: ProcessFacts | None, clock_offset_ns: int) -> Listener:
        """A conversation here, or the ear of one elsewhere."""
        self._conversations = key = self._conversations + 1
        if key * _SCATTER % 100 < self._own:
            return Conversation(connection, process, clock_offset_ns)
        worker = self._workers[key % len(self._workers)]
        worker.batch.append((0, key, "", (connection, process, clock_offset_ns)))
        return _Far(connection, worker, key)

    def tell(self, number: int, worker: _Worker, key: int, flow: Flow, event: StreamEvent) -> None:
        """Have a conversation elsewhere hear an event."""
        worker.tell((number, key, flow, event))
        while len(worker.unanswered) > MAX_UNANSWERED:
            self._receive()

    def answers(self, number: int) -> list[Line]:
        """The lines that came until now; send what waited too long."""
        if number - self._told >= PATIENCE:
            self._told = number
            for worker in self._workers:
                worker.send()
        while not self._answers.empty():
            self._receive()
        lines: list[Line] = []
        for worker in self._workers:
            lines += worker.lines
            worker.lines = []
        return lines

    def complete(self, number: int) -> int:
        """Up to where all lines are here, if `number` is the last that was heard."""
        return min([worker.complete(number) for worker in self._workers], default=number)

    def finish(self) -> None:
        """Wait for everything."""
        for worker in self._workers:
            worker.send()
        while any(worker.unanswered for worker in self._workers):
            self._receive()

    def _receive(self) -> None:
        worker, answer = self._answers.get()
        worker.answered(answer)

    def close(self) -> None:
        """End the processes."""
        for worker in self._workers:
            worker.close()


class _Worker:
    """One other process, as this one knows it."""

    def __init__(self, process: BaseProcess, pipe: Pipe) -> None:
        self.batch: list[Task] = []
        self.over: list[int] = []  # conversations that hear nothing any more, but for what is about to be told
        self.unanswered: deque[int] = deque()  # the first number of each batch that was sent
        self.lines: list[Line] = []
        self._process = process
        self._pipe = pipe
        self._bytes = 0
        self._forgotten: list[int] = []

    def listen(self, answers: SimpleQueue[tuple[_Worker, bytes]]) -> None:
        """Take its answers as they come: neither side ever waits for the other to listen."""
        with suppress(EOFError, OSError):
            while True:
                answers.put((self, self._pipe.recv_bytes()))
        answers.put((self, b""))

    def tell(self, task: Task) -> None:
        """One more event."""
        event = task[3]
        if type(event) is Bytes:
            task = (*task[:3], (event.position, event.time, event.data))
            self._bytes += len(event.data)
        self.batch.append(task)
        if len(self.batch) >= BATCH or self._bytes >= BATCH_BYTES:
            self.send()

    def send(self) -> None:
        """What waited."""
        if self.batch:
            # A conversation that is shown no more does not hear its end, and must be forgotten all the same.
            self.batch += [(0, key, "", None) for key in self._forgotten]
            self._forgotten, self.over = self.over, []
            self.unanswered.append(self._first())
            try:
                self._pipe.send_bytes(pickle.dumps(self.batch, pickle.HIGHEST_PROTOCOL))
            except BrokenPipeError:  # not that of the output, whose reader may go away
                raise RuntimeError(_DIED) from None
            self.batch, self._bytes = [], 0

    def _first(self) -> int:
        return next((number for number, *_ in self.batch if number), 0)

    def answered(self, answer: bytes) -> None:
        """The lines of the oldest batch."""
        if not answer:
            raise RuntimeError(_DIED)
        found = pickle.loads(answer)  # from our own child
        if isinstance(found, Exception):
            raise found
        self.unanswered.popleft()
        self.lines += found

    def complete(self, number: int) -> int:
        """Up to where its lines are here."""
        first = next((first for first in self.unanswered if first), 0) or self._first()
        return first - 1 if first else number

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.join()
        self._pipe.close()


def _work(pipe: Pipe, others: list[Pipe], encode: Encode) -> None:
    for other in others:  # held here too they would never be at their end
        other.close()
    conversations: dict[int, Conversation] = {}
    with suppress(BrokenPipeError, EOFError):  # the parent wants no more
        while True:
            batch: list[Task] = pickle.loads(pipe.recv_bytes())  # from our own parent
            try:
                answer: list[Line] | Exception = list(_converse(conversations, batch, encode))
            except Exception as error:
                answer = error
            pipe.send_bytes(pickle.dumps(answer, pickle.HIGHEST_PROTOCOL))


def _converse(conversations: dict[int, Conversation], batch: list[Task], encode: Encode) -> Iterator[Line]:
    for number, key, flow, what in batch:
        if not flow:
            if what is None:
                conversations.pop(key, None)
            else:
                conversations[key] = Conversation(*what)
            continue
        conversation = conversations[key]
        event = Bytes(*what) if type(what) is tuple else what
        for result in conversation.feed(flow, event):  # type: ignore[arg-type]  # a Flow, since it is not ""
            line = encode(result)
            if line is not None:
                yield number, line
        if conversation.ended:
            del conversations[key]
