import re
from itertools import islice
from uuid import UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from provisioner.core import names

NAMESPACE = UUID("6d1f9a3e-5b2c-5d0f-8a47-c3e1907bd254")

LABELS = st.from_regex(r"[a-z][a-z0-9-]{0,38}[a-z0-9]", fullmatch=True)
NICS = st.integers(0, 63)


def test_names_never_change_between_versions() -> None:
    assert names.macvtap("lab", "web1", 0) == "mvt0f82301eb8"
    assert names.switch_ends("lab", "lan") == ("mvl317aefc732", "mvh317aefc732")
    assert names.bridge("lab", "lan") == "mvb317aefc732"
    assert names.vlan("lab", "eth0", 42) == "mvvbcdb3f41a5"
    assert names.sibling("lab", "lan") == "mvab02bf25f6a"
    assert names.group("lab") == 0x76FAA15E
    assert names.mac("lab", "web1", 0) == "02:fc:4f:55:4b:01"
    assert names.switch_mac("lab", "lan") == "02:a6:bc:6b:fc:52"
    assert names.sibling_mac("lab", "lan") == "02:d4:71:b8:06:ca"
    assert names.altname("lab", "web1", 0) == "vmnet-lab-web1-0"
    assert names.alias("lab", "web1", 0) == "vmnet:lab/web1/0"
    assert names.domain("lab", "web1") == "lab-web1"
    assert names.domain_uuid("lab", "web1") == "509a6d05-7d8a-5c07-a539-c1a232f9a521"
    assert list(islice(names.ifindexes("lab", "web1", 0), 3)) == [1526285647, 492409059, 689103661]


@given(LABELS, LABELS, NICS)
def test_the_kernel_takes_every_derived_name(plan: str, vm: str, nic: int) -> None:
    links = [
        names.macvtap(plan, vm, nic),
        *names.switch_ends(plan, vm),
        names.bridge(plan, vm),
        names.vlan(plan, vm, nic),
        names.sibling(plan, vm),
    ]
    assert all(re.fullmatch(r"mv[tlhbva][0-9a-f]{10}", link) for link in links)
    assert len(names.altname(plan[:32], vm, nic)) <= 127
    assert 0x76000000 <= names.group(plan) <= 0x76FFFFFF


@given(LABELS, LABELS, NICS)
def test_a_derived_mac_is_unicast_and_locally_administered(plan: str, vm: str, nic: int) -> None:
    macs = [names.mac(plan, vm, nic), names.switch_mac(plan, vm), names.sibling_mac(plan, vm)]
    assert all(re.fullmatch(r"02(:[0-9a-f]{2}){5}", mac) for mac in macs)
    assert len(set(macs)) == 3


@given(LABELS, LABELS, NICS)
def test_interface_indexes_stay_in_their_range(plan: str, vm: str, nic: int) -> None:
    first = list(islice(names.ifindexes(plan, vm, nic), 50))
    assert all(0x10000000 <= index <= 0x7FFFFFF0 for index in first)
    assert first == list(islice(names.ifindexes(plan, vm, nic), 50))
    assert len(set(first)) > 45


@given(LABELS, LABELS)
def test_the_uuid_is_a_version_5_one(plan: str, vm: str) -> None:
    assert names.domain_uuid(plan, vm) == str(uuid5(NAMESPACE, f"{plan}/{vm}"))


@given(st.lists(st.text()), st.lists(st.text()))
def test_different_parts_give_different_digests(one: list[str], other: list[str]) -> None:
    assert (names.digest(*one, size=16) == names.digest(*other, size=16)) == (one == other)


def test_the_kinds_of_names_do_not_share_a_hash() -> None:
    kinds = [
        names.macvtap("lab", "a", 0)[3:],
        names.switch_ends("lab", "a")[0][3:],
        names.mac("lab", "a", 0)[3:].replace(":", ""),
    ]
    assert len(set(kinds)) == 3


@given(LABELS)
def test_plans_vmnet_net_and_temporary_wires_never_share_a_link_group(plan: str) -> None:
    others = {names.NET_GROUP, names.NET_LEAVING_GROUP, names.WIRE_GROUP}
    assert len(others) == 3
    assert names.group(plan) not in others
    assert all(0x76FFFFFF < group < 0x80000000 for group in others)


def test_only_links_named_as_vmnet_does_are_ours() -> None:
    lower, far = names.switch_ends("lab", "lan")
    ours = [
        (names.macvtap("lab", "a", 0), "macvtap"),
        (lower, "veth"),
        (far, "veth"),
        (names.bridge("lab", "lan"), "bridge"),
        (names.vlan("lab", "eth0", 42), "vlan"),
        (names.sibling("lab", "lan"), "macvlan"),
    ]
    others = [
        ("macvtap0", "macvtap"),
        (lower, "macvtap"),
        ("eth0", ""),
        ("mvtnothexatall", "macvtap"),
    ]
    others += [(f"mv{letter}0123456789", names.KINDS[f"mv{letter}"]) for letter in "nxy"]
    assert [names.are_ours(*link) for link in ours + others] == [True] * 6 + [False] * 7
