"""What the tests of endings share: a recorder in folders and mounts of its own, looked at after it is gone."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from tests.live import bench

ROOT = Path(__file__).parents[2]
TEMPORARY = ("/tmp", "/var/tmp", "/dev/shm")
# What probes that outlive their program would show up in.
PROBES = ("dynamic_events", "kprobe_events", "uprobe_events", "instances")


class Isolated:
    """A recorder whose temporary folders are empty and its own alone, in a mount namespace that outlives it."""

    def __init__(self, folder: Path, words: Sequence[str], setup: str = "true", **options: object) -> None:
        self._before = probes()
        (folder / "mounts").touch()
        script = f'{private_folders(folder)} && {setup} && cat /proc/self/mountinfo >{folder}/mounts && exec "$@"'
        words = ["unshare", "--mount", "sh", "-c", script, "sh", *bench.command(), *words]
        self.process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload]
        self._mounts = folder / "mounts"
        end = time.monotonic() + bench.TIMEOUT
        while not self._mounts.read_text() and time.monotonic() < end:
            time.sleep(0.01)
        self._namespace = os.open(f"/proc/{self.process.pid}/ns/mnt", os.O_RDONLY)
        self.held: set[tuple[str, int]] = set()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()

    def _look(self) -> None:
        """Which BPF objects it ever held: also one that ends before it records."""
        while self.process.poll() is None:
            with contextlib.suppress(OSError):  # a descriptor was closed meanwhile, or it has ended
                self.held |= bench.bpf_objects(self.process.pid)
            time.sleep(0.01)

    def wait_for(self, path: str) -> None:
        """Until the recording has begun; its file may be on a disk that only the recorder sees."""
        end = time.monotonic() + bench.TIMEOUT
        while not self.inside("find", os.path.dirname(path), "-path", path, "-size", "+0"):
            assert self.process.poll() is None, self.process.communicate()[1]
            assert time.monotonic() < end
            time.sleep(0.05)

    def wait_for_maps(self) -> None:
        """Until the kernel program's maps are made: its programs are being loaded then."""
        end = time.monotonic() + bench.TIMEOUT
        while not self.held:
            assert self.process.poll() is None, self.process.communicate()[1]
            assert time.monotonic() < end

    def inside(self, *words: str) -> str:
        """What a program says in the recorder's mounts."""
        enter = ["nsenter", f"--mount=/proc/self/fd/{self._namespace}", "--", *words]
        return subprocess.run(enter, pass_fds=[self._namespace], capture_output=True, text=True, check=True).stdout

    def left(self) -> list[str]:
        """Everything of it that is still there after its end."""
        self.process.wait(bench.TIMEOUT)
        self._watch.join()
        bench.gone(self.held)
        found = [f"{kind} {number}" for kind, number in sorted(self.held) if bench.exists(kind, number)]
        kept = kept_folders(self._mounts.parent)
        names = map(Path, self.inside("find", *TEMPORARY, "-mindepth", "1").splitlines())
        found += [str(name) for name in names if not any(_of_one_branch(name, folder) for folder in kept)]
        if self.inside("cat", "/proc/self/mountinfo") != self._mounts.read_text():
            found.append("a mount")
        return found + [name for name, before in self._before.items() if probes()[name] != before]

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._namespace)


def _of_one_branch(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)


def probes() -> dict[str, str]:
    """The kernel's lists of probes that are not held by a descriptor."""
    folder = Path("/sys/kernel/tracing")
    return {
        name: (
            "\n".join(sorted(os.listdir(folder / name))) if (folder / name).is_dir() else (folder / name).read_text()
        )
        for name in PROBES
        if (folder / name).exists()
    }


def kept_folders(folder: Path) -> list[Path]:
    """What must be seen although it lies in a temporary folder: the test's own folder, and perhaps this clone."""
    wanted = (folder, ROOT, Path(sys.prefix), Path(sys.base_prefix))
    return [path for path in wanted if any(path.is_relative_to(top) for top in TEMPORARY)]


def private_folders(folder: Path) -> str:
    """A shell command that covers the temporary folders, with what is kept bound into them."""
    kept = kept_folders(folder)
    aside = [f"mkdir -p /mnt/{n} && mount --bind {path} /mnt/{n}" for n, path in enumerate(kept)]
    cover = [f"mount -t tmpfs tmpfs {name}" for name in TEMPORARY]
    back = [f"mkdir -p {path} && mount --move /mnt/{n} {path}" for n, path in enumerate(kept)]
    return " && ".join(["mount -t tmpfs tmpfs /mnt", *aside, *cover, *back])
