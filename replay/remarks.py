"""What a recording's files lack, as sentences for standard error: what is made of it would not show that."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from replay.output.escaping import visible
from replay.source import Recording
from replay.verify import segment_accounts


def say(found: Iterable[Recording]) -> None:
    """Name every file that is cut or damaged, once the recordings have been read to their end."""
    for recording in found:
        for each in segment_accounts(recording):
            if each.state != "complete":
                what = f" ({visible(each.damage[0])})" if each.damage else ": it has no end"
                name = visible(each.file)
                print(f"ebpf-replay: {name} is {each.state}{what}; verify says what is missing", file=sys.stderr)
