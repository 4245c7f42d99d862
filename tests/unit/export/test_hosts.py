"""A plan's guests as lines of /etc/hosts, as the C library reads them."""

import subprocess
from pathlib import Path

from provisioner.export.hosts import hosts
from provisioner.network.addressing import assign
from provisioner.plan.load.loader import load
from provisioner.plan.nic_id import NicId

PLAN = load(
    """\
name: lab
networks:
  far: {uplink: nic0, mode: private, subnet: 10.0.0.0/24}
  near: {switch: true, subnet: [10.1.0.0/24, "fd77::/64"]}
  out: {uplink: nic1, addressing: dhcp}
vms:
  a:
    nics:
      - {network: far, address: 10.0.0.7}
      - {network: near, address: [10.1.0.7, "fd77::7"]}
  b: {nics: [out]}
""",
    "p",
).plan
NICS = assign(PLAN)


def test_addresses_that_the_host_reaches_have_the_vms_own_name() -> None:
    assert hosts(PLAN, NICS, {"a": [NicId("a", 1)]}).splitlines()[1:] == [
        "10.1.0.7 a.lab a a.near.lab",
        "fd77::7 a.lab a a.near.lab",
        "10.0.0.7 a.far.lab",
        "# b: its address is not the plan's: vmnet ip b",
    ]


def test_without_such_an_address_the_first_one_has_it() -> None:
    assert hosts(PLAN, NICS, {}).splitlines()[1] == "10.0.0.7 a.lab a a.far.lab"


def test_the_c_library_finds_the_guests_by_their_names(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text(hosts(PLAN, NICS, {"a": [NicId("a", 1)]}))
    asked = "getent -s files ahosts a && getent -s files hosts a.far.lab"
    script = f"mount --bind {path} /etc/hosts && {asked}"
    ran = subprocess.run(
        ["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, check=True
    )
    found = [line.split() for line in ran.stdout.splitlines()]
    assert {words[0] for words in found} == {"10.1.0.7", "fd77::7", "10.0.0.7"}
    assert found[-1] == ["10.0.0.7", "a.far.lab"]
