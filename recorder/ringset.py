"""All rings of one recording: opened for a kernel program, a data and a control ring on each CPU that is online."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from capfile.frames import Ring as RingKind
from recorder import rings
from recorder.errors import RingError
from recorder.options import KernelProgram

MEMINFO: Final = Path("/proc/meminfo")


class RingSet:
    """`data` and `control` rings of `cpus`; `size`: bytes of a data ring, fewer where memory is scarce."""

    def __init__(self, program: KernelProgram, wished: int | None) -> None:
        self.cpus = rings.online_cpus()
        self.size = wished or rings.default_ring_size(len(self.cpus), rings.available_memory(MEMINFO.read_text()))
        self.data = self._largest(program.data_map_fd, fixed=wished is not None)
        control_size = rings.control_ring_size(self.size)
        self.control = rings.open_rings(RingKind.CONTROL, program.control_map_fd, control_size, self.cpus)

    def _largest(self, map_fd: int, fixed: bool) -> list[rings.Ring]:
        while True:
            try:
                return rings.open_rings(RingKind.DATA, map_fd, self.size, self.cpus)
            except RingError:
                if fixed or self.size <= rings.MIN_RING_SIZE:
                    raise
                self.size //= 2

    def new_cpus(self) -> list[int]:
        """CPUs that have come online since: they have no ring."""
        return sorted(set(rings.online_cpus()) - set(self.cpus))

    def ledger(self, sequences: dict[str, list[int]]) -> dict[str, list[list[int]]]:
        """Ring -> [next sequence number, records lost as perf counts them] per CPU, for the Counters frame."""
        return {
            kind.name.lower(): _rows(sequences[kind.name.lower()], opened)
            for kind, opened in ((RingKind.DATA, self.data), (RingKind.CONTROL, self.control))
        }


def _rows(sequences: list[int], opened: Sequence[rings.Ring]) -> list[list[int]]:
    lost = {ring.cpu: ring.lost() for ring in opened}
    return [[number, lost.get(cpu, 0)] for cpu, number in enumerate(sequences)]
