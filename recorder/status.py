"""One status line on a terminal while recording. rich does the drawing; it is imported after root has been given up.

Reads the session's numbers, changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recorder.summary import losses, size

if TYPE_CHECKING:
    from rich.live import Live

    from recorder.session import Session


def line(seconds: float, rate: float, written: int, high_water: float, open_sockets: int, lost: list[str]) -> str:
    """`0:01:05  1,234 events/s  5.0 MiB  ring ≤ 12%  3 open  nothing lost`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    state = "; ".join(lost) if lost else "nothing lost"
    return (
        f"{hours}:{minutes:02}:{rest:02}  {rate:,.0f} events/s  {size(written)}  "
        f"ring ≤ {high_water:.0%}  {open_sockets} open  {state}"
    )


class StatusLine:
    """Called by the session now and then; `close` takes the line away."""

    def __init__(self) -> None:
        self._live: Live | None = None
        self._before = (0.0, 0)

    def __call__(self, session: Session) -> None:
        """Draw the line as of now."""
        if self._live is None:
            self._live = self._begin()
        counters = session.program.counters()
        seconds = session.seconds
        events = sum(session.program.next_sequences()["data"])
        then, count = self._before
        rate = (events - count) / (seconds - then) if seconds > then else 0.0
        self._before = (seconds, events)
        text = line(
            seconds, rate, session.recording.written, session.drain.high_water, session.control.open, losses(counters)
        )
        from rich.text import Text

        self._live.update(Text(text, no_wrap=True, overflow="ellipsis"), refresh=True)

    def _begin(self) -> Live:
        from rich.console import Console
        from rich.live import Live

        live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)
        live.start()
        live.console.show_cursor(True)  # rich hides it; a recorder that is killed could not bring it back
        return live

    def close(self) -> None:
        """Take the line away, so that the summary stands alone."""
        if self._live is not None:
            self._live.stop()
            self._live = None
