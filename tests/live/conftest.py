"""Live tests record this kernel. Where that cannot be, they are skipped with what is missing, or fail if REQUIRED.

Compiling the kernel program takes longer than most of them; modules that are not about that keep it, in a /var/cache of
this session's own.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.kept import FOLDER

REQUIRED = "EBPF_REC_REQUIRE_LIVE"  # set by CI: there a skip would hide that nothing was tested
NEEDED = {
    "the kernel's own types (/sys/kernel/btf/vmlinux)": Path("/sys/kernel/btf/vmlinux"),
    "bcc (Debian: apt-get install python3-bpfcc)": Path("/usr/lib/python3/dist-packages/bcc"),
    "kernel headers (Debian: apt-get install linux-headers-amd64)": Path(f"/lib/modules/{os.uname().release}/build"),
}

# Modules about compiling, its conditions, or what it leaves behind.
COMPILING = ("build", "kept_program", "verifier")
COMPILING += tuple(f"recorder_{subject}" for subject in ("environment", "errors", "leftovers", "privileges"))
CLONE_NEWNS = 0x20000
MS_REC_PRIVATE = 0x4000 | 0x40000
_libc = ctypes.CDLL(None, use_errno=True)

# Under sudo a recorder writes as the one who called it, and he may not write into root's temporary folders.
for name in ("SUDO_UID", "SUDO_GID", "SUDO_USER"):
    os.environ.pop(name, None)


def missing() -> list[str]:
    """What this host lacks for a live run."""
    return [*(["root"] if os.geteuid() else []), *(what for what, path in NEEDED.items() if not path.exists())]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in here:
        item.add_marker("live")
    if here and missing() and os.environ.get(REQUIRED) is None:
        for item in here:
            item.add_marker(pytest.mark.skip(reason=f"a live run needs {', '.join(missing())}"))


@pytest.fixture(scope="session")
def away() -> Path | None:
    """Where kept programs lie while they are not to be found; None where the session can have no /var/cache of its own.

    See mount_namespaces(7): what is mounted here is seen by this process and those it starts, and ends with them.
    """
    cache = str(FOLDER.parent).encode()
    private = (
        _libc.unshare(CLONE_NEWNS) == 0
        and _libc.mount(b"none", b"/", None, MS_REC_PRIVATE, None) == 0
        and _libc.mount(b"tmpfs", cache, b"tmpfs", 0, b"mode=755") == 0
    )
    if not private:
        return None
    hidden = FOLDER.with_name("away")
    hidden.mkdir()
    return hidden


@pytest.fixture(scope="module", autouse=True)
def kept_program(request: pytest.FixtureRequest) -> Iterator[None]:
    """The compiled program is kept from test to test, but in the modules that are COMPILING."""
    if missing() or request.module.__name__.removeprefix("tests.live.test_") in COMPILING:
        yield
        return
    hidden: Path | None = request.getfixturevalue("away")
    if hidden is not None:
        hidden.rename(FOLDER)
    yield
    if hidden is not None:
        FOLDER.rename(hidden)
