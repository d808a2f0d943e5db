"""libvirt's session daemons for an emulated machine: started as an unprivileged user, ended when we leave.

libvirt's Unix socket paths must be short, so the home folder of the session is a fresh one directly below /tmp; Vagrant
keeps its boxes and state there too. Root becomes `nobody` for all of it: nothing here needs privilege.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from debian import ROOT, VmError

UNPRIVILEGED = 65534  # nobody


class Session:
    """A context in which `vagrant(...)` drives an emulated machine."""

    def __enter__(self) -> Self:
        self.home = Path(tempfile.mkdtemp(prefix="vm", dir="/tmp"))
        as_root = os.geteuid() == 0
        self._as = (
            ["setpriv", f"--reuid={UNPRIVILEGED}", f"--regid={UNPRIVILEGED}", "--clear-groups"] if as_root else []
        )
        if as_root:
            os.chown(self.home, UNPRIVILEGED, UNPRIVILEGED)
        self.environment = {
            "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin",
            "LANG": "C.UTF-8",
            "HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(self.home),
            "VAGRANT_DOTFILE_PATH": str(self.home / "dot"),
            "VAGRANT_HOME": str(self.home / "vagrant"),
            "VAGRANT_CHECKPOINT_DISABLE": "1",
            "EBPF_REC_VM": "emulated",
        }
        self._daemons = [self._daemon("virtlogd"), self._daemon("libvirtd")]
        self._wait_for(self.home / "libvirt/libvirt-sock")
        return self

    def _daemon(self, name: str) -> subprocess.Popen[bytes]:
        log = (self.home / f"{name}.log").open("wb")
        return subprocess.Popen([*self._as, name], env=self.environment, stdout=log, stderr=log, cwd=self.home)

    def _wait_for(self, path: Path) -> None:
        for _ in range(200):
            if path.exists():
                return
            time.sleep(0.1)
        raise VmError(f"libvirtd did not start: see {self.home}/libvirtd.log")

    def vagrant(self, *words: str, timeout: float = 1800, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run vagrant in the project's folder, its output shown as it comes; `VmError` when it fails."""
        done = subprocess.run(
            [*self._as, "vagrant", *words], env=self.environment, cwd=ROOT, text=True, timeout=timeout, check=False,
            stdin=subprocess.DEVNULL, capture_output=words[0] == "ssh",
        )  # fmt: skip
        if check and done.returncode:
            detail = f": {done.stderr.strip()[-1500:]}" if done.stderr else ""
            raise VmError(f"vagrant {' '.join(words)[:200]} failed ({done.returncode}){detail}")
        return done

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.vagrant("destroy", "-f", check=False)
        for daemon in reversed(self._daemons):
            daemon.terminate()
            daemon.wait(30)
        shutil.rmtree(self.home, ignore_errors=True)
