"""The kernel program's life: compile or take the kept one, load, attach, read its counters, detach.

Turns filters and limits into a running program; every refusal is a `RecorderError` with its mend. Never reads the
rings: whoever opens the perf events puts their descriptors into `data_map_fd` and `control_map_fd`.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Sequence
from typing import Final

from capfile.event import SOCKET_FACTS
from capfile.frames import Socket
from recorder import bpf_call, kept, privileges
from recorder.attaching import attach
from recorder.btf import Btf
from recorder.compiled import Compiled, compiled
from recorder.constants import Filters, Limits, compiler_flags
from recorder.errors import LoadRefused
from recorder.host import Hook, Kind, available_hooks, check_lockdown, needs_classic
from recorder.kernel_maps import (
    COUNTERS,
    FORGOTTEN,
    LEFT_OUT,
    SOCKET_IGNORED,
    SOCKET_STATE,
    STAGES,
    TARGET_NEVER,
    TARGET_YES,
    SocketState,
    counts,
)
from recorder.source import program_text

# Both or neither: a count of one direction would place the bytes of that one alone.
LENGTH_FUNCTIONS: Final = {"on_send_length", "on_recv_length"}


class Program:
    """The loaded kernel program. Made by `load`; `attach` starts the recording, `close` frees everything."""

    def __init__(self, module: Compiled | kept.Kept, hooks: Sequence[Hook], classic: bool) -> None:
        self._module = module
        self._hooks = hooks
        self._classic = classic
        self._functions: dict[str, int] = {}
        self._attached: list[int] = []
        self.lengths = {hook.function for hook in hooks} >= LENGTH_FUNCTIONS  # whether they are the audit
        self.probes = [hook.probe(classic) for hook in hooks]

    @classmethod
    def load(
        cls,
        filters: Filters,
        limits: Limits,
        *,
        debug: bool = False,
        cflags: Sequence[str] = (),
        lengths: bool = True,
        classic: bool | None = None,
    ) -> Program:
        """Compile and load, or load what was kept; nothing is recorded before `attach`.

        `debug`: the compiler's warnings stay visible, and every event is also a line in the kernel's trace_pipe.
        `lengths`: use the sock_*_length tracepoints where the kernel has them.
        `classic`: take classic tracepoints where programs allow it; None: where this kernel needs it.

        Raises the `RecorderError` that names what is missing.
        """
        privileges.check(changes_user=False)
        check_lockdown()
        hooks = available_hooks()
        classic = needs_classic() if classic is None else classic
        lengths = lengths and {hook.function for hook in hooks} >= LENGTH_FUNCTIONS
        hooks = [hook for hook in hooks if lengths or hook.function not in LENGTH_FUNCTIONS]
        flags = [
            *compiler_flags(Btf.running_kernel(), filters, limits, lengths=lengths, classic=classic),
            f"-DDEBUG={int(debug)}",
            *cflags,
        ]
        text = program_text()
        name = kept.key(text, flags) if kept.folder_is_there() else ""
        program = cls._from_kept(name, hooks, classic) or cls._from_source(text, flags, hooks, classic, debug, name)
        try:
            program._configure(filters)
        except BaseException:
            program.close()
            raise
        return program

    @classmethod
    def _from_kept(cls, name: str, hooks: Sequence[Hook], classic: bool) -> Program | None:
        """The program without bcc; None where none was kept by this name, or the kernel refuses what was."""
        module = kept.kept(name) if name else None
        if module is None:
            return None
        program = cls(module, hooks, classic)
        try:
            program._load_functions()
        except (LoadRefused, OSError, KeyError):
            program.close()
            return None
        return program

    @classmethod
    def _from_source(
        cls, text: str, flags: Sequence[str], hooks: Sequence[Hook], classic: bool, debug: bool, name: str
    ) -> Program:
        """The program by bcc, kept by this name if there is one."""
        module = compiled(text, flags, debug)
        program = cls(module, hooks, classic)
        try:
            program._load_functions()
            if name:
                kept.keep(name, {function: module.instructions(function) for function in program._functions})
        except BaseException:
            program.close()
            raise
        return program

    def _load_functions(self) -> None:
        """A stage is of the kind of the hook that reaches it: only a tail call between two of a kind is one."""
        kinds = {"stages": Kind.CLASSIC if self._classic else Kind.RAW, "end_stages": Kind.RAW}
        for stages, functions in STAGES.items():
            for place, function in enumerate(functions):
                self._functions[function] = self._module.load(function, kinds[stages])
                key, value = struct.pack("<I", place), struct.pack("<I", self._functions[function])
                bpf_call.update(self._module.map(stages), key, value)
        for hook in self._hooks:
            self._functions[hook.function] = self._module.load(hook.function, hook.kind(self._classic))

    def _configure(self, filters: Filters) -> None:
        self._set_target(os.getpid(), TARGET_NEVER)
        for pid in filters.pids:
            self.add_target(pid)
        for comm in filters.comms:
            bpf_call.update(self._module.map("filter_comm"), comm.encode()[:15].ljust(16, b"\0"), b"\1")
        for uid in filters.uids:
            bpf_call.update(self._module.map("filter_uid"), struct.pack("<I", uid), b"\1")
        for port in filters.ports:
            bpf_call.update(self._module.map("filter_ports"), struct.pack("<H", port), b"\1")

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
        word = bytearray(bpf_call.lookup(self._module.map("targets"), key, 8))
        word[tgid & 7] = state
        bpf_call.update(self._module.map("targets"), key, bytes(word))

    @property
    def data_map_fd(self) -> int:
        """The BPF_MAP_TYPE_PERF_EVENT_ARRAY that takes the data ring's perf event descriptors, by CPU."""
        return self._module.map("data_ring")

    @property
    def control_map_fd(self) -> int:
        """The same for the control ring."""
        return self._module.map("control_ring")

    def attach(self) -> None:
        """Start: sys_exit last, so that nothing is recorded before forks and exits are followed."""
        for hook in self._hooks:
            self._attached.append(attach(hook, hook.kind(self._classic), self._functions[hook.function]))

    def detach(self) -> None:
        """Stop recording; the maps stay readable until `close`."""
        while self._attached:
            os.close(self._attached.pop())

    def close(self) -> None:
        """Detach and free every map and program."""
        self.detach()
        self._module.close()

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _per_cpu(self, name: str, index: int) -> list[int]:
        cpus = bpf_call.possible_cpus()
        return list(
            struct.unpack(f"<{cpus}Q", bpf_call.lookup(self._module.map(name), struct.pack("<I", index), 8 * cpus))
        )

    def counters(self, *, last: bool = False) -> dict[str, list[int]]:
        """Every counter of the kernel program, one value per CPU; LEFT_OUT and FORGOTTEN have one for all CPUs.

        A raw tracepoint's program runs once at a time on a CPU, and of those of classic ones a single one does. What
        comes meanwhile the kernel leaves out (`__bpf_trace_run`, `trace_call_bpf` of kernel/trace/bpf_trace.c), and no
        counter of ours can see it.

        `last`: the program is detached, so that the sockets in the map can be counted; before, those forgotten are
        as many as cannot be in it.
        """
        left_out = sum(bpf_call.program_info(descriptor).misses for descriptor in self._functions.values())
        counted = {name: self._per_cpu("counters", index) for index, name in enumerate(COUNTERS)}
        sockets = self._module.map("sockets")
        held = sum(1 for _ in bpf_call.keys(sockets, 8)) if last else bpf_call.map_info(sockets).entries
        forgotten = max(0, sum(counted["sockets_new"]) - sum(counted["sockets_gone"]) - held)
        return counted | {LEFT_OUT: [left_out], FORGOTTEN: [forgotten]}

    def next_sequences(self) -> dict[str, list[int]]:
        """The sequence number that the next event of each ring will have, per CPU: how many were tried so far."""
        return {"data": self._per_cpu("sequences", 0), "control": self._per_cpu("sequences", 1)}

    def open_sockets(self, *, counted: bool = False) -> list[Socket]:
        """The sockets known and not yet ended, with their positions, ready to be written as frames.

        `counted`: with the kernel's counts of their bytes, which are final only once the program is detached.
        """
        return [
            frame for key in bpf_call.keys(self._module.map("sockets"), 8) if (frame := self._open_socket(key, counted))
        ]

    def _open_socket(self, key: bytes, counted: bool) -> Socket | None:
        try:
            state = SocketState._make(
                SOCKET_STATE.unpack(bpf_call.lookup(self._module.map("sockets"), key, SOCKET_STATE.size))
            )
            generation = struct.pack("<Q", state.generation)
            facts = bpf_call.lookup(self._module.map("facts_of"), generation, SOCKET_FACTS.size)
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
