"""The kernel program's sources against the Python that mirrors them, its text as bcc gets it, and the host's errors."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import pytest

from recorder import host, kernel_maps
from recorder.constants import FIELDS, OFFSETS, Cgroup, Filters, Limits, cgroup_mount, compiler_flags
from recorder.errors import BadFilter, LoadRefused, Lockdown, NoBtf
from recorder.source import DIRECTORY, program_text

SOURCES = {path.name: path.read_text() for path in sorted(DIRECTORY.glob("*.[ch]"))}
MAPS = SOURCES["maps.h"]


def enum(name: str) -> list[str]:
    body = re.search(rf"enum {name} {{(.*?)}};", MAPS, re.DOTALL)
    assert body, name
    return re.findall(r"^\t([A-Z_]+)(?: = \d+)?,", body[1], re.MULTILINE)


def test_counters_stand_in_the_order_of_the_c_enum() -> None:
    assert [f"COUNT_{name.upper()}" for name in kernel_maps.COUNTERS] == enum("counter")[:-1]


def test_tail_call_stages_stand_in_the_order_of_the_c_enum() -> None:
    assert ["STAGE_" + name.removeprefix("on_").upper() for name in kernel_maps.STAGES["stages"]] == enum("stage")


def test_socket_state_is_unpacked_with_the_c_layout() -> None:
    codes = {"u16": "H", "u32": "I", "u64": "Q"}
    body = re.search(r"^struct socket_state {\n(.*?)^};", MAPS, re.MULTILINE | re.DOTALL)
    assert body
    fields = re.findall(r"^\t(u\d+) \w+(?:\[(\d)\])?;", body[1], re.MULTILINE)
    assert kernel_maps.SOCKET_STATE.format == "<" + "".join(codes[type_] * int(count or 1) for type_, count in fields)
    assert len(kernel_maps.SocketState._fields) == sum(int(count or 1) for _, count in fields)


def test_every_hook_and_stage_is_a_function_of_the_program_and_no_other_is_visible() -> None:
    visible = re.findall(r"^int (\w+)\((.*) \*ctx\)$", SOURCES["program.c"], re.MULTILINE)
    stages = [function for functions in kernel_maps.STAGES.values() for function in functions]
    assert sorted(name for name, _ in visible) == sorted([*stages, *(hook.function for hook in host.HOOKS)])
    always_raw = {name for name, context in visible if context == "struct bpf_raw_tracepoint_args"}
    assert always_raw == {*kernel_maps.STAGES["end_stages"], *(hook.function for hook in host.HOOKS if hook.interrupts)}


def test_every_offset_the_sources_use_is_passed_and_every_one_passed_is_used() -> None:
    used = set(re.findall(r"\bO_(\w+)\b", "".join(SOURCES.values()))) - {"registers", "sock_common_", "*"}
    used |= {f"sock_common_{name}" for name in re.findall(r"SKC\((skc_\w+)\)", SOURCES["sockets.h"])}
    passed = {f"{struct}_{member.replace('.', '_')}" for struct, member in OFFSETS}
    assert used == passed


def test_every_field_the_sources_use_is_one_of_the_record_that_a_classic_tracepoint_hands_over() -> None:
    used = re.findall(r"TRACED\(ctx, \w+, (\w+), (\w+), \d\)", SOURCES["program.c"] + SOURCES["context.h"])
    passed = [(tracepoint, field) for (_, tracepoint), fields in FIELDS.items() for field in fields]
    raw_alone = {("sys_exit", "regs"), ("task_newtask", "task")}
    assert {*used} == {*passed} | raw_alone
    assert set(FIELDS) <= {(hook.category, hook.tracepoint) for hook in host.HOOKS if not hook.interrupts}


@pytest.mark.parametrize(
    ("release", "version"), [("6.18.44-fc-v657", (6, 18)), ("5.10.0-46-cloud-amd64", (5, 10)), ("weird", (0, 0))]
)
def test_kernel_releases_are_read(release: str, version: tuple[int, int]) -> None:
    assert host.kernel_version(release) == version


@pytest.mark.parametrize(("release", "needs"), [("6.18.44", False), ("7.0.0-rc1", True), ("7.2.13+deb14", True)])
def test_classic_tracepoints_are_taken_where_the_kernel_preempts_raw_ones(release: str, needs: bool) -> None:
    assert host.needs_classic(release) == needs


def test_what_also_runs_in_interrupts_stays_a_raw_tracepoint() -> None:
    names = {hook.tracepoint: hook.probe(classic=True) for hook in host.HOOKS}
    assert names["sys_exit"] == "tracepoint:raw_syscalls:sys_exit"
    assert names["inet_sock_set_state"] == "raw_tracepoint:sock:inet_sock_set_state"
    assert {hook.kind(classic=False) for hook in host.HOOKS} == {host.Kind.RAW}


def test_each_system_call_has_one_row_in_its_table() -> None:
    for table in ("SYSCALLS", "COMPAT_SYSCALLS", "SOCKETCALLS"):
        body = re.search(rf"#define {table}\(CALL\)(.*?)\n(?!\t)", SOURCES["syscalls.h"], re.DOTALL)
        assert body, table
        numbers = re.findall(r"CALL\((\d+), \w+,", body[1])
        assert len(numbers) > 10
        assert len(numbers) == len(set(numbers)), table


def test_text_contains_each_file_once_and_no_include_of_ours_is_left() -> None:
    text = program_text()
    assert not re.search(r'^#include "', text, re.MULTILINE)
    for name in SOURCES:
        assert len(re.findall(rf'^#line 1 "bpf/{name}"$', text, re.MULTILINE)) == 1


def test_compiler_messages_point_at_the_line_of_the_file_that_was_written(tmp_path: Path) -> None:
    (tmp_path / "program.c").write_text('first\n#include "a.h"\nthird\n')
    (tmp_path / "a.h").write_text("inside\n")
    assert program_text(tmp_path).splitlines() == [
        '#line 1 "bpf/program.c"', "first", '#line 1 "bpf/a.h"', "inside", '#line 3 "bpf/program.c"', "third",
    ]  # fmt: skip


def test_every_source_opens_with_its_law() -> None:
    for name, text in SOURCES.items():
        assert text.startswith("/* "), name


class EveryMember:
    """A kernel where every member is 8 bytes into its struct."""

    def offset(self, struct: str, member: str) -> int:
        return 8

    def has(self, struct: str, member: str) -> bool:
        return member == "f_count"

    def field(self, struct: str, member: str) -> tuple[int, int, int]:
        class Found:
            size = 2

        return Found()  # type: ignore[return-value]


def flags(filters: Filters = Filters(), limits: Limits = Limits()) -> list[str]:  # noqa: B008
    return compiler_flags(EveryMember(), filters, limits, lengths=True, classic=False)  # type: ignore[arg-type]


def test_filters_and_limits_become_constants() -> None:
    chosen = Filters(pids=frozenset({7}), ports=frozenset({80}), cgroup=Cgroup(99, 2), follow_forks=False)
    made = flags(chosen, Limits(snaplen=64, turn_limit=4096))
    assert {"-DFILTER_PIDS=1", "-DFILTER_PORTS=1", "-DFILTER_UID=0", "-DFOLLOW_FORKS=0"} <= set(made)
    assert {"-DFILTER_CGROUP_ID=99ULL", "-DFILTER_CGROUP_LEVEL=2", "-DSNAPLEN=64", "-DTURN_LIMIT=4096"} <= set(made)


def test_file_is_alive_from_one_reference_or_since_6_13_from_zero() -> None:
    class Newer(EveryMember):
        def has(self, struct: str, member: str) -> bool:
            return member == "f_ref"

    assert "-DFILE_COUNT_ALIVE=1" in flags()
    newer = compiler_flags(Newer(), Filters(), Limits(), lengths=True, classic=False)  # type: ignore[arg-type]
    assert "-DFILE_COUNT_ALIVE=0" in newer


def test_no_constant_is_passed_twice() -> None:
    names = [flag.split("=")[0] for flag in flags()]
    assert len(names) == len(set(names))


def test_folder_that_is_no_cgroup_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFilter, match="no cgroup v2"):
        Cgroup.at("made/up", tmp_path)


def test_folder_outside_the_hierarchy_is_no_cgroup(tmp_path: Path) -> None:
    (tmp_path / "mount").mkdir()
    (tmp_path / "cgroup.procs").touch()
    with pytest.raises(BadFilter, match="no cgroup v2"):
        Cgroup.at("..", tmp_path / "mount")


def test_hierarchy_of_version_2_is_found_beside_version_1(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"
        "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n"
    )
    assert cgroup_mount(mounts) == Path("/sys/fs/cgroup/unified")
    mounts.write_text("32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n")
    with pytest.raises(BadFilter, match="is mounted"):
        cgroup_mount(mounts)


def test_cgroup_has_the_inode_of_its_folder_and_its_depth(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/cgroup.procs").touch()
    assert Cgroup.at("/a/b", tmp_path) == Cgroup((tmp_path / "a/b").stat().st_ino, 2)


def test_lockdown_is_an_error_in_confidentiality_mode_alone(tmp_path: Path) -> None:
    (tmp_path / "lockdown").write_text("none [integrity] confidentiality\n")
    host.check_lockdown(tmp_path / "lockdown")
    (tmp_path / "lockdown").write_text("none integrity [confidentiality]\n")
    with pytest.raises(Lockdown, match="lockdown=integrity"):
        host.check_lockdown(tmp_path / "lockdown")


def test_lockdown_is_told_from_the_verifier_s_refusal_too() -> None:
    """The sentence of Linux 6.1 in confidentiality mode, without securityfs."""
    error = host.refused("on_descriptors", "unknown func bpf_probe_read_kernel#113", "Invalid argument, errno 22")
    assert isinstance(error, Lockdown)
    assert error.mend == "boot with lockdown=integrity"
    assert isinstance(host.refused("on_exit", "infinite loop detected", ""), LoadRefused)


def test_verifier_reason_is_its_sentence_and_not_its_listing() -> None:
    log = [
        "; bytes = (u32)length - 2",
        "1774: (85) call bpf_probe_read_kernel#113",
        "R2 min value is negative, either use unsigned or 'var &= const'",
        "processed 1173 insns (limit 1000000) max_states_per_insn 1",
        "",
    ]
    assert host.verifier_reason(log).startswith("R2 min value is negative")


def test_verifier_reason_may_follow_a_jump_on_its_line() -> None:
    log = [
        "10: (85) call bpf_ktime_get_ns#5      ; R0=scalar()",
        "11: (55) if r0 != 0x0 goto pc-2 infinite loop detected at insn 10",
        "cur state: R0=scalar(umin=1) R6=1 R10=fp0 fp-8=0000????",
        "old state: R0=scalar(umin=1) R6=1 R10=fp0 fp-8=0000????",
        "processed 27 insns (limit 1000000) max_states_per_insn 0",
    ]
    assert host.verifier_reason(log) == "infinite loop detected at insn 10"
    assert host.verifier_reason(log[:1]) == "no reason given"


def test_verifier_that_gave_up_is_told_although_bcc_throws_its_log_away() -> None:
    log = ["bpf: Argument list too long. Program  too large (18 insns), at most 4096 insns", ""]
    assert "million steps" in host.verifier_reason(log, errno.E2BIG)


def test_compile_error_is_the_first_error_with_file_and_line() -> None:
    log = ["In file included from x", "bpf/emit.h:12:3: error: use of undeclared identifier 'y'", "1 error generated."]
    assert host.compile_error(log) == "bpf/emit.h:12:3: error: use of undeclared identifier 'y'"


def test_member_that_the_kernel_lacks_is_the_host_s_error() -> None:
    class Nothing(EveryMember):
        def offset(self, struct: str, member: str) -> int:
            raise NoBtf("the running kernel's struct file has no f_inode")

    with pytest.raises(NoBtf, match="f_inode"):
        compiler_flags(Nothing(), Filters(), Limits(), lengths=True, classic=False)  # type: ignore[arg-type]
