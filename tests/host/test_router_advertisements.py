"""No device of vmnet's is part of the host's own IPv6, however it was made or changed."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from socket import AF_NETLINK, SOCK_NONBLOCK, SOCK_RAW, socket

import pytest

from provisioner import naming
from provisioner.errors import VmnetError
from provisioner.host.netlink import ipv6, link_codec, links, pyroute2_codec
from provisioner.host.network import forwarding, host_access, macvtap, standalone
from provisioner.host.network import switch as switches
from provisioner.host.probe.ingress_injector import SyntheticWire
from provisioner.network.facts import Link
from provisioner.network.resources import HostAccess, Macvtap, Switch
from provisioner.network.standalone.device import Mark
from provisioner.plan.choices import Mode
from provisioner.reconcile.resources import Look
from tests.builders.addresses import interfaces, networks
from tests.host_tools.namespace import Namespace, ip
from tests.host_tools.router import advertise, learned, listening

pytestmark = pytest.mark.usefixtures("far")

INDEX = 0x6ABCDE10
_LINKS = 1  # RTMGRP_LINK (linux/rtnetlink.h)
TAP = Macvtap(
    name=naming.macvtap("lab", "web", 0),
    uplink="near",
    mode=Mode.PRIVATE,
    mac="02:00:00:00:00:0a",
    mtu=1500,
    group=naming.group("lab"),
    alias="vmnet:lab/web/0",
    altname="",
)
ACCESS = HostAccess(
    name=naming.sibling("lab", "lan"),
    uplink="near",
    mac=naming.sibling_mac("lab", "lan"),
    addresses=interfaces("10.0.0.11/32", "fd00::11/128"),
    routes=networks("10.0.0.51/32", "fd00::51/128"),
    mtu=1500,
    group=naming.group("lab"),
    alias="vmnet:lab/lan",
)
LOWER, FAR = naming.switch_ends("lab", "lan")
SWITCH = Switch(
    LOWER,
    FAR,
    interfaces("10.77.0.1/24", "fd77::1/64"),
    1500,
    naming.group("lab"),
    "vmnet:lab/lan",
    mac=naming.switch_mac("lab", "lan"),
    host_mac=naming.host_mac("lab", "lan"),
)
HAIRPIN = replace(SWITCH, bridge=naming.bridge("lab", "lan"))


def link(name: str) -> Link:
    return next(x for x in links.observe()[0] if x.name == name)


def access() -> HostAccess:
    (found,) = host_access.observe(Look("lab", *links.observe()))
    return found


def switch() -> Switch:
    (found,) = switches.observe(Look("lab", *links.observe()))
    return found


@pytest.fixture
def control() -> str:
    """A device beside vmnet's, as the kernel makes it."""
    return neighbour("near")


def neighbour(uplink: str, name: str = "ctl") -> str:
    ip(f"link add link {uplink} name {name} type macvlan mode bridge", f"link set {name} up")
    return name


def test_a_macvtap_that_nobody_holds_is_no_part_of_the_host(far: Namespace, control: str) -> None:
    macvtap.create_at(TAP, INDEX)
    advertise("far", control, far)
    assert learned(TAP.name) == []
    assert not link(TAP.name).ipv6


@pytest.mark.parametrize(
    "change",
    [{"mode": Mode.VEPA}, {"mtu": 1400}, {"txqueuelen": 77}, {"altname": "vmnet-lab-web-0"}],
    ids=lambda change: next(iter(change)),
)
def test_a_macvtap_that_is_changed_alive_stays_so(
    far: Namespace, control: str, change: dict[str, object]
) -> None:
    macvtap.create_at(TAP, INDEX)
    macvtap.update_from(replace(TAP, **change), link(TAP.name))  # type: ignore[arg-type]
    advertise("far", control, far)
    assert learned(TAP.name) == []


def test_an_mtu_that_becomes_large_enough_for_ipv6_brings_none_of_it_back(
    far: Namespace, control: str
) -> None:
    macvtap.create_at(replace(TAP, mtu=1000), INDEX)
    macvtap.update_from(TAP, link(TAP.name))
    assert (link(TAP.name).mtu, link(TAP.name).ipv6, link(TAP.name).quiet) == (1500, False, True)
    advertise("far", control, far)
    assert learned(TAP.name) == []


def test_a_macvtap_that_an_older_vmnet_has_made_is_shut_and_forgets(
    far: Namespace, control: str
) -> None:
    macvtap.create_at(TAP, INDEX)
    listening(TAP.name)
    advertise("far", control, far)
    assert "default" in learned(TAP.name)
    assert link(TAP.name).ipv6
    macvtap.update_from(TAP, link(TAP.name))
    assert learned(TAP.name) == []
    advertise("far", control, far)
    assert learned(TAP.name) == []


def test_a_device_of_vmnet_net_is_no_part_of_the_host(
    far: Namespace, control: str, tmp_path: Path
) -> None:
    wish = replace(TAP, name="mvn0", group=naming.NET_GROUP, alias=Mark("near").alias)
    try:
        standalone.create([wish], [], tmp_path / "nodes")
        advertise("far", control, far)
        assert learned("mvn0") == []
    finally:
        standalone.remove({"mvn0": link("mvn0").index}, tmp_path / "nodes")


@pytest.mark.parametrize("made", ["created", "updated"])
def test_host_access_learns_nothing_from_the_lan_s_router(
    far: Namespace, control: str, made: str
) -> None:
    host_access.create(ACCESS)
    if made == "updated":
        host_access.update(ACCESS)
    advertise("far", control, far)
    assert learned(ACCESS.name) == []
    assert access() == ACCESS


def test_host_access_that_has_learned_is_told_apart_and_mended(
    far: Namespace, control: str
) -> None:
    host_access.create(ACCESS)
    listening(ACCESS.name)
    advertise("far", control, far)
    assert "default" in learned(ACCESS.name)
    assert access() == replace(ACCESS, ignores_routers=False)
    host_access.update(ACCESS)
    assert learned(ACCESS.name) == []
    assert access() == ACCESS


def test_a_default_route_that_somebody_sets_on_host_access_is_taken_away() -> None:
    host_access.create(ACCESS)
    ip(f"route add default dev {ACCESS.name}", f"route add ::/0 dev {ACCESS.name}")
    assert access() != ACCESS
    host_access.update(ACCESS)
    assert access() == ACCESS


@pytest.mark.parametrize("wanted", [SWITCH, HAIRPIN], ids=["plain", "hairpin"])
def test_the_lower_end_of_a_switch_hears_no_router_behind_it(wanted: Switch) -> None:
    switches.create(wanted)
    advertise(wanted.host_side, neighbour(LOWER))  # as vmnet's own dnsmasq does
    assert [learned(x) for x in (LOWER, FAR, wanted.host_side)] == [[], [], []]
    assert switch() == wanted


@pytest.mark.parametrize("wanted", [SWITCH, HAIRPIN], ids=["plain", "hairpin"])
def test_the_host_s_side_of_a_switch_hears_no_guest_that_plays_a_router(wanted: Switch) -> None:
    switches.create(SWITCH)
    switches.update(wanted)
    # A frame of the lower end's own goes out to the far end; the control is at the same place.
    advertise(LOWER, neighbour(wanted.host_side))
    assert [learned(x) for x in (LOWER, FAR, wanted.host_side)] == [[], [], []]


@pytest.mark.parametrize("wanted", [SWITCH, HAIRPIN], ids=["plain", "hairpin"])
def test_a_switch_that_has_learned_is_told_apart_and_mended(wanted: Switch) -> None:
    switches.create(wanted)
    listening(LOWER, wanted.host_side)
    advertise(LOWER, neighbour(wanted.host_side))
    advertise(wanted.host_side, neighbour(LOWER, "ctm"))
    assert "default" in learned(LOWER)
    assert "default" in learned(wanted.host_side)
    assert switch() == replace(wanted, ignores_routers=False)
    switches.update(wanted)
    assert [learned(LOWER), learned(wanted.host_side)] == [[], []]
    assert switch() == wanted


def test_an_mtu_of_a_switch_that_becomes_large_enough_for_ipv6_brings_no_router_back() -> None:
    four = replace(SWITCH, addresses=interfaces("10.77.0.1/24"))
    switches.create(replace(four, mtu=1000))
    switches.update(four)
    assert switch() == four


@pytest.mark.parametrize(
    "make",
    [
        lambda: macvtap.create_at(TAP, INDEX),
        lambda: macvtap.update_from(TAP, link(TAP.name)),
        lambda: host_access.create(ACCESS),
        lambda: switches.create(HAIRPIN),
        lambda: switches.update(HAIRPIN),
        lambda: SyntheticWire("near").__exit__(),
    ],
    ids=["macvtap", "larger macvtap", "host access", "switch", "larger switch", "wire"],
)
def test_no_device_is_up_before_it_is_out_of_the_host_s_ipv6(
    request: pytest.FixtureRequest, make: Callable[[], None]
) -> None:
    if "larger macvtap" in request.node.name:
        macvtap.create_at(replace(TAP, mtu=1000), INDEX)
    if "larger switch" in request.node.name:
        switches.create(replace(HAIRPIN, addresses=interfaces("10.77.0.1/24"), mtu=1000))
    with socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, 0) as monitor:
        monitor.bind((0, _LINKS))
        make()
        told = list(_told(monitor))
    mine = [x for x in told if x.group not in {0, 1} and x.up]
    assert {x.kind for x in mine} <= {"macvtap", "macvlan", "veth", "bridge"}
    assert mine
    assert [x.name for x in mine if x.learns] == []


_RTM_NEWLINK = 16  # linux/rtnetlink.h


def _told(monitor: socket) -> Iterator[Link]:
    """Read what the kernel has told of links, message by message."""
    with suppress(BlockingIOError):
        while data := monitor.recv(1 << 17):
            for message in pyroute2_codec.parse(data):
                if message["header"]["type"] == _RTM_NEWLINK:
                    yield link_codec.link(message)


def test_a_wire_into_an_uplink_is_no_part_of_the_host() -> None:
    with SyntheticWire("near"):
        mine = [x for x in links.every() if x.name.startswith(("mvx", "mvy"))]
        assert [(x.up, x.ipv6) for x in mine] == [(True, False)] * 2


def test_only_what_the_host_itself_has_learned_keeps_it_from_forwarding(
    far: Namespace, control: str
) -> None:
    macvtap.create_at(TAP, INDEX)
    host_access.create(ACCESS)
    listening(TAP.name, ACCESS.name)
    advertise("far", control, far)
    assert "default" in learned(TAP.name)
    assert set(forwarding.ra_routers()) == {"near", control}
    with pytest.raises(VmnetError) as caught:
        forwarding.prove_possible([6])
    for command in (caught.value.fix or "").split("; "):
        setting, _, value = command.removeprefix("sysctl -w ").partition("=")
        Path("/proc/sys", setting).write_text(value)
    forwarding.prove_possible([6])


def test_where_proc_sys_is_read_only_devices_are_made_and_are_no_drift() -> None:
    script = """
from tests.host.test_router_advertisements import *
ip("link add near type veth peer name far", "link set near up", "link set far up")
macvtap.create_at(TAP, INDEX)
host_access.create(ACCESS)
switches.create(HAIRPIN)
host_access.update(ACCESS)
switches.update(HAIRPIN)
assert access() == ACCESS, access()
assert switch() == HAIRPIN, switch()
assert link(TAP.name).quiet and not link(TAP.name).ipv6
print(ipv6.locked())
"""
    lock = "mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys; exec "
    fenced = ["unshare", "--mount", "--net", "sh", "-ec", f'{lock} "$0" -c "$1"']
    here = Path(__file__).parents[2]
    done = subprocess.run(
        [*fenced, sys.executable, script],
        env={**os.environ, "PYTHONPATH": str(here)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == "/proc/sys/net/ipv6/conf cannot be written\n"
    assert ipv6.locked() == ""
