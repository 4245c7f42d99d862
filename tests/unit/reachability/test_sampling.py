"""A part of the pairs that still touches every guest, the same one each time."""

from collections import Counter
from dataclasses import replace
from ipaddress import ip_address

from provisioner.plan.checks import HOST, PING, CheckSpec, What
from provisioner.reachability.pairs import Expected, Pair
from provisioner.reachability.sampling import sample


def pair(source: str, target: str, asked: CheckSpec = PING) -> Pair:
    return Pair("lan", source, target, Expected.REACHES, "", (ip_address("10.0.0.1"),), asked=asked)


VMS = [f"v{n}" for n in range(30)]
MESH = [pair(a, b) for a in VMS for b in VMS if a != b]


def test_every_guest_asks_and_is_asked_and_most_pairs_are_left_out() -> None:
    chosen = sample(MESH, set(VMS))
    asking, asked = Counter(p.source for p in chosen), Counter(p.target for p in chosen)
    assert min(asking[vm] for vm in VMS) >= 4
    assert min(asked[vm] for vm in VMS) >= 4
    assert len(chosen) < len(MESH) / 3


def test_the_same_plan_gives_the_same_part_in_the_plans_order() -> None:
    chosen = sample(MESH, set(VMS))
    assert chosen == sample(MESH, set(VMS))
    assert chosen == tuple(p for p in MESH if p in chosen)
    assert set(chosen) == set(sample(MESH[::-1], set(VMS)))


def test_the_host_machines_outside_and_the_users_own_checks_are_never_left_out() -> None:
    kept = [
        pair(HOST, "v1"),
        pair("v1", HOST),
        pair("v1", "nas"),
        pair("v1", "v2", CheckSpec(What.TCP, 22)),
    ]
    kept += [pair("nas", vm) for vm in VMS]
    assert set(kept) <= set(sample([*MESH, *kept], set(VMS)))


def test_a_small_plan_is_measured_whole() -> None:
    small = [p for p in MESH if {p.source, p.target} <= {"v0", "v1", "v2"}]
    assert sample(small, set(VMS)) == tuple(small)


def test_which_part_it_is_depends_on_the_names_alone() -> None:
    small = [p for p in MESH if {p.source, p.target} <= {"v0", "v1", "v2", "v3", "v4"}]
    chosen = sample(small, set(VMS), each=1)
    assert [(p.source, p.target) for p in chosen] == [
        ("v0", "v3"),
        ("v1", "v0"),
        ("v1", "v4"),
        ("v2", "v3"),
        ("v3", "v4"),
        ("v4", "v1"),
        ("v4", "v2"),
    ]


def test_guests_are_counted_on_each_network_by_itself() -> None:
    other = [replace(p, network="dmz") for p in MESH if p.source in {"v0", "v1"}]
    assert set(sample(MESH, set(VMS))) <= set(sample([*MESH, *other], set(VMS)))


def test_each_nic_of_a_guest_asks_and_is_asked() -> None:
    two = [replace(p, source_nic=1, source_shares=True) for p in MESH if p.source == "v0"]
    one = [replace(p, source_shares=True) if p.source == "v0" else p for p in MESH]
    asking = Counter(p.source_label for p in sample([*one, *two], set(VMS)))
    assert min(asking["v0.0"], asking["v0.1"]) >= 4
