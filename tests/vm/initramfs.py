"""A kernel's modules in, a 2 MB initramfs out: static busybox and virtio block, nothing else.

Its init mounts the shared root image, unpacks the payload (a raw tar on the second disk) into /t and runs /t/run.
"""

from __future__ import annotations

import lzma
import shutil
import subprocess
import tempfile
from pathlib import Path

from debian import CACHE, KernelFiles, VmError

# In this order: on 6.1 virtio_ring must come before virtio, on later ones after; both orders are tried.
MODULES = [
    "virtio",
    "virtio_ring",
    "virtio",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "virtio_blk",
]

INIT = f"""#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for module in {" ".join(MODULES)}; do [ -f /modules/$module.ko ] && insmod /modules/$module.ko 2>/dev/null; done
tries=0; while [ ! -b /dev/vda ] && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries+1)); done
mount -t ext4 /dev/vda /new || {{ echo 'GUEST no root file system'; poweroff -f; }}
mkdir -p /new/t /new/proc /new/sys /new/dev
mount --move /proc /new/proc; mount --move /sys /new/sys; mount --move /dev /new/dev
tar -xf /new/dev/vdb -C /new/t
exec switch_root /new /bin/sh /t/run
"""


def build(kernel: KernelFiles) -> Path:
    """The initramfs for one kernel, cached beside its image."""
    out = CACHE / f"initramfs-{kernel.release}"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("bin", "modules", "new", "proc", "sys", "dev"):
            (folder / part).mkdir()
        busybox = shutil.which("busybox")
        if busybox is None:
            raise VmError("needs a static busybox: apt-get install busybox-static")
        shutil.copy(busybox, folder / "bin/busybox")
        (folder / "bin/sh").symlink_to("busybox")
        for module in set(MODULES):
            _copy_module(kernel.modules, module, folder / "modules")
        (folder / "init").write_text(INIT)
        (folder / "init").chmod(0o755)
        names = "\n".join(str(p.relative_to(folder)) for p in sorted(folder.rglob("*"))) + "\n"
        archive = subprocess.run(
            ["cpio", "-o", "-H", "newc", "--quiet"], input=names.encode(), cwd=folder, capture_output=True, check=True
        )
        out.write_bytes(archive.stdout)
    return out


def _copy_module(modules: Path, name: str, folder: Path) -> None:
    for path in modules.rglob(f"{name}.ko*"):
        data = path.read_bytes()
        (folder / f"{name}.ko").write_bytes(lzma.decompress(data) if path.suffix == ".xz" else data)
