from dataclasses import replace
from graphlib import TopologicalSorter

from hypothesis import given
from hypothesis import strategies as st

from provisioner.commands.execute import execute
from provisioner.errors import VmnetError
from provisioner.guest.domain import Domain, DomainNic, FileCopy, Overlay, Seed
from provisioner.network.resources import (
    Guard,
    HostAccess,
    Impaired,
    Macvtap,
    Nat,
    Switch,
    Vlan,
)
from provisioner.plan.choices import Mode
from provisioner.reconcile.diff import Step, Verb, diff
from provisioner.resource import Key, Resource, by_key
from tests.builders.addresses import interfaces

SWITCH = Switch("mvl1", "mvh1", interfaces("10.77.0.1/24"), 1500, 7, "vmnet:lab/lan")
WEB_TAP = Macvtap(
    "mvt1",
    "mvl1",
    Mode.BRIDGE,
    "02:00:00:00:00:01",
    1500,
    7,
    "vmnet:lab/web/0",
    "a",
    shown="web.lan",
)
DB_TAP = Macvtap("mvt2", "mvl1", Mode.BRIDGE, "02:00:00:00:00:02", 1500, 7, "vmnet:lab/db/0", "b")


def domain(vm: str, tap: Macvtap, **other: object) -> Domain:
    nic = DomainNic(tap.name, tap.mac, 1500)
    return replace(
        Domain(f"lab-{vm}", vm, "lab", vm, 128, 1, "tcg", "l", (nic,), "k", "i", "c"),
        **other,  # type: ignore[arg-type]
    )


WEB, DB = domain("web", WEB_TAP), domain("db", DB_TAP)
LAB = by_key([SWITCH, WEB_TAP, WEB, DB_TAP, DB])


def told(steps: list[Step]) -> str:
    return "\n".join(str(s) for s in steps)


def test_a_plan_that_is_up_needs_nothing() -> None:
    assert diff(LAB, LAB) == []


def test_an_empty_host_needs_everything() -> None:
    assert (
        told(diff(LAB, {}))
        == """\
create switch lan: new
create macvtap web.lan: new
create domain lab-web: new
create macvtap db.0: new
create domain lab-db: new"""
    )


def test_what_can_change_under_a_running_guest_is_updated() -> None:
    seen = by_key([SWITCH, replace(WEB_TAP, mode=Mode.VEPA, quiet=False), WEB, DB_TAP, DB])
    assert (
        told(diff(LAB, seen))
        == "update macvtap web.lan: mode is vepa, want bridge, the host speaks through it"
    )


def test_a_tap_whose_node_is_somebody_elses_is_made_anew_and_its_domain_with_it() -> None:
    seen = by_key([SWITCH, replace(WEB_TAP, node="foreign"), WEB, DB_TAP, DB])
    assert (
        told(diff(LAB, seen))
        == """\
delete macvtap web.lan: its /dev/tap node is foreign
delete domain lab-web: depends on macvtap web.lan
create macvtap web.lan: its /dev/tap node is foreign
create domain lab-web: depends on macvtap web.lan"""
    )


def test_a_domain_whose_tap_has_gone_is_started_anew() -> None:
    seen = by_key([SWITCH, WEB, DB_TAP, DB])
    assert (
        told(diff(LAB, seen))
        == """\
delete domain lab-web: depends on macvtap web.lan, which is gone
create macvtap web.lan: missing
create domain lab-web: depends on macvtap web.lan, which is gone"""
    )


def test_a_domain_that_differs_says_in_what() -> None:
    seen = by_key([SWITCH, WEB_TAP, domain("web", WEB_TAP, memory_mib=96, cpus=2), DB_TAP, DB])
    assert told(diff(LAB, seen)).splitlines()[0] == (
        "delete domain lab-web: memory mib is 96, want 128, cpus is 2, want 1"
    )


def test_a_kernel_command_line_is_not_printed_in_full() -> None:
    seen = by_key([SWITCH, WEB_TAP, domain("web", WEB_TAP, cmdline="x" * 900), DB_TAP, DB])
    assert "delete domain lab-web: cmdline has changed" in told(diff(LAB, seen))


def test_down_takes_all_links_away_in_one_call_after_the_domains() -> None:
    steps = diff({}, LAB)
    assert (
        told(steps)
        == """\
delete domain lab-web: not in the plan
delete domain lab-db: not in the plan
delete switch lan, macvtap web.lan, macvtap db.0: not in the plan"""
    )
    assert steps[-1].after == {s.id for s in steps[:2]}


def test_links_that_stay_keep_the_others_from_going_by_group() -> None:
    want = by_key([SWITCH, WEB_TAP, WEB])
    assert (
        told(diff(want, LAB))
        == """\
delete macvtap db.0: not in the plan
delete domain lab-db: not in the plan"""
    )


def test_what_needs_a_failed_step_is_skipped_and_the_rest_goes_on() -> None:
    steps = diff(by_key([WEB_TAP, WEB, DB_TAP, DB]), {})

    def perform(step: Step) -> None:
        if step.resource == WEB_TAP:
            raise VmnetError("no such uplink")

    outcome = execute(steps, perform)
    assert [(str(s), e.what) for s, e in outcome.failed] == [
        ("create macvtap web.lan: new", "no such uplink")
    ]
    assert [str(s) for s in outcome.skipped] == ["create domain lab-web: new"]
    assert sorted(str(s) for s in outcome.done) == [
        "create domain lab-db: new",
        "create macvtap db.0: new",
    ]


def test_what_must_have_been_there_is_missing_and_the_rest_is_new() -> None:
    guard = Guard("vmnet_lab_mvt1", "netdev", "mvt1", ())
    nat = Nat("vmnet_lab_lan", "inet", "mvh1", ())
    seen = by_key([SWITCH, WEB_TAP, WEB, DB_TAP])
    assert (
        told(diff(LAB | by_key([guard, nat]), seen))
        == """\
create domain lab-db: missing
create guard of web.lan: missing
create nat vmnet_lab_lan: missing"""
    )
    other = replace(DB_TAP, name="mvt3", shown="db.dmz")
    more = domain("db", DB_TAP, nics=(*DB.nics, DomainNic("mvt3", other.mac, 1500)))
    assert (
        told(diff(LAB | by_key([other, more]), LAB))
        == """\
update domain lab-db: it has no NIC db.dmz
create macvtap db.dmz: new"""
    )


def test_devices_are_called_by_what_they_are_for_and_those_of_others_by_their_names() -> None:
    rest = [
        Vlan("mvv1", "nic0", 20, 1500, 7, "vmnet:lab/vlan20"),
        HostAccess("mva1", "nic0", "02:00:00:00:00:03", (), (), 1500, 7, "vmnet:lab/lan"),
        Guard("vmnet_lab_mvt1", "netdev", "mvt1", ()),
        Guard("vmnet_lab_mvt9", "netdev", "", ()),
        Impaired("mvt2", exists=False),
        Impaired("mvt9", exists=False),
        Seed("/var/lib/vmnet/lab/seed/web-0123456789abcdef.iso"),
        FileCopy("/var/lib/vmnet/lab/boot/kernel-0123456789ab"),
        Overlay("/var/lib/vmnet/lab/disk/web.qcow2", 1),
        replace(WEB_TAP, name="mvt9", alias="", shown=""),
    ]
    known = LAB | by_key(rest)
    assert [one.called(known) for one in rest] == [
        "vlan 20 on nic0",
        "host access to lan",
        "guard of web.lan",
        "guard vmnet_lab_mvt9, whose macvtap is gone",
        "impairment of db.0",
        "impairment of mvt9",
        "seed web.iso",
        "copy kernel",
        "disk web.qcow2",
        "macvtap mvt9",
    ]


# What must hold of every diff, whatever is wanted and whatever is there.

taps = st.builds(
    replace,
    st.sampled_from([WEB_TAP, DB_TAP]),
    mode=st.sampled_from([Mode.BRIDGE, Mode.VEPA, Mode.PASSTHRU]),
    node=st.sampled_from(["right", "missing", "foreign"]),
    mtu=st.sampled_from([1400, 1500]),
)


@st.composite
def hosts(draw: st.DrawFn) -> dict[Key, Resource]:
    """A host as vmnet leaves it, or as others have left it: links may be gone under a domain."""
    links: list[Macvtap] = draw(st.lists(taps, max_size=2, unique_by=lambda t: t.name))
    lonely = draw(st.booleans())
    resources: list[Resource] = [SWITCH, *links] if links or lonely else []
    for tap in links:
        if draw(st.booleans()):
            memory = draw(st.sampled_from([96, 128]))
            seed = draw(st.sampled_from([None, "s1.iso", "s2.iso"]))
            resources.append(domain(tap.alias, tap, memory_mib=memory, seed=seed))
            resources += [Seed(seed)] if seed else []
    return by_key(resources)


def wanted(host: dict[Key, Resource]) -> dict[Key, Resource]:
    """The same, as a plan would ask for it."""
    return {k: replace(r, node="right") if isinstance(r, Macvtap) else r for k, r in host.items()}


def perform(state: dict[Key, Resource], want: dict[Key, Resource], step: Step) -> None:
    """A host in a few lines: but it refuses what a real one would refuse."""
    match step.verb:
        case Verb.CREATE:
            assert step.id[1] not in state
            assert all(n in state for n in step.resource.needs() if n in want)
            state[step.id[1]] = step.resource
        case Verb.UPDATE:
            have = state[step.id[1]]
            if isinstance(have, Macvtap) and isinstance(step.resource, Macvtap):
                changed = {have.mode, step.resource.mode}
                assert len(changed) == 1 or "passthru" not in changed
            state[step.id[1]] = step.resource
        case Verb.STOP | Verb.PAUSE | Verb.RESUME:
            raise AssertionError("no diff stops a guest")
        case Verb.DELETE:
            gone = {r.key for r in (step.resource, *step.together)}
            leaning = [r for k, r in state.items() if k not in gone and gone & set(r.needs())]
            assert not leaning
            for k in gone:
                del state[k]


@given(hosts().map(wanted), hosts())
def test_the_steps_lead_from_any_state_to_any_other(
    want: dict[Key, Resource], have: dict[Key, Resource]
) -> None:
    steps = {s.id: s for s in diff(want, have)}
    state = dict(have)
    order = TopologicalSorter({i: s.after & steps.keys() for i, s in steps.items()})
    for i in order.static_order():
        perform(state, want, steps[i])
    assert state == want


@given(hosts().map(wanted))
def test_doing_it_twice_changes_nothing(host: dict[Key, Resource]) -> None:
    assert diff(host, host) == []
