"""The formats of `show --format`: name in, writer out. A module is imported only when its format is asked for.

A row's module has `write(items, out)`: items are exchanges and connections that hold none, in the order of the
pipeline, or for a "passages" format `replay.pipeline.Passage`s; `out` is a binary file, or for a "folder" format the
folder's path. Nothing recorded may steer a terminal, a
shell, a browser, a spreadsheet or a path: each writer escapes for its reader.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Literal

from replay.exchange import Exchange, OpaqueConnection
from replay.pipeline import Passage

if TYPE_CHECKING:
    from pathlib import Path

Item = Exchange | OpaqueConnection


@dataclass(frozen=True, slots=True)
class Format:
    """One row: where its writer is, what it is for, and whether it writes exchanges to one file or into a folder, or
    what passed on their connections to one file."""

    module: str
    help: str
    target: Literal["file", "folder", "passages"] = "file"

    def write(self, items: Iterable[Item] | Iterable[Passage], out: BinaryIO | Path) -> None:
        """Write all items; what a writer raises is OSError or UsageError."""
        writer: Callable[[Any, Any], None] = importlib.import_module(self.module).write
        writer(items, out)


FORMATS: Final[dict[str, Format]] = {
    "table": Format("replay.output.table", "one line per exchange, for eyes (the default)"),
    "jsonl": Format("replay.output.jsonl", "JSON Lines, one document per exchange (docs/exchange.schema.json)"),
    "har": Format("replay.output.har", "HTTP Archive 1.2, for browsers' developer tools"),
    "pcapng": Format("replay.output.pcapng", "packets, for tshark and its like: what passed, as TCP", "passages"),
    "curl": Format("replay.output.curl", "one curl command per request, for a POSIX shell"),
    "bodies": Format("replay.output.bodies", "every body as a file, in a folder", "folder"),
}
