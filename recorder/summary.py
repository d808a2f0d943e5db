"""What a finished recording says on standard error: how much, who it ran as, and what was lost, or that nothing was."""

from __future__ import annotations

from typing import Final, TextIO

from capfile.words import counted
from recorder.options import Outcome

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")


def size(number: float) -> str:
    """Bytes for eyes: `1.5 MiB`."""
    steps = 0
    while number >= 1024 and steps < len(_UNITS) - 1:
        number /= 1024
        steps += 1
    unit = _UNITS[steps]
    return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"


# counter -> (what, what befell it); all of them are losses of recorded bytes or of news
LOSSES: Final[dict[str, tuple[str, str]]] = {
    "data_lost": ("data event", "found no room in the ring"),
    "control_lost": ("control event", "found no room in the ring"),
    "faults": ("read", "of a caller's memory failed"),
    "scratch_busy": ("event", "met a busy scratch"),
    "control_busy": ("control event", "met a busy ring"),
    "map_sockets_full": ("socket", "found no room in the map"),
    "sockets_forgotten": ("socket", "made room for others in the map, to be a new connection when used again"),
    "unplaced_calls": ("call", "could not be given a place"),
    "tail_call_failed": ("call", "could not be finished"),
    "runs_left_out": ("run", "of a kernel program was left out by the kernel, of any process"),
}


def losses(counters: dict[str, list[int]]) -> list[str]:
    """One sentence for each kind of loss that happened."""
    return [
        counted(sum(counters[name]), noun, fate) for name, (noun, fate) in LOSSES.items() if sum(counters.get(name, []))
    ]


def lines(outcome: Outcome, output: str) -> list[str]:
    """The summary, line by line."""
    where = "standard output" if output == "-" else output
    kept = f", {outcome.kept} kept" if outcome.kept < outcome.segments else ""
    segments = f" in {outcome.segments} segments{kept}" if outcome.segments > 1 else ""
    lost = losses(outcome.counters)
    found = [
        f"{counted(outcome.events, 'event')}, {size(outcome.bytes)}, "
        f"{counted(outcome.connections, 'connection')} in {outcome.seconds:.1f} s to {where}{segments}",
        f"lost: {'; '.join(lost) if lost else 'nothing'} (ring filled to {outcome.high_water:.0%} at most)",
        f"ended by: {outcome.reason}; ran as user {outcome.user} "
        f"{'with ' + outcome.capability if outcome.capability else 'without any capability'}",
    ]
    if outcome.redacted is not None:
        found.append(f"redacted: {counted(outcome.redacted, 'value')}")
    if outcome.marks:
        found.append("blind spots: " + ", ".join(f"{name} ×{n}" for name, n in sorted(outcome.marks.items())))  # noqa: RUF001
    if not outcome.ended:
        found.append("the file has no End frame: the output could not take it")
    return found


def show(outcome: Outcome, output: str, to: TextIO) -> None:
    """Print the summary."""
    for line in lines(outcome, output):
        print(f"ebpf-rec: {line}", file=to)
