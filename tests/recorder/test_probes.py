"""Hook points and prototypes, from a made-up tracefs; and from this kernel's BTF where it has one."""

from __future__ import annotations

from pathlib import Path

import pytest

from recorder import probes
from recorder.btf import VMLINUX, Btf
from recorder.errors import UsageError
from recorder.probes import Argument, Probe

COMMON = (
    "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"
    "\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n"
)
FORMATS = {
    "syscalls/sys_enter_read": "\tfield:int __syscall_nr;\toffset:8;\tsize:4;\tsigned:1;\n"
    "\tfield:unsigned int fd;\toffset:16;\tsize:8;\tsigned:0;\n"
    "\tfield:char * buf;\toffset:24;\tsize:8;\tsigned:0;\n"
    "\tfield:size_t count;\toffset:32;\tsize:8;\tsigned:0;\n",
    "syscalls/sys_exit_read": "\tfield:int __syscall_nr;\toffset:8;\tsize:4;\tsigned:1;\n"
    "\tfield:long ret;\toffset:16;\tsize:8;\tsigned:1;\n",
    "sock/inet_sock_set_state": "\tfield:const void * skaddr;\toffset:8;\tsize:8;\tsigned:0;\n"
    "\tfield:__u8 saddr[4];\toffset:32;\tsize:4;\tsigned:0;\n",
    "sched/sched_process_exec": "\tfield:__data_loc char[] filename;\toffset:8;\tsize:4;\tsigned:0;\n",
}


@pytest.fixture
def events(tmp_path: Path) -> Path:
    for name, fields in FORMATS.items():
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "format").write_text(f'name: x\nID: 7\nformat:\n{COMMON}{fields}\nprint fmt: "x"\n')
    return tmp_path


def test_system_calls_have_no_raw_tracepoints_of_their_own(events: Path) -> None:
    assert [str(probe) for probe in probes.matching(probes.probes(events), "*read")] == [
        "tracepoint:syscalls:sys_enter_read",
        "tracepoint:syscalls:sys_exit_read",
    ]


def test_a_glob_matches_the_name_or_the_whole(events: Path) -> None:
    found = list(probes.probes(events))
    assert len(probes.matching(found, "raw_*")) == 2
    assert len(probes.matching(found, "sock:*")) == 2
    assert probes.matching(found, "nothing*") == []


def test_the_hooks_in_use_are_known(events: Path) -> None:
    used = [str(probe) for probe in probes.probes(events) if probe.used]
    assert used == ["raw_tracepoint:sched:sched_process_exec", "raw_tracepoint:sock:inet_sock_set_state"]


def test_the_prototype_of_a_system_call_comes_from_its_entry(events: Path) -> None:
    found = list(probes.probes(events))
    for name in ("sys_enter_read", "sys_exit_read"):
        prototype, _ = probes.describe(probes.find(found, name), events, None)
        assert prototype == "long read(unsigned int fd, char *buf, size_t count)"


def test_arguments_have_name_type_size_and_offset(events: Path) -> None:
    probe = Probe("tracepoint", "syscalls", "sys_enter_read")
    assert probes.describe(probe, events, None)[1][1:3] == [
        Argument("fd", "unsigned int", 8, 16),
        Argument("buf", "char *", 8, 24),
    ]


def test_arrays_and_located_data_keep_their_types(events: Path) -> None:
    prototype, fields = probes.describe(Probe("tracepoint", "sock", "inet_sock_set_state"), events, None)
    assert fields[1] == Argument("saddr", "__u8[4]", 4, 32)
    assert prototype == "void inet_sock_set_state(const void *skaddr, __u8 saddr[4])"
    assert probes.describe(Probe("tracepoint", "sched", "sched_process_exec"), events, None)[1] == [
        Argument("filename", "__data_loc char[]", 4, 8)
    ]


def test_an_unknown_name_says_how_to_look(events: Path) -> None:
    with pytest.raises(UsageError, match="probes list"):
        probes.find(probes.probes(events), "no_such_thing")


def test_a_name_with_glob_characters_is_taken_literally(events: Path) -> None:
    with pytest.raises(UsageError, match="no hook point"):
        probes.find(probes.probes(events), "sys_*_read")


def test_an_ambiguous_name_names_the_candidates(events: Path) -> None:
    (events / "other" / "sys_enter_read").mkdir(parents=True)
    (events / "other" / "sys_enter_read" / "format").write_text("")
    with pytest.raises(UsageError, match=r"other:sys_enter_read or .*syscalls:sys_enter_read"):
        probes.find(probes.probes(events), "sys_enter_read")


@pytest.mark.skipif(not VMLINUX.is_file(), reason="this kernel has no BTF")
def test_a_raw_tracepoint_is_described_by_the_kernel_itself() -> None:
    arguments = probes.raw_arguments(Btf.running_kernel(), Probe("raw_tracepoint", "sock", "inet_sock_set_state"))
    assert [(a.type, a.size, a.offset) for a in arguments] == [
        ("const struct sock *", 8, 0),
        ("const int", 4, 1),
        ("const int", 4, 2),
    ]
