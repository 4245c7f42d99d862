import re
from itertools import islice
from uuid import UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from provisioner import naming

NAMESPACE = UUID("6d1f9a3e-5b2c-5d0f-8a47-c3e1907bd254")

LABELS = st.from_regex(r"[a-z][a-z0-9-]{0,38}[a-z0-9]", fullmatch=True)
NICS = st.integers(0, 63)


def test_names_never_change_between_versions() -> None:
    assert naming.macvtap("lab", "web1", 0) == "mvt0f82301eb8"
    assert naming.switch_ends("lab", "lan") == ("mvl317aefc732", "mvh317aefc732")
    assert naming.bridge("lab", "lan") == "mvb317aefc732"
    assert naming.vlan("lab", "eth0", 42) == "mvvbcdb3f41a5"
    assert naming.sibling("lab", "lan") == "mvab02bf25f6a"
    assert naming.group("lab") == 0x76FAA15E
    assert naming.mac("lab", "web1", 0) == "02:fc:4f:55:4b:01"
    assert naming.switch_mac("lab", "lan") == "02:a6:bc:6b:fc:52"
    assert naming.sibling_mac("lab", "lan") == "02:d4:71:b8:06:ca"
    assert naming.altname("lab", "web1", 0) == "vmnet-lab-web1-0"
    assert naming.alias("lab", "web1", 0) == "vmnet:lab/web1/0"
    assert naming.domain("lab", "web1") == "lab-web1"
    assert naming.domain_uuid("lab", "web1") == "509a6d05-7d8a-5c07-a539-c1a232f9a521"
    assert list(islice(naming.ifindexes("lab", "web1", 0), 3)) == [1526285647, 492409059, 689103661]


@given(LABELS, LABELS, NICS)
def test_the_kernel_takes_every_derived_name(plan: str, vm: str, nic: int) -> None:
    links = [
        naming.macvtap(plan, vm, nic),
        *naming.switch_ends(plan, vm),
        naming.bridge(plan, vm),
        naming.vlan(plan, vm, nic),
        naming.sibling(plan, vm),
    ]
    assert all(re.fullmatch(r"mv[tlhbva][0-9a-f]{10}", link) for link in links)
    assert len(naming.altname(plan[:32], vm, nic)) <= 127
    assert 0x76000000 <= naming.group(plan) <= 0x76FFFFFF


@given(LABELS, LABELS, NICS)
def test_a_derived_mac_is_unicast_and_locally_administered(plan: str, vm: str, nic: int) -> None:
    macs = [naming.mac(plan, vm, nic), naming.switch_mac(plan, vm), naming.sibling_mac(plan, vm)]
    assert all(re.fullmatch(r"02(:[0-9a-f]{2}){5}", mac) for mac in macs)
    assert len(set(macs)) == 3


@given(LABELS, LABELS, NICS)
def test_interface_indexes_stay_in_their_range(plan: str, vm: str, nic: int) -> None:
    first = list(islice(naming.ifindexes(plan, vm, nic), 50))
    assert all(0x10000000 <= index <= 0x7FFFFFF0 for index in first)
    assert first == list(islice(naming.ifindexes(plan, vm, nic), 50))
    assert len(set(first)) > 45


@given(LABELS, LABELS)
def test_the_uuid_is_a_version_5_one(plan: str, vm: str) -> None:
    assert naming.domain_uuid(plan, vm) == str(uuid5(NAMESPACE, f"{plan}/{vm}"))


@given(st.lists(st.text()), st.lists(st.text()))
def test_different_parts_give_different_digests(one: list[str], other: list[str]) -> None:
    assert (naming.digest(*one, size=16) == naming.digest(*other, size=16)) == (one == other)


def test_the_kinds_of_names_do_not_share_a_hash() -> None:
    kinds = [
        naming.macvtap("lab", "a", 0)[3:],
        naming.switch_ends("lab", "a")[0][3:],
        naming.mac("lab", "a", 0)[3:].replace(":", ""),
    ]
    assert len(set(kinds)) == 3


@given(LABELS)
def test_plans_vmnet_net_and_temporary_wires_never_share_a_link_group(plan: str) -> None:
    others = {naming.NET_GROUP, naming.NET_LEAVING_GROUP, naming.WIRE_GROUP}
    assert len(others) == 3
    assert naming.group(plan) not in others
    assert all(0x76FFFFFF < group < 0x80000000 for group in others)


def test_only_links_named_as_vmnet_does_are_ours() -> None:
    lower, far = naming.switch_ends("lab", "lan")
    ours = [
        (naming.macvtap("lab", "a", 0), "macvtap"),
        (lower, "veth"),
        (far, "veth"),
        (naming.bridge("lab", "lan"), "bridge"),
        (naming.vlan("lab", "eth0", 42), "vlan"),
        (naming.sibling("lab", "lan"), "macvlan"),
    ]
    others = [
        ("macvtap0", "macvtap"),
        (lower, "macvtap"),
        ("eth0", ""),
        ("mvtnothexatall", "macvtap"),
    ]
    others += [(f"mv{letter}0123456789", naming.KINDS[f"mv{letter}"]) for letter in "nxy"]
    assert [naming.are_ours(*link) for link in ours + others] == [True] * 6 + [False] * 7
