"""Chunk compression: ratio, and CPU cost of packing and unpacking, at several zstd levels.

Ring bytes of all chunks are put together and cut into chunks of one size again, as a recorder under load drains them.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from capfile.codec import decompressed, pack, pieces
from capfile.frames import Chunk
from capfile.reader import Reader

CHUNK = 1 << 20
LEVELS = (1, 3, 6, 9)
REPEAT_UNTIL = 32 << 20  # bytes packed for each figure


def ring_bytes(paths: list[Path]) -> bytes:
    """All chunks' data of the files."""
    parts = []
    for path in paths:
        with Reader.open(path) as reader:
            parts += [bytes(decompressed(frame)) for frame in reader if isinstance(frame, Chunk)]
    return b"".join(parts)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="captures (default: the fixtures)")
    paths = parser.parse_args().files or sorted(Path("fixtures").glob("*.cap"))
    data = ring_bytes(paths)
    chunks = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
    rounds = max(1, REPEAT_UNTIL // max(1, len(data)))
    print(f"{len(paths)} files, {len(data):,} bytes of rings")
    print("| level | ratio | packing, MB per CPU second | unpacking, MB per CPU second |\n|---|---|---|---|")
    for level in LEVELS:
        begin = time.process_time()
        for _ in range(rounds):
            packed = [pack([chunk], level) or chunk for chunk in chunks]
        packing = time.process_time() - begin
        stored = [
            Chunk(0, 0, 0, 0, len(chunk), "zstd" if len(each) < len(chunk) else "none", each)
            for chunk, each in zip(chunks, packed, strict=True)
        ]
        begin = time.process_time()
        for _ in range(rounds):
            for chunk in stored:
                for _ in pieces(chunk):
                    pass
        unpacking = time.process_time() - begin
        total = rounds * len(data) / 1e6
        ratio = len(data) / sum(map(len, packed))
        print(f"| {level} | {ratio:.1f} | {total / packing:,.0f} | {total / unpacking:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
