"""`make bpf`: the kernel program compiled and loaded on this kernel, and what its refusals look like."""

from __future__ import annotations

import os

import pytest

from recorder import bpf_call, build
from recorder.attaching import attach
from recorder.constants import Filters, Limits
from recorder.errors import LoadRefused
from recorder.host import HOOKS, Kind
from recorder.kernel_maps import STAGES
from recorder.program import Program


def test_every_program_loads_far_from_the_verifier_s_million_steps(capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main(["-Werror"]) == 0
    printed = capsys.readouterr().out
    assert "nothing attached" in printed
    rows = {line.split()[0]: line.split()[1:] for line in printed.splitlines() if line.startswith("on_")}
    stages = [function for functions in STAGES.values() for function in functions]
    assert set(rows) == {*stages, *(hook.function for hook in HOOKS)}
    assert all(0 < int(steps.replace(",", "")) < 250_000 for _, steps in rows.values())


def test_what_does_not_compile_is_one_line_with_file_and_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main(["-DO_task_struct_tgid=nowhere"]) == build.HOST_CANNOT
    assert capsys.readouterr().err.startswith("bpf: the kernel program does not compile: bpf/")


def test_program_that_the_verifier_refuses_is_told_with_its_reason() -> None:
    """A loop over 20,000 CPUs: the verifier's own sentence reaches the user."""
    with pytest.raises(LoadRefused, match=r"refused on_.*: .*(too large|too complex)"):
        Program.load(Filters(pids=frozenset({1})), Limits(), cflags=["-UCPUS", "-DCPUS=20000"])


def test_every_filter_and_limit_compiles_and_loads() -> None:
    filters = Filters(comms=frozenset({"x"}), uids=frozenset({1}), ports=frozenset({80}), follow_forks=False)
    with Program.load(filters, Limits(snaplen=100, turn_limit=1000)) as program:
        assert bpf_call.possible_cpus() == len(program.counters()["faults"])
        assert program.counters()["runs_left_out"] == [0]


def test_program_for_a_kernel_that_preempts_raw_tracepoints_loads_too() -> None:
    with Program.load(Filters(pids=frozenset({1})), Limits(), classic=True) as program:
        assert "tracepoint:raw_syscalls:sys_exit" in program.probes
        assert all(0 < row.verified < 250_000 for row in program.instruction_counts().values())


@pytest.mark.parametrize("kind", Kind)
def test_attaching_what_is_no_program_names_the_tracepoint_and_leaves_nothing_open(kind: Kind) -> None:
    with open(os.devnull) as file:
        before = os.listdir("/proc/self/fd")
        with pytest.raises(LoadRefused, match="cannot attach to sys_exit"):
            attach(HOOKS[-1], kind, file.fileno())
        assert os.listdir("/proc/self/fd") == before


def test_program_for_a_kernel_without_the_length_tracepoints_loads() -> None:
    with Program.load(Filters(pids=frozenset({1})), Limits(), lengths=False) as program:
        assert not any("length" in probe for probe in program.probes)
