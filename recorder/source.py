"""The kernel program's text: bpf/program.c with our own headers put where it includes them.

bcc rewrites map methods only in the main file, so the files are joined before it sees them. The joining is the
preprocessor's own rule and nothing more; `#line` keeps the compiler's messages pointing at the file that was written.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

DIRECTORY: Final = Path(__file__).resolve().parent.parent / "bpf"
MAIN: Final = "program.c"

_INCLUDE: Final = re.compile(r'^#include "([a-z_]+\.h)"$')


def program_text(directory: Path = DIRECTORY, name: str = MAIN) -> str:
    """The text that is given to bcc; each header once, at its first include."""
    return "\n".join(_lines(directory, name, set())) + "\n"


def _lines(directory: Path, name: str, seen: set[str]) -> list[str]:
    seen.add(name)
    lines = [f'#line 1 "bpf/{name}"']
    for number, line in enumerate((directory / name).read_text().splitlines(), start=1):
        included = _INCLUDE.match(line)
        if included is None:
            lines.append(line)
        elif included[1] not in seen:
            lines += [*_lines(directory, included[1], seen), f'#line {number + 1} "bpf/{name}"']
        else:
            lines.append("")
    return lines
