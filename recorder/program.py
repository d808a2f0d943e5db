"""The kernel program's life: compile, load, attach, read its counters, detach. The only module that imports bcc.

Turns filters and limits into a running program and every refusal into a `RecorderError` with its mend. Never reads the
rings: whoever opens the perf events puts their descriptors into `data_map_fd` and `control_map_fd`.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import struct
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from capfile.event import SOCKET_FACTS
from capfile.frames import Socket
from recorder import bpf_call, headers
from recorder.btf import Btf
from recorder.constants import Filters, Limits, compiler_flags
from recorder.errors import CompileFailed, LoadRefused, Memlock, NoBcc, NotRoot, RecorderError
from recorder.host import (
    Hook,
    available_hooks,
    check_lockdown,
    check_privileges,
    compile_error,
    verifier_reason,
)
from recorder.kernel_maps import (
    COUNTERS,
    SOCKET_IGNORED,
    SOCKET_STATE,
    STAGES,
    TARGET_NEVER,
    TARGET_YES,
    SocketState,
    counts,
)
from recorder.source import program_text

# Where distributions put the package `bcc` for the system's own Python; never sys.path, where PyPI's may sit.
BCC_PACKAGES: Final = (
    Path("/usr/lib/python3/dist-packages/bcc/__init__.py"),  # Debian, Ubuntu
    *sorted(Path("/usr/lib").glob("python3.*/site-packages/bcc/__init__.py"), reverse=True),  # Fedora, Arch
)

# Both or neither: a count of one direction would place the bytes of that one alone.
LENGTH_FUNCTIONS: Final = {"on_send_length", "on_recv_length"}


def load_bcc() -> Any:
    """bcc as the distribution packages it, for a Python that may be another; `NoBcc` with the mend."""
    for package in BCC_PACKAGES:
        if package.is_file():
            return _import_from(package)
    raise NoBcc("bcc is not installed", "apt-get install python3-bpfcc (PyPI's `bcc` is an unrelated package)")


def _import_from(package: Path) -> Any:
    """Load one package file under its own name and leave sys.path as it was."""
    spec = importlib.util.spec_from_file_location("bcc", package, submodule_search_locations=[str(package.parent)])
    if spec is None or spec.loader is None:
        raise NoBcc(f"{package} cannot be loaded", "apt-get install --reinstall python3-bpfcc")
    module = importlib.util.module_from_spec(spec)
    sys.modules["bcc"] = module
    try:
        spec.loader.exec_module(module)
    except (ImportError, OSError, SyntaxError) as error:
        del sys.modules["bcc"]
        raise NoBcc(f"{package} does not load ({error})", "apt-get install --reinstall python3-bpfcc") from error
    if not hasattr(module, "BPF"):
        raise NoBcc(f"{package} is not the BPF Compiler Collection", "apt-get install python3-bpfcc")
    return module


@contextmanager
def _stderr_captured() -> Iterator[list[str]]:
    """What C++ code writes to descriptor 2 meanwhile, as lines, filled in at the end."""
    lines: list[str] = []
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            file.seek(0)
            lines += file.read().decode(errors="replace").splitlines()


class Program:
    """The loaded kernel program. Made by `load`; `attach` starts the recording, `close` frees everything."""

    def __init__(self, bcc: Any, module: Any, hooks: Sequence[Hook]) -> None:
        self._bcc = bcc
        self._module = module
        self._hooks = hooks
        self._functions: dict[str, int] = {}
        self._attached: list[Hook] = []
        self.lengths = {hook.function for hook in hooks} >= LENGTH_FUNCTIONS  # whether they are the audit
        self.probes = [f"raw_tracepoint:{hook.category}:{hook.tracepoint}" for hook in hooks]

    @classmethod
    def load(
        cls, filters: Filters, limits: Limits, *, debug: bool = False, cflags: Sequence[str] = (), lengths: bool = True
    ) -> Program:
        """Compile and load; nothing is recorded before `attach`.

        `debug`: the compiler's warnings stay visible, and every event is also a line in the kernel's trace_pipe.
        `lengths`: use the sock_*_length tracepoints where the kernel has them.

        Raises the `RecorderError` that names what is missing.
        """
        check_privileges()
        check_lockdown()
        hooks = available_hooks()
        lengths = lengths and {hook.function for hook in hooks} >= LENGTH_FUNCTIONS
        hooks = [hook for hook in hooks if lengths or hook.function not in LENGTH_FUNCTIONS]
        bcc = load_bcc()
        headers.check()
        flags = [
            *compiler_flags(Btf.running_kernel(), filters, limits, lengths=lengths),
            f"-DDEBUG={int(debug)}",
            *cflags,
        ]
        program = cls(bcc, _compile(bcc, flags, debug), hooks)
        try:
            program._load_functions(debug)
            program._configure(filters)
        except BaseException:
            program.close()
            raise
        return program

    def _load_functions(self, debug: bool) -> None:
        for function in (*STAGES, *(hook.function for hook in self._hooks)):
            self._functions[function] = self._load_function(function, debug)
        for place, function in enumerate(STAGES):
            key, value = struct.pack("<I", place), struct.pack("<I", self._functions[function])
            bpf_call.update(self._map("stages"), key, value)

    def _load_function(self, function: str, debug: bool) -> int:
        with _stderr_captured() as lines:
            try:
                descriptor: int = self._module.load_func(function.encode(), self._bcc.BPF.RAW_TRACEPOINT).fd
                return descriptor
            except Exception as error:  # bcc raises bare Exception
                failure, code = error, ctypes.get_errno()
        if debug:
            print("\n".join(lines), file=sys.stderr)
        if "super-user" in str(failure):
            raise NotRoot("the kernel refused to load a program (EPERM)", "run it as root, outside a container")
        if "memory" in str(failure).lower():
            raise Memlock("no memory for BPF", "ulimit -l unlimited")
        raise LoadRefused(f"the kernel refused {function}: {verifier_reason(lines, code)} ({failure}, errno {code})")

    def _configure(self, filters: Filters) -> None:
        self._set_target(os.getpid(), TARGET_NEVER)
        for pid in filters.pids:
            self.add_target(pid)
        for comm in filters.comms:
            bpf_call.update(self._map("filter_comm"), comm.encode()[:15].ljust(16, b"\0"), b"\1")
        for uid in filters.uids:
            bpf_call.update(self._map("filter_uid"), struct.pack("<I", uid), b"\1")
        for port in filters.ports:
            bpf_call.update(self._map("filter_ports"), struct.pack("<H", port), b"\1")

    def _map(self, name: str) -> int:
        descriptor: int = self._module[name.encode()].map_fd
        return descriptor

    def add_target(self, tgid: int) -> None:
        """Record this process from now on."""
        self._set_target(tgid, TARGET_YES)

    def exclude(self, tgid: int) -> None:
        """Never record this process, whatever the filters say."""
        self._set_target(tgid, TARGET_NEVER)

    def _set_target(self, tgid: int, state: int) -> None:
        """Write one byte of the word that holds eight processes.

        The kernel program writes single bytes too: before `attach` nobody else does, afterwards a fork or exit of one
        of the seven neighbours within these microseconds could be undone; the word is therefore read again and
        written until it holds.
        """
        key = struct.pack("<I", tgid >> 3)
        word = bytearray(bpf_call.lookup(self._map("targets"), key, 8))
        word[tgid & 7] = state
        bpf_call.update(self._map("targets"), key, bytes(word))

    @property
    def data_map_fd(self) -> int:
        """The BPF_MAP_TYPE_PERF_EVENT_ARRAY that takes the data ring's perf event descriptors, by CPU."""
        return self._map("data_ring")

    @property
    def control_map_fd(self) -> int:
        """The same for the control ring."""
        return self._map("control_ring")

    def attach(self) -> None:
        """Start: sys_exit last, so that nothing is recorded before forks and exits are followed."""
        for hook in self._hooks:
            with _stderr_captured() as lines:
                try:
                    self._module.attach_raw_tracepoint(hook.tracepoint.encode(), hook.function.encode())
                except Exception as error:  # bcc raises bare Exception
                    raise LoadRefused(f"cannot attach to {hook.tracepoint} ({error}) {compile_error(lines)}") from error
            self._attached.append(hook)

    def detach(self) -> None:
        """Stop recording; the maps stay readable until `close`."""
        while self._attached:
            self._module.detach_raw_tracepoint(self._attached.pop().tracepoint.encode())

    def close(self) -> None:
        """Detach and free every map and program."""
        self.detach()
        self._module.cleanup()

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _per_cpu(self, name: str, index: int) -> list[int]:
        cpus = bpf_call.possible_cpus()
        return list(struct.unpack(f"<{cpus}Q", bpf_call.lookup(self._map(name), struct.pack("<I", index), 8 * cpus)))

    def counters(self) -> dict[str, list[int]]:
        """Every counter of the kernel program, one value per CPU."""
        return {name: self._per_cpu("counters", index) for index, name in enumerate(COUNTERS)}

    def next_sequences(self) -> dict[str, list[int]]:
        """The sequence number that the next event of each ring will have, per CPU: how many were tried so far."""
        return {"data": self._per_cpu("sequences", 0), "control": self._per_cpu("sequences", 1)}

    def open_sockets(self, *, counted: bool = False) -> list[Socket]:
        """The sockets known and not yet ended, with their positions, ready to be written as frames.

        `counted`: with the kernel's counts of their bytes, which are final only once the program is detached.
        """
        return [frame for key in bpf_call.keys(self._map("sockets"), 8) if (frame := self._open_socket(key, counted))]

    def _open_socket(self, key: bytes, counted: bool) -> Socket | None:
        try:
            state = SocketState._make(
                SOCKET_STATE.unpack(bpf_call.lookup(self._map("sockets"), key, SOCKET_STATE.size))
            )
            generation = struct.pack("<Q", state.generation)
            facts = bpf_call.lookup(self._map("facts_of"), generation, SOCKET_FACTS.size)
        except KeyError:
            return None  # ended meanwhile, or not announced
        if state.state & SOCKET_IGNORED:
            return None
        source, received, sent = counts(state, self.lengths) if counted else (0, 0, 0)
        return Socket(
            socket=state.inode,
            generation=state.generation,
            facts=facts,
            flags=state.flags,
            received=state.received,
            sent=state.sent,
            tgid=state.descriptor >> 32,
            time=time.monotonic_ns(),
            counted_by=source,
            counted_received=received,
            counted_sent=sent,
        )

    def instruction_counts(self) -> dict[str, bpf_call.ProgramInfo]:
        """Size and verification cost of each loaded program."""
        return {name: bpf_call.program_info(descriptor) for name, descriptor in self._functions.items()}


def _compile(bcc: Any, flags: Sequence[str], debug: bool) -> Any:
    with headers.provided(), _stderr_captured() as lines:
        try:
            return bcc.BPF(text=program_text().encode(), cflags=list(flags))
        except Exception as error:  # bcc raises bare Exception
            failure = error
    if debug:
        print("\n".join(lines), file=sys.stderr)
    if isinstance(failure, RecorderError):
        raise failure
    raise CompileFailed(f"the kernel program does not compile: {compile_error(lines)}")
