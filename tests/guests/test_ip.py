"""vmnet ip: the addresses that real guests have, and what is wrong with some."""

from typing import Any

from tests.framework.lab import Lab
from tests.framework.plan import PlanUp, brought_up
from tests.framework.terminal import typed

DEVICE = "d=$(ls /sys/class/net | grep -v lo | head -n 1)"
OTHER = "02:00:00:00:66:66"
PLAN = """\
networks:
  lan: {switch: {dhcp: true}, subnet: 10.91.0.0/24, spoof_guard: off}
vms:
  a: {memory: 96M, nics: [lan]}
  b: {memory: 96M, nics: [{network: lan, mode: private}]}
"""


def found(plan: PlanUp, status: int = 0) -> dict[str, Any]:
    report = plan.run("ip", "--json", status=status).report
    return {one["vm"]: one for one in report["nics"]}


def test_each_address_is_told_with_all_the_ways_it_is_known_by(plan_up: PlanUp) -> None:
    nics = found(plan_up)
    for vm in ("a", "b"):
        first = nics[vm]["addresses"][0]
        assert first["address"].startswith("10.91.0.")
        assert {"the guest agent says so", "its DHCP lease", "answers ARP/ND"} <= set(first["how"])
        assert nics[vm]["findings"] == []


def test_one_nic_gives_bare_addresses_for_scripts(plan_up: PlanUp) -> None:
    lines = plan_up.run("ip", "a").stdout.split()
    assert lines == [x["address"] for x in found(plan_up)["a"]["addresses"]]


def test_a_guest_without_agent_and_lease_is_found_on_the_wire(lab: Lab) -> None:
    plan = brought_up(lab, PLAN.replace("{dhcp: true}", "true"))
    plan.inside(
        "a", f"{DEVICE}; ip addr flush dev $d scope global; ip addr add 10.91.0.77/24 dev $d"
    )
    # Once the guest's init no longer knows of the agent, it starts no other.
    typed(lab, plan.path, "a", "sed -i /qemu-ga/d /etc/inittab; kill -HUP 1; pkill qemu-ga")
    ways = {x["address"]: x["how"] for x in found(plan)["a"]["addresses"]}
    assert ways["10.91.0.77"] == ["answers ARP/ND"], ways


def test_a_guest_with_another_mac_is_a_finding(plan_fresh: PlanUp) -> None:
    plan_fresh.inside("b", f"{DEVICE}; ip link set $d address {OTHER}")
    plan_fresh.inside("b", "(while ping -c 1 -W 1 10.91.0.1; do :; done > /dev/null 2>&1) &")
    (finding, *_) = found(plan_fresh, status=5)["b"]["findings"]
    assert f"sends frames from {OTHER}" in finding["what"]
