"""Kernels in, docs/kernels.md out: the recorder's live checks on each of Debian's kernels, under software emulation.

`python3 tests/vm/matrix.py [SERIES ...]` boots every kernel (or those named) with the shared root image, unpacks the
project and its Python packages, runs guest/run, and reads the results back from a raw disk. A kernel that fails is a
failure: exit 1.
`--keep-captures` also stores each kernel's small capture under fixtures/.
"""

from __future__ import annotations

import argparse
import datetime
import json
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import debian
import initramfs
from debian import CACHE, KERNELS, ROOT, Kernel, KernelFiles, VmError

TIMEOUT = 3600  # seconds for one kernel, ten times what is usual on two idle cores
RESULT_DISK = 64 << 20  # bytes of the disk on which the guest leaves its tar of results
BOOTS = 3  # 6.12 sometimes panics in early boot under QEMU's emulation; what follows the marker is never tried again
MARKER = "GUEST "  # guest/run prints it first
# -cpu max is up to twice as slow; with cx16, kernel 6.12 double-faults under QEMU 7.2
QEMU = shlex.split(
    "qemu-system-x86_64 -machine q35 -accel tcg,thread=multi,tb-size=512 -cpu qemu64,-cx16 -smp 2 -m 4000 -nodefaults "
    "-no-user-config -display none -serial stdio -no-reboot"
)

REPLAY = (str(ROOT / ".venv/bin/ebpf-replay"), "show", "--format", "jsonl")
INTRODUCTION = """# Kernels

Written by `make matrix`; a row is of the kernel's latest run. Each kernel is Debian's own package, run under QEMU's
software emulation with Debian 12 around it: bcc as packaged there, and one kernel's headers for all (offsets come
from BTF). Seconds are of an emulated machine on a host that did other things too.

The columns: of which kind the tracepoints are, which of the recorder's hooks the kernel does not have, and who counted
the bytes instead (all three are explained in [kernel-program.md](kernel-program.md)); the tests that sockets are told
apart and of every system call (tests/live/test_exerciser.py), twice where the classic tracepoints of newer kernels can
be tried too; programs that this kernel's verifier refuses, each one line with its reason (tests/live/test_verifier.py);
nginx with sendfile, captured bytes and gaps against the kernel's own count. The captures of these runs are
[fixtures](../fixtures/README.md).
"""
# The table's columns -> their keys in a row.
COLUMNS = {
    "kernel": "kernel",
    "run": "date",
    "bcc": "bcc",
    "doctor": "doctor",
    "tracepoints": "tracepoints",
    "hooks it lacks": "lacking",
    "byte counts from": "audit",
    "socket identity": "identity",
    "exerciser": "exerciser",
    "refused loads": "refusals",
    "nginx run": "nginx",
    "result": "result",
    "s": "seconds",
}


def payload(folder: Path) -> Path:
    """A raw tar with the project, its Python packages and the guest's script, as the guest unpacks it into /t."""
    site = folder / "site"
    _pip_install(site)
    for name in ("tests", "fixtures"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "corpus", "vm"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for path in filter(Path.is_file, (ROOT / "tests/vm/guest").iterdir()):
        shutil.copy(path, folder)
    archive = folder.parent / "payload.tar"
    with tarfile.open(archive, "w") as tar:
        for path in folder.iterdir():
            tar.add(path, path.name)
    _pad(archive)
    return archive


def _pip_install(site: Path) -> None:
    """The project's wheel and its dependencies for the guest's Python 3.11, as files."""
    words = [sys.executable, "-m", "pip", "-q", "install", "--disable-pip-version-check", "--no-compile"]
    target = ["--target", site, "--python-version", "3.11", "--only-binary", ":all:", "--implementation", "cp"]
    wheels = site.parent / "wheels"
    debian.run(sys.executable, "-m", "pip", "-q", "wheel", "--no-deps", "-w", wheels, ROOT)
    wheel = next(wheels.glob("*.whl"))
    debian.run(*words, *target, f"{wheel}[test]")
    shutil.rmtree(wheels)


def _pad(path: Path) -> None:
    """A disk is whole sectors of 512 bytes."""
    with path.open("ab") as file:
        file.write(b"\0" * (-path.stat().st_size % 512))


def boot(kernel: KernelFiles, initrd: Path, image: Path, archive: Path, results: Path, log: Path) -> None:
    """Run one kernel to its power-off, its serial console into `log` as it speaks; it leaves `results` on a disk."""
    results.write_bytes(b"")
    with results.open("r+b") as file:
        file.truncate(RESULT_DISK)
    drives = [
        f"file={image},if=virtio,format=raw,snapshot=on,cache=unsafe",
        f"file={archive},if=virtio,format=raw,readonly=on",
        f"file={results},if=virtio,format=raw,cache=unsafe",
    ]
    words = [*QEMU, "-kernel", str(kernel.vmlinuz), "-initrd", str(initrd)]
    words += ["-append", "console=ttyS0 quiet panic=-1 nokaslr mitigations=off"]
    for drive in drives:
        words += ["-drive", drive]
    with log.open("wb") as console:
        subprocess.run(words, stdout=console, timeout=TIMEOUT, check=False, stdin=subprocess.DEVNULL)


def run_kernel(kernel: Kernel, image: Path, archive: Path) -> dict[str, Any]:
    """One row of the table: what the guest said of itself, or why it said nothing."""
    files = debian.fetch_kernel(kernel)
    initrd = initramfs.build(files)
    for attempt in range(1, BOOTS + 1):
        row, reached = _attempt(kernel, files, initrd, image, archive)
        row["boots"] = attempt
        if reached:
            break
    return row


def _attempt(
    kernel: Kernel, files: KernelFiles, initrd: Path, image: Path, archive: Path
) -> tuple[dict[str, Any], bool]:
    """Boot once: the row, and whether the guest came as far as our script."""
    log, folder = CACHE / f"console-{kernel.series}.log", CACHE / f"results-{kernel.series}"
    shutil.rmtree(folder, ignore_errors=True)  # an old run's must not pass for ours
    row: dict[str, Any] = {"kernel": files.release, "date": f"{datetime.datetime.now():%Y-%m-%d %H:%M}"}
    with tempfile.TemporaryDirectory(dir=CACHE) as name:
        results = Path(name) / "results.img"
        started = time.monotonic()
        try:
            boot(files, initrd, image, archive, results, log)
        except subprocess.TimeoutExpired:
            row["failed"] = f"no end after {TIMEOUT} s (console: {log.name})"
        row["seconds"] = round(time.monotonic() - started)
        if "failed" not in row:
            row.update(_results(results, folder, log))
    return row, MARKER in log.read_text(errors="replace")


def _results(disk: Path, folder: Path, log: Path) -> dict[str, Any]:
    """What the guest left on its third disk, unpacked into a folder too."""
    try:
        with tarfile.open(disk) as tar:
            tar.extractall(folder, filter="data")
        row: dict[str, Any] = json.loads((folder / "results.json").read_text())
        return row
    except (tarfile.TarError, OSError, ValueError) as error:
        return {"failed": f"no results ({error}; console: {log.name})"}


def main() -> int:
    """Prepare, run each kernel, write the page, say which failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("series", nargs="*", help="only these kernels (5.10, 6.1, 6.12, newest)")
    parser.add_argument("--keep-captures", action="store_true", help="store each kernel's capture under fixtures/")
    arguments = parser.parse_args()
    debian.require("qemu-system-x86_64", "mmdebstrap", "busybox", "cpio", "mke2fs")
    image = debian.root_image()
    with tempfile.TemporaryDirectory(dir=CACHE) as name:
        folder = Path(name) / "payload"
        folder.mkdir()
        archive = payload(folder)
        rows = []
        for kernel in KERNELS:
            if arguments.series and kernel.series not in arguments.series:
                continue
            rows.append(run_kernel(kernel, image, archive))
            print(kernel.series, json.dumps(rows[-1], indent=1), flush=True)
            _row_file(kernel).write_text(json.dumps(rows[-1]))
            if arguments.keep_captures and not rows[-1].get("failed"):
                _keep_capture(kernel, rows[-1]["kernel"])
    kept = [json.loads(file.read_text()) for kernel in KERNELS if (file := _row_file(kernel)).exists()]
    (ROOT / "docs/kernels.md").write_text(page(kept))
    return 1 if any(row.get("failed") for row in rows) else 0


def _row_file(kernel: Kernel) -> Path:
    """Where a kernel's latest row is kept, for the page that a run of other kernels writes."""
    return CACHE / f"row-{kernel.series}.json"


def _keep_capture(kernel: Kernel, release: str) -> None:
    """The capture and the exchanges in it, as a fixture named after the kernel."""
    number = ".".join(release.split(".")[:2])
    capture = ROOT / f"fixtures/nginx-with-sendfile-on-kernel-{number}.cap"
    shutil.copyfile(CACHE / f"results-{kernel.series}/nginx.cap", capture)
    shown = subprocess.run([*REPLAY, str(capture)], capture_output=True, check=True).stdout
    capture.with_suffix(".expected.jsonl").write_bytes(shown)


def page(rows: list[dict[str, Any]]) -> str:
    """docs/kernels.md from the rows of one whole run."""
    lines = [
        INTRODUCTION,
        f"| {' | '.join(COLUMNS)} |",
        "|---" * len(COLUMNS) + "|",
    ]
    for row in rows:
        result = f"FAILED: {row['failed']}" if row.get("failed") else "passed"
        if row.get("boots", 1) > 1:
            result += f" (at boot {row['boots']}: before, it panicked before anything of ours ran)"
        cells = row | {"result": result}
        lines.append("| " + " | ".join(str(cells.get(key, "")) for key in COLUMNS.values()) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except VmError as error:
        print(f"matrix: {error}", file=sys.stderr)
        sys.exit(1)
