"""`ebpf-rec`'s words: what is an option, what is the command, and one clear line for each mistake."""

from __future__ import annotations

import os
import pwd

import pytest

from recorder import cli, isolation
from recorder.commands import capture
from recorder.errors import TargetError, UsageError
from recorder.kernel_maps import COUNTERS, FORGOTTEN, LEFT_OUT
from recorder.limits import RecordingLimits, parse_duration, parse_size, space_to_keep
from recorder.privileges import CAP_BPF, CAP_SYS_ADMIN, invoking_identity, missing
from recorder.summary import LOSSES, losses, size
from recorder.tracepipe import ours


@pytest.mark.parametrize(
    ("words", "own", "command"),
    [
        (["capture", "-o", "x"], ["capture", "-o", "x"], []),
        (["capture", "--", "curl", "-s"], ["capture"], ["curl", "-s"]),
        (["capture", "--", "sh", "--", "x"], ["capture"], ["sh", "--", "x"]),
        ([], [], []),
    ],
)
def test_what_is_behind_two_dashes_is_the_command(words: list[str], own: list[str], command: list[str]) -> None:
    assert cli.split_command(words) == (own, command)


@pytest.mark.parametrize(
    ("text", "number"), [("4096", 4096), ("64K", 65536), ("1GiB", 1 << 30), ("2mb", 2 << 20), (" 1T ", 1 << 40)]
)
def test_sizes_are_powers_of_1024(text: str, number: int) -> None:
    assert parse_size(text) == number


@pytest.mark.parametrize("text", ["", "M", "-1", "1.5M", "1X", "1 2"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1.5m", 90), ("250ms", 0.25), ("2h", 7200), ("1d", 86400), ("3s", 3)]
)
def test_durations_have_units(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-3", "s", "1y", "1:30"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    "limits",
    [{"max_size": 10}, {"rotate_size": 10}, {"keep": 2}, {"rotate_seconds": 1.0, "keep": 0}, {"max_events": 0}],
)
def test_limits_that_cannot_be_kept_are_refused(limits: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        RecordingLimits(**limits)  # type: ignore[arg-type]


def test_the_space_that_stays_free_is_bounded_on_big_and_small_disks() -> None:
    assert space_to_keep(1 << 40) == 256 << 20
    assert space_to_keep(4 << 20) == (4 << 20) // 20


def run(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    status = cli.main(words, {})
    return status, capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--pid", "-4"], "--pid"),
        (["--port", "0"], "--port"),
        (["--ring-size", "1G"], "--ring-size"),
        (["--max-size", "x"], "not a size"),
        (["--duration", "x"], "not a duration"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, error = run("capture", "--quiet", *words, capsys=capsys)
    assert status == 2
    assert said in error
    assert error.count("\n") == 1


def test_an_unknown_option_and_a_missing_command_are_usage(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["capture", "--no-such-option"], ["no-such-command"], []):
        with pytest.raises(SystemExit) as exit_:
            cli.main(words, {})
        assert exit_.value.code == 2
    assert "no-such-option" in capsys.readouterr().err


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        cli.main(["--version"], {})
    assert exit_.value.code == 0
    assert capsys.readouterr().out.startswith("ebpf-rec ")


def test_filters_that_are_given_are_in_the_header_and_others_are_not() -> None:
    arguments = cli._parser("capture").parse_args(["capture", "--pid", "7", "--port", "80", "--snaplen", "1K"])
    arguments.program, arguments.words, arguments.environment = ["sleep", "1"], ["capture"], {}
    options = capture.read_options(arguments)
    assert options.filters == {"pid": [7], "port": [80]}
    assert options.kernel_limits == {"snaplen": 1024}
    assert options.command == ["sleep", "1"]
    assert options.follow_forks


def test_a_hostile_environment_does_not_reach_the_root_phase() -> None:
    environment = {"PATH": "/tmp/evil", "LD_PRELOAD": "x", "PYTHONPATH": "y", "BCC_KERNEL_SOURCE": "z", "TERM": "xterm"}
    isolation.clean(environment)
    assert environment == {"TERM": "xterm", "PATH": isolation.SAFE_PATH}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has somebody to give way to")
def test_the_caller_of_sudo_is_who_records() -> None:
    nobody = pwd.getpwnam("nobody")
    for environment in ({"SUDO_UID": str(nobody.pw_uid)}, {"PKEXEC_UID": str(nobody.pw_uid)}, {"DOAS_USER": "nobody"}):
        identity = invoking_identity(environment)
        assert (identity.uid, identity.gid, identity.why) == (nobody.pw_uid, nobody.pw_gid, "sudo")
    assert invoking_identity({"SUDO_UID": "not-a-number"}).why == "self"
    assert invoking_identity({"SUDO_UID": "0"}, "nobody").why == "--user"


def test_an_unknown_user_is_named() -> None:
    with pytest.raises(TargetError, match="no-such-user"):
        invoking_identity({}, "no-such-user")


def test_missing_capabilities_are_named_and_the_administrators_stands_in() -> None:
    assert missing(1 << CAP_SYS_ADMIN, changes_user=False) == []
    assert [text.split()[0] for text in missing(1 << CAP_BPF, changes_user=True)] == [
        "CAP_PERFMON",
        "CAP_SETUID",
        "CAP_SETGID",
    ]


def test_every_loss_that_is_told_is_a_counter_of_the_kernel_program() -> None:
    assert set(LOSSES) <= {*COUNTERS, LEFT_OUT, FORGOTTEN}


def test_losses_are_summed_over_cpus_and_silent_when_there_are_none() -> None:
    assert losses({"data_lost": [2, 1000], "faults": [0, 0]}) == ["1,002 data events found no room in the ring"]
    assert losses({}) == []


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1 << 40, "1.0 TiB"), (1 << 52, "4096.0 TiB")]
)
def test_sizes_for_eyes(number: int, text: str) -> None:
    assert size(number) == text


def test_of_the_trace_pipe_only_our_lines_are_shown() -> None:
    lines = [b"  nginx-7 [001] .... 1.2: bpf_trace_printk: ebpf-rec ring 0 kind 1 tgid 7", b"x-1: sys_enter: other"]
    assert ours(lines) == ["ebpf-rec ring 0 kind 1 tgid 7"]
