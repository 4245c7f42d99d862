"""A guest's NICs as systemd-networkd configures them from the files."""

import os
import subprocess
from pathlib import Path

from provisioner.export.networkd import files
from provisioner.network.addressing import assign
from provisioner.plan.load.loader import load

PLAN = load(
    """\
name: lab
networks:
  lan: {uplink: nic0, subnet: [10.0.0.0/24, "fd00:1::/64"], gateway: 10.0.0.254, mtu: 1400,
        dns: 10.0.0.53}
  dyn: {switch: {dhcp: true}, subnet: 10.1.0.0/24}
vms:
  a: {nics: [{network: lan, address: [10.0.0.7, "fd00:1::7"], mac: "02:00:00:00:00:07"}, dyn]}
  b: {nics: [lan]}
""",
    "p",
).plan

SCRIPT = """\
mount -t tmpfs tmpfs /run
mount -t sysfs -o ro sysfs /sys  # as in a container: no udev is waited for
mkdir -p /run/systemd/network /run/systemd/netif/links /run/systemd/netif/leases
chown -R systemd-network /run/systemd/netif
cp "$1"/*.network /run/systemd/network/
ip link add nic type veth peer name far
ip link set nic address 02:00:00:00:00:07
ip link set far up
export SYSTEMD_LOG_TARGET=console SYSTEMD_LOG_LEVEL=debug
timeout 20 /lib/systemd/systemd-networkd >/run/log 2>&1 &
for _ in $(seq 150); do
  if ip -4 addr show dev nic | grep -q 10.0.0.7 && ip -6 addr show dev nic | grep -q fd00:1::7
  then break; fi
  read -rt 0.1 _ <> <(:) || :
done
kill %1; wait
ip addr show dev nic; ip route show dev nic; cat /run/log
"""


def test_networkd_reads_the_files_and_configures_the_nic_so(tmp_path: Path) -> None:
    for name, text in files(PLAN, assign(PLAN), "a").items():
        (tmp_path / name).write_text(text)
    argv = ["unshare", "-mn", "--propagation", "private", "bash", "-c", SCRIPT, "-", str(tmp_path)]
    environment = {"PATH": os.environ["PATH"]}
    ran = subprocess.run(
        argv, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    told = ran.stdout + ran.stderr
    complaints = [line for line in ran.stdout.splitlines() if ".network:" in line]
    assert complaints == [], told
    for line in ("inet 10.0.0.7/24", "inet6 fd00:1::7/64", "mtu 1400", "default via 10.0.0.254"):
        assert line in ran.stdout, told


def test_each_nic_has_a_file_with_what_its_guest_would_be_told() -> None:
    found = files(PLAN, assign(PLAN), "a")
    assert list(found) == ["10-vmnet-0-lan.network", "10-vmnet-1-dyn.network"]
    assert found["10-vmnet-0-lan.network"].splitlines()[1:] == [
        "[Match]",
        "MACAddress=02:00:00:00:00:07",
        "[Link]",
        "MTUBytes=1400",
        "[Network]",
        "DHCP=no",
        "IPv6AcceptRA=no",
        "Address=10.0.0.7/24",
        "Address=fd00:1::7/64",
        "Gateway=10.0.0.254",
        "DNS=10.0.0.53",
    ]
    assert "DHCP=ipv4\n" in found["10-vmnet-1-dyn.network"]
    assert len(files(PLAN, assign(PLAN), "b")) == 1
