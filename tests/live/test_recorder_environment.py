"""No variable and no file of the caller makes root run other code. Each trap first catches a careless program.

What acts before any program's first instruction (LD_PRELOAD, LD_LIBRARY_PATH, LD_AUDIT) no program can prevent:
docs/security.md says so.
"""

from __future__ import annotations

import os
import pty
import pwd
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from recorder import headers
from tests.live import bench

PYTHON = os.path.realpath(sys.executable)  # the interpreter itself, which a virtual environment only points to
SITE = f"lib/python{sys.version_info.major}.{sys.version_info.minor}"
MODULES = ("bcc", "bpf", "capfile", "msgpack", "recorder", "rich", "sitecustomize", "usercustomize")
PROGRAMS = ("cc", "clang", "env", "gcc", "ld", "ldconfig", "modprobe", "python3", "readlink", "tar", "uname", "xz")


class Place:
    """A folder of the caller with everything that could be mistaken for ours, and a file that tells what of it ran."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told = folder / "told"
        (folder / "programs").mkdir()
        for name in MODULES:
            self.python(folder / f"modules/{name}.py", name)
        for name in ("recorder", "capfile"):  # a package goes before a module
            self.python(folder / f"modules/{name}/__init__.py", name)
        for name in PROGRAMS:
            (folder / "programs" / name).write_text(f"#!/bin/sh\necho {name} >>{self.told}\nexit 1\n")
            (folder / "programs" / name).chmod(0o755)
        for site in (f"home/.local/{SITE}/site-packages", f"user/{SITE}/site-packages"):
            self.python(folder / site / "usercustomize.py", "usercustomize")
            (folder / site / "evil.pth").write_text(f"import os; os.write({self._descriptor()}, b'pth')\n")
        self.python(folder / f"prefix/{SITE}/encodings/__init__.py", "encodings")
        self.python(folder / "startup.py", "startup")
        (folder / "startup.sh").write_text(f"echo startup.sh >>{self.told}\n")

    def _descriptor(self) -> str:
        return f"os.open({str(self.told)!r}, os.O_CREAT | os.O_APPEND | os.O_WRONLY)"

    def python(self, path: Path, name: str) -> None:
        """A module that tells, by what there is before anything can be imported."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"import posix as os\nos.write({self._descriptor()}, {name.encode()!r})\n")

    def library(self) -> Path:
        """A shared library that tells as soon as it is loaded."""
        source, library = self.folder / "library.c", self.folder / "library.so"
        source.write_text(
            "#include <fcntl.h>\n#include <unistd.h>\n__attribute__((constructor)) static void tell(void) {"
            f'int fd = open("{self.told}", O_CREAT | O_APPEND | O_WRONLY, 0666); write(fd, "library", 7); }}\n'
        )
        subprocess.run(["cc", "-w", "-shared", "-fPIC", "-o", library, source], check=True)
        return library

    def openssl(self) -> Path:
        """A configuration of OpenSSL that loads the library as a provider."""
        path = self.folder / "openssl.cnf"
        path.write_text(
            "openssl_conf = all\n[all]\nproviders = each\n[each]\nevil = it\n"
            f"[it]\nmodule = {self.library()}\nactivate = 1\n"
        )
        return path

    def take(self) -> str:
        """What was told since the last time."""
        told = self.told.read_text() if self.told.exists() else ""
        self.told.unlink(missing_ok=True)
        return told


@dataclass
class Trap:
    """Variables; `catches` is a careless program that falls into it, started in the folder `here`."""

    environment: Callable[[Place], dict[str, str]]
    catches: list[str]
    here: str = "programs"


TRAPS = {
    "PYTHONPATH with a sitecustomize": Trap(
        lambda p: {"PYTHONPATH": f"{p.folder}/modules"}, [PYTHON, "-c", "import sitecustomize"]
    ),
    "PYTHONPATH with our own modules": Trap(
        lambda p: {"PYTHONPATH": f"{p.folder}/modules"}, [PYTHON, "-S", "-c", f"import {', '.join(MODULES)}"]
    ),
    "HOME with a user's site": Trap(lambda p: {"HOME": f"{p.folder}/home"}, [PYTHON, "-c", ""]),
    "PYTHONUSERBASE": Trap(lambda p: {"PYTHONUSERBASE": f"{p.folder}/user"}, [PYTHON, "-c", ""]),
    "PYTHONHOME": Trap(lambda p: {"PYTHONHOME": f"{p.folder}/prefix"}, [PYTHON, "-c", ""]),
    "PYTHONSTARTUP": Trap(lambda p: {"PYTHONSTARTUP": f"{p.folder}/startup.py"}, [PYTHON, "-i"]),
    "PYTHONINSPECT": Trap(lambda p: {"PYTHONINSPECT": "1"}, [PYTHON, "-c", ""]),  # with what `typed` types
    "the current folder": Trap(lambda p: {}, [PYTHON, "-c", "import bcc, msgpack, recorder"], here="modules"),
    "PATH": Trap(
        lambda p: {"PATH": f"{p.folder}/programs:{os.environ['PATH']}"},
        ["/bin/sh", "-c", "; ".join(PROGRAMS)],
    ),
    "ENV and BASH_ENV": Trap(
        lambda p: {"ENV": f"{p.folder}/startup.sh", "BASH_ENV": f"{p.folder}/startup.sh"}, ["bash", "-c", "true"]
    ),
    "functions of bash": Trap(
        lambda p: {
            f"BASH_FUNC_{name}%%": f"() {{ echo {name} >>{p.told}; }}"
            for name in ("[", "case", "exec", "python3", "readlink", "set", "test")
        },
        ["bash", "-c", "[ -n x ]; readlink"],
    ),
    "OPENSSL_CONF": Trap(
        lambda p: {"OPENSSL_CONF": str(p.openssl())}, [PYTHON, "-c", "import hashlib; hashlib.new('sha256')"]
    ),
}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@contextmanager
def typed(place: Place) -> Iterator[int]:
    """A terminal on which somebody has typed Python that tells."""
    master, terminal = pty.openpty()
    os.write(master, (place.folder / "startup.py").read_bytes() + b"exit()\n")
    yield terminal
    os.close(terminal)
    os.close(master)


def record(place: Place, environment: dict[str, str], *prefix: str) -> str:
    """A recording of a talker that was started outside the traps, so that only the recorder can fall into one."""
    talker = bench.started(bench.talker(0))
    output = place.folder / "x.cap"
    with typed(place) as terminal:
        process = subprocess.Popen(
            [*prefix, *bench.command(), "-o", str(output), "--pid", str(talker.pid)],
            env={**os.environ, **environment},
            cwd=place.folder / "modules",
            stdin=terminal,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            bench.wait_for(output, process)
            bench.say(talker, 7)
            said = bench.finished(process)
        finally:
            process.kill()  # one that fell into a trap may not end by itself
            bench.stop(talker)
    assert process.returncode == 0, said
    assert bench.sent(bench.frames(output)) == 2 * 7 * 64
    return said


def all_traps(place: Place) -> dict[str, str]:
    """The variables of all traps at once."""
    return {name: value for trap in TRAPS.values() for name, value in trap.environment(place).items()}


@pytest.mark.parametrize("what", TRAPS)
def test_each_trap_catches_a_program_that_is_not_careful(what: str, place: Place) -> None:
    trap = TRAPS[what]
    environment = {**os.environ, **trap.environment(place)}
    with typed(place) as terminal:
        subprocess.run(trap.catches, env=environment, cwd=place.folder / trap.here, stdin=terminal, capture_output=True)
    assert place.take()


def test_the_recorder_falls_into_none_of_them(place: Place) -> None:
    record(place, all_traps(place))
    assert place.take() == ""


def test_where_sh_is_bash_its_functions_do_not_reach_the_recorder(place: Place, tmp_path: Path) -> None:
    """The starting script run by bash under the name sh, as on Fedora."""
    as_sh = tmp_path / "sh"
    as_sh.symlink_to(shutil.which("bash") or "bash")
    record(place, TRAPS["functions of bash"].environment(place), str(as_sh))
    assert place.take() == ""


def test_the_doctor_and_its_recording_fall_into_none_of_them(place: Place) -> None:
    done = subprocess.run(
        [bench.running.tool("ebpf-rec"), "doctor"],
        env={**os.environ, **all_traps(place)},
        cwd=place.folder / "modules",
        capture_output=True,
        text=True,
        timeout=2 * bench.TIMEOUT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert place.take() == ""


def test_variables_of_compiler_and_library_do_not_reach_them(place: Place) -> None:
    """Headers that cannot be compiled, by each way that libbcc or clang would take; folders that are not there."""
    wrong = place.folder / "wrong"
    for name in ("include/linux/kconfig.h", "linux/kconfig.h", "linux/types.h", "stddef.h"):
        (wrong / name).parent.mkdir(parents=True, exist_ok=True)
        (wrong / name).write_text("#error not yours\n")
    environment = {
        **dict.fromkeys(("BCC_KERNEL_SOURCE", "CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH"), str(wrong)),
        **dict.fromkeys(("TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "HOME"), f"{wrong}/not/there"),
        "BCC_LINUX_VERSION_CODE": "1",
        "BCC_KERNEL_MODULES_DIR": str(wrong),
        "BCC_KERNEL_MODULES_SUFFIX": "wrong",
    }
    before = sorted(wrong.rglob("*"))
    record(place, environment)
    assert sorted(wrong.rglob("*")) == before


def test_the_kernels_own_headers_are_unpacked_by_no_program_and_not_left(place: Place) -> None:
    """A kernel that brings its headers as an archive, and no folder of them: made up for it, in a mount namespace."""
    installed = headers.installed()
    assert installed is not None
    archive = place.folder / "kheaders.tar.xz"
    build = headers.MODULES / os.uname().release / "build"
    with tarfile.open(archive, "w:xz", preset=0) as packed:
        for root in (installed, build.resolve()):
            for name in ("include", "arch/x86/include"):
                if (root / name).is_dir():
                    packed.add(root / name, name)
    script = f"""
        mkdir {place.folder}/empty {place.folder}/kernel &&
        mount --rbind /sys/kernel {place.folder}/kernel && mount -t tmpfs tmpfs /sys/kernel &&
        mkdir /sys/kernel/btf /sys/kernel/tracing && mount --bind {place.folder}/kernel/btf /sys/kernel/btf &&
        mount --bind {place.folder}/kernel/tracing /sys/kernel/tracing && cp {archive} /sys/kernel/ &&
        mount --bind {place.folder}/empty /lib/modules && exec "$@" """
    before = set(os.listdir("/tmp"))
    record(place, TRAPS["PATH"].environment(place), "unshare", "--mount", "/bin/sh", "-c", script, "sh")
    assert place.take() == ""
    assert {name for name in set(os.listdir("/tmp")) - before if "headers" in name} == set()


def test_root_does_not_start_it_without_isolated_mode(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "recorder", "capture", "-o", str(tmp_path / "x.cap"), "--pid", str(os.getpid())]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("ebpf-rec: root starts it in isolated mode only")


def test_the_command_keeps_the_callers_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONPATH", "GCONV_PATH", "TMPDIR", "ANYTHING"):
        monkeypatch.setenv(name, f"/for-the-command/{name}")
    script = "echo $PYTHONPATH $GCONV_PATH $TMPDIR $ANYTHING; tr '\\0' '\\n' </proc/$PPID/environ | grep -c GCONV_PATH="
    done = bench.capture("-o", str(tmp_path / "x.cap"), "--", "sh", "-c", script)
    expected = " ".join(f"/for-the-command/{n}" for n in ("PYTHONPATH", "GCONV_PATH", "TMPDIR", "ANYTHING"))
    assert done.stdout.splitlines() == [expected, "1"]  # under another name


@pytest.fixture
def users_folder() -> Iterator[Path]:
    """A folder of nobody's, on a path that everybody may walk."""
    folder = Path(f"/tmp/ebpf-rec-users-{os.getpid()}")
    folder.mkdir()
    account = pwd.getpwnam("nobody")
    os.chown(folder, account.pw_uid, account.pw_gid)
    yield folder
    shutil.rmtree(folder)


def test_a_program_in_a_users_folder_is_told(users_folder: Path, tmp_path: Path) -> None:
    """Its virtual environment lies where the caller may change it: root would run what the caller put there."""
    environment = users_folder / "venv"
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", environment], check=True)
    site = next(environment.glob("lib/python*/site-packages"))
    paths = [path for path in sys.path if path.endswith("site-packages")] + [str(Path(__file__).parents[2])]
    (site / "ours.pth").write_text("\n".join(paths) + "\n")
    shutil.copy(bench.running.tool("ebpf-rec"), environment / "bin")
    words = [str(environment / "bin/ebpf-rec"), "capture", "-o", str(tmp_path / "x.cap"), "--", "true"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=bench.TIMEOUT)
    assert done.returncode == 0, done.stderr
    assert f"root runs what nobody may change ({users_folder}" in done.stderr
