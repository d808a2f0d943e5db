"""`python -I keeping.py FOLDER with-bcc|without-bcc capture …`: the recorder that keeps its program in FOLDER."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from recorder import compiled, isolation, kept
from recorder.cli import main

if __name__ == "__main__":
    kept.FOLDER = Path(sys.argv[1])  # type: ignore[misc]
    if sys.argv[2] == "without-bcc":
        compiled.BCC_PACKAGES = ()  # type: ignore[misc]
    sys.exit(main(sys.argv[3:], isolation.enter(os.environ)))
