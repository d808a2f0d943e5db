"""Where the compiler finds kernel headers: an installed folder, else the kernel's own archive, unpacked for as long.

Their version does not matter: no offset comes from them. Left to itself libbcc would have shell commands unpack the
archive into /tmp, under a name that anybody can guess, and leave it there (bcc, src/cc/frontends/clang/loader.cc).
"""

from __future__ import annotations

import os
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from recorder.errors import NoHeaders

MODULES: Final = Path("/lib/modules")
ARCHIVE: Final = Path("/sys/kernel/kheaders.tar.xz")
WITNESS: Final = "include/linux/kconfig.h"  # what libbcc looks for
VARIABLE: Final = "BCC_KERNEL_SOURCE"

DEBIAN: Final = 'apt-get install "linux-headers-$(uname -r)"'
FEDORA: Final = 'dnf install "kernel-devel-$(uname -r)"'
# A kernel that no package serves: another one's headers, linked to where this one's would be.
DEBIAN_OTHER: Final = (
    'apt-get install linux-headers-amd64; mkdir -p "/lib/modules/$(uname -r)"; cd "/lib/modules/$(uname -r)"; '
    "ln -sfn $(ls -d /usr/src/linux-headers-*-amd64 | tail -n 1) build; "
    "ln -sfn $(ls -d /usr/src/linux-headers-*-common | tail -n 1) source"
)


def installed(release: str = "", modules: Path = MODULES) -> Path | None:
    """The folder that libbcc would take: `source` where `build` stands beside it; None if it holds no headers."""
    folder = modules / (release or os.uname().release)
    build, source = folder / "build", folder / "source"
    found = source if build.is_dir() and source.is_dir() else build
    return found if (found / WITNESS).is_file() else None


def check(modules: Path = MODULES, archive: Path = ARCHIVE) -> None:
    """`NoHeaders` when there are none."""
    if installed(modules=modules) is None and not archive.is_file():
        raise NoHeaders(
            f"no kernel headers in {modules / os.uname().release}/build", f"{DEBIAN} (or ask ebpf-rec doctor)"
        )


@contextmanager
def provided(modules: Path = MODULES, archive: Path = ARCHIVE) -> Iterator[None]:
    """While inside: libbcc finds headers, and nothing is left behind. Raises `NoHeaders`."""
    check(modules, archive)
    if installed(modules=modules) is not None:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="ebpf-rec-headers-") as folder:
        with tarfile.open(archive) as packed:
            packed.extractall(folder)
        os.environ[VARIABLE] = folder
        try:
            yield
        finally:
            del os.environ[VARIABLE]
