"""vmnet ip: the addresses that real guests have, and what is wrong with some."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.framework.lab import Lab

OTHER = "02:00:00:00:66:66"
PLAN = """\
networks:
  lan: {switch: {dhcp: true}, subnet: 10.91.0.0/24, spoof_guard: off}
vms:
  a: {memory: 96M, nics: [lan]}
  b: {memory: 96M, nics: [{network: lan, mode: private}]}
"""


@pytest.fixture(scope="module")
def plan(shared_lab: Lab) -> Iterator[Path]:
    with shared_lab.settled():
        plan = shared_lab.plan(PLAN, "ip")
        shared_lab.vmnet("up", plan)
        yield plan
        shared_lab.vmnet("down", plan)


def found(lab: Lab, plan: Path, status: int = 0) -> dict[str, Any]:
    told = lab.vmnet("ip", "-f", plan, "--json", status=status).report
    return {one["vm"]: one for one in told["nics"]}


def inside(lab: Lab, plan: Path, vm: str, script: str) -> None:
    lab.vmnet("exec", "-f", plan, vm, "--", "sh", "-c", script)


def test_each_address_is_told_with_all_the_ways_it_is_known_by(shared_lab: Lab, plan: Path) -> None:
    nics = found(shared_lab, plan)
    for vm in ("a", "b"):
        first = nics[vm]["addresses"][0]
        assert first["address"].startswith("10.91.0.")
        assert {"the guest agent says so", "its DHCP lease", "answers ARP/ND"} <= set(first["how"])
        assert nics[vm]["findings"] == []


def test_one_nic_gives_bare_addresses_for_scripts(shared_lab: Lab, plan: Path) -> None:
    lines = shared_lab.vmnet("ip", "-f", plan, "a").stdout.split()
    assert lines == [x["address"] for x in found(shared_lab, plan)["a"]["addresses"]]


def test_a_guest_without_agent_and_lease_is_found_on_the_wire(shared_lab: Lab, plan: Path) -> None:
    move = "ip addr flush dev $d scope global; ip addr add 10.91.0.77/24 dev $d"
    device = "d=$(ls /sys/class/net | grep -v lo | head -n 1); "
    try:
        inside(shared_lab, plan, "a", f"{device}{move}; (sleep 1; pkill qemu-ga) >/dev/null 2>&1 &")
        shared_lab.vmnet("ip", "-f", plan, "b")  # the agent has a moment to end
        ways = {x["address"]: x["how"] for x in found(shared_lab, plan)["a"]["addresses"]}
        assert any("answers ARP/ND" in how or "seen in" in how[0] for how in ways.values()), ways
    finally:
        shared_lab.vmnet("down", plan)
        shared_lab.vmnet("up", plan)


def test_a_guest_with_another_mac_is_a_finding(shared_lab: Lab, plan: Path) -> None:
    script = f"d=$(ls /sys/class/net | grep -v lo | head -n 1); ip link set $d address {OTHER}"
    inside(shared_lab, plan, "b", f"{script}; ping -c 1 -W 1 10.91.0.1; true")
    try:
        inside(shared_lab, plan, "b", "(ping -c 8 -i 0.5 -W 1 10.91.0.1 >/dev/null 2>&1) &")
        (finding, *_) = found(shared_lab, plan, status=5)["b"]["findings"]
        assert f"sends frames from {OTHER}" in finding["what"]
    finally:
        shared_lab.vmnet("down", plan)
        shared_lab.vmnet("up", plan)
