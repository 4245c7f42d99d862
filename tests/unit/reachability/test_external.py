"""What is promised of guests and the machines outside: gateways, and those that a plan names."""

from provisioner.network.addressing import assign
from provisioner.plan.load.loader import load
from provisioner.reachability import external
from tests.builders.pairs import written

PLAN = """\
name: lab
networks:
  lan: {uplink: nic0, subnet: [10.0.0.0/24, "fd00::/64"], gateway: [10.0.0.1, "fd00::1"]}
  own: {switch: {nat: true}, subnet: 10.1.0.0/24}
  dyn: {uplink: nic1, addressing: dhcp, subnet: 10.2.0.0/24}
  auto: {uplink: nic2, addressing: slaac, subnet: "fd03::/64"}
  bare: {uplink: nic3, addressing: none, subnet: 10.4.0.0/24}
vms:
  a: {nics: [{network: lan, address: [10.0.0.11, "fd00::11"]}, own, dyn]}
  b: {nics: [dyn, {network: lan, address: [10.0.0.12, "fd00::12"], link: down}]}
  s: {nics: [{network: lan, address: [10.0.0.13, "fd00::13"], mode: source, allow: [vm:a]}]}
  r: {nics: [auto, bare]}
  gateway: {nics: [{network: own}]}
hosts:
  nas: {address: [10.0.0.9, "fd00::9", 10.2.0.9, "fd03::9", 10.4.0.9], ssh: admin@nas}
  printer: [10.0.0.8, 10.1.0.8]
  far: {address: 192.0.2.1, ssh: far}
"""
WIRE = "every mode sends to the wire what is not for a neighbour, and receives from the wire"
LIST = "mode source receives from a machine only if its list has that MAC"


def test_each_machine_on_the_subnet_of_an_uplink_is_promised_to_each_guest() -> None:
    plan = load(PLAN.replace("  gateway: {nics: [{network: own}]}\n", ""), "p", ()).plan
    assert written(external.pairs(plan, assign(plan))) == (
        f"lan: a.0 -> gateway.0 at 10.0.0.1 fd00::1: reaches: {WIRE}\n"
        f"lan: a.0 -> nas.0 at 10.0.0.9 fd00::9: reaches: {WIRE}\n"
        f"lan: nas.0 -> a.0 at 10.0.0.11 fd00::11: reaches: {WIRE}\n"
        f"lan: a.0 -> printer.0 at 10.0.0.8: reaches: {WIRE}\n"
        "lan: b.1 -> gateway.1 at 10.0.0.1 fd00::1: must not reach: the link of b is down\n"
        "lan: b.1 -> nas.1 at 10.0.0.9 fd00::9: must not reach: the link of b is down\n"
        "lan: nas.0 -> b.1 at 10.0.0.12 fd00::12: must not reach: the link of b is down\n"
        "lan: b.1 -> printer.1 at 10.0.0.8: must not reach: the link of b is down\n"
        f"lan: s.0 -> gateway.0 at 10.0.0.1 fd00::1: as measured: {LIST}\n"
        f"lan: s.0 -> nas.0 at 10.0.0.9 fd00::9: as measured: {LIST}\n"
        f"lan: nas.0 -> s.0 at 10.0.0.13 fd00::13: as measured: {LIST}\n"
        f"lan: s.0 -> printer.0 at 10.0.0.8: as measured: {LIST}\n"
        f"dyn: a.2 -> nas.2 at 10.2.0.9: reaches: {WIRE}\n"
        f"dyn: nas.0 -> a.2 at ?: reaches: {WIRE}\n"
        f"dyn: b.0 -> nas.0 at 10.2.0.9: reaches: {WIRE}\n"
        f"dyn: nas.0 -> b.0 at ?: reaches: {WIRE}\n"
        f"auto: r.0 -> nas.0 at fd03::9: reaches: {WIRE}\n"
        f"auto: nas.0 -> r.0 at ?: reaches: {WIRE}\n"
    )


def test_a_vm_that_is_named_gateway_is_told_from_the_gateway() -> None:
    plan = load(PLAN, "p", ()).plan
    found = {
        p.target for p in external.pairs(plan, assign(plan)) if "10.0.0.1" in map(str, p.addresses)
    }
    assert found == {"(gateway)"}
