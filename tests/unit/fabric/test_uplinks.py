"""The NICs of a host that macvtaps can be put on, whose those there are, and how people see it."""

from dataclasses import replace
from ipaddress import ip_network

from provisioner import naming
from provisioner.fabric.facts import ResidentVm, UplinkFacts, UplinkTap
from provisioner.fabric.listing import lines
from provisioner.fabric.uplinks import uplinks
from provisioner.network.facts import Facts, Link, Route
from tests.builders.fabric import host, nic

NIC = Link("eno1", 2, "", "02:00:00:00:00:01", 1500, ethernet=True, up=True, carrier=True)
OURS = replace(
    NIC,
    name="mvt1",
    index=9,
    kind="macvtap",
    lower=2,
    mode="bridge",
    group=naming.group("lab"),
    alias="vmnet:lab/web/0",
)


def test_a_nic_is_told_with_what_sits_on_it() -> None:
    theirs = replace(OURS, name="mv0", index=8, kind="macvlan", mode="passthru", group=0, alias="")
    facts = Facts(
        links=(OURS, replace(NIC, name="eno2", index=3, carrier=False, mtu=9000), theirs, NIC),
        routes=(Route(ip_network("0.0.0.0/0"), "eno1"),),
    )
    assert uplinks(facts) == (
        UplinkFacts(
            "eno1",
            NIC.mac,
            1500,
            carrier=True,
            taps=(
                UplinkTap("mv0", "passthru", mac=NIC.mac),
                UplinkTap("mvt1", "bridge", "lab", "web", NIC.mac),
            ),
            carries_default=True,
        ),
        UplinkFacts("eno2", NIC.mac, 9000, carrier=False),
    )


def test_a_device_without_all_marks_is_nobodys() -> None:
    for wrong in (
        {"group": naming.group("other")},
        {"alias": "vmnet:lab/lan"},  # of a network
        {"alias": "web"},
        {"alias": "vmnet:Lab/web/0"},
    ):
        (found,) = uplinks(Facts(links=(NIC, replace(OURS, **wrong))))
        assert found.taps == (UplinkTap("mvt1", "bridge", mac=NIC.mac),), wrong


def test_what_can_carry_no_macvtap_is_no_uplink() -> None:
    bridge = replace(NIC, name="br0", index=4, kind="bridge")
    facts = Facts(
        links=(
            replace(NIC, name="lo", index=1),
            replace(NIC, name="tun0", index=5, ethernet=False),
            bridge,
            replace(NIC, master=4),
            replace(NIC, name="a b", index=6),
            replace(NIC, name="vmnet-sw", index=7, group=naming.group("lab")),
        )
    )
    assert [uplink.name for uplink in uplinks(facts)] == ["br0"]


def test_people_see_the_same() -> None:
    one = nic("eno1", UplinkTap("a", "bridge"), UplinkTap("b", "bridge"), UplinkTap("c", ""))
    facts = host(
        3072,
        replace(one, carries_default=True),
        nic("eno2", carrier=False),
        vms=(ResidentVm("lab", "web", "running", runs=True),),
        features=("kvm", "macvtap"),
    )
    assert list(lines(replace(facts, troubles=("devices",)))) == [
        "host: vmnet 0.1.0, protocol 1, x86_64, 4 cores",
        "memory: 3.0 of 8.0 GiB free; files of guests: 9.8 GiB free",
        "kernel: kvm, macvtap; not: guard, nat, vhost, vlan",
        "NIC eno1: MTU 1500, the host's own way out, has 2 bridge, 1 other",
        "NIC eno2: MTU 1500, no carrier",
        "VM web of plan lab: running",
        "cannot be seen: devices",
    ]
