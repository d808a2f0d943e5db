"""The perf rings: opened and mapped by us, one per CPU and kind, handed to the kernel program through its maps.

Turns "what lies between tail and head" into at most two views of the mapped memory, without copying; the tail moves
only when `release` says so. Knows no event and writes no file. Source: man perf_event_open(2), "MMAP layout", and
kernel/events/ring_buffer.c for the order of loads and stores.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import platform
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from capfile.event import PERF_HEADER, PERF_RECORD_SAMPLE
from capfile.frames import Ring as RingKind
from recorder import bpf_call, linux
from recorder.errors import RingError

PAGE: Final = mmap.PAGESIZE
DEFAULT_RING_SIZE: Final = 64 << 20  # per CPU: carries about 30 s of a disk's stall at 2 MB/s, 0.1 s at 600 MB/s
MAX_RING_SIZE: Final = 256 << 20  # per CPU: what a reader accepts as one chunk (capfile.reader.MAX_CHUNK)
MIN_RING_SIZE: Final = 64 << 10  # two of the largest records
CONTROL_SHARE: Final = 16  # the control ring is this much smaller than the data ring …
CONTROL_SIZES: Final = (256 << 10, 8 << 20)  # … within these bounds: a socket event is 400 bytes
MEMORY_SHARE: Final = 8  # rings of the default size take at most this part of the memory that is available
MAX_WATERMARK: Final = 1 << 20  # wake the reader while the bytes are still in the processor's cache

# struct perf_event_attr up to wakeup_watermark; the rest of its 128 bytes is zero
_ATTRIBUTES: Final = struct.Struct("<IIQQQQQII72x")
_TYPE_SOFTWARE: Final = 1
_BPF_OUTPUT: Final = 10
_SAMPLE_RAW: Final = 1 << 10
_FORMAT_LOST: Final = 1 << 4  # Linux 6.0
_FLAG_WATERMARK: Final = 1 << 14
_IOC_ENABLE: Final = 0x2400
_HEAD, _TAIL = 1024, 1032  # perf_event_mmap_page.data_head, .data_tail
_ORDERED_LOADS: Final = platform.machine() == "x86_64"


class Ring:
    """One mapped ring. `memory` is the control page followed by the data, whose size is a power of two."""

    def __init__(self, kind: RingKind, cpu: int, memory: memoryview, fd: int = -1, counts_lost: bool = False) -> None:
        self.kind = kind
        self.cpu = cpu
        self.fd = fd
        self.size = len(memory) - PAGE
        self._counts_lost = counts_lost
        self._data = memory[PAGE:]
        self._head = memory[_HEAD : _HEAD + 8].cast("Q")
        self._tail = memory[_TAIL : _TAIL + 8].cast("Q")

    def head(self) -> int:
        """Bytes the kernel has written so far: one native 8-byte load, so that it cannot tear."""
        head = self._head[0]
        if not _ORDERED_LOADS:
            linux.barrier()  # acquire: no byte of the data may be loaded before the head
        return head

    @property
    def tail(self) -> int:
        """Bytes that were released so far; only this process moves it."""
        return self._tail[0]

    def regions(self, head: int) -> list[memoryview]:
        """The bytes between tail and `head`, as one view or, where the ring wraps, two."""
        start, length = self.tail & (self.size - 1), head - self.tail
        first = min(length, self.size - start)
        parts = [self._data[start : start + first], self._data[: length - first]]
        return [part for part in parts if len(part)]

    def release(self, head: int) -> None:
        """Give everything before `head` back to the kernel: only after it has been written or copied."""
        if not _ORDERED_LOADS:
            linux.barrier()  # release: every load of the data is done before the kernel may overwrite it
        self._tail[0] = head

    def lost(self) -> int:
        """Records the kernel could not put into this ring, as PERF_FORMAT_LOST counts them; 0 before Linux 6.0."""
        return int(struct.unpack("<QQ", os.read(self.fd, 16))[1]) if self._counts_lost else 0


def power_of_two(size: int) -> int:
    """The largest power of two that is not over `size` bytes."""
    return 1 << (size.bit_length() - 1)


def default_ring_size(cpus: int, available: int) -> int:
    """The data ring's size per CPU on a machine with `available` bytes of free memory and `cpus` CPUs."""
    affordable = available // MEMORY_SHARE // max(cpus, 1)
    return max(MIN_RING_SIZE, min(DEFAULT_RING_SIZE, power_of_two(max(affordable, MIN_RING_SIZE))))


def control_ring_size(data_size: int) -> int:
    """The control ring's size beside a data ring of `data_size` bytes."""
    low, high = CONTROL_SIZES
    return power_of_two(max(low, min(high, data_size // CONTROL_SHARE)))


def available_memory(meminfo: str) -> int:
    """MemAvailable of /proc/meminfo's text, in bytes; 0 if it is not there."""
    for line in meminfo.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return 0


def cpu_list(text: str) -> list[int]:
    """The CPUs of a kernel list such as `0-3,8,10-11`."""
    cpus: list[int] = []
    for part in filter(None, text.strip().split(",")):
        low, _, high = part.partition("-")
        cpus.extend(range(int(low), int(high or low) + 1))
    return cpus


def online_cpus() -> list[int]:
    """The CPUs that run now: a perf event cannot be opened on any other."""
    return cpu_list(Path("/sys/devices/system/cpu/online").read_text())


def open_rings(kind: RingKind, map_fd: int, size: int, cpus: Sequence[int]) -> list[Ring]:
    """Open, map and enable a ring of `size` bytes on each CPU and put it into the perf event array `map_fd`.

    Raises `RingError` when the kernel refuses; what was opened until then is closed with the process.
    """
    if not _ORDERED_LOADS:
        linux.register_barrier()
    rings = []
    for cpu in cpus:
        try:
            rings.append(_open_ring(kind, map_fd, size, cpu))
        except OSError as error:
            if error.errno == errno.ENODEV:
                continue  # went offline since the list was read
            raise ring_error(error, size, cpu) from error
    return rings


def ring_error(error: OSError, size: int, cpu: int) -> RingError:
    """What `error` means for a ring of `size` bytes on `cpu`."""
    what = f"cannot open a ring of {size} bytes on CPU {cpu} ({error.strerror or error})"
    if error.errno == errno.ENOMEM:
        return RingError(what, "give --ring-size a smaller number of bytes")
    return RingError(what, "run as root, or with CAP_PERFMON, CAP_BPF and CAP_IPC_LOCK")


def _open_ring(kind: RingKind, map_fd: int, size: int, cpu: int) -> Ring:
    fd, counts_lost = _open_event(size, cpu)
    memory = memoryview(mmap.mmap(fd, PAGE + size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE))
    bpf_call.update(map_fd, struct.pack("<I", cpu), struct.pack("<I", fd))
    fcntl.ioctl(fd, _IOC_ENABLE, 0)
    return Ring(kind, cpu, memory, fd, counts_lost)


def _open_event(size: int, cpu: int) -> tuple[int, bool]:
    with contextlib.suppress(OSError):
        return linux.perf_event_open(_attributes(size, _FORMAT_LOST), cpu), True
    return linux.perf_event_open(_attributes(size, 0), cpu), False


def _attributes(size: int, read_format: int) -> bytes:
    watermark = min(size // 4, MAX_WATERMARK)
    period = 1
    return _ATTRIBUTES.pack(
        _TYPE_SOFTWARE, _ATTRIBUTES.size, _BPF_OUTPUT, period, _SAMPLE_RAW, read_format, _FLAG_WATERMARK, watermark, 0
    )


def whole_records(regions: Iterable[memoryview], limit: int, most: int | None = None) -> tuple[int, int]:
    """How many bytes and samples of `regions` are whole records within `limit` bytes and, if given, `most` samples.

    Walks every record header: for the moment a limit is reached, not for every drain. A header never straddles the end
    of the ring, because records are 8-byte aligned.
    """
    taken = samples = skip = 0
    for region in regions:
        offset, skip = skip, 0
        while offset < len(region):
            kind, _, size = PERF_HEADER.unpack_from(region, offset)
            sample = kind == PERF_RECORD_SAMPLE
            if taken + size > limit or (sample and most is not None and samples >= most):
                return taken, samples
            taken += size
            samples += sample
            offset += size
        skip = offset - len(region)
    return taken, samples
