"""Host access on a NIC with a LAN behind it, in network namespaces of the test's own."""

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
from provisioner.host.network import host_access
from provisioner.host.probe import neighbours
from provisioner.network.facts import Link
from provisioner.network.resources import HostAccess
from provisioner.plan.mac import Mac
from provisioner.reconcile.resources import Look
from tests.builders.addresses import interfaces, networks, route
from tests.host_tools.namespace import Namespace, far_namespace, ip
from tests.host_tools.veth_peer import FAR, NEAR

if TYPE_CHECKING:
    from provisioner.plan.ip import Address

GUEST = "02:00:00:00:00:0a"
ACCESS = HostAccess(
    name=naming.sibling("lab", "lan"),
    uplink="near",
    mac=naming.sibling_mac("lab", "lan"),
    addresses=interfaces("10.0.0.11/32", "fd00::11/128"),
    routes=networks("10.0.0.51/32", "10.0.0.52/32", "fd00::51/128"),
    mtu=1500,
    group=naming.group("lab"),
    alias="vmnet:lab/lan",
)
HOST, SIBLING = ("10.0.0.10", "fd00::10"), ("10.0.0.11", "fd00::11")
THERE = ("10.0.0.51", "fd00::51")


@pytest.fixture(autouse=True)
def lan(far: Namespace) -> Namespace:
    """The host has addresses on `near`, and so has a machine of the LAN behind it."""
    ip("addr add 10.0.0.10/24 dev near", "addr add fd00::10/64 dev near nodad")
    with far.entered():
        ip("addr add 10.0.0.2/24 dev far", "addr add fd00::2/64 dev far nodad")
    return far


@pytest.fixture
def guest() -> Iterator[Namespace]:
    with machine("guest", GUEST) as there:
        yield there


@contextmanager
def machine(name: str, mac: str) -> Iterator[Namespace]:
    with far_namespace() as there:
        ip(
            f"link add link near name {name} address {mac} type macvlan mode bridge",
            f"link set dev {name} netns {there.path}",
        )
        with there.entered():
            ip(
                f"link set dev {name} up",
                f"addr add 10.0.0.51/24 dev {name}",
                f"addr add fd00::51/64 dev {name} nodad",
            )
        yield there


def seen() -> dict[str, Link]:
    return {x.name: x for x in links.observe()[0]}


def have() -> HostAccess:
    (found,) = host_access.observe(Look("lab", *links.observe()))
    return found


def answered(*targets: str, within_s: float = 5) -> list[str]:
    """Tell who answers a ping; it ends when all have, so only silence costs the time."""
    return sorted(map(str, neighbours.ping(map(ip_address, targets), deadline_s=within_s)))


def macs(device: str, expected: str, *targets: str) -> dict[str, tuple[str, ...]]:
    wanted: dict[Address, Mac] = {ip_address(x): Mac(expected) for x in targets}
    found = neighbours.neighbours(device, wanted, deadline_s=5)
    return {str(address): seen.macs for address, seen in found.items()}


def test_host_access_is_made_as_it_was_wanted() -> None:
    host_access.create(ACCESS)
    assert have() == ACCESS
    host_access.update(ACCESS)
    assert have() == ACCESS


def test_the_host_and_a_guest_on_its_nic_reach_each_other(guest: Namespace) -> None:
    assert answered(*THERE, within_s=0.4) == []
    host_access.create(ACCESS)
    assert answered(*THERE) == sorted(THERE)
    with guest.entered():
        assert answered(*SIBLING) == sorted(SIBLING)


def test_the_lan_hears_one_answer_for_the_host(lan: Namespace) -> None:
    host_access.create(ACCESS)
    with lan.entered():
        assert macs("far", NEAR, *HOST) == {"10.0.0.10": (NEAR,), "fd00::10": (NEAR,)}
        assert answered(*HOST) == sorted(HOST)
    assert macs("near", FAR, "10.0.0.2") == {"10.0.0.2": (FAR,)}


def test_without_its_mark_the_lan_would_hear_two(lan: Namespace) -> None:
    host_access.create(ACCESS)
    ip(f"link set dev {ACCESS.name} up")
    set_arp_ignore(0)
    with lan.entered():
        assert set(macs("far", ACCESS.mac, "10.0.0.10")["10.0.0.10"]) == {NEAR, ACCESS.mac}
    assert have() == replace(ACCESS, answers_for_itself=False)
    host_access.update(ACCESS)
    assert have() == ACCESS


def set_arp_ignore(value: int) -> None:
    Path(f"/proc/sys/net/ipv4/conf/{ACCESS.name}/arp_ignore").write_text(str(value))


@pytest.mark.usefixtures("guest")
def test_it_outlives_a_nic_that_goes_down_and_up() -> None:
    host_access.create(ACCESS)
    ip("link set dev near down", "link set dev near up", "addr replace fd00::10/64 dev near nodad")
    assert have() == ACCESS
    assert answered(*THERE) == sorted(THERE)


def test_it_is_made_on_a_nic_without_a_link(lan: Namespace) -> None:
    with lan.entered():
        ip("link set dev far down")
    host_access.create(ACCESS)
    assert have() == ACCESS


@pytest.mark.parametrize(
    "harm",
    [
        f"link set dev {ACCESS.name} down",
        f"link set dev {ACCESS.name} mtu 1400",
        f"link set dev {ACCESS.name} type macvlan mode private",
        f"link set dev {ACCESS.name} address 02:00:00:00:00:77",
        f"addr del 10.0.0.11/32 dev {ACCESS.name}",
        f"addr del fd00::11/128 dev {ACCESS.name}",
        f"addr add 10.0.0.12/32 dev {ACCESS.name}",
        f"addr add fd00::12/128 dev {ACCESS.name} nodad",
        "route del 10.0.0.51/32",
        f"route del fd00::51/128 dev {ACCESS.name}",
        f"route add 10.0.0.99/32 dev {ACCESS.name}",
        f"route add fd00::99/128 dev {ACCESS.name}",
    ],
)
def test_what_somebody_changed_is_seen_and_mended(harm: str, guest: Namespace) -> None:
    host_access.create(ACCESS)
    ip(harm)
    assert have() != ACCESS
    host_access.update(ACCESS)
    assert have() == ACCESS
    assert answered(*THERE) == sorted(THERE)
    with guest.entered():
        assert answered(*SIBLING) == sorted(SIBLING)


def test_it_takes_another_address_and_other_guests(guest: Namespace) -> None:
    host_access.create(ACCESS)
    other = replace(
        ACCESS,
        addresses=interfaces("10.0.0.12/32"),
        routes=networks("10.0.0.51/32", "10.0.0.53/32"),
    )
    host_access.update(other)
    assert have() == other
    assert answered(*THERE, within_s=1) == ["10.0.0.51"]
    with guest.entered():
        assert answered("10.0.0.11", "10.0.0.12", within_s=1) == ["10.0.0.12"]


def test_without_an_address_of_its_own_the_host_reaches_guests_by_ipv4(guest: Namespace) -> None:
    del guest
    bare = replace(ACCESS, addresses=())
    host_access.create(bare)
    assert (have(), answered("10.0.0.51")) == (bare, ["10.0.0.51"])


def test_nothing_is_left_when_it_goes() -> None:
    before = links.observe()
    host_access.create(ACCESS)
    links.delete(ACCESS.name)
    assert links.observe() == before


def test_a_route_of_somebody_else_to_a_guest_is_told_and_kept() -> None:
    ip("route add 10.0.0.52/32 dev near")
    with pytest.raises(VmnetError) as caught:
        host_access.create(ACCESS)
    assert "a route of its own to this guest" in (caught.value.fix or "")
    assert ACCESS.name not in seen()
    assert route("10.0.0.52/32", "near") in links.observe()[1]


@pytest.mark.parametrize(
    ("wrong", "mend"),
    [({"uplink": "nope"}, "ip link"), ({"mtu": 9000}, "not above the uplink's")],
)
def test_what_cannot_be_made_is_told_and_leaves_nothing(
    wrong: dict[str, object], mend: str
) -> None:
    with pytest.raises(VmnetError) as caught:
        host_access.create(replace(ACCESS, **wrong))  # type: ignore[arg-type]
    assert mend in (caught.value.fix or "")
    assert set(seen()) == {"lo", "near"}


def test_a_name_that_is_taken_is_told() -> None:
    host_access.create(ACCESS)
    with pytest.raises(FileExistsError):
        host_access.create(ACCESS)
