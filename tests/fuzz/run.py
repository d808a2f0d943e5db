"""Coverage-guided fuzzing with atheris: `python -m tests.fuzz.run TARGET [SECONDS]`; `make fuzz` runs a short round.

It goes on from the kept corpus (tests/fuzz/corpus/TARGET) and from what earlier runs on this machine found, which is
left in .cache/fuzz/TARGET. An input that fails is left beside it. Time and memory of each are bounded by libFuzzer.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["capfile", "replay"]):
    from tests.fuzz.seeds import seeds
    from tests.fuzz.targets import TARGETS, both

CORPUS = Path(__file__).parent / "corpus"
CACHE = CORPUS.parent.parent.parent / ".cache/fuzz"
LIMITS = ["-max_len=16384", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1", f"-artifact_prefix={CACHE}/"]


def main() -> None:
    """Fuzz one target for some seconds."""
    name, *more = sys.argv[1:]
    found = CACHE / name
    found.mkdir(parents=True, exist_ok=True)
    for seed, data in seeds().items():
        (found / seed).write_bytes(data)
    seconds = f"-max_total_time={more[0] if more else 30}"
    words = [sys.argv[0], *LIMITS, seconds, str(found), str(CORPUS / name)]
    atheris.Setup(words, lambda data: both(TARGETS[name], data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
