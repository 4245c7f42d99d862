"""The Debian guest under a bare QEMU (TCG): by BIOS and by its kernel; test_debian has UEFI."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from provisioner.host.image import built
from provisioner.host.image.built import BuiltImage
from provisioner.host.image.debian import recipe
from provisioner.host.image.debian.builder import DebianBuilder
from provisioner.host.storage import seeds
from tests.framework import bare
from tests.framework.bare import Guest

NAME = recipe.own_name()
CACHE = Path(os.environ.get("VMNET_CACHE_DIR", "/var/cache/vmnet"))
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me@home"
MAC = "52:54:00:ee:00:01"
TIMEOUT_S = 300
USER_DATA = f"""\
#cloud-config
ssh_authorized_keys: ["{KEY}"]
write_files: [{{path: /etc/told, content: by the seed}}]
runcmd: [[touch, /run/ran]]
"""
NETWORK = f"""\
version: 2
ethernets:
  nic0:
    match: {{macaddress: "{MAC}"}}
    dhcp4: false
    accept-ra: false
    mtu: 1400
    addresses: [10.78.0.1/24, "fd78::1/64"]
    routes: [{{to: default, via: 10.78.0.254}}]
    nameservers: {{addresses: [10.78.0.53]}}
"""
SEED = (
    ("meta-data", "instance-id: one\nlocal-hostname: web-1\n"),
    ("user-data", USER_DATA),
    ("network-config", NETWORK),
)


@pytest.fixture(scope="module")
def image() -> BuiltImage:
    found = built.find(CACHE, "debian", NAME)
    return found or DebianBuilder(CACHE, print, NAME).build()


@contextmanager
def booted(image: BuiltImage, folder: Path, *firmware: str) -> Iterator[Guest]:
    """Boot an overlay of 4 GiB with a seed disk and a NIC whose wire leads nowhere."""
    overlay, seed = folder / "vm.qcow2", folder / "seed.iso"
    made = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(image.disk)]
    subprocess.run([*made, str(overlay), "4G"], check=True)
    seed.write_bytes(seeds.iso(SEED))
    devices = [
        *("-drive", f"if=none,id=disk,format=qcow2,file={overlay}"),
        *("-device", "virtio-blk-pci,drive=disk,bootindex=1"),
        *("-drive", f"if=none,id=seed,format=raw,readonly=on,file={seed}"),
        *("-device", "virtio-blk-pci,drive=seed"),
        *("-netdev", "hubport,id=n0,hubid=0"),
        *("-device", f"virtio-net-pci,netdev=n0,mac={MAC},romfile="),
        *("-device", "virtio-rng-pci"),
    ]
    with bare.booted(folder, 512, [*firmware, *devices], timeout_s=TIMEOUT_S) as guest:
        guest.says(" finished at ")  # cloud-init's last word
        yield guest


def bios(_image: BuiltImage) -> list[str]:
    return []


def kernel(image: BuiltImage) -> list[str]:
    kernel = ["-kernel", str(image.kernel), "-initrd", str(image.initrd)]
    return [*kernel, "-append", f"{image.cmdline} vmnet.told=by-the-host"]


BY: dict[Callable[[BuiltImage], list[str]], str] = {
    bios: r"BOOT_IMAGE=/vmlinuz root=\S+ rw .* initrd=/initrd",
    kernel: r"root=\S+ rw .* vmnet.told=by-the-host",
}
ASKED = """
hostname; echo $(cat /etc/told); ls /run/ran; test -d /sys/firmware/efi && echo uefi
cloud-init status; systemctl --failed --quiet
cut -d' ' -f1,2 ~debian/.ssh/authorized_keys; sudo -n -u debian sudo -n id -un
ls /etc/ssh | grep -c 'ssh_host_.*_key$'; ss -Hltn sport = :22 | grep -c LISTEN
test $(stat -f -c %b*%S / | xargs -I{} sh -c 'echo $(({}))') -gt 3900000000 && echo grown
n=$(ls -d /sys/class/net/e*); cat $n/mtu; n=${n##*/}
ip -o addr show dev $n scope global | sed 's/ *\\\\.*//; s/^.*inet/inet/; s/ brd.*//; s/ scope.*//'
ip route show default | cut -d' ' -f1-3; resolvectl dns $n | sed 's/.*: //'
"""
ANSWERED = f"""\
web-1
by the seed
/run/ran
status: done
{KEY.removesuffix(" me@home")}
root
1
2
grown
1400
inet 10.78.0.1/24
inet6 fd78::1/64
default via 10.78.0.254
10.78.0.53
"""
# A kernel package of the same version again, as far as the boot loaders can tell.
NEW_KERNEL = "/etc/kernel/postinst.d/zz-vmnet-esp $(uname -r) && mount /boot/efi && ls /boot/efi"


@pytest.mark.parametrize("way", BY, ids=lambda way: way.__name__)
def test_it_boots_and_does_all_that_the_seed_says(
    way: Callable[[BuiltImage], list[str]], image: BuiltImage, tmp_path: Path
) -> None:
    with booted(image, tmp_path, *way(image)) as guest:
        assert guest.run(ASKED) == ANSWERED
        assert re.fullmatch(BY[way], guest.run("cat /proc/cmdline").strip())
        if way is bios:
            assert guest.run(NEW_KERNEL).split() == [
                *("EFI", "initrd", "initrd.old", "loader", "syslinux", "vmlinuz", "vmlinuz.old"),
            ]
