"""Debian packages in, a Vagrant box for libvirt out: `ebpf-rec-local`, for places without Vagrant Cloud.

The box is a tar of metadata.json, a Vagrantfile, the root image, and the kernel with its initrd: libvirt boots the
kernel directly, so the image needs no boot loader. The image is the matrix's own root image plus Vagrant's user.
"""

from __future__ import annotations

import json
import shutil
import sys
import tarfile
import tomllib
from pathlib import Path

import debian
from debian import CACHE, ROOT, VmError

BOX = CACHE / "ebpf-rec-local.box"
HELD = BOX.with_suffix(".packages")  # which Python packages it was built with
VIRTUAL_SIZE = 4  # GB

BOX_VAGRANTFILE = """Vagrant.configure("2") do |config|
  folder = File.dirname(__FILE__)
  config.vm.provider :libvirt do |machine|
    machine.kernel = File.join(folder, "vmlinuz")
    machine.initrd = File.join(folder, "initrd.img")
    machine.cmd_line = "root=/dev/vda rw console=ttyS0 mitigations=off"
  end
end
"""

# What `vagrant` expects of any box: its user, its public key, sudo without a password, a name that resolves, ssh.
# The Vagrantfile's dummy interface has an address because the libvirt provider asks the guest's agent for one.
GUEST_SETUP = """set -e
useradd -m -s /bin/bash vagrant
install -d -m 700 -o vagrant -g vagrant ~vagrant/.ssh
install -m 600 -o vagrant -g vagrant /tmp/vagrant.pub ~vagrant/.ssh/authorized_keys
echo 'vagrant ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/vagrant
chmod 440 /etc/sudoers.d/vagrant
echo ebpf-rec >/etc/hostname
printf '127.0.0.1 localhost\\n::1 localhost\\n127.0.1.1 ebpf-rec\\n' >/etc/hosts
cd /etc/systemd/network
printf '[Match]\\nMACAddress=52:54:00:aa:bb:01\\n[Network]\\nAddress=169.254.77.2/16\\n' >70-provider.network
printf '[Match]\\nName=en* eth*\\n[Network]\\nDHCP=ipv4\\n' >80-dhcp.network
systemctl enable -q systemd-networkd ssh qemu-guest-agent 2>/dev/null || true
systemctl disable -q nginx 2>/dev/null || true
echo '/dev/vda / ext4 defaults 0 1' >/etc/fstab
rm -f /tmp/vagrant.pub
"""


def public_key() -> Path:
    """Vagrant's well-known insecure public key, from the vagrant package."""
    found = sorted(Path("/usr/share/vagrant/keys").rglob("vagrant*.pub")) or sorted(
        Path("/usr/share").glob("rubygems-integration/**/vagrant*.pub")
    )
    if not found:
        raise VmError("the vagrant package's own public key is not below /usr/share/vagrant: apt-get install vagrant")
    return found[0]


def packages() -> list[str]:
    """What the guest's pip installs: the project's dependencies, its tests', and what builds it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    tables, tools = project["project"], project["build-system"]["requires"]
    return [*tables["dependencies"], *tables["optional-dependencies"]["test"], *tools, "editables"]


def wheels(folder: Path) -> None:
    """The project's Python packages as files: the emulated guest reaches no registry."""
    folder.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-m", "pip", "-q", "download", "--disable-pip-version-check", "-d", str(folder)]
    target = ["--python-version", "3.11", "--only-binary", ":all:", "--implementation", "cp"]
    debian.run(*words, *target, "-c", str(ROOT / "constraints.txt"), *packages())


def image(work: Path) -> Path:
    """The guest's disk as qcow2, from the cached root archive."""
    debian.root_image()
    root = work / "root"
    root.mkdir()
    debian.run("tar", "-xf", CACHE / "root.tar", "-C", root)
    shutil.copy(public_key(), root / "tmp/vagrant.pub")
    debian.run("chroot", root, "/bin/sh", "-c", GUEST_SETUP)
    wheels(root / "opt/ebpf-rec-wheels")
    for name in ("vmlinuz", "initrd.img"):
        newest = sorted(root.glob(f"boot/{name}-*"))[-1]
        shutil.copy(newest, work / name)
    raw, disk = work / "root.raw", work / "box.img"
    debian.run("mke2fs", "-q", "-t", "ext4", "-d", root, raw, f"{VIRTUAL_SIZE}G")
    debian.run("qemu-img", "convert", "-O", "qcow2", raw, disk)
    return disk


def build() -> Path:
    """The box, from the cache when it is there and holds the packages that the project asks for now."""
    wanted = "\n".join([*packages(), (ROOT / "constraints.txt").read_text()])
    if BOX.exists() and HELD.exists() and HELD.read_text() == wanted:
        return BOX
    work = CACHE / "box"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    image(work)
    metadata = {"provider": "libvirt", "format": "qcow2", "virtual_size": VIRTUAL_SIZE}
    (work / "metadata.json").write_text(json.dumps(metadata))
    (work / "Vagrantfile").write_text(BOX_VAGRANTFILE)
    part = BOX.with_suffix(".part")
    with tarfile.open(part, "w:gz", compresslevel=1) as tar:
        for name in ("metadata.json", "Vagrantfile", "box.img", "vmlinuz", "initrd.img"):
            tar.add(work / name, name)
    part.rename(BOX)
    HELD.write_text(wanted)
    shutil.rmtree(work)
    return BOX


if __name__ == "__main__":
    try:
        debian.require("mmdebstrap", "mke2fs", "qemu-img", "vagrant")
        print(build())
    except VmError as error:
        print(f"box: {error}", file=sys.stderr)
        sys.exit(1)
