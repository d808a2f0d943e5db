"""Debian packages in, folders out: fetches kernels and builds the root image, with a package folder of our own.

Uses the mirrors that this machine's own apt is configured with, and never touches the machine's apt state. Everything
is cached below `CACHE`; delete that folder to start from nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("EBPF_REC_VM_CACHE", ROOT / ".cache" / "vm"))
RELEASE = "bookworm"
IMAGE_SIZE = "3G"  # the unpacked root is 2.2 GB with two kernels' headers; the rest is room for captures

# What the guest needs: an init, the kernel and its headers, bcc, and the programs that the live runs record.
GUEST_PACKAGES = (
    "systemd-sysv,udev,kmod,initramfs-tools,linux-image-cloud-amd64,linux-headers-cloud-amd64,python3,python3-venv,"
    "python3-bpfcc,gcc,libc6-dev,make,nginx-light,curl,openssh-server,sudo,iproute2,rsync,qemu-guest-agent,dbus"
)


class Kernel(NamedTuple):
    """One kernel of the matrix: `suite` of Debian, and which of its packages is the newest of `series`."""

    series: str
    suite: str
    security: bool = False


KERNELS = (
    Kernel("5.10", "bullseye-security", security=True),
    Kernel("6.1", "bookworm"),
    Kernel("6.12", "bookworm-backports"),
    Kernel("newest", "sid"),
)


class KernelFiles(NamedTuple):
    """A fetched kernel: its release as `uname -r` prints it, the bootable image, and the folder of its modules."""

    release: str
    vmlinuz: Path
    modules: Path


class VmError(Exception):
    """The virtual machine cannot be prepared; the message says what to do."""


def require(*programs: str) -> None:
    """Install the Debian packages of missing `programs` where we may, else say which are needed."""
    packages = {
        "qemu-system-x86_64": "qemu-system-x86",
        "qemu-img": "qemu-utils",
        "mmdebstrap": "mmdebstrap",
        "busybox": "busybox-static",
        "cpio": "cpio",
        "mke2fs": "e2fsprogs",
        "vagrant": "vagrant",
        "libvirtd": "libvirt-daemon",
    }
    missing = [
        packages[name] for name in programs if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None
    ]
    if not missing:
        return
    if os.geteuid() != 0:
        raise VmError(f"needs the Debian packages {' '.join(missing)}: sudo apt-get install {' '.join(missing)}")
    run("apt-get", "update", "-qq")
    run("apt-get", "install", "-qq", "-y", "--no-install-recommends", *missing)


def run(*words: str | Path, **options: object) -> None:
    """Run a program; `VmError` with its last lines when it fails."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    if done.returncode:
        raise VmError(f"{words[0]} failed ({done.returncode}): {(done.stderr or done.stdout).strip()[-2000:]}")


def mirror(security: bool = False) -> str:
    """The base address of the mirror that this machine uses, from its own apt sources."""
    texts = [p.read_text() for p in Path("/etc/apt").glob("sources.list*") if p.is_file()]
    texts += [p.read_text() for p in Path("/etc/apt/sources.list.d").glob("*")]
    found = re.findall(r"^(?:URIs:|deb(?: \[[^\]]*\])?) +(\S+)", "\n".join(texts), re.M)
    wanted = "/debian-security" if security else "/debian"  # the path of Debian's archive on every mirror
    for address in found:
        if str(address).rstrip("/").endswith(wanted):
            return str(address).rstrip("/")
    raise VmError("no Debian mirror found in /etc/apt: the kernels are Debian's packages")


def _apt(suite: str, security: bool) -> list[str]:
    """apt options that make it work in a folder of our own, for one suite."""
    folder = CACHE / "apt" / suite
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "sources.list").write_text(f"deb {mirror(security)} {suite} main\n")
    return [
        "-o", f"Dir::Etc::sourcelist={folder / 'sources.list'}", "-o", "Dir::Etc::sourceparts=-",
        "-o", f"Dir::State::Lists={folder / 'lists'}", "-o", f"Dir::Cache={folder / 'cache'}",
        "-o", "APT::Sandbox::User=root", "-o", "Acquire::Check-Valid-Until=false",
    ]  # fmt: skip


def fetch_kernel(kernel: Kernel) -> KernelFiles:
    """The newest kernel package of a series, unpacked; from the cache when it is there."""
    folder = CACHE / "kernels" / kernel.series
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        options = _apt(kernel.suite, kernel.security)
        run("apt-get", *options, "update", "-qq", "--error-on=any")
        for package in _kernel_packages(options, kernel):
            run("apt-get", *options, "download", package, cwd=folder)
        for archive in folder.glob("*.deb"):
            run("dpkg-deb", "-x", archive, folder)
            archive.unlink()
        (folder / "ready").touch()
    return _kernel_files(folder)


def _kernel_packages(options: list[str], kernel: Kernel) -> list[str]:
    """Names of the packages with the image (and, from 7 on, the modules) of the newest kernel of a series."""
    listing = subprocess.run(["apt-cache", *options, "pkgnames"], capture_output=True, text=True, check=True).stdout
    series = r"\d+\.\d+" if kernel.series == "newest" else re.escape(kernel.series)
    pattern = re.compile(rf"linux-(image|binary|modules)-({series}[\w.+~-]*)-cloud-amd64(-unsigned)?")
    found = [m for m in map(pattern.fullmatch, listing.split()) if m and (m[1] != "image" or not m[3])]
    if not found:
        raise VmError(f"no kernel of the series {kernel.series} in {kernel.suite}")
    newest = max((m[2] for m in found), key=_version)
    chosen = [m[0] for m in found if m[2] == newest]
    split = [name for name in chosen if name.startswith(("linux-binary", "linux-modules"))]
    return split or chosen


def _version(text: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", text)]


def _kernel_files(folder: Path) -> KernelFiles:
    images = sorted(folder.glob("**/vmlinuz*"))
    modules = sorted(p for p in folder.glob("**/lib/modules/*") if (p / "kernel").is_dir())
    if not images or not modules:
        raise VmError(f"{folder} holds no bootable kernel; delete it and try again")
    return KernelFiles(modules[0].name, images[0], modules[0])


def root_image() -> Path:
    """The shared root image (ext4), built once from Debian's packages alone."""
    image = CACHE / "root.img"
    if not image.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        archive, folder = CACHE / "root.tar", CACHE / "root"
        if not archive.exists():
            part = archive.with_suffix(".part.tar")
            run(
                "mmdebstrap", "--variant=minbase", "--mode=root", f"--include={GUEST_PACKAGES}", RELEASE, part, mirror()
            )
            part.rename(archive)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        run("tar", "-xf", archive, "-C", folder)
        part_image = image.with_suffix(".part")
        run("mke2fs", "-q", "-t", "ext4", "-d", folder, part_image, IMAGE_SIZE)
        part_image.rename(image)
        shutil.rmtree(folder)
    return image
