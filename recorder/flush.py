"""What was written, made to reach the disk: in a thread of its own, so that nobody else waits for a disk.

A killed recorder loses nothing that was written; a power cut loses what this thread had not yet come to.
"""

from __future__ import annotations

import threading

from capfile.writer import FLUSH_INTERVAL
from recorder.recording import Recording


class Flusher:
    """Calls `recording.sync()` every FLUSH_INTERVAL seconds, and once more at the end."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="flush", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(FLUSH_INTERVAL):
            self._recording.sync()
        self._recording.sync()

    def finish(self) -> None:
        """Wait until everything is on the disk; a signal's handler can still run meanwhile."""
        self._stop.set()
        self._thread.join()
