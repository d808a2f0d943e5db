"""Lines of an strace log in, calls out: process, time, name, arguments, result.

Knows how strace writes lines (strace(1): -f, -o, -t, -tt, -ttt, -r, -T, -y, -yy, -Y, -i, -n, -k) and puts a call that
another process interrupted ("<unfinished ...>" … "resumed>") together again. What is no such line is counted and
skipped: logs are pasted into reports, cut and commented.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

MAX_UNFINISHED: Final = 1 << 16  # calls under way at once: Linux' default limit of threads is below it
MAX_NAMES: Final = 1 << 17  # of threads, as many as are remembered
SECOND: Final = 1_000_000_000
DAY: Final = 24 * 3600 * SECOND
TICK: Final = 1000  # ns between two lines of a log without times
ABSOLUTE: Final = 100_000_000  # seconds: a larger number is a time since 1970 (-ttt), a smaller one a distance (-r)

_LINE: Final = re.compile(
    r"(?:\[pid\s+(?P<bracketed>\d+)(?:<(?P<named>.*?)>)?\]\s+|(?P<pid>\d+)(?:<(?P<comm>.*?)>)?\s+)?"
    r"\s*(?:(?:(?P<hour>\d{1,2}):(?P<minute>\d\d):(?P<second>\d\d)(?:\.(?P<part>\d{1,9}))?"
    r"|(?P<whole>\d+)\.(?P<fraction>\d{1,9}))\s+(?:\(\+\s*[\d.]+\)\s+)?)?"
    r"(?:\[\s*[0-9a-f?]+\]\s+)*"  # -n, -i: the number of the system call, the instruction pointer
    r"(?P<text>\S.*)",
    re.DOTALL,
)
_CALL: Final = re.compile(r"([a-z_][a-z0-9_]*)\(")
_RESUMED: Final = re.compile(r"<\.\.\. ([a-z_][a-z0-9_]*) resumed>\s?")
_UNFINISHED: Final = "<unfinished ...>"
_RESULT: Final = re.compile(r"\s*=\s+(-?\d+|0x[0-9a-f]+|\?)(?:<(.*?)>(?:\(deleted\))?(?=\s|$))?(?:\s+(E[A-Z0-9]+))?")
_DURATION: Final = re.compile(r"<(\d+)\.(\d{1,9})>\s*$")
# Lines of strace's own: signals, the stack (-k), dumps (-e read=…), what it says itself
NO_CALLS: Final = ("---", "> ", "| ", "strace: ")
_EXIT: Final = re.compile(r"\+\+\+ (?:exited with|killed by|superseded by)")


class Call(NamedTuple):
    """One line or two that were put together: `text[at:]` is what stands behind the opening parenthesis."""

    pid: int
    time: int  # ns, when it returned
    name: str
    text: str
    at: int
    bound: object = None  # what `Lines.bind` gave when it began


class Exited(NamedTuple):
    """A thread is gone."""

    pid: int
    time: int


class Result(NamedTuple):
    """What a call returned: `value` None when strace does not know; `note` of a descriptor; `error` like "EAGAIN"."""

    value: int | None
    note: str
    error: str


@dataclass(slots=True)
class Clock:
    """Times as they stand in the log, on one line of ns that never goes back."""

    now: int = 0
    days: int = 0
    last: int | None = None

    def read(self, match: re.Match[str]) -> int:
        """The time of a line."""
        if match["hour"]:
            seconds = int(match["hour"]) * 3600 + int(match["minute"]) * 60 + int(match["second"])
            time = seconds * SECOND + _fraction(match["part"])
            if self.last is not None and time < self.last - DAY // 2:
                self.days += 1  # the log goes on after midnight
            self.last = time
            time += self.days * DAY
        elif match["whole"]:
            time = int(match["whole"][:12]) * SECOND + _fraction(match["fraction"])
            time = time if time > ABSOLUTE * SECOND else self.now + time
        else:
            time = self.now + TICK
        self.now = max(self.now, time)
        return self.now


def _fraction(digits: str | None) -> int:
    return int(digits.ljust(9, "0")) if digits else 0


@dataclass(slots=True)
class Lines:
    """`feed` one line; the call it completed, if it did. `bind` is asked when a call begins and is interrupted."""

    wanted: Callable[[str], bool]
    bind: Callable[[int, int, str, str, int], object]
    clock: Clock = field(default_factory=Clock)
    calls: int = 0
    skipped: int = 0
    seen: set[str] = field(default_factory=set)  # names of the wanted calls that were there
    names: dict[int, str] = field(default_factory=dict)  # of threads, as -Y gives them
    unfinished: dict[int, tuple[str, str, int, object]] = field(default_factory=dict)

    def feed(self, line: str) -> Call | Exited | None:
        """One line without its end."""
        match = _LINE.match(line)
        if match is None:
            self.skipped += bool(line.strip())
            return None
        pid = int((match["bracketed"] or match["pid"] or "0")[:9])
        text = match["text"]
        name = match["named"] or match["comm"]
        if name and len(self.names) < MAX_NAMES:
            self.names[pid] = name
        call = _CALL.match(text)
        if call:
            return self._call(pid, self.clock.read(match), call[1], text.rstrip(), call.end())
        resumed = _RESUMED.match(text)
        if resumed:
            return self._resumed(pid, self.clock.read(match), resumed[1], text[resumed.end() :].rstrip())
        if _EXIT.match(text):
            self.calls += 1
            return Exited(pid, self.clock.read(match))
        self.skipped += not text.startswith(NO_CALLS)
        return None

    def _call(self, pid: int, time: int, name: str, text: str, at: int) -> Call | None:
        self.calls += 1
        if not self.wanted(name):
            return None
        self.seen.add(name)
        if not text.endswith(_UNFINISHED):
            duration = _DURATION.search(text[-24:])
            if duration:
                time += int(duration[1]) * SECOND + _fraction(duration[2])
            return Call(pid, time, name, text, at)
        text = text[: -len(_UNFINISHED)]
        if len(self.unfinished) < MAX_UNFINISHED or pid in self.unfinished:
            self.unfinished[pid] = (name, text, at, self.bind(pid, time, name, text, at))
        return None

    def _resumed(self, pid: int, time: int, name: str, rest: str) -> Call | None:
        self.calls += 1
        begun = self.unfinished.pop(pid, None)
        if begun is None or begun[0] != name:
            return None
        _, text, at, bound = begun
        return Call(pid, time, name, text + rest, at, bound)


def result(text: str, at: int) -> Result:
    """What stands behind the closing parenthesis. ValueError when it is no result."""
    match = _RESULT.match(text, at)
    if match is None:
        raise ValueError("no result")
    number = match[1]
    value = None if number == "?" else int(number, 16 if number.startswith("0x") else 10)
    return Result(value, match[2] or "", match[3] or "")
