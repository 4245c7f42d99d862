"""What a host forbids, decided from literals: hosts that no test machine is."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from provisioner import naming
from provisioner.network import devices, uplink
from provisioner.network.addressing import assign
from provisioner.network.facts import Facts, Firewall, ForeignDomain, Link
from provisioner.network.resources import Macvtap, Nat, Switch, Vlan
from provisioner.plan.choices import Mode
from provisioner.plan.ip import address
from provisioner.plan.load.loader import Loaded, load
from provisioner.preflight import conflicts, host
from provisioner.preflight.hosted_plan import HostedPlan
from provisioner.preflight.warnings import warnings
from provisioner.resource import Key, Resource
from tests.builders.addresses import interfaces, route

NIC = Link("nic0", 2, "", "02:00:00:00:00:10", 1500, ethernet=True, up=True, carrier=True)
WIFI = replace(NIC, name="wlan0", wireless=True)
LO = Link("lo", 1, "", "00:00:00:00:00:00", 65536, ethernet=False, up=True, carrier=True)
READY = Facts(links=(LO, NIC), vhost=True)
NO_NFT = Firewall(no_guard="nft is not installed", no_nat="nft is not installed")
GROUP = naming.group("lab")
TAP = naming.macvtap("lab", "web", 0)


def loaded(lan: str = "uplink: nic0", nic: str = "", vm: str = "") -> Loaded:
    """Give a plan with one network at line 3 and one NIC at line 5."""
    nics = f"[{{network: lan{nic and ', '}{nic}}}]"
    more = vm and f", {vm}"
    return load(
        f"name: lab\nnetworks:\n  lan: {{{lan}}}\nvms:\n  web: {{nics: {nics}{more}}}\n", "p", ()
    )


def hosted(about: Loaded, facts: Facts = READY) -> HostedPlan:
    return HostedPlan(about.plan, about.places, assign(about.plan), facts)


def told(
    about: Loaded, facts: Facts, owned: Mapping[Key, Resource] | None = None
) -> list[tuple[int, str]]:
    """Give each complaint as its exit status, and its place and sentence."""
    found = host.complaints(hosted(about, facts), owned or {})
    assert all(error.fix for error in found)
    return [(error.status, f"{error.where} {error.what}") for error in found]


def on_nic(name: str, kind: str, **more: object) -> Link:
    """Give a device that sits on the NIC."""
    link = Link(name, 7, kind, "02:00:00:00:00:70", 1500, ethernet=True, up=True, carrier=True)
    return replace(link, lower=NIC.index, **more)  # type: ignore[arg-type]


def port_of(kind: str, name: str) -> Facts:
    master = Link(name, 9, kind, "02:00:00:00:00:90", 1500, ethernet=True, up=True, carrier=True)
    return replace(READY, links=(replace(NIC, master=9), master))


@pytest.mark.parametrize("mode", ["private", "vepa", "bridge", "source"])
def test_wifi_carries_no_mode_that_gives_guests_macs_of_their_own(mode: str) -> None:
    about = loaded(f"uplink: wlan0, mode: {mode}")
    assert told(about, replace(READY, links=(WIFI,))) == [
        (
            4,
            (
                'p:3:30 "wlan0" is a Wi-Fi card, and an access point drops frames with any MAC but '
                f"the card's own: mode {mode} reaches nobody"
            ),
        )
    ]


def test_wifi_carries_passthru() -> None:
    assert told(loaded("uplink: wlan0, mode: passthru"), replace(READY, links=(WIFI,))) == []


def test_a_vlan_needs_its_driver() -> None:
    lacks = replace(READY, no_vlan="this kernel has no driver for VLANs")
    about = loaded("uplink: nic0, vlan: 42")
    assert told(about, lacks) == [
        (4, 'p:3:29 network "lan" is a VLAN: this kernel has no driver for VLANs')
    ]
    assert told(about, READY) == told(loaded(), lacks) == []


def test_wifi_is_wifi_below_a_vlan_too() -> None:
    about = loaded("uplink: wlan0, vlan: 42", "mode: vepa")
    assert [(status, line[:4]) for status, line in told(about, replace(READY, links=(WIFI,)))] == [
        (4, "p:5:")
    ]


@pytest.mark.parametrize(
    ("kind", "what", "fix"),
    [
        (
            "bridge",
            '"nic0" is a port of "over0": the kernel puts no macvtap on a port',
            "use over0 as the uplink",
        ),
        (
            "bond",
            '"nic0" is a port of the bond "over0", which takes every frame that comes in',
            "use over0 as the uplink",
        ),
        (
            "team",
            '"nic0" is a port of the team "over0", which takes every frame that comes in',
            "use over0 as the uplink",
        ),
        (
            "openvswitch",
            '"nic0" is a port of Open vSwitch, which takes every frame that comes in',
            "take it out of the switch (ovs-vsctl del-port), or use another uplink",
        ),
    ],
)
def test_a_port_of_something_is_no_uplink(kind: str, what: str, fix: str) -> None:
    facts = port_of(kind, "over0")
    assert uplink.device_problem(facts.links[0], facts) == (what, fix, 3)
    assert told(loaded(), facts) == [(3, f"p:3:17 {what}")]


def test_a_vrf_leaves_frames_alone() -> None:
    assert told(loaded(), port_of("vrf", "red")) == []


@pytest.mark.parametrize("kind", ["ipvlan", "ipvtap"])
def test_no_macvtap_stands_beside_an_ipvlan(kind: str) -> None:
    facts = replace(READY, links=(NIC, on_nic("ipv0", kind)))
    assert told(loaded(), facts) == [
        (3, f'p:3:17 "nic0" carries the {kind} "ipv0": the kernel lets no macvtap beside it')
    ]


def test_the_peer_of_a_veth_does_not_sit_on_it() -> None:
    facts = replace(READY, links=(NIC, on_nic("peer", "veth")))
    assert told(loaded("uplink: nic0, mode: passthru"), facts) == []


def test_what_the_plan_has_on_the_uplink_is_in_nobodys_way() -> None:
    facts = replace(READY, links=(NIC, on_nic(TAP, "macvtap", group=GROUP, mode="passthru")))
    owned = {("macvtap", TAP): Macvtap(TAP, "nic0", Mode.PASSTHRU, NIC.mac, 1500, GROUP, "", "")}
    assert told(loaded(), facts, owned) == []


def test_many_that_sit_on_an_uplink_are_counted() -> None:
    there = tuple(on_nic(f"mv{at}", "macvlan") for at in range(5))
    refusal = uplink.passthru_problem(NIC, Facts(links=(NIC, *there)))
    assert refusal
    assert refusal.what == (
        'mode passthru needs "nic0" for itself, but on it sits "mv0", "mv1", "mv2" and 2 more'
    )


DEFAULT = replace(READY, routes=(route("default", "nic0"), route("10.0.0.0/24", "nic0")))


def test_the_nic_of_the_default_route_is_not_given_away() -> None:
    assert told(loaded("uplink: nic0", "mode: passthru"), DEFAULT) == [
        (
            3,
            (
                'p:5:37 "nic0" carries this host\'s default route: mode passthru gives the card to '
                "the guest, and the host is cut off (your ssh session, too)"
            ),
        )
    ]


def test_the_nic_of_the_default_route_can_be_taken_over_or_shared() -> None:
    over = loaded("uplink: nic0, mode: passthru, take_over: true")
    assert told(over, DEFAULT) == []
    assert warnings(over.plan, DEFAULT) == [
        "nic0 carries this host's default route: the host loses it to the guest"
    ]
    assert told(loaded("uplink: nic0, subnet: 10.0.0.0/24"), DEFAULT) == []


def test_a_guest_that_has_the_nic_already_keeps_it() -> None:
    tap = on_nic(TAP, "macvtap", group=GROUP, mode="passthru")
    facts = replace(DEFAULT, links=(NIC, tap))
    owned = {("macvtap", TAP): Macvtap(TAP, "nic0", Mode.PASSTHRU, NIC.mac, 1500, GROUP, "", "")}
    assert told(loaded("uplink: nic0, mode: passthru"), facts, owned) == []


def test_the_nics_of_other_routes_can_be_given_away() -> None:
    facts = replace(READY, routes=(route("10.0.0.0/24", "nic0"), route("default", "nic1")))
    assert told(loaded("uplink: nic0, mode: passthru"), facts) == []


@pytest.mark.parametrize(("lan", "nic", "place"), [("", "vhost: on", "5:38"), ("on", "", "3:30")])
def test_vhost_that_the_host_has_not_cannot_be_had(lan: str, nic: str, place: str) -> None:
    about = loaded(f"uplink: nic0{lan and ', vhost: on'}", nic)
    assert told(about, READY) == []
    assert told(about, replace(READY, vhost=False)) == [
        (4, f"p:{place} vhost: on cannot be had: /dev/vhost-net is missing or may not be opened")
    ]


def test_vhost_that_is_left_open_is_done_without() -> None:
    assert told(loaded(), replace(READY, vhost=False)) == []


def test_a_strict_guard_needs_nft() -> None:
    facts = replace(READY, firewall=NO_NFT)
    what = "spoof_guard: strict cannot be kept here: nft is not installed"
    assert told(loaded("uplink: nic0, spoof_guard: strict"), facts) == [(4, f"p:3:36 {what}")]
    assert told(loaded(nic="spoof_guard: strict"), facts) == [(4, f"p:5:44 {what}")]


def test_isolation_needs_nft() -> None:
    facts = replace(READY, firewall=NO_NFT)
    what = "isolate cannot be kept here: nft is not installed"
    assert told(loaded("uplink: nic0, isolate: plan"), facts) == [(4, f"p:3:32 {what}")]
    assert told(loaded(nic="isolate: plan"), facts) == [(4, f"p:5:40 {what}")]


def test_a_guard_of_macs_is_missed_with_a_warning() -> None:
    facts = replace(READY, firewall=NO_NFT)
    assert told(loaded(), facts) == []
    assert warnings(loaded().plan, facts) == [
        "web, NIC 0: nothing keeps it from forging MACs: nft is not installed"
    ]
    assert warnings(loaded("uplink: nic0, spoof_guard: off").plan, facts) == []


def test_a_password_in_the_clear_is_warned_of_and_not_repeated() -> None:
    about = loaded(vm="image: debian-12, password: secret words")
    (warning,) = warnings(about.plan, READY)
    assert warning == (
        "web: its password is given in the clear, for whoever reads the plan or "
        "its variable: password_hash would do (openssl passwd -6), or ssh_keys alone"
    )


def test_a_switch_that_nothing_keeps_apart_is_made_with_a_warning() -> None:
    facts = replace(READY, firewall=Firewall(no_filter="nft is not installed"))
    about = loaded("switch: true, subnet: 10.0.0.0/24")
    assert told(about, facts) == []
    assert warnings(about.plan, facts) == [
        "lan is kept apart only while this host forwards nothing: nft is not installed"
    ]
    assert warnings(about.plan, READY) == []
    assert [r.name for r in rules_of(about, READY)] == ["vmnet_lab_lan"]
    assert rules_of(about, facts) == []


def rules_of(about: Loaded, facts: Facts) -> list[Nat]:
    found = devices.of_network(about.plan, about.plan.networks[0], assign(about.plan), facts)
    return [r for r in found if isinstance(r, Nat)]


@pytest.mark.parametrize(
    ("namesake", "place"),
    [(("inet", "vmnet_lab_lan"), "p:3:3"), (("netdev", f"vmnet_lab_{TAP}"), "p:5:16")],
    ids=["switch", "guard"],
)
def test_a_table_of_others_with_a_name_that_is_needed_is_a_conflict(
    namesake: tuple[str, str], place: str
) -> None:
    family, name = namesake
    facts = replace(READY, firewall=Firewall(namesakes=(namesake, ("inet", "vmnet_lab_other"))))
    what = f"the nftables table {family} {name} has a name of vmnet's, but vmnet did not make it"
    about = loaded("switch: true, subnet: 10.0.0.0/24")
    assert told(about, facts) == [(3, f"{place} {what}")]


def test_a_container_that_keeps_the_host_s_ipv6_on_is_warned_of() -> None:
    facts = replace(READY, ipv6_locked="/proc/sys/net/ipv6/conf cannot be written")
    (warning,) = warnings(loaded().plan, facts)
    assert warning.startswith("/proc/sys/net/ipv6/conf cannot be written: a router on the wire")


def test_nat_needs_nft() -> None:
    about = loaded("switch: {nat: true}, subnet: 10.0.0.0/24, spoof_guard: off")
    assert told(about, replace(READY, firewall=NO_NFT)) == [
        (4, 'p:3:23 network "lan" wants NAT: nft is not installed')
    ]


def test_a_host_is_closed_to_guests_by_nft_alone() -> None:
    about = loaded("switch: {host_services: []}, subnet: 10.0.0.0/24, spoof_guard: off")
    facts = replace(READY, firewall=replace(NO_NFT, no_filter="nft is not installed"))
    assert told(about, facts) == [
        (4, 'p:3:18 network "lan" closes this host to its guests: nft is not installed')
    ]


@pytest.mark.parametrize(
    ("switch", "what"),
    [
        ("nat", "guests on lan do not get out"),
        ("hairpin", "frames on lan may not be reflected"),
    ],
)
def test_an_outer_firewall_that_drops_is_named_with_the_way_out(switch: str, what: str) -> None:
    about = loaded(f"switch: {{{switch}: true}}, subnet: 10.0.0.0/24")
    facts = replace(READY, firewall=Firewall(drops=("chain FORWARD of table ip filter",)))
    assert warnings(about.plan, facts) == [
        (
            f"chain FORWARD of table ip filter drops what this host forwards: {what} until it is "
            "told otherwise (Docker: iptables -I DOCKER-USER -i 'mv+' -j ACCEPT and iptables -I "
            "DOCKER-USER -o 'mv+' -j ACCEPT)"
        )
    ]
    plain = loaded("switch: true, subnet: 10.0.0.0/24")
    assert warnings(plain.plan, facts) == []


def test_the_mac_of_a_maker_is_warned_of() -> None:
    assert warnings(loaded(nic="mac: 00:16:3e:00:00:01").plan, READY) == [
        (
            "web, NIC 0: the MAC 00:16:3e:00:00:01 belongs to a maker of cards: a real one may "
            "bear it; those that begin with 02 are free for all"
        )
    ]
    assert warnings(loaded(nic="mac: 02:16:3e:00:00:01").plan, READY) == []


def test_sources_that_are_missing_or_said_twice_are_warned_of() -> None:
    assert warnings(loaded("uplink: nic0, mode: source").plan, READY) == [
        (
            "web, NIC 0: in mode source it hears only whom its list names, and that is empty: it "
            "is deaf"
        )
    ]
    mac = "02:00:00:00:00:01"
    twice = loaded(f"uplink: nic0, mode: source, allow: ['{mac}', '{mac}']")
    assert warnings(twice.plan, READY) == [f"web, NIC 0: its list names {mac} twice"]


def test_a_router_in_a_list_of_sources_is_warned_of_where_the_host_uses_it() -> None:
    mac = "02:00:00:00:00:01"
    plan = loaded(f"uplink: nic0, mode: source, allow: ['{mac}']").plan
    bare = replace(READY, routes=(route("default", "nic0", mac),))
    host = replace(bare, links=(LO, replace(NIC, addresses=interfaces("10.0.0.7/24"))))
    assert warnings(plan, bare) == []
    assert warnings(plan, host) == [
        (
            f"web, NIC 0: its list names {mac}, the router that this host uses through nic0, too: "
            "while no guest runs there, the host hears its answers twice"
        )
    ]


@pytest.mark.parametrize(
    ("link", "what"),
    [(replace(NIC, up=False), "is down"), (replace(NIC, carrier=False), "has no carrier")],
)
def test_an_uplink_without_a_wire_is_warned_of(link: Link, what: str) -> None:
    assert warnings(loaded().plan, replace(READY, links=(link,))) == [
        f"uplink nic0 {what}: guests on lan reach nobody outside until it comes up"
    ]


def test_queues_are_compared_with_cpus() -> None:
    about = loaded("uplink: nic0, queues: 4", vm="cpus: 2")
    assert warnings(about.plan, READY) == ["web, NIC 0: 4 queues for 2 CPUs: the others stay idle"]
    assert warnings(loaded("uplink: nic0, queues: 2", vm="cpus: 2").plan, READY) == []


LAB_SWITCH = "switch: {hairpin: true}, subnet: 10.0.0.0/24"
LAB_SIBLING = "uplink: nic0, subnet: 10.0.0.0/24, host_access: true"
LOWER, FAR = naming.switch_ends("lab", "lan")
BRIDGE, VLAN = naming.bridge("lab", "lan"), naming.vlan("lab", "nic0", 42)


@pytest.mark.parametrize(
    ("lan", "name", "place"),
    [
        ("uplink: nic0", TAP, "p:5:16"),
        ("uplink: nic0", "vmnet-lab-web-0", "p:5:16"),
        (LAB_SWITCH, LOWER, "p:3:3"),
        (LAB_SWITCH, FAR, "p:3:3"),
        (LAB_SWITCH, BRIDGE, "p:3:3"),
        (LAB_SIBLING, naming.sibling("lab", "lan"), "p:3:3"),
        ("uplink: nic0, vlan: 42", VLAN, "p:3:3"),
    ],
)
def test_a_name_that_something_else_has_is_a_conflict(lan: str, name: str, place: str) -> None:
    link = Link(name, 8, "veth", "02:00:00:00:00:80", 1500, ethernet=True, up=True, carrier=True)
    assert told(loaded(lan), replace(READY, links=(NIC, link))) == [
        (
            3,
            (
                f'{place} the device name "{name}" is taken by a veth that vmnet did not make for '
                "this plan (group 0x0)"
            ),
        )
    ]


def test_the_names_of_what_the_plan_has_are_its_own() -> None:
    links = tuple(
        Link(name, 8, "", "02:00:00:00:00:80", 1500, ethernet=True, up=True, carrier=True)
        for name in (LOWER, FAR, BRIDGE)
    )
    switch = Switch(LOWER, FAR, interfaces("10.0.0.1/24"), 1500, GROUP, "")
    found = told(loaded(LAB_SWITCH), replace(READY, links=links), {("switch", LOWER): switch})
    assert found == []
    vlan = Vlan(VLAN, "nic0", 42, 1500, GROUP, "")
    there = replace(READY, links=(NIC, on_nic(VLAN, "vlan", group=GROUP, vid=42)))
    assert told(loaded("uplink: nic0, vlan: 42"), there, {("vlan", VLAN): vlan}) == []


@pytest.mark.parametrize(
    "foreign",
    [ForeignDomain("lab-web", "x"), ForeignDomain("x", naming.domain_uuid("lab", "web"))],
)
def test_a_domain_of_somebody_else_is_a_conflict(foreign: ForeignDomain) -> None:
    assert told(loaded(), replace(READY, foreign_domains=(foreign,))) == [
        (
            3,
            (
                f'p:5:3 libvirt already has a domain "{foreign.name}" that vmnet did not make for '
                "this plan"
            ),
        )
    ]


def test_an_address_that_the_host_has_is_a_conflict_unless_vmnet_made_it() -> None:
    about = loaded("uplink: nic0, subnet: 10.0.0.0/24", "address: 10.0.0.5")
    theirs = replace(NIC, addresses=interfaces("10.0.0.5/24"))
    assert told(about, replace(READY, links=(theirs,))) == [
        (3, "p:5:40 the address 10.0.0.5 is this host's own, on nic0")
    ]
    ours = on_nic("mine", "macvlan", group=GROUP, addresses=interfaces("10.0.0.5/32"))
    assert told(about, replace(READY, links=(NIC, ours))) == []


def test_who_answers_for_an_address_is_named() -> None:
    about = loaded("uplink: nic0, subnet: 10.0.0.0/24", "address: 10.0.0.5")
    owners = {address("10.0.0.5"): "02:00:00:00:00:55"}
    (found,) = conflicts.owned_elsewhere(hosted(about), about.plan.networks[0], owners)
    assert (found.status, str(found.where), found.what) == (
        3,
        "p:5:40",
        "the address 10.0.0.5 is taken: 02:00:00:00:00:55 answers for it on nic0",
    )


def test_addresses_that_nobody_was_told_to_take_are_nobodys() -> None:
    about = loaded()
    assert hosted(about).static_addresses(about.plan.networks[0]) == {}


def test_routes_through_the_uplink_and_from_the_plan_are_no_overlap() -> None:
    about = loaded("uplink: nic0, subnet: 10.0.0.0/24")
    ours = on_nic("mine", "macvlan", group=GROUP)
    routes = (route("10.0.0.0/16", "nic0"), route("10.0.0.5/32", "mine"), route("10.0.0.0/8", ""))
    assert told(about, Facts(links=(NIC, ours), routes=routes, vhost=True)) == []
    other = replace(READY, routes=(route("10.0.0.128/25", "docker0"), route("fd00::/8", "nic1")))
    assert told(about, other) == [
        (
            3,
            (
                'p:3:31 the subnet 10.0.0.0/24 of network "lan" overlaps the route 10.0.0.128/25 '
                "that this host has through docker0"
            ),
        )
    ]


def test_host_access_of_another_plan_is_on_the_same_wire() -> None:
    sibling = on_nic("mva0123456789", "macvlan", alias="vmnet:other/lan")
    routes = (route("10.0.0.5/32", sibling.name), route("10.0.0.0/24", "nic0"))
    facts = replace(READY, links=(NIC, sibling), routes=routes)
    assert told(loaded("uplink: nic0, subnet: 10.0.0.0/24"), facts) == []
    elsewhere = replace(facts, links=(NIC, replace(sibling, lower=77)))
    assert [
        line[:36] for _, line in told(loaded("uplink: nic0, subnet: 10.0.0.0/24"), elsewhere)
    ] == ["p:3:31 the subnet 10.0.0.0/24 of net"]


def test_a_subnet_may_move_from_one_network_of_the_plan_to_another() -> None:
    ours = on_nic("mvh0123456789", "veth", group=GROUP)
    facts = replace(READY, links=(NIC, ours), routes=(route("10.0.0.0/24", ours.name),))
    assert told(loaded("switch: true, subnet: 10.0.0.0/24"), facts) == []


def test_an_uplink_that_is_not_there_is_told_with_those_that_fit() -> None:
    about = loaded("uplink: nic1")
    (error,) = host.complaints(hosted(about), {})
    assert (error.status, error.what, error.fix) == (
        2,
        'there is no network device "nic1" on this host',
        'did you mean "nic0"? devices that can be an uplink here: nic0; or write `switch: true`',
    )


def test_a_vlan_stands_on_a_bridge_port_and_is_as_large_as_its_nic() -> None:
    facts = port_of("bridge", "br0")
    assert told(loaded("uplink: nic0, vlan: 42"), facts) == []
    assert told(loaded("uplink: nic0, vlan: 42, mtu: 1501"), facts) == [
        (2, "p:3:38 an MTU of 1501 is above the uplink's: nic0 has 1500")
    ]


def test_names_of_devices_cannot_steer_the_terminal() -> None:
    facts = replace(READY, links=(NIC, on_nic("a\x1b[2Jb", "macvlan", mode="passthru")))
    ((_, line),) = told(loaded(), facts)
    assert "\x1b" not in line


def test_an_alias_that_only_looks_like_vmnets_names_no_plan() -> None:
    link = on_nic("mv0", "macvtap", mode="passthru", alias="vmnet:a; rm -rf/x/0")
    refusal = uplink.device_problem(NIC, Facts(links=(NIC, link)))
    assert refusal
    assert refusal.fix == ("use another uplink, or take that device away: ip link del dev mv0")


def test_a_wide_route_elsewhere_takes_nothing_from_the_uplinks_own() -> None:
    own, vpn = route("10.0.0.0/24", "nic0"), route("10.0.0.0/8", "tun0")
    about = loaded("uplink: nic0, subnet: 10.0.0.0/24")
    assert told(about, replace(READY, routes=(own, vpn))) == []
    assert [status for status, _ in told(about, replace(READY, routes=(vpn,)))] == [3]


def test_a_user_without_rights_cannot_have_names_in_etc_hosts() -> None:
    about = load(
        "name: lab\nhosts_file: true\nnetworks: {lan: {granted: own}}\nvms: {web: {nics: [lan]}}\n",
        "p",
        (),
    )
    what = (4, "p:2:13 hosts_file: only root can write /etc/hosts")
    assert what in told(about, replace(READY, user=1000))
    assert what not in told(about, READY)
