"""What the user may do about each complaint of the preflight, and what other plans take."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from provisioner import naming
from provisioner.errors import Exit
from provisioner.network.addressing import assign
from provisioner.network.facts import Facts, Firewall, ForeignDomain, Link
from provisioner.network.resources import HostAccess, Switch, Vlan
from provisioner.network.standalone.device import Mark
from provisioner.plan.load.loader import Loaded, load
from provisioner.preflight import conflicts, host
from provisioner.preflight.images import unopenable
from provisioner.preflight.warnings import warnings
from tests.builders.addresses import interfaces, route
from tests.unit.preflight.test_host import (
    DEFAULT,
    FAR,
    GROUP,
    LOWER,
    NIC,
    NO_NFT,
    READY,
    TAP,
    WIFI,
    hosted,
    loaded,
    on_nic,
    told,
)

SWITCH = "switch: {nat: true}, subnet: 10.0.0.0/24, spoof_guard: off"
STATIC = "uplink: nic0, subnet: 10.0.0.0/24"
NO_MODULE = replace(READY, no_vlan="this kernel has no driver for VLANs")
FIXES = {
    "a VLAN": (
        loaded("uplink: nic0, vlan: 42"),
        NO_MODULE,
        "load the module where the kernel has it: modprobe 8021q",
    ),
    "NAT": (loaded(SWITCH), replace(READY, firewall=NO_NFT), "fix that, or leave nat out"),
    "a strict guard": (
        loaded(nic="spoof_guard: strict"),
        replace(READY, firewall=NO_NFT),
        "fix that, or use spoof_guard: off and know that guests can forge frames",
    ),
    "vhost": (
        loaded(nic="vhost: on"),
        replace(READY, vhost=False),
        "load it with modprobe vhost_net, or write vhost: auto",
    ),
    "a route elsewhere": (
        loaded(STATIC),
        replace(READY, routes=(route("10.0.0.0/24", "tun0"),)),
        "choose a subnet that the host does not use (see: ip route)",
    ),
    "a device of that name": (
        loaded(),
        replace(READY, links=(NIC, on_nic(TAP, "macvlan"))),
        f"rename the plan, or take that device away: ip link del dev {TAP}",
    ),
    "a domain of that name": (
        loaded(),
        replace(READY, foreign_domains=(ForeignDomain("lab-web", "x"),)),
        "rename the plan or the VM; vmnet never touches a domain of somebody else",
    ),
    "a table of that name": (
        loaded("switch: true, subnet: 10.0.0.0/24"),
        replace(READY, firewall=Firewall(namesakes=(("inet", "vmnet_lab_lan"),))),
        "rename the plan, or take that table away: nft delete table inet vmnet_lab_lan",
    ),
    "an address of the host": (
        loaded(STATIC, "address: 10.0.0.5"),
        replace(READY, links=(replace(NIC, addresses=interfaces("10.0.0.5/24")),)),
        "give this NIC another address, or narrow the pool",
    ),
    "no device": (
        loaded("granted: lab"),
        READY,
        (
            "let root make them: vmnet net create --uplink NIC --mode MODE --owner USER "
            "--label lab --count 1"
        ),
    ),
}


@pytest.mark.parametrize(("about", "facts", "fix"), FIXES.values(), ids=FIXES)
def test_a_complaint_says_what_to_do(about: Loaded, facts: Facts, fix: str) -> None:
    assert [error.fix for error in host.complaints(hosted(about, facts), {})] == [fix]


def granted_device(number: int, **more: object) -> Link:
    marks = {"group": naming.NET_GROUP, "alias": Mark("nic0", 1000, "lab").alias} | more
    return on_nic(f"mvn{number}", "macvtap", **marks)


@pytest.mark.parametrize(
    ("devices", "have"),
    [
        ((), "no devices"),
        ((granted_device(0),), "1 device"),
        ((granted_device(0), granted_device(1, alias=Mark("nic0", 0, "own").alias)), "1 device"),
        ((granted_device(0), granted_device(1)), ""),
    ],
)
def test_granted_devices_are_counted(devices: tuple[Link, ...], have: str) -> None:
    about = load(
        "name: lab\nnetworks:\n  lan: {granted: lab}\nvms: {web: {count: 2, nics: [lan]}}\n", "p"
    )
    few = f'network "lan" has 2 NICs, and {have} labelled "lab" may be used by this user'
    found = told(about, replace(READY, links=(NIC, *devices)))
    assert found == ([(4, f"p:3:18 {few}")] if have else [])


@pytest.mark.parametrize(("guard", "refused"), [("mac", True), ("strict", False)])
@pytest.mark.parametrize("nic", [True, False])
def test_what_granted_devices_are_guarded_with_is_for_root_to_set(
    guard: str,
    refused: bool,  # noqa: FBT001
    nic: bool,  # noqa: FBT001
) -> None:
    strict = "spoof_guard: strict"
    text = f"name: lab\nnetworks: {{lan: {{granted: lab{'' if nic else ', ' + strict}}}}}\n"
    text += f"vms: {{web: {{nics: [{{network: lan{', ' + strict if nic else ''}}}]}}}}\n"
    alias = Mark("nic0", 1000, "lab", guard, "02:00:00:00:00:70").alias
    found = told(load(text, "p"), replace(READY, links=(NIC, granted_device(0, alias=alias))))
    what = "spoof_guard: strict is for root to set on granted devices, and mvn0 has mac"
    assert [line.partition(" ")[2] for _, line in found] == ([what] if refused else [])


TWO = """\
name: lab
networks:
  own: {switch: true, subnet: 10.1.0.0/24}
  off: {granted: lab}
  out: {uplink: nic9, addressing: dhcp}
  lan: {uplink: nic0, subnet: 10.0.0.0/24}
  far: {uplink: nic0, vlan: 7, addressing: dhcp}
vms:
  a: {nics: [{network: lan, address: 10.0.0.5}, far, own, off, out]}
  b: {nics: [{network: lan, address: 10.0.0.6}]}
  c: {nics: [{network: far, mode: bridge}]}
"""


def test_what_new_guests_will_have_on_uplinks_is_claimed_with_its_place() -> None:
    about = load(TWO, "p")
    macs = {str(key): config.mac for key, config in assign(about.plan).items()}
    assert conflicts.claims(hosted(about), {"a", "c"}) == {
        ("2.0", macs["a.0"]): ("vms", "a", "nics", 0, "mac"),
        ("2.0", "10.0.0.5"): ("vms", "a", "nics", 0, "address"),
        ("2.7", macs["a.1"]): ("vms", "a", "nics", 1, "mac"),
        ("2.7", macs["c.0"]): ("vms", "c", "nics", 0, "mac"),
    }
    assert conflicts.claims(hosted(about), set()) == {}


def test_a_passthru_guest_claims_its_addresses_but_not_the_cards_mac() -> None:
    about = loaded(f"{STATIC}, mode: passthru", "address: 10.0.0.5")
    assert [*conflicts.claims(hosted(about), {"web"})] == [("2.0", "10.0.0.5")]


def test_what_another_plan_is_giving_its_guests_is_a_conflict() -> None:
    about = loaded(STATIC, "address: 10.0.0.5, mac: 02:00:00:00:00:01")
    paths = conflicts.claims(hosted(about), {"web"})
    found = list(conflicts.claimed_elsewhere(hosted(about), dict.fromkeys(paths, "other"), paths))
    assert [(e.status, str(e.where), e.what, e.fix) for e in found] == [
        (
            Exit.CONFLICT,
            "p:5:55",
            "the MAC 02:00:00:00:00:01 is taken: other is bringing up a guest that has it",
            "give this NIC another MAC, or take that plan down first",
        ),
        (
            Exit.CONFLICT,
            "p:5:40",
            "the address 10.0.0.5 is taken: other is bringing up a guest that has it",
            "give this NIC another address, or take that plan down first",
        ),
    ]
    assert list(conflicts.claimed_elsewhere(hosted(about), {}, paths)) == []


def test_a_machine_that_has_an_address_is_answered_with_two_ways_out() -> None:
    about = loaded(STATIC, "address: 10.0.0.5")
    owners = {ip_address("10.0.0.5"): "02:00:00:00:00:55"}
    (found,) = conflicts.owned_elsewhere(hosted(about), about.plan.networks[0], owners)
    assert found.fix == (
        "give this NIC another address, or keep the pool out of the router's DHCP range"
    )


def test_a_mac_that_a_device_on_the_uplink_has_is_taken() -> None:
    about = loaded(nic="mac: 02:00:00:00:00:70")
    there = replace(READY, links=(NIC, on_nic("mv0", "macvlan")))
    lan = about.plan.networks[0]
    assert [str(e.where) for e in host.macs_taken(hosted(about, there), lan)] == ["p:5:36"]
    ours = replace(there, links=(NIC, on_nic("mv0", "macvlan", group=GROUP)))
    assert list(host.macs_taken(hosted(about, ours), lan)) == []
    assert list(host.macs_taken(hosted(about, Facts()), lan)) == []


def test_a_mode_is_refused_once_for_its_network_and_once_for_a_nic_of_its_own() -> None:
    text = (
        "name: lab\nnetworks:\n  lan: {uplink: wlan0, mode: vepa}\nvms:\n"
        "  a: {nics: [lan, {network: lan, mode: bridge}]}\n"
        "  b: {nics: [lan, {network: lan, mode: bridge}]}\n"
    )
    found = told(load(text, "p"), replace(READY, links=(WIFI,)))
    assert [line.partition(" ")[0] for _, line in found] == ["p:3:30", "p:5:40"]


def test_an_mtu_is_refused_where_it_is_written() -> None:
    about = loaded("uplink: nic0, mtu: 1500", "mtu: 1500")
    small = replace(READY, links=(replace(NIC, mtu=1400),))
    assert [line.partition(" ")[0] for _, line in told(about, small)] == ["p:3:28", "p:5:36"]


def test_an_uplink_too_narrow_for_ipv6_is_refused_at_the_uplink() -> None:
    small = replace(READY, links=(replace(NIC, mtu=1200),))
    found = told(loaded('uplink: nic0, subnet: "fd77::/64"'), small)
    assert [line.partition(" ")[0] for _, line in found] == ["p:3:17"]


def test_an_uplink_that_is_missing_is_refused_at_its_name() -> None:
    assert [line.partition(" ")[0] for _, line in told(loaded("uplink: nic1"), READY)] == ["p:3:17"]


def test_a_device_that_bears_no_macvtap_bears_no_vlan_with_one() -> None:
    tun = replace(NIC, name="tun0", ethernet=False)
    about = loaded("uplink: tun0, vlan: 7")
    assert told(about, replace(READY, links=(tun,))) == [
        (4, 'p:3:17 "tun0" is not an Ethernet device: a macvtap needs one')
    ]


def test_a_vlan_that_is_there_is_looked_at_before_a_guest_takes_all_of_it() -> None:
    vlan = on_nic(naming.vlan("lab", "nic0", 7), "vlan", vid=7)
    owned = {("vlan", vlan.name): Vlan(vlan.name, "nic0", 7, 1500, GROUP, "")}
    about = loaded("uplink: nic0, vlan: 7, mode: passthru")
    assert told(about, replace(READY, links=(NIC, vlan)), owned) == []
    busy = replace(on_nic("mv0", "macvlan"), lower=vlan.index, index=8)
    ((status, _),) = told(about, replace(READY, links=(NIC, vlan, busy)), owned)
    assert status is Exit.CONFLICT


def test_a_device_without_a_kind_is_a_device() -> None:
    found = told(loaded(), replace(READY, links=(NIC, on_nic(TAP, ""))))
    assert [line.partition(" that ")[0] for _, line in found] == [
        f'p:5:16 the device name "{TAP}" is taken by a device'
    ]


def test_only_names_that_the_plan_needs_are_looked_at() -> None:
    bridge = on_nic(naming.bridge("lab", "lan"), "bridge")
    plain = loaded("switch: true, subnet: 10.0.0.0/24")
    assert told(plain, replace(READY, links=(NIC, bridge))) == []
    access = naming.sibling("lab", "lan")
    there = replace(READY, links=(NIC, on_nic(access, "macvlan", group=GROUP)))
    about = loaded(f"{STATIC}, host_access: true")
    owned = {("host access", access): HostAccess(access, "nic0", "", (), (), 1500, GROUP, "")}
    assert told(about, there, owned) == []


@pytest.mark.parametrize("lan", ["uplink: nic0, spoof_guard: off", "granted: lab"])
def test_tables_of_guards_that_are_not_made_are_in_nobodys_way(lan: str) -> None:
    there = Firewall(namesakes=(("netdev", f"vmnet_lab_{TAP}"),))
    assert told(loaded(lan), replace(READY, links=(NIC, granted_device(0)), firewall=there)) == []


def test_a_network_of_granted_devices_hides_no_other() -> None:
    text = (
        "name: lab\nnetworks:\n  off: {granted: lab}\n  lan: {uplink: nic1}\n"
        "  more: {granted: own}\nvms: {web: {nics: [off, lan, more]}}\n"
    )
    found = told(load(text, "p"), replace(READY, links=(NIC, granted_device(0))))
    assert [line.partition(" ")[0] for _, line in found] == ["p:4:17", "p:5:19"]


def test_what_is_missing_is_what_root_is_asked_for() -> None:
    about = load(
        "name: lab\nnetworks:\n  lan: {granted: lab}\nvms: {web: {count: 3, nics: [lan]}}\n", "p"
    )
    (error,) = host.complaints(hosted(about, replace(READY, links=(granted_device(0),))), {})
    assert str(error.fix).endswith(" --label lab --count 2")


def test_a_route_may_be_written_with_bits_behind_its_prefix() -> None:
    facts = replace(READY, routes=(route("10.0.0.1/24", "tun0"),))
    assert [status for status, _ in told(loaded(STATIC), facts)] == [3]


def test_sources_twice_are_listed_and_only_routers_of_the_uplink_count() -> None:
    first, second = "02:00:00:00:00:01", "02:00:00:00:00:03"
    allow = f"allow: ['{second}', '{first}', '{second}', '{first}']"
    about = loaded(f"uplink: nic0, mode: source, {allow}")
    near = replace(NIC, addresses=interfaces("10.0.0.7/24"))
    elsewhere = (route("default", "nic1", first), route("10.0.0.0/24", "nic0", ""))
    assert warnings(about.plan, replace(READY, links=(near,), routes=elsewhere)) == [
        f"web, NIC 0: its list names {first}, {second} twice"
    ]


def test_devices_of_the_plan_do_not_count_as_other_routes() -> None:
    routes = replace(READY, routes=(route("10.0.0.0/24", FAR),))
    about = loaded("switch: true, subnet: 10.0.0.0/24")
    switch = Switch(LOWER, FAR, interfaces("10.0.0.1/24"), 1500, GROUP, "")
    assert told(about, routes, {("switch", LOWER): switch}) == []
    assert [status for status, _ in told(about, routes)] == [3]


def test_routes_without_a_device_or_by_default_take_no_subnet() -> None:
    routes = (route("default", "tun0"), route("10.0.0.0/24", ""))
    assert told(loaded(STATIC), replace(READY, routes=routes)) == []
    assert told(loaded(STATIC), DEFAULT) == []


def test_equally_long_routes_elsewhere_still_overlap() -> None:
    routes = (route("10.0.0.0/24", "nic0"), route("10.0.0.0/24", "tun0"))
    assert [status for status, _ in told(loaded(STATIC), replace(READY, routes=routes))] == [3]


def test_warnings_name_the_nic_and_stand_once() -> None:
    about = load(
        "name: lab\nnetworks:\n  lan: {uplink: nic0, queues: 2}\n"
        "vms: {web: {count: 2, cpus: 1, nics: [lan, lan]}}\n",
        "p",
    )
    down = replace(READY, links=(replace(NIC, up=False),))
    assert warnings(about.plan, down) == [
        "uplink nic0 is down: guests on lan reach nobody outside until it comes up",
        *(
            f"web{vm}, NIC {nic}: 2 queues for 1 CPU: the others stay idle"
            for vm in (1, 2)
            for nic in (0, 1)
        ),
    ]


def test_a_locked_ipv6_is_warned_of_with_the_way_out_where_devices_are_made() -> None:
    facts = replace(READY, ipv6_locked="it is read-only")
    assert warnings(loaded().plan, facts) == [
        (
            "it is read-only: a router on the wire may give this host routes through vmnet's "
            "devices (in a container: start it with --sysctl net.ipv6.conf.default.accept_ra=0)"
        )
    ]
    assert warnings(loaded("granted: lab").plan, facts) == []


@pytest.mark.parametrize(
    ("network", "nic", "vm", "open_to"),
    [
        ("uplink: nic0, subnet: 10.0.0.0/24", "", "", ""),
        (
            "uplink: nic0",
            "",
            "",
            (
                "any IPv4 address, since a foreign DHCP server gives it its own and any IPv6 "
                "address, since a foreign router may advertise any prefix"
            ),
        ),
        (
            "uplink: nic0, slaac: false",
            "",
            "",
            "any IPv4 address, since a foreign DHCP server gives it its own",
        ),
        ("uplink: nic0", "address: 10.0.0.5/24", "", ""),
        ('switch: {dhcp: true}, subnet: [10.0.0.0/24, "fd00::/64"]', "", "", ""),
        (
            'switch: {dhcp: true}, subnet: [10.0.0.0/24, "fd00::/64"]',
            "",
            "image: ubuntu",
            "any IPv6 address, since its image makes its own as it likes",
        ),
        (
            "uplink: nic0, subnet: 10.0.0.0/24",
            "",
            "image: ubuntu",
            "any link-local IPv6 address, since its image makes its own as it likes",
        ),
    ],
)
def test_what_a_strict_guard_leaves_open_is_warned_of(
    network: str, nic: str, vm: str, open_to: str
) -> None:
    found = warnings(loaded(f"{network}, spoof_guard: strict", nic, vm=vm).plan, READY)
    told = (
        f"web, NIC 0: spoof_guard: strict leaves it {open_to}"
        "; never one that the plan knows as another's"
    )
    assert found == ([told] if open_to else [])


def test_a_strict_guard_of_roots_pins_no_addresses_and_that_is_warned_of() -> None:
    (told,) = warnings(loaded("granted: lab, spoof_guard: strict").plan, READY)
    assert told == (
        "web, NIC 0: spoof_guard: strict leaves it any address on a granted device, since root has "
        "not said which are its own"
    )


def test_granted_devices_are_not_missed_a_guard() -> None:
    assert warnings(loaded("granted: lab").plan, replace(READY, firewall=NO_NFT)) == []


def test_a_disk_that_cannot_be_opened_is_shown_on_one_line() -> None:
    text = 'disks: [{path: "a\\nb", format: raw}]'
    about = loaded(vm=f"image: none, kernel: k, {text}")
    (error,) = unopenable(about.plan, about.places, {("web", 0): "qemu"})
    assert "\n" not in error.what
