"""All benchmarks, then the report: docs/performance.md and its plots. Takes less than ten minutes; in full, forty."""

from __future__ import annotations

from benchmarks import consumer, offline, report, server
from benchmarks.harness import full_form

full = full_form(__doc__)
for part in (server, consumer, offline):
    print(part.__name__, flush=True)
    part.main(full)
report.main()
