"""Some VMs of a plan come and go; the steps touch what is theirs, and networks that others lack."""

from dataclasses import replace

import pytest

from provisioner.guest.boot import New
from provisioner.guest.domain import Domain, Image, LeftDraft, Overlay, StrayDomain
from provisioner.network.addressing import assign
from provisioner.network.facts import Chosen, Facts
from provisioner.network.resources import Macvtap
from provisioner.plan.load.loader import load
from provisioner.reconcile import partial
from provisioner.reconcile.desired import desired
from provisioner.reconcile.diff import Verb, diff
from provisioner.resource import Key, Resource, Resources, by_key

HOME = "/v/lab"
TEXT = """\
name: lab
networks:
  lan: {switch: {nat: true, dhcp: true}, subnet: 10.77.0.0/24}
  dmz: {switch: true, subnet: 10.78.0.0/24}
vms:
  a: {nics: [lan], disks: [1G], ssh_keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAA me]}
  b: {nics: [dmz]}
  c: {nics: [lan, dmz]}
"""


def wanted(text: str = TEXT) -> dict[Key, Resource]:
    plan = load(text, "lab.yaml").plan
    images = {vm.name: Image("kernel", "initrd", "", 96) for vm in plan.vms}
    return desired(plan, assign(plan), Facts(home=HOME), New(images, Chosen("tcg", "")))


def kinds(resources: Resources) -> list[str]:
    return sorted(r.KIND for r in resources.values())


def done(state: Resources, want: Resources) -> dict[Key, Resource]:
    """Return what the steps make of a state."""
    after = dict(state)
    for step in diff(want, state):
        for r in (step.resource, *step.together):
            if step.verb is Verb.DELETE:
                del after[r.key]
            else:
                after[r.key] = r
    return after


def test_one_vm_comes_up_with_its_network_and_nothing_else() -> None:
    assert kinds(partial.with_only(wanted(), {}, {"b"})) == [
        *("domain", "guard", "macvtap", "nat", "switch")
    ]
    assert kinds(partial.with_only(wanted(), {}, {"a"})) == [
        *("dhcp", "disk", "domain", "guard", "macvtap", "nat", "seed", "switch")
    ]


@pytest.mark.parametrize("first", ["a", "b", "c"])
def test_one_after_the_other_they_make_the_whole_plan(first: str) -> None:
    state: dict[Key, Resource] = {}
    for vm in (first, *({"a", "b", "c"} - {first})):
        before = {k: r for k, r in state.items() if k[0] in {"domain", "macvtap"}}
        state = done(state, partial.with_only(wanted(), state, {vm}))
        assert before.items() <= state.items()
    assert diff(wanted(), state) == []


@pytest.mark.parametrize(
    ("gone", "networks"),
    [({"a"}, 2), ({"b"}, 2), ({"a", "c"}, 1), ({"a", "b"}, 2), ({"a", "b", "c"}, 0)],
)
def test_vms_go_with_the_networks_that_no_other_uses(gone: set[str], networks: int) -> None:
    state = wanted()
    left = partial.without(state, gone)
    assert partial.vms(left) == {"a", "b", "c"} - gone
    assert kinds(left).count("switch") == networks
    assert all(n in left or n not in state for r in left.values() for n in r.needs())
    assert {partial.vm_of(r, state) for k, r in state.items() if k not in left} - {""} == gone


def test_a_written_disk_stays_when_its_vm_goes() -> None:
    disk = Overlay(f"{HOME}/disk/a.1.qcow2", 1 << 30, vm="a", is_written=True)
    state = wanted() | by_key([disk])
    assert done(state, partial.without(state, {"a", "b", "c"})) == by_key([disk])
    assert disk.key in done(state, partial.without(state, {"a"}))


def test_a_guest_that_libvirt_has_lost_is_ended_only_with_its_own_vm() -> None:
    stray, draft = StrayDomain(7, "lab", "a"), LeftDraft(f"{HOME}/seed/.x.part")
    state = wanted() | by_key([stray, draft])
    for want in (partial.with_only(wanted(), state, {"b"}), partial.without(state, {"b"})):
        assert stray.key in want
        assert draft.key not in want
    assert stray.key not in partial.without(state, {"a"})
    assert stray.key not in partial.with_only(wanted(), state, {"a"})


def test_what_the_plan_has_taken_from_a_vm_goes_and_the_others_keep_theirs() -> None:
    before = wanted()
    want = partial.with_only(wanted(TEXT.replace("nics: [lan, dmz]", "nics: [lan]")), before, {"c"})
    gone = [s.resource for s in diff(want, before) if s.verb is Verb.DELETE]
    assert sorted(r.KIND for r in gone) == ["guard", "macvtap"]
    assert {partial.vm_of(r, before) for r in gone} == {"c"}


def test_an_observed_macvtap_is_known_by_its_alias() -> None:
    taps = [r for r in wanted().values() if isinstance(r, Macvtap)]
    assert sorted(partial.vm_of(replace(tap, vm=""), {}) for tap in taps) == ["a", "b", "c", "c"]


def test_a_domain_is_of_its_vm() -> None:
    assert {r.vm for r in wanted().values() if isinstance(r, Domain)} == partial.vms(wanted())
