"""Where VMs go: decided from facts alone, with a reason for each."""

import pytest

from provisioner.errors import Exit
from provisioner.fabric.facts import ResidentVm, Silent, UplinkFacts, UplinkTap
from provisioner.fabric.place import place
from provisioner.fabric.placing import Decision, Fleet, Home, Homes, found_in
from provisioner.plan.load.loader import load
from provisioner.plan.model import Plan
from tests.builders.fabric import host, nic, placed

TWO = "a: {nics: [lan], memory: 1G}, b: {nics: [lan], memory: 1G}"
PASSTHRU = "wan: {uplink: eno2, mode: passthru}"


def told(plan: Plan, fleet: Fleet, now: Homes | None = None) -> list[str]:
    """Give all that is decided as lines."""
    found = place(plan, fleet, found_in("lab", fleet) if now is None else now)
    return [*found.lines(), *(problem.what for problem in found.refused)]


def of(decision: Decision) -> dict[str, str]:
    return {one.vm: one.host for one in decision.assigned}


def test_vms_are_spread_where_the_plan_says_nothing_else() -> None:
    assert told(placed(TWO), {"h1": host(), "h2": host()}) == [
        "a on h1: 4.0 of 8.0 GiB free",
        "b on h2: 4.0 of 8.0 GiB free",
    ]


def test_vms_are_packed_on_the_fullest_host_that_has_room() -> None:
    fleet = {"h1": host(8000), "h2": host(4096)}
    assert told(placed(TWO, more="placement: pack"), fleet) == [
        "a on h2: 4.0 of 8.0 GiB free",
        "b on h2: 2.9 of 8.0 GiB free",
    ]


def test_a_full_host_is_told_with_the_one_that_was_chosen() -> None:
    fleet = {"h1": host(512), "h2": host(3200)}
    assert told(placed("db: {nics: [lan], memory: 2G}"), fleet) == [
        "db on h2: 3.1 of 8.0 GiB free; h1 is full"
    ]


def test_what_fits_nowhere_is_refused_with_a_reason_for_each_host() -> None:
    fleet: Fleet = {
        "h1": host(512),
        "h2": host(4096, nic("eth0")),
        "h3": Silent("timed out", is_dead=True),
        "h4": host(features=()),
        "h5": host(pool_mib=0),
        "h6": host(4096, nic(mtu=1400)),
    }
    plan = placed("db: {nics: [{network: lan, mtu: 1500}], memory: 2G}", " ".join(fleet))
    (refused,) = place(plan, fleet, {}).refused
    assert refused.path == ("vms", "db")
    assert refused.what == (
        "VM db fits on no host: h1 is full; h2 has no NIC eno1 for network lan; h3 is declared "
        "dead; h4 has no macvtap; h5 has 0 MiB free for guests' files; h6 has an MTU of 1400 on "
        "eno1, and 1500 are wanted"
    )


def test_what_is_refused_keeps_nothing_else_from_being_placed() -> None:
    fleet = {"h1": host(2000), "h2": host(1000)}
    assert told(placed(f"huge: {{nics: [lan], memory: 9G}}, {TWO}"), fleet) == [
        "a on h1: 2.0 of 8.0 GiB free; h2 is full",
        "VM huge fits on no host: h1 is full; h2 is full",
        "VM b fits on no host: h1 is full; h2 is full",
    ]


def test_memory_is_not_counted_where_the_plan_overcommits() -> None:
    plan = placed(TWO, hosts="h1", more="overcommit: true")
    assert of(place(plan, {"h1": host(100)}, {})) == {"a": "h1", "b": "h1"}


@pytest.mark.parametrize(("on", "goes"), [("on: h2", "h2"), ("on: h1", "h1")])
def test_a_vm_goes_where_the_plan_wants_it(on: str, goes: str) -> None:
    plan = placed(f"a: {{nics: [lan], {on}}}")
    assert of(place(plan, {"h1": host(), "h2": host()}, {})) == {"a": goes}


def test_vms_that_are_apart_share_no_host_though_packing_would_have_it() -> None:
    plan = placed(TWO, more="placement: {strategy: pack, apart: [a, b]}")
    assert told(plan, {"h1": host(), "h2": host()}) == [
        "a on h1: 4.0 of 8.0 GiB free",
        "b on h2: 4.0 of 8.0 GiB free; h1 has a already, which b is to be apart from",
    ]


def test_vms_of_one_switch_go_to_one_host_together() -> None:
    own = "own: {switch: true, subnet: 10.1.0.0/24}"
    vms = "a: {nics: [own], memory: 1G}, b: {nics: [own, lan], memory: 1G}"
    plan = placed(vms, networks=own)
    assert of(place(plan, {"h1": host(2000), "h2": host(2500)}, {})) == {"a": "h2", "b": "h2"}
    assert told(plan, {"h1": host(2000), "h2": host(1000)}) == [
        (
            "VMs a and b fit on no host together, as one switch wants it: h1 has 2.0 of 8.0 GiB "
            "free, and 2.1 are wanted; h2 is full"
        )
    ]


def test_a_passthru_nic_is_one_guests_alone() -> None:
    plan = placed("a: {nics: [wan]}, b: {nics: [wan]}, c: {nics: [wan]}", networks=PASSTHRU)
    both = {"h1": host(4096, nic("eno2")), "h2": host(4096, nic("eno2"))}
    assert told(plan, both) == [
        "a on h1: 4.0 of 8.0 GiB free",
        "b on h2: 4.0 of 8.0 GiB free; h1 has given eno2 to a alone (passthru)",
        (
            "VM c fits on no host: h1 has given eno2 to a alone (passthru); h2 has given eno2 to b "
            "alone (passthru)"
        ),
    ]


@pytest.mark.parametrize(
    ("tap", "mode", "reason"),
    [
        (
            UplinkTap("mvt1", "bridge", "other", "x"),
            "passthru",
            "h1 has plan other on eno1, which a wants alone (passthru)",
        ),
        (UplinkTap("mvt1", "passthru"), "bridge", "h1 has given eno1 to mvt1 alone (passthru)"),
    ],
)
def test_what_others_have_on_a_nic_counts(tap: UplinkTap, mode: str, reason: str) -> None:
    plan = placed(f"a: {{nics: [{{network: lan, mode: {mode}}}]}}")
    fleet = {"h1": host(4096, nic("eno1", tap)), "h2": host(3000)}
    assert told(plan, fleet) == [f"a on h2: 2.9 of 8.0 GiB free; {reason}"]


def test_its_own_device_keeps_no_vm_from_its_host() -> None:
    plan = placed("a: {nics: [{network: lan, mode: passthru}]}")
    own = nic("eno1", UplinkTap("mvt1", "passthru", "lab", "a"))
    fleet = {"h1": host(4096, own, vms=(ResidentVm("lab", "a", "off", runs=False),)), "h2": host()}
    assert told(plan, fleet) == ["a on h1: 4.0 of 8.0 GiB free"]


def test_passthru_does_not_take_the_way_out_of_a_host() -> None:
    out = UplinkFacts("eno1", "02:00:00:00:00:01", 1500, carrier=True, carries_default=True)
    plan = placed("a: {nics: [{network: lan, mode: passthru}]}")
    assert told(plan, {"h1": host(4096, out), "h2": host(512)}) == [
        (
            "a on h2: 0.5 of 8.0 GiB free; h1 has its own way out through eno1, which mode "
            "passthru would take"
        )
    ]


def test_a_host_without_a_carrier_comes_last() -> None:
    fleet = {"h1": host(8000, nic(carrier=False)), "h2": host(1000)}
    assert of(place(placed("a: {nics: [lan]}"), fleet, {})) == {"a": "h2"}


@pytest.mark.parametrize(
    ("vm", "networks", "lacks"),
    [
        ("nics: [v]", "v: {uplink: eno1, vlan: 7}", "vlan"),
        ("nics: [{network: lan, vhost: on}]", "", "vhost"),
        ("nics: [{network: lan, spoof_guard: strict}]", "", "guard"),
        ("nics: [n]", "n: {switch: {nat: true}, subnet: 10.1.0.0/24}", "nat"),
    ],
)
def test_a_host_needs_what_a_vm_wants_of_its_kernel(vm: str, networks: str, lacks: str) -> None:
    plan = placed(f"a: {{{vm}}}", networks=networks)
    fleet = {"h1": host(8000, features=("macvtap",)), "h2": host()}
    assert told(plan, fleet) == [f"a on h2: 4.0 of 8.0 GiB free; h1 has no {lacks}"]


def test_a_host_needs_kvm_where_the_plan_says_so() -> None:
    plan = placed("a: {nics: [lan]}", more="accel: kvm")
    fleet = {"h1": host(features=("macvtap",)), "h2": host()}
    assert of(place(plan, fleet, {})) == {"a": "h2"}


def test_a_vm_that_runs_stays_though_another_host_is_better() -> None:
    runs = (ResidentVm("lab", "a", "running", runs=True),)
    fleet = {"h1": host(10, vms=runs), "h2": host(8000)}
    assert told(placed(TWO), fleet) == [
        "a stays on h1: it runs there",
        "b on h2: 7.8 of 8.0 GiB free; h1 is full",
    ]


def test_a_vm_that_runs_stays_though_the_plan_wants_it_elsewhere() -> None:
    plan = placed("a: {nics: [lan], on: h2}", hosts="h1 h2")
    now = {"a": (Home("h1", runs=True),)}
    assert told(plan, {"h1": host(), "h2": host()}, now) == [
        "a stays on h1: it runs there, though the plan wants it on h2"
    ]
    now = {"a": (Home("h9", runs=True),)}
    plan = placed("a: {nics: [lan]}")
    assert told(plan, {"h1": host(), "h2": host(), "h9": host()}, now) == [
        "a stays on h9: it runs there, though the plan places no VMs there"
    ]


def test_a_vm_that_is_stopped_goes_where_its_disks_are_or_nowhere() -> None:
    off = (ResidentVm("lab", "a", "off", runs=False),)
    fleet = {"h1": host(2000, vms=off), "h2": host(8000)}
    assert told(placed("a: {nics: [lan], memory: 1G}"), fleet) == ["a on h1: 2.0 of 8.0 GiB free"]
    assert told(placed("a: {nics: [lan], memory: 3G}"), fleet) == [
        "VM a fits on no host: h1 is full"
    ]
    assert told(placed("a: {nics: [lan], on: h2}"), fleet) == [
        "VM a cannot be on h2: its disks are on h1"
    ]


def test_a_vm_on_two_hosts_is_refused_and_where_it_runs_counts_more_than_its_disks() -> None:
    fleet = {"h1": host(), "h2": host()}
    both = {"a": (Home("h1", runs=True), Home("h2", runs=True))}
    assert told(placed("a: {nics: [lan]}"), fleet, both) == [
        "VM a is on h1 and h2, and can be on one host only"
    ]
    one = {"a": (Home("h1", runs=False), Home("h2", runs=True))}
    assert told(placed("a: {nics: [lan]}"), fleet, one) == ["a stays on h2: it runs there"]


def test_vms_of_one_switch_that_run_on_two_hosts_are_refused() -> None:
    own = "own: {switch: true, subnet: 10.1.0.0/24}"
    plan = placed("a: {nics: [own]}, b: {nics: [own]}", networks=own)
    now = {"a": (Home("h1", runs=True),), "b": (Home("h2", runs=True),)}
    assert told(plan, {"h1": host(), "h2": host()}, now) == [
        "VM a is on h1 and VM b on h2, and they share a switch, which is one host's own"
    ]
    assert told(plan, {"h1": host(), "h2": host(8000)}, {"a": now["a"]}) == [
        "a stays on h1: it runs there",
        "b on h1: 4.0 of 8.0 GiB free",
    ]


def test_a_host_that_does_not_answer_is_unknown_and_what_may_run_there_waits() -> None:
    fleet: Fleet = {"h1": host(), "h2": Silent("timed out after 10 s")}
    now = {"a": (Home("h1", runs=True),), "b": (Home("h2", runs=True),)}
    assert told(placed(f"{TWO}, c: {{nics: [lan]}}"), fleet, now) == [
        "a stays on h1: it runs there",
        "b waits: it is on h2, which does not answer (timed out after 10 s)",
        "c waits: it may run on h2, which does not answer",
    ]


def test_a_vm_that_the_plan_now_wants_on_another_host_may_run_on_the_unknown_one() -> None:
    plan = placed("a: {nics: [lan], on: h1}")
    assert told(plan, {"h1": host(), "h2": Silent("no route")}) == [
        "a waits: it may run on h2, which does not answer"
    ]


def test_a_host_that_was_not_asked_is_unknown_too() -> None:
    assert told(placed("a: {nics: [lan]}"), {"h1": host()}) == [
        "a waits: it may run on h2, which does not answer"
    ]


def test_a_host_that_is_declared_dead_loses_its_vms_to_others() -> None:
    fleet: Fleet = {"h1": host(), "h2": Silent("timed out", is_dead=True)}
    now = {"a": (Home("h2", runs=True),)}
    assert told(placed("a: {nics: [lan]}"), fleet, now) == [
        "a on h1: 4.0 of 8.0 GiB free; h2 is declared dead"
    ]


def test_what_fails_in_the_usual_order_goes_first_in_another_try() -> None:
    # The two large ones take both hosts first, and then a fits on neither: h1 has room for one.
    own = "own: {switch: true, subnet: 10.1.0.0/24}"
    vms = (
        "a: {nics: [lan], memory: 512M}, b: {nics: [own], memory: 1G}, c: {nics: [lan], memory: 1G}"
    )
    fleet = {
        "h1": host(5409, pool_mib=8),
        "h2": host(2489, pool_mib=31),
        "h3": host(5249, pool_mib=7),
    }
    plan = placed(vms, "h1 h2 h3", "placement: {apart: [a, c]}", own)
    assert of(place(plan, fleet, {})) == {"a": "h1", "b": "h2", "c": "h2"}


def test_where_vms_are_is_what_hosts_say_of_the_plan() -> None:
    runs, off = (
        ResidentVm("lab", "a", "running", runs=True),
        ResidentVm("lab", "a", "off", runs=False),
    )
    other = ResidentVm("other", "a", "running", runs=True)
    fleet: Fleet = {"h2": host(vms=(off, other)), "h1": host(vms=(runs,)), "h3": Silent("x")}
    assert found_in("lab", fleet) == {"a": (Home("h1", runs=True), Home("h2", runs=False))}


def test_a_refusal_is_an_error_of_the_plan_at_its_place() -> None:
    own = "networks: {own: {switch: true, subnet: 10.1.0.0/24}}"
    hosts = "hosts: {h1: {address: 10.9.0.1, uplinks: {}}, h2: {address: 10.9.0.2, uplinks: {}}}"
    loaded = load(
        f"name: lab\n{own}\n{hosts}\nvms:\n  a: {{nics: [own]}}\n  b: {{nics: [own]}}\n", "p"
    )
    now = {"a": (Home("h1", runs=True),), "b": (Home("h2", runs=True),)}
    (error,) = place(loaded.plan, {"h1": host(), "h2": host()}, now).complaints(loaded.places)
    assert str(error.where) == "p:6:3"
    assert error.what == (
        "VM a is on h1 and VM b on h2, and they share a switch, which is one host's own: see p:5:3"
    )
    assert error.fix == "take one of them away: on its host, vmnet down b --disks"
    assert error.status is Exit.BAD_INPUT
