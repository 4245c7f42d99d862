"""Real veth pairs and bridges, in a network namespace that the test enters."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provisioner import naming
from provisioner.errors import VmnetError
from provisioner.host.netlink import links
from provisioner.host.network import switch as switches
from provisioner.host.probe import neighbours
from provisioner.network.facts import Link
from provisioner.network.resources import Switch
from provisioner.plan.mac import Mac
from provisioner.reconcile.resources import Look
from tests.builders.addresses import interfaces, route
from tests.host_tools.namespace import Namespace, far_namespace, ip

if TYPE_CHECKING:
    from provisioner.plan.ip import Address

pytestmark = pytest.mark.usefixtures("namespace")

GROUP = naming.group("lab")
LOWER, FAR = naming.switch_ends("lab", "lan")
BRIDGE = naming.bridge("lab", "lan")
PLAIN = Switch(
    LOWER,
    FAR,
    interfaces("10.77.0.1/24", "fd77::1/64"),
    1500,
    GROUP,
    "vmnet:lab/lan",
    mac=naming.switch_mac("lab", "lan"),
    host_mac=naming.host_mac("lab", "lan"),
)
HAIRPIN = replace(PLAIN, bridge=BRIDGE)
A, B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"


def seen() -> dict[str, Link]:
    return {x.name: x for x in links.observe()[0]}


def have() -> Switch:
    (found,) = observed()
    return found


def observed() -> list[Switch]:
    return switches.observe(Look("lab", *links.observe()))


@contextmanager
def guest(name: str, mac: str, address: str, mode: str) -> Iterator[Namespace]:
    """Attach a machine with addresses ending in `address` to the switch, in a namespace."""
    with far_namespace() as there:
        ip(
            f"link add link {LOWER} name {name} address {mac} type macvlan mode {mode}",
            f"link set dev {name} netns {there.path}",
        )
        with there.entered():
            ip(
                f"link set dev {name} up",
                f"addr add 10.77.0.{address}/24 dev {name}",
                f"addr add fd77::{address}/64 dev {name} nodad",
            )
        yield there


def answered(targets: list[str], device: str | None = None) -> list[str]:
    wanted: list[Address] = [ip_address(x) for x in targets]
    return sorted(map(str, neighbours.ping(wanted, device=device, deadline_s=0.7)))


@pytest.mark.parametrize("switch", [PLAIN, HAIRPIN], ids=["plain", "hairpin"])
def test_a_switch_is_made_as_it_was_wanted(switch: Switch) -> None:
    switches.create(switch)
    assert have() == switch
    switches.update(switch)
    assert have() == switch


def test_the_hosts_addresses_are_where_it_meets_the_guests() -> None:
    switches.create(HAIRPIN)
    assert set(links.observe()[1]) == {
        route("10.77.0.0/24", BRIDGE),
        route("fd77::/64", BRIDGE),
        route("fe80::/64", BRIDGE),
    }
    assert {x.name: x.addresses for x in seen().values() if x.addresses} == {
        "lo": interfaces("127.0.0.1/8", "::1/128"),
        BRIDGE: HAIRPIN.addresses,
    }


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (PLAIN, HAIRPIN),
        (HAIRPIN, PLAIN),
        (PLAIN, replace(HAIRPIN, addresses=interfaces("10.77.0.9/24"), mtu=1400)),
        (HAIRPIN, replace(PLAIN, addresses=interfaces("10.77.0.9/24"), mtu=9000)),
        (
            HAIRPIN,
            replace(HAIRPIN, addresses=interfaces("10.77.0.2/24", "10.77.0.3/24", "10.78.0.1/24")),
        ),
        (
            replace(PLAIN, addresses=interfaces("10.77.0.1/24", "10.77.0.2/24", "10.78.0.1/24")),
            replace(PLAIN, addresses=interfaces("10.77.0.2/24", "10.78.0.1/24")),
        ),
    ],
)
def test_a_living_switch_becomes_any_other(before: Switch, after: Switch) -> None:
    switches.create(before)
    switches.update(after)
    assert have() == after


@pytest.mark.parametrize(
    "harm",
    [
        f"link set dev {FAR} type bridge_slave hairpin off",
        f"link set dev {FAR} type bridge_slave learning off",
        f"link set dev {FAR} type bridge_slave bcast_flood off",
        f"link set dev {FAR} type bridge_slave locked on",
        f"link set dev {FAR} nomaster",
        f"link set dev {FAR} down",
        f"link set dev {LOWER} down",
        f"link set dev {BRIDGE} down",
        f"link set dev {BRIDGE} mtu 1400",
        f"addr del 10.77.0.1/24 dev {BRIDGE}",
        f"addr add 10.77.0.7/24 dev {BRIDGE}",
        f"link set dev {FAR} address 02:00:00:00:00:77",
    ],
)
def test_what_somebody_changed_is_seen_and_mended(harm: str) -> None:
    switches.create(HAIRPIN)
    ip(harm)
    assert have() != HAIRPIN
    switches.update(HAIRPIN)
    assert have() == HAIRPIN


def test_a_bridge_that_is_left_over_is_seen_and_taken_away() -> None:
    switches.create(PLAIN)
    ip(f"link add name {BRIDGE} group {GROUP} type bridge")
    assert have() != PLAIN
    switches.update(PLAIN)
    assert (have(), BRIDGE in seen()) == (PLAIN, False)


def test_a_bridge_of_somebody_else_is_left_alone() -> None:
    switches.create(PLAIN)
    ip(f"link add name {BRIDGE} type bridge")
    with pytest.raises(VmnetError, match="taken by something"):
        switches.update(PLAIN)
    assert BRIDGE in seen()


def test_a_port_that_somebody_put_into_another_bridge_comes_back() -> None:
    switches.create(PLAIN)
    ip("link add name other type bridge", f"link set dev {FAR} master other")
    assert have() != PLAIN
    switches.update(PLAIN)
    assert have() == PLAIN


def test_a_bridge_without_its_pair_is_told_as_a_broken_switch() -> None:
    switches.create(HAIRPIN)
    ip(f"link del dev {LOWER}")
    assert [(x.name, x.bridge, x.up) for x in observed()] == [(LOWER, BRIDGE, False)]
    links.delete(BRIDGE)
    assert observed() == []


@pytest.mark.parametrize("taken", [LOWER, FAR, BRIDGE])
def test_a_name_that_is_taken_is_told_and_nothing_is_touched(taken: str) -> None:
    ip(f"link add name {taken} mtu 1300 type bridge")
    with pytest.raises(FileExistsError):
        switches.create(HAIRPIN)
    assert (set(seen()), seen()[taken].mtu, seen()[taken].alias) == ({"lo", taken}, 1300, "")


def test_what_the_kernel_refuses_leaves_nothing_behind() -> None:
    with pytest.raises(VmnetError, match="Invalid argument"):
        switches.create(replace(HAIRPIN, mtu=40))
    assert set(seen()) == {"lo"}


def test_without_ipv6_an_ipv6_address_is_refused_with_the_way_out() -> None:
    Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
    with pytest.raises(VmnetError) as caught:
        switches.create(PLAIN)
    assert "IPv6 is switched off here" in (caught.value.fix or "")
    assert set(seen()) == {"lo"}


@pytest.mark.parametrize(
    ("switch", "met"), [(PLAIN, ["10.77.0.1"]), (HAIRPIN, ["10.77.0.1", "10.77.0.11"])]
)
def test_vepa_guests_meet_only_where_the_switch_reflects(switch: Switch, met: list[str]) -> None:
    switches.create(switch)
    with guest("a", A, "10", "vepa") as one, guest("b", B, "11", "vepa"), one.entered():
        assert answered(["10.77.0.1", "10.77.0.11"]) == met


def test_guests_meet_the_host_at_one_mac_before_and_after_a_change() -> None:
    switches.create(PLAIN)
    mac = Mac(PLAIN.host_mac)
    host: dict[Address, Mac] = {ip_address("10.77.0.1"): mac, ip_address("fd77::1"): mac}
    told = []
    with guest("a", A, "10", "vepa") as one:
        for switch in (PLAIN, HAIRPIN, PLAIN):
            switches.update(switch)
            with one.entered():
                told.append(
                    {s.macs for s in neighbours.neighbours("a", host, deadline_s=2).values()}
                )
                assert answered(["10.77.0.1", "fd77::1"]) == ["10.77.0.1", "fd77::1"]
    assert told == [{(PLAIN.host_mac,)}] * 3


def test_an_address_that_a_router_gave_the_host_is_named_as_that_and_taken_away() -> None:
    switches.create(HAIRPIN)
    ip(f"addr add fd77::99/64 dev {BRIDGE} valid_lft 1000 preferred_lft 500")
    assert have() == replace(HAIRPIN, ignores_routers=False)
    switches.update(HAIRPIN)
    assert have() == HAIRPIN


def test_a_strangers_device_of_its_bridges_name_is_no_part_of_a_switch() -> None:
    switches.create(PLAIN)
    ip(f"link add {BRIDGE} type veth peer name other0")
    assert have() == PLAIN
