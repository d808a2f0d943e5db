"""Live tests record this kernel. Where that cannot be, they are skipped with what is missing, or fail if REQUIRED."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REQUIRED = "EBPF_REC_REQUIRE_LIVE"  # set by CI: there a skip would hide that nothing was tested
NEEDED = {
    "the kernel's own types (/sys/kernel/btf/vmlinux)": Path("/sys/kernel/btf/vmlinux"),
    "bcc (Debian: apt-get install python3-bpfcc)": Path("/usr/lib/python3/dist-packages/bcc"),
    "kernel headers (Debian: apt-get install linux-headers-amd64)": Path(f"/lib/modules/{os.uname().release}/build"),
}

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
