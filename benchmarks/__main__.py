"""`python -m benchmarks [--full]`: all benchmarks, then the report. The quick form takes under 10 minutes."""

from __future__ import annotations

import sys

from benchmarks import consumer, offline, report, server

full = "--full" in sys.argv
for part in (server, consumer, offline):
    print(part.__name__, flush=True)
    part.main(full)
report.main("full" if full else "quick")
