"""What holds of the steps between any two states, of resources of every kind."""

import random
import types
from collections.abc import Collection
from dataclasses import Field, fields, replace
from graphlib import TopologicalSorter
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from provisioner.errors import Complaints
from provisioner.guest.boot import New
from provisioner.guest.domain import Domain, DomainNic, Image, Overlay
from provisioner.network.addressing import assign
from provisioner.network.facts import Chosen, Facts
from provisioner.network.resources import (
    Device,
    Dhcp,
    Guard,
    Macvtap,
    Nat,
    Switch,
    UpperDevice,
)
from provisioner.plan.choices import Mode
from provisioner.plan.load.loader import load
from provisioner.reconcile.desired import desired
from provisioner.reconcile.diff import Step, StepId, Verb, diff
from provisioner.reconcile.resources import AnyResource
from provisioner.resource import Key, Leftover, Resource, Resources, by_key
from tests.builders.addresses import interfaces, networks

KINDS: tuple[type[Any], ...] = get_args(AnyResource)
HOME = "/state/lab"
LUCK = random.Random(1)  # noqa: S311  (only the order of steps hangs on it)
FAILING = 0.25
DEVICES = ("mvt0", "mvt1", "mvl0", "mvl1", "mvh0", "mvh1")
UPLINKS = ("mvl0", "mvl1", "vlan0", "up0")

# Few values of each, so that what is drawn refers to each other and differs.
NAMES: dict[str, tuple[str, ...]] = {
    "Macvtap": ("mvt0", "mvt1", "mvt2"),
    "Switch": ("mvl0", "mvl1"),
    "Vlan": ("vlan0", "vlan1"),
    "Impaired": ("mvt0", "mvt1", "mvt2"),
}
POOLS: dict[str, tuple[Any, ...]] = {
    "device": DEVICES,
    "uplink": UPLINKS,
    "peer": ("mvh0", "mvh1"),
    "mode": (Mode.BRIDGE, Mode.PASSTHRU, Mode.VEPA),
    "node": ("right", "missing", "foreign"),
    "seed": (None, f"{HOME}/seed/0.iso", f"{HOME}/seed/1.iso"),
    "console": (f"{HOME}/console/a.log",),
    "kernel": ("/image/kernel", f"{HOME}/boot/0", f"{HOME}/boot/1"),
    "path": tuple(f"{HOME}/{place}/{n}" for place in ("disk", "boot", "seed") for n in "01"),
    "link": ("mvt0", "mvt1", "mvt2"),
    "home": (HOME,),
}
BY_TYPE: dict[Any, tuple[Any, ...]] = {
    str: ("", "x"),
    int: (1, 2),
    bool: (True, False),
    IPv4Interface: interfaces("10.0.0.1/24", "10.0.0.2/32"),
    IPv6Interface: interfaces("fd00::1/64"),
    IPv4Network: networks("10.0.0.1/32"),
    IPv6Network: networks("fd00::1/128"),
}


def of_kind(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Return values of a dataclass, whatever its fields: a kind added later is drawn too."""
    hints = get_type_hints(kind)
    return st.builds(kind, **{f.name: of_field(kind, f, hints[f.name]) for f in fields(kind)})


def of_field(kind: type[Any], field: "Field[Any]", hint: object) -> st.SearchStrategy[Any]:
    if field.name == "name":
        low = kind.__name__.lower()
        return st.sampled_from(NAMES.get(kind.__name__, (f"{low}0", f"{low}1")))
    if field.name in POOLS:
        return st.sampled_from(POOLS[field.name])
    return of_type(hint)


def of_type(hint: object) -> st.SearchStrategy[Any]:
    if hint in BY_TYPE:
        return st.sampled_from(BY_TYPE[hint])
    if get_origin(hint) is types.UnionType:
        return st.one_of(*(st.none() if h is type(None) else of_type(h) for h in get_args(hint)))
    if get_origin(hint) is Literal:
        return st.sampled_from(get_args(hint))
    if get_origin(hint) is tuple:
        parts = get_args(hint)
        if parts[-1] is not Ellipsis:
            return st.tuples(*map(of_type, parts))
        one = of_type(parts[0])
        many = st.lists(one, max_size=2, unique_by=lambda x: getattr(x, "link", x))
        return many.map(tuple)
    assert isinstance(hint, type)
    return of_kind(hint)


@st.composite
def states(draw: st.DrawFn, like: Resources | None = None) -> dict[Key, Resource]:
    """Return a state; with `like`, one that differs from it in some fields and resources."""
    out = dict(like or {})
    for k, r in list(out.items()):
        match draw(st.integers(0, 3)):
            case 0:
                del out[k]
            case 1:
                other = draw(of_kind(type(r)))
                name = draw(st.sampled_from([f.name for f in fields(r)]))
                changed = replace(r, **{name: getattr(other, name)})
                if changed.key == k:
                    out[k] = changed
            case _:
                pass
    added = draw(st.lists(st.sampled_from(KINDS).flatmap(of_kind), max_size=0 if like else 12))
    return by_key(added) | out


@st.composite
def changes(draw: st.DrawFn) -> tuple[dict[Key, Resource], dict[Key, Resource]]:
    """Return what is wanted and what is there: alike as after an edit, or strangers.

    Or what an edit and what a stranger's hand has made of one whole network with its guest.
    """
    match draw(st.integers(0, 5)):
        case 0:
            want, have = draw(states()), draw(states())
        case 1 | 2:
            whole_lab = lab(nics=draw(st.sampled_from((("mvt0",), ("mvt0", "mvt1")))))
            want, have = draw(states(like=whole_lab)), draw(states(like=whole_lab))
        case _:
            have = draw(states())
            want = draw(states(like=have))
    extra = draw(st.lists(st.sampled_from(KINDS).flatmap(of_kind), max_size=3))
    return whole(by_key(extra) | want), have


def whole(want: dict[Key, Resource]) -> dict[Key, Resource]:
    """Return what a plan could mean of this: nothing in it needs what is not in it."""
    want = {k: r for k, r in want.items() if not isinstance(r, Leftover)}
    while broken := [k for k, r in want.items() if not stands(r, want)]:
        for k in broken:
            del want[k]
    return want


def stands(resource: Resource, want: Resources) -> bool:
    if isinstance(resource, UpperDevice):
        return resource.uplink == "up0" or any(n in want for n in resource.needs())
    return all(n in want for n in resource.needs())


def lab(*other: Resource, switch: str = "", nics: tuple[str, ...] = ("mvt0",)) -> Resources:
    """Return a network with a guest on it."""
    taps = [
        Macvtap(link, "mvl0", Mode.BRIDGE, f"02:00:00:00:00:0{n}", 1500, 7, "", "")
        for n, link in enumerate(nics)
    ]
    guest = Domain(
        *("lab-a", "u", "lab", "a", 128, 1, "tcg", f"{HOME}/console/a.log"),
        tuple(DomainNic(tap.name, tap.mac, 1500) for tap in taps),
        kernel="k",
        network=f"{len(nics)}{switch}",
    )
    guards = [Guard(f"guard{tap.name}", "netdev", tap.name, ()) for tap in taps]
    return by_key([Switch("mvl0", "mvh0", (), 1500, 7, ""), *taps, *guards, *other, guest])


OLD_DHCP, NEW_DHCP = (Dhcp("lan", "mvh0", f"{HOME}/dhcp/lan-{n}.conf") for n in "12")
NAT = Nat("nat", "inet", "mvh0", ("a",))
SWAPPED = (
    by_key([r for r in lab(nics=("mvt0",)).values() if not isinstance(r, Guard)]),
    by_key([r for r in lab(nics=("mvt1",)).values() if not isinstance(r, Guard)]),
)


@settings(max_examples=5)
@given(st.tuples(*map(of_kind, KINDS)))
def test_every_kind_of_resource_is_drawn(drawn: tuple[Resource, ...]) -> None:
    assert tuple(map(type, drawn)) == KINDS


@settings(max_examples=400, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(changes(), st.randoms(use_true_random=False))
@example((lab(NEW_DHCP, NAT, switch="gateway"), lab(OLD_DHCP)), LUCK)
@example((lab(NEW_DHCP, nics=("mvt0", "mvt1")), lab(OLD_DHCP)), LUCK)
@example((lab(NEW_DHCP), lab(OLD_DHCP, nics=("mvt0", "mvt1"))), LUCK)
@example(SWAPPED, LUCK)
def test_the_steps_of_any_change_can_be_executed_in_any_order_they_allow(
    change: tuple[Resources, Resources], luck: random.Random
) -> None:
    want, have = change
    state = execute_at_random(want, have, diff(want, have), luck)
    assert {k: r for k, r in state.items() if k in want or not may_stay(r, have, want)} == want
    assert diff(want, state) == []
    execute_at_random({}, state, diff({}, state), luck)


@settings(max_examples=150, deadline=None, phases=[Phase.generate])
@given(changes(), st.randoms(use_true_random=False))
def test_what_steps_that_fail_have_left_is_led_on_to_what_is_wanted(
    change: tuple[Resources, Resources], luck: random.Random
) -> None:
    want, have = change
    steps = diff(want, have)
    failing = {s.id for s in steps if luck.random() < FAILING}
    left = execute_at_random(want, have, steps, luck, failing)
    state = execute_at_random(want, left, diff(want, left), luck)
    assert diff(want, state) == []
    assert want.items() <= state.items()


@settings(max_examples=150, deadline=None, phases=[Phase.generate])
@given(changes())
def test_steps_touch_only_what_was_found_and_what_is_wanted(
    change: tuple[Resources, Resources],
) -> None:
    want, have = change
    for step in diff(want, have):
        known = have if step.verb is Verb.DELETE else want
        for resource in (step.resource, *step.together):
            assert known[resource.key] is resource
            assert step.verb is not Verb.UPDATE or resource.key in have


@settings(max_examples=150, deadline=None, phases=[Phase.generate])
@given(changes())
@example((lab(NEW_DHCP, NAT, switch="gateway"), lab(OLD_DHCP)))
@example((lab(), {k: r for k, r in lab().items() if k != ("macvtap", "mvt0")}))
def test_only_what_cannot_change_and_what_depends_on_it_is_ended(
    change: tuple[Resources, Resources],
) -> None:
    want, have = change
    ended = {
        r.key for s in diff(want, have) if s.verb is Verb.DELETE for r in (s.resource, *s.together)
    }
    must = must_end(want, have)
    assert must <= ended
    if not rivals(want, have, ended):
        assert ended == must
    for k in ended - must:  # of a circle, which only an update less can break
        assert k in want
        assert rivals(want, have, ended)


@settings(max_examples=100, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(states())
@example(by_key([Overlay(f"{HOME}/disk/0", 1, is_written=True)]))
def test_no_disk_goes_that_a_guest_has_written_and_that_is_to_be_kept(have: Resources) -> None:
    ended = {r for s in diff({}, have) for r in (s.resource, *s.together)}
    assert not [r for r in ended if isinstance(r, Overlay) and r.keep and r.is_written]


def must_end(want: Resources, have: Resources) -> set[Key]:
    """Return what cannot stay as it is, and what depends on that: nothing else has to go."""
    gone = set()
    for k, r in have.items():
        if k in want:
            found = dict(r.differences(want[k]))
            if found and not r.can_become(want[k], found.keys()):
                gone.add(k)
        elif not r.stays:
            gone.add(k)
        if r.IS_GUEST and not {*r.still_needs(want.get(k))} <= have.keys():
            gone.add(k)
    while more := {
        k for k, r in have.items() if k not in gone and gone & {*r.still_needs(want.get(k))}
    }:
        gone |= more
    return gone


def rivals(want: Resources, have: Resources, ended: set[Key]) -> bool:
    """Return whether something is to be made that cannot be while another thing is there."""
    coming = [r for k, r in want.items() if k not in have or k in ended]
    return any(r.excludes(have[k]) for r in coming for k in ended)


def execute_at_random(
    want: Resources,
    have: Resources,
    steps: list[Step],
    luck: random.Random,
    failing: Collection[StepId] = (),
) -> dict[Key, Resource]:
    """Execute steps in one of the orders that they allow; return the state that they lead to.

    Steps that fail do nothing, and nor do those that wait for them.
    """
    by_id = {s.id: s for s in steps}
    assert len(by_id) == len(steps)
    touched = [r.key for s in steps if s.verb is Verb.DELETE for r in (s.resource, *s.together)]
    assert len(touched) == len(set(touched))
    sorter = TopologicalSorter({i: s.after & by_id.keys() for i, s in by_id.items()})
    sorter.prepare()  # raises CycleError
    state, ready, broken = dict(have), list[Any](), set(failing)
    while sorter.is_active():
        ready += sorter.get_ready()
        now = ready.pop(luck.randrange(len(ready)))
        if by_id[now].after & broken:
            broken.add(now)
        if now not in broken:
            perform(state, want, by_id[now])
        sorter.done(now)
    return state


def may_stay(resource: Resource, have: Resources, want: Resources) -> bool:
    """Return whether it is left as it was: it may, as long as what it needs is there."""
    return resource.stays and all(n not in have or n in want for n in resource.needs())


def perform(state: dict[Key, Resource], want: Resources, step: Step) -> None:
    """Do one step to a state, and demand what the kernel, QEMU and the guest's safety demand."""
    k, resource = step.id[1], step.resource
    match step.verb:
        case Verb.CREATE:
            assert k not in state
            demand_what_is_needed(state, want, resource)
            demand_room_on_the_uplink(state, want, resource)
            state[k] = resource
        case Verb.UPDATE:
            found = {name for name, _ in state[k].differences(resource)}
            assert state[k].can_become(resource, found)
            demand_what_is_needed(state, want, resource)
            state[k] = resource
        case Verb.STOP | Verb.PAUSE | Verb.RESUME:
            pytest.fail("no diff stops a guest")
        case Verb.DELETE:
            gone = {r.key for r in (resource, *step.together)}
            demand_that_no_guest_loses_its_guard(state, want, gone)
            delete(state, gone, grouped=bool(step.together))


def demand_what_is_needed(state: Resources, want: Resources, resource: Resource) -> None:
    first = {*resource.needs(), *resource.follows(want)} & want.keys()
    assert all(state.get(n) == want[n] for n in first)


def demand_room_on_the_uplink(state: Resources, want: Resources, resource: Resource) -> None:
    """The kernel refuses anything beside passthru, and two devices with one MAC."""
    if isinstance(resource, UpperDevice):
        old = [
            r
            for k, r in state.items()
            if isinstance(r, UpperDevice) and r.uplink == resource.uplink and k not in want
        ]
        assert not old


def demand_that_no_guest_loses_its_guard(state: Resources, want: Resources, gone: set[Key]) -> None:
    """A guest lets go of a card before its guard goes, or is meant to live without one."""
    guards = {r.device for r in map(state.__getitem__, gone) if isinstance(r, Guard)}
    for k, r in state.items():
        then = want.get(k)
        if isinstance(r, Domain):
            kept = {nic.link for nic in then.nics} if isinstance(then, Domain) else set()
            assert not guards & {nic.link for nic in r.nics} - kept


def delete(state: dict[Key, Resource], gone: set[Key], *, grouped: bool) -> None:
    if grouped:  # by the group of the plan's links: whatever is there goes
        assert gone == {k for k, r in state.items() if isinstance(r, Device)}
    kept = {k: r for k, r in state.items() if k not in gone}
    assert not [r for r in kept.values() if gone & set(r.needs())]
    for k in gone:
        del state[k]


def test_a_guest_keeps_running_when_its_dhcp_server_is_replaced() -> None:
    steps = diff(lab(NEW_DHCP, NAT, switch="gateway"), lab(OLD_DHCP))
    guest = [s for s in steps if isinstance(s.resource, Domain)]
    assert [s.verb for s in guest] == [Verb.UPDATE]
    assert (Verb.CREATE, NEW_DHCP.key) in guest[0].after


def test_a_guard_stands_until_its_guest_has_let_go_of_the_card() -> None:
    steps = diff(lab(NEW_DHCP), lab(OLD_DHCP, nics=("mvt0", "mvt1")))
    (guard,) = [s for s in steps if isinstance(s.resource, Guard)]
    assert (guard.verb, guard.after) == (
        Verb.DELETE,
        frozenset({(Verb.UPDATE, ("domain", "lab-a"))}),
    )


def test_a_guest_whose_new_card_must_wait_for_its_old_one_is_started_anew() -> None:
    steps = diff(*SWAPPED)
    guest = [s for s in steps if isinstance(s.resource, Domain)]
    assert [s.verb for s in guest] == [Verb.DELETE, Verb.CREATE]


# The changes that plan.md promises to make under running guests, each with every other.

FACTS = Facts(home=HOME, links=(), vhost=False)
BASE: dict[str, str] = {
    "switch": "true",
    "nat": "false",
    "dhcp": "true",
    "hairpin": "false",
    "host": "",
    "mode": "bridge",
    "guard": "mac",
    "addressing": "static",
    "subnet": '[10.77.0.0/24, "fd77::/64"]',
    "mtu": "1500",
    "vms": "{a: {nics: [lan]}, b: {nics: [lan]}}",
}
LIVE: tuple[dict[str, str], ...] = (
    {"nat": "true"},
    {"dhcp": "false"},
    {"hairpin": "true"},
    {"host": "host: 10.77.0.250, "},
    {"mode": "vepa"},
    {"mode": "private", "guard": "off"},
    {"guard": "ip"},
    {"guard": "off"},
    {"addressing": "dhcp"},
    {"subnet": "10.78.0.0/24"},
    {"mtu": "1400"},
    {"vms": "{a: {nics: [lan, dmz]}, b: {nics: [lan]}}"},
    {"vms": "{a: {nics: [lan]}, b: {nics: [lan, lan, dmz]}}"},
    {"vms": "{a: {nics: [lan, dmz]}, b: {nics: [lan]}, c: {nics: [lan, dmz]}}"},
    {"vms": "{a: {nics: [{network: lan, address: 10.77.0.99}]}, b: {nics: [lan]}}"},
    {"vms": "{a: {nics: [lan]}}"},
)


def planned(kept: Resources, **other: str) -> dict[Key, Resource]:
    """Return what a plan of these values means while the guests of `kept` run."""
    v = BASE | other
    plan = load(
        f"name: lab\nnetworks:\n  lan: {{switch: {{{v['host']}nat: {v['nat']},"
        f" dhcp: {v['dhcp']}, hairpin: {v['hairpin']}}}, subnet: {v['subnet']}, mode: {v['mode']},"
        f" spoof_guard: {v['guard']}, addressing: {v['addressing']}, mtu: {v['mtu']}}}\n"
        "  dmz: {switch: {dhcp: true}, subnet: 10.79.0.0/24, addressing: static}\n"
        f"vms: {v['vms']}",
        "lab.yaml",
    ).plan
    micro = Image("kernel", "initrd", "", 96)
    old = {r.vm: r for r in kept.values() if isinstance(r, Domain)}
    images = {vm.name: micro for vm in plan.vms}
    return desired(plan, assign(plan), FACTS, New(images, Chosen("tcg", ""), old))


@pytest.mark.parametrize("first", range(len(LIVE)))
def test_every_documented_live_change_goes_forth_and_back_without_a_restart(first: int) -> None:
    for second in LIVE:
        before = planned({})
        try:
            after = planned(before, **{**LIVE[first], **second})
        except Complaints:
            continue  # these two are not a plan together
        for want, have in ((after, before), (planned(after), after)):
            steps = diff(want, have)

            execute_at_random(want, have, steps, LUCK)
            both = {k for k in want if k[0] == "domain" and k in have}
            assert not [s for s in steps if s.id[1] in both and s.verb is not Verb.UPDATE]
