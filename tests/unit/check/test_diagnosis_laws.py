"""Whatever was seen: each accusation of a diagnosis is backed by an observation in its evidence."""

import re
from collections.abc import Callable
from ipaddress import ip_address, ip_interface

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from provisioner.check.diagnosis import way
from provisioner.check.diagnosis.diagnose import diagnose
from provisioner.check.evidence import Endpoint, Evidence, Heading, Inside, Point, Sighting, Uplink
from provisioner.check.stack import Stack
from provisioner.network.exchange import FrameKind
from provisioner.network.nft_ruleset import DropChain
from provisioner.plan.choices import Mode, SpoofGuard
from provisioner.text import hides
from tests.builders.checks import spec
from tests.unit.check.test_findings import SECTIONS

Law = Callable[[Evidence, re.Match[str]], bool]

IP_A, IP_B, SIX = map(ip_address, ("10.0.0.1", "10.0.0.2", "fd00::2"))
MACS = ("02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:66:66")
SOME_ADDRESSES = st.lists(st.sampled_from([IP_A, IP_B, SIX]), max_size=2, unique=True).map(tuple)
FEW = st.integers(0, 2)
MAYBE = st.none() | st.booleans()
MODES = st.sampled_from([Mode.BRIDGE, Mode.VEPA, Mode.PRIVATE])
SOME_MACS = st.lists(st.sampled_from(MACS), max_size=2, unique=True).map(tuple)


def rarely(value: object, usual: object) -> st.SearchStrategy[object]:
    """Draw a fault less often than none: else the first judge always has it."""
    return st.sampled_from([usual] * 5 + [value])


STACKS = st.builds(
    Stack,
    FEW,
    FEW,
    FEW,
    FEW,
    FEW,
    FEW,
    misrouted=rarely(1, 0),
    damaged=rarely(1, 0),
    no_way=rarely("RTNETLINK answers: no", ""),
    ignores_pings=st.booleans(),
    drops=st.sampled_from([(), ("tcp dport 22 drop",)]),
)
INSIDE = st.builds(
    Inside,
    st.sampled_from(MACS),
    st.booleans(),
    SOME_ADDRESSES,
    st.sampled_from([(), (ip_interface("10.0.0.2/31"),), (ip_interface("10.0.0.2/24"),)]),
    arp=rarely(False, True),  # noqa: FBT003
    found=rarely(False, True),  # noqa: FBT003
)


def guest(vm: str, mac: str, link: str) -> st.SearchStrategy[Endpoint]:
    return st.builds(
        Endpoint,
        st.just(vm),
        st.just(0),
        st.just(link),
        st.just(mac),
        SOME_ADDRESSES,
        planned=st.sampled_from([(), (ip_interface("10.0.0.2/24"),)]),
        exists=rarely(False, True),  # noqa: FBT003
        up=rarely(False, True),  # noqa: FBT003
        link_mac=rarely(MACS[2], ""),
        mode=MODES.map(str),
        wanted_mode=MODES,
        all_multicast=st.booleans(),
        node=rarely("foreign", "right"),
        holders=rarely(("7 (cat)",), ()),
        state=rarely("crashed", "running"),
        guard=st.sampled_from(SpoofGuard),
        dropped=rarely(3, 0),
        impaired=rarely("loss 5%", ""),
        agent=MAYBE,
        inside=st.none() | INSIDE,
        stack=st.none() | STACKS,
        alive=MAYBE,
    )


HOST = st.builds(
    Endpoint,
    st.just("host"),
    st.just(0),
    st.sampled_from(["mvb", "mvh", "nic0"]),
    st.sampled_from(MACS),
    route=st.sampled_from(["", "mvb", "dummy0", "nowhere"]),
)
OUTSIDE = st.sampled_from([Endpoint("nas", login="nas"), Endpoint("gateway")])
UPLINKS = st.builds(
    Uplink,
    st.just("nic0"),
    rarely(False, True),  # noqa: FBT003
    rarely(False, True),  # noqa: FBT003
    rarely(False, True),  # noqa: FBT003
    mtu=st.sampled_from([0, 1400, 1500]),
    far=st.sampled_from(["", "mvh"]),
    own_switch=st.booleans(),
    broken=rarely("its bridge mvb is down", ""),
    forward_drops=rarely(("table inet bad, chain c (policy drop)",), ()),
    reflects=MAYBE,
    wanted_reflects=MAYBE,
    passes_foreign=MAYBE,
    control=st.just("10.0.0.254"),
)
SIGHTINGS = st.frozensets(
    st.builds(
        Sighting,
        st.sampled_from(Point),
        st.sampled_from(Heading),
        st.sampled_from(FrameKind),
        rarely(True, False),  # noqa: FBT003
    ),
    max_size=12,
)
CHAINS = st.lists(
    st.builds(
        DropChain,
        st.sampled_from(["mvta", "mvtb", "nic0", "mvh"]),
        st.sampled_from(["ingress", "egress"]),
        st.just("netdev bad"),
        st.just("c"),
        st.just("drop"),
        st.booleans(),
    ),
    max_size=2,
).map(tuple)
EVIDENCE = st.builds(
    Evidence,
    st.just("lan"),
    guest("a", MACS[0], "mvta") | HOST | OUTSIDE,
    guest("b", MACS[1], "mvtb") | HOST | OUTSIDE,
    st.sampled_from([IP_B, SIX, IP_B, None]),
    st.sampled_from([spec(x) for x in ("ping", "tcp/22", "loss < 5%", "http://b/ status 200")]),
    st.booleans() | st.just(value=True),
    UPLINKS,
    owners=SOME_MACS,
    near=SOME_MACS,
    source_address=st.sampled_from([None, IP_A]),
    source_owners=SOME_MACS,
    measured_at=st.sampled_from(["", "10:31:02-10:31:06"]),
    again_at=st.sampled_from(["", "10:31:12"]),
    works_now=MAYBE,
    sightings=SIGHTINGS,
    listened=st.sampled_from([frozenset(), frozenset(Point)]),
    sent_to=SOME_MACS,
    answered_to=SOME_MACS,
    drop_chains=CHAINS,
    answers_others=st.sampled_from([(), ("c",)]),
    sent=st.sampled_from([0, 20]),
    answered=st.sampled_from([0, 13, 20]),
    packet=rarely(1500, 0),
    largest=st.sampled_from([0, 1404]),
    other_family=MAYBE,
    gone_by=st.sampled_from(["", MACS[2]]),
    refused=rarely(True, False),  # noqa: FBT003
    note=st.sampled_from(["", "no answer to ping", "its guest agent does not answer"]),
    untested=rarely(True, False),  # noqa: FBT003
    value=st.sampled_from(["", "", "status 500"]),
)


def of(e: Evidence, name: str) -> Endpoint:
    """Return the end that a sentence names."""
    return next(end for end in e.ends if end.vm == name)


def firewall(e: Evidence, end: Endpoint) -> bool:
    """Return whether a guest has rules that drop, and its IP took packets and gave none on."""
    stack = end.stack
    if stack is None:
        return False
    given = stack.asked_in if end is e.target else stack.answered_in
    return bool(stack.drops and stack.ip_in) and not given


def counted(end: Endpoint, name: str) -> bool:
    return end.stack is not None and bool(getattr(end.stack, name))


def others(e: Evidence) -> bool:
    """Return whether another MAC answered for the address of an end."""
    pairs = (e.owners, e.target), (e.source_owners, e.source)
    return any(set(owners) - {end.mac} for owners, end in pairs)


def astray(e: Evidence) -> bool:
    """Return whether packets of either end went to a MAC that the other one has not."""
    return bool(set(e.sent_to) - {e.target.mac} or set(e.answered_to) - {e.source.mac})


def has_asked(e: Evidence) -> bool:
    asks = {FrameKind.REQUEST, FrameKind.WHO_HAS}
    out = (Point.SOURCE, Heading.OUT)
    return any((x.point, x.heading) == out and x.kind in asks for x in e.sightings)


def between(e: Evidence, found: re.Match[str]) -> bool:
    """Return whether frames were seen at the one place, and never at the other."""
    before, after = (
        {(x.point, x.heading) for x in (*way.way(e), *way.back(e)) if x.name == name}
        for name in found.groups()
    )
    for kind in FrameKind:
        at = {(x.point, x.heading) for x in e.sightings if x.kind is kind}
        if at & before and after - at:
            return True
    return False


def about(backed: Callable[[Evidence, Endpoint], bool]) -> Law:
    return lambda e, said: backed(e, of(e, said[1]))


OF_AN_END: dict[str, Callable[[Evidence, Endpoint], bool]] = {
    r"^the firewall of (\S+) drops": firewall,
    r"^(\S+) ignores pings": lambda _, end: counted(end, "ignores_pings"),
    r"^(\S+) has no way": lambda _, end: counted(end, "no_way"),
    r"^(\S+) drops what comes": lambda _, end: counted(end, "misrouted"),
    r"^(\S+) receives what .* wrong checksum": lambda _, end: counted(end, "damaged"),
    r"^(\S+) is not running": lambda _, end: end.state != "running",
    r"spoof guard of (\S+) \(": lambda _, end: end.dropped > 0,
    r"macvtap \S+ of (\S+) is down": lambda _, end: not end.up,
    r"macvtap \S+ of (\S+) has the MAC": lambda _, end: end.link_mac not in {"", end.mac},
    r"^(\S+) has \S+ inside, the plan": lambda _, end: bool(
        end.inside and set(end.inside.interfaces) - set(end.planned)
    ),
    r"inside (\S+) ARP is off": lambda _, end: bool(end.inside and not end.inside.arp),
    r"macvtap \S+ of (\S+) is gone": lambda _, end: not end.exists,
    r"macvtap \S+ of (\S+) receives no multicast": lambda _, end: not end.all_multicast,
    r"tap of (\S+) \(\S+\) is open in process": lambda _, end: bool(end.holders),
    r"link of (\S+) is impaired": lambda _, end: bool(end.impaired),
    r"inside (\S+) the interface .* is down": lambda _, end: bool(end.inside and not end.inside.up),
}
"""What a sentence says of the end that it names, and what must have been seen of that one."""

ACCUSATIONS: dict[str, Law] = {
    **{words: about(backed) for words, backed in OF_AN_END.items()},
    r"such as its firewall": lambda e, _: bool(e.answers_others),
    r"is used twice|is taken": lambda e, _: others(e),
    r"has no carrier": lambda e, _: not e.uplink.carrier,
    r"uplink \S+ is down": lambda e, _: not e.uplink.up,
    r"uplink \S+ is not there": lambda e, _: not e.uplink.exists,
    r"an outage that has passed": lambda e, _: e.works_now is True,
    r"sends what is for": lambda e, _: astray(e),
    r"this host has no route": lambda e, _: any(end.route == "nowhere" for end in e.ends),
    r"route to .* leaves by": lambda e, _: any(end.route for end in e.ends),
    r"is changed on the way": lambda e, _: any(x.changed for x in e.sightings),
    r"is seen at (.*) and never at (.*?):": between,
    r"the nftables chain": lambda e, _: any(not x.is_guard for x in e.drop_chains),
    r"spoof guard of \S+ has a rule": lambda e, _: any(x.is_guard for x in e.drop_chains),
    r"and \S+ has not answered": lambda e, _: bool(e.sightings),
    r"drops frames of MACs that it does not know": lambda e, _: e.uplink.passes_foreign is False,
    r"hairpin is off": lambda e, _: e.uplink.reflects is False,
    r"hands the packets on": lambda e, _: bool(e.gone_by),
    r"pings from .* were lost": lambda e, _: e.answered < e.sent,
    r"this host's firewall drops": lambda e, _: bool(e.uplink.forward_drops),
    r"this host has lost its address": lambda e, _: any(
        {x.ip for x in end.planned} - {*end.addresses} for end in e.ends if end.is_host
    ),
    r"switch behind the uplink \S+ is broken": lambda e, _: bool(e.uplink.broken),
    r"has sent nothing|has come out of": lambda e, _: not has_asked(e),
}
"""What a sentence says, and the observation without which it must not."""


@settings(max_examples=1500)
@given(EVIDENCE)
def test_no_accusation_is_made_without_its_observation(e: Evidence) -> None:
    found = diagnose(e)
    for words, backed in ACCUSATIONS.items():
        if said := re.search(words, found.what):
            event(words)
            assert backed(e, said), (found.what, e)


@given(EVIDENCE)
def test_what_works_now_names_no_place_and_no_firewall(e: Evidence) -> None:
    found = diagnose(e)
    if e.works_now and e.expected and not e.untested:
        assert not re.search("firewall|never|silent|panicked|has not answered", found.what)


@given(EVIDENCE)
def test_every_finding_rests_on_lines_and_can_be_followed(e: Evidence) -> None:
    found = diagnose(e)
    assert found.what
    assert found.fix
    assert found.about
    assert not any(map(hides, "".join((found.what, found.fix, *found.evidence))))
    for vm in re.findall(r"vmnet exec (\S+)", found.fix):
        assert of(e, vm).agent, found


@given(EVIDENCE, EVIDENCE)
def test_a_finding_that_is_shared_is_about_an_end_of_both(one: Evidence, two: Evidence) -> None:
    shared = diagnose(two, [(one, diagnose(one))])
    if shared == diagnose(one) != diagnose(two):
        assert shared.about in {two.source.vm, two.target.vm, two.uplink.name}
        assert two.expected
        assert not two.listened


@pytest.mark.parametrize("words", ACCUSATIONS)
def test_each_law_has_a_sentence_that_it_is_about(words: str) -> None:
    """A law that no sentence meets would hold by itself."""
    assert any(re.search(words, section) for section in SECTIONS.values())
