"""The micro guest itself, under a bare QEMU (TCG) without any network: asked through its agent."""

import base64
import io
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pycdlib
import pytest

from provisioner.host.image import micro
from provisioner.host.image.built import BuiltImage
from tests.framework import bare
from tests.framework.bare import Guest
from tests.framework.lab import until

CACHE = Path(os.environ.get("VMNET_CACHE_DIR", "/var/cache/vmnet"))
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
MACS = ("52:54:00:ee:00:01", "52:54:00:ee:00:02")
TIMEOUT_S = 90
SSH = "netstat -ltn | grep -c ':22 '"

NETWORK = f"""
version: 2
ethernets:
  one:
    match: {{macaddress: "{MACS[0]}"}}
    set-name: eth1   # the name that the other one has
    mtu: 1400
    addresses: [10.78.0.1/24, "fd78::1/64"]
    routes: [{{to: default, via: 10.78.0.254}}, {{to: "fd99::/48", via: "fd78::fe", metric: 7}}]
    nameservers: {{addresses: [10.78.0.53]}}
  two:
    match: {{macaddress: "{MACS[1]}"}}
    addresses: [10.78.0.2/24]
    accept-ra: false
  gone:
    match: {{macaddress: "52:54:00:ee:00:99"}}
    addresses: [10.78.0.99/24]
  evil:
    match: {{macaddress: "52:54:00:ee:00:98"}}
    set-name: "$(touch /run/evil)"
"""


@contextmanager
def booted(image: BuiltImage, folder: Path, cmdline: str = "", *devices: str) -> Iterator[Guest]:
    kernel = ["-kernel", str(image.kernel), "-initrd", str(image.initrd)]
    told = [*kernel, "-append", f"{image.cmdline} {cmdline}", *devices]
    with bare.booted(folder, image.min_memory_mib, told, timeout_s=TIMEOUT_S) as guest:
        yield guest


def said(guest: Guest) -> list[str]:
    return [line for line in guest.said() if line.startswith("vmnet: ")]


def two_nics() -> list[str]:
    nics = []
    for number, mac in enumerate(MACS):
        nics += ["-netdev", f"hubport,id=n{number},hubid=0"]
        nics += ["-device", f"virtio-net-pci,netdev=n{number},mac={mac},romfile="]
    return nics


def seed(path: Path, files: dict[str, str], *, joliet: bool) -> list[str]:
    iso = pycdlib.PyCdlib()
    extension: dict[str, Any] = {"joliet": 3} if joliet else {"rock_ridge": "1.09"}
    iso.new(vol_ident="cidata", interchange_level=3, **extension)
    for number, (name, text) in enumerate(files.items()):
        content = io.BytesIO(text.encode())
        named: dict[str, Any] = {"joliet_path": f"/{name}"} if joliet else {"rr_name": name}
        iso.add_fp(content, len(text.encode()), f"/FILE{number}.;1", **named)
    iso.write(str(path))
    iso.close()
    drive = f"if=none,id=seed,format=raw,readonly=on,file={path}"
    return ["-drive", drive, "-device", "virtio-blk-pci,drive=seed"]


@pytest.fixture(scope="module")
def image() -> BuiltImage:
    return micro.find(CACHE) or micro.build(CACHE, print)


@pytest.fixture
def boot(image: BuiltImage) -> Iterator[Callable[..., Any]]:
    with TemporaryDirectory(prefix="micro-") as name:
        folder = Path(name)
        yield lambda *told: booted(image, folder, *told)


ADDRESSES = (
    "for n in eth0 eth1; do ip -o addr show dev $n scope global | "
    "sed 's/ *\\\\.*//; s/^[0-9]*: //; s/ scope.*//; s/ brd .*//; s/ \\+/ /g'; done"
)
TWO_NICS_UP = """\
eth0 inet 10.78.0.2/24
eth1 inet 10.78.0.1/24
eth1 inet6 fd78::1/64
"""
ROUTES = "ip -4 route show default; ip -6 route show fd99::/48 | sed 's/ \\+/ /g'"


def test_a_seed_disk_tells_the_guest_all(boot: Callable[..., Any], tmp_path: Path) -> None:
    files = {
        "meta-data": "instance-id: one\nlocal-hostname: web-1\n",
        "user-data": f"#cloud-config\nssh_authorized_keys:\n  - {KEY} me@home\n",
        "network-config": NETWORK,
    }
    disk = seed(tmp_path / "seed.iso", files, joliet=False)
    with boot("", *two_nics(), *disk) as guest:
        assert guest.run("hostname") == "web-1\n"
        assert guest.run(ADDRESSES) == TWO_NICS_UP
        assert guest.run(ROUTES) == (
            "default via 10.78.0.254 dev eth1 \nfd99::/48 via fd78::fe dev eth1 metric 7 \n"
        )
        assert guest.run("cat /sys/class/net/eth1/mtu /etc/resolv.conf") == (
            "1400\nnameserver 10.78.0.53\n"
        )
        assert guest.run("cd /proc/sys/net/ipv4/conf/all; cat arp_ignore arp_announce") == "1\n2\n"
        assert guest.run("ls /run/evil; ping -c 1 -W 5 10.78.0.2 > /dev/null; echo $?") == "0\n"
        until(lambda: guest.run(SSH) == "2\n", "ssh listens for both IP versions")
        assert guest.run("cat /root/.ssh/authorized_keys").split() == [*KEY.split(), "me@home"]
        *complaints, ready = said(guest)
        assert complaints == [
            "vmnet: no nic with mac 52:54:00:ee:00:99",
            "vmnet: no nic with mac 52:54:00:ee:00:98",
            "vmnet: cannot use name of evil",
        ]
        assert ready.startswith("vmnet: ready uptime=")
        until(lambda: guest.run("pidof acpid"), "the power button is listened to")
        press = socket.socket(socket.AF_UNIX)
        press.connect(str(guest.monitor))
        press.sendall(b"system_powerdown\n")
        assert guest.qemu.wait(TIMEOUT_S) == 0
        press.close()


def test_the_command_line_wins_and_the_seed_still_brings_the_keys(
    boot: Callable[..., Any], tmp_path: Path
) -> None:
    files = {
        "meta-data": "local-hostname: from-the-seed\n",
        "user-data": f"ssh_authorized_keys: ['{KEY}']\n",
        "network-config": NETWORK.replace("10.78", "10.99"),
    }
    disk = seed(tmp_path / "seed.iso", files, joliet=True)
    plain = NETWORK.replace("set-name", "# set-name")
    told = base64.b64encode(plain.encode()).decode()
    with boot(f"vmnet.hostname=web-2 network-config={told}", *two_nics(), *disk) as guest:
        assert guest.run("hostname") == "web-2\n"
        assert guest.run(ADDRESSES) == (
            "eth0 inet 10.78.0.1/24\neth0 inet6 fd78::1/64\neth1 inet 10.78.0.2/24\n"
        )
        until(lambda: guest.run(SSH) == "2\n", "ssh listens for both IP versions")
        assert guest.run("cat /root/.ssh/authorized_keys").split() == KEY.split()
        # Its disks come first: what is written to /dev/vda before would be a file in memory.
        seen = guest.run("dmesg | sed -n 's/^\\[ *\\([0-9.]*\\)].*\\[vda\\] .*blocks.*/\\1/p'")
        *_, ready = said(guest)
        assert 0 < float(seen) < float(ready.partition("uptime=")[2])
        shutdown = {"execute": "guest-shutdown"}
        guest.agent.sendall(json.dumps(shutdown).encode() + b"\n")
        assert guest.qemu.wait(TIMEOUT_S) == 0


def test_with_nothing_told_every_nic_asks_for_an_address(boot: Callable[..., Any]) -> None:
    # QEMU's own DHCP server.
    nic = [
        "-netdev",
        "user,id=n0",
        "-device",
        f"virtio-net-pci,netdev=n0,mac={MACS[0]}",
    ]
    evil = "vmnet.hostname=$(touch${IFS}/run/evil);`reboot`"
    with boot(evil, *nic) as guest:
        assert guest.says("vmnet: dhcp eth0 10.0.2.15/24")
        assert guest.run("ip -4 -o addr show dev eth0 | grep -c inet") == "1\n"
        assert guest.run("hostname; ls /run/evil") == "micro\n"
        route = until(lambda: guest.run("ip route show default | grep via"), "a default route")
        assert route == "default via 10.0.2.2 dev eth0  metric 102 \n"
        assert said(guest)[0] == "vmnet: cannot use the hostname it was given"
        assert guest.run("pidof dropbear") == ""
