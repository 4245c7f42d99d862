"""A switch without NAT on a host that forwards: nothing gets out of it, nothing comes in."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from socket import (
    AF_INET,
    SO_REUSEADDR,
    SOCK_STREAM,
    SOL_SOCKET,
    create_connection,
    socket,
)

import pytest

from provisioner import naming
from provisioner.host.network import forwarding
from provisioner.host.network import nftables as nft
from provisioner.host.network import switch as switches
from provisioner.host.probe import neighbours
from provisioner.network import nftables
from provisioner.network.resources import Guard, Nat, Switch
from provisioner.reconcile.resources import Look
from tests.builders.addresses import interfaces
from tests.host_tools.namespace import Namespace, far_namespace, ip

LOWER, FAR = naming.switch_ends("lab", "lan")
PLAIN = Switch(
    LOWER,
    FAR,
    interfaces("10.77.0.1/24", "fd77::1/64"),
    1500,
    naming.group("lab"),
    "vmnet:lab/lan",
    mac=naming.switch_mac("lab", "lan"),
    host_mac=naming.host_mac("lab", "lan"),
)
HAIRPIN = replace(PLAIN, bridge=naming.bridge("lab", "lan"))
BOTH = pytest.mark.parametrize("switch", [PLAIN, HAIRPIN], ids=["plain", "hairpin"])
GUEST, OTHER = ("10.77.0.10", "fd77::10"), ("10.77.0.11", "fd77::11")
HOST, MACHINE = ("10.77.0.1", "fd77::1"), ("10.0.0.2", "fd00::2")


@pytest.fixture(autouse=True)
def machine(guest: Namespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Namespace:
    """The host is a router between its LAN and whatever else it has; a machine there knows it."""
    monkeypatch.setenv("VMNET_RUN_DIR", str(tmp_path / "run"))
    ip("addr add 10.0.0.1/24 dev near", "addr add fd00::1/64 dev near nodad")
    for version in (4, 6):
        forwarding.put(version, 1)
    with guest.entered():
        ip("route add 10.77.0.0/24 via 10.0.0.1", "route add fd77::/64 via fd00::1")
    return guest


@contextmanager
def attached(name: str, addresses: tuple[str, str], mode: str = "vepa") -> Iterator[Namespace]:
    """Attach a guest to the switch that takes the host for its router."""
    four, six = addresses
    with far_namespace() as there:
        ip(
            f"link add link {LOWER} name {name} type macvlan mode {mode}",
            f"link set dev {name} netns {there.path}",
        )
        with there.entered():
            ip(
                f"link set dev {name} up",
                f"addr add {four}/24 dev {name}",
                f"addr add {six}/64 dev {name} nodad",
                "route add default via 10.77.0.1",
                "route add ::/0 via fd77::1",
            )
        yield there


def answered(*targets: str, within_s: float = 5) -> list[str]:
    """Tell who answers a ping; it ends when all have, so only silence costs the time."""
    return sorted(map(str, neighbours.ping(map(ip_address, targets), deadline_s=within_s)))


def observed(plan: str = "lab") -> list[Guard | Nat]:
    return nft.observe(Look(plan, tables=nft.listing()))


def isolation(switch: Switch) -> Nat:
    return nftables.isolation("lab", "lan", switch.host_side)


@BOTH
def test_a_guest_and_a_machine_of_the_lan_do_not_meet_through_the_host(
    machine: Namespace, switch: Switch
) -> None:
    switches.create(switch)
    with attached("a", GUEST) as a:
        with a.entered():
            assert answered(*MACHINE) == sorted(MACHINE)  # the control: it forwards
        with machine.entered():
            assert answered(*GUEST) == sorted(GUEST)
        nft.create(isolation(switch))
        with a.entered():
            assert answered(*MACHINE, within_s=0.5) == []
        with machine.entered():
            assert answered(*GUEST, within_s=0.5) == []


@BOTH
def test_the_host_and_its_guests_meet_as_before(switch: Switch) -> None:
    switches.create(switch)
    nft.create(isolation(switch))
    with attached("a", GUEST) as a:
        assert answered(*GUEST) == sorted(GUEST)
        with a.entered():
            assert answered(*HOST) == sorted(HOST)


def test_what_a_bridge_reflects_is_not_forwarded_by_the_host() -> None:
    switches.create(HAIRPIN)
    nft.create(isolation(HAIRPIN))
    with attached("a", GUEST) as a, attached("b", OTHER), a.entered():
        assert answered(*OTHER) == sorted(OTHER)


def test_guests_of_one_switch_do_not_meet_through_the_host_either() -> None:
    switches.create(PLAIN)
    with attached("a", GUEST, "private") as a, attached("b", OTHER, "private") as b:
        for there, other in ((a, OTHER), (b, GUEST)):
            with there.entered():
                four, six = other
                ip(f"route add {four}/32 via 10.77.0.1", f"route add {six}/128 via fd77::1")
        with a.entered():
            assert answered(*OTHER) == sorted(OTHER)  # the control
        nft.create(isolation(PLAIN))
        with a.entered():
            assert answered(*OTHER, within_s=0.5) == []


@pytest.fixture
def listening() -> Iterator[dict[str, int]]:
    """The host answers on some ports of all its addresses."""
    with ExitStack() as stack:
        ports = {"dns": 53, "ssh": 2222}
        for port in ports.values():
            server = stack.enter_context(socket(AF_INET, SOCK_STREAM))
            server.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
            server.bind(("", port))
            server.listen()
        yield ports


def connects(address: str, port: int) -> bool:
    try:
        with create_connection((address, port), timeout=0.4):
            return True
    except TimeoutError:
        return False


@pytest.mark.parametrize("nat", [True, False], ids=["nat", "isolated"])
@pytest.mark.parametrize("services", [None, (), ("dhcp", "dns")], ids=["open", "closed", "served"])
def test_a_host_is_closed_to_guests_but_for_what_is_listed(
    listening: dict[str, int],
    nat: bool,  # noqa: FBT001
    services: tuple[str, ...] | None,
) -> None:
    switches.create(PLAIN)
    where = "lab", "lan", PLAIN.host_side
    subnets = [ip_network("10.77.0.0/24")]
    made = (
        nftables.nat(*where, subnets, (4, 6), services)
        if nat
        else nftables.isolation(*where, services)
    )
    nft.create(made)
    assert observed() == [made]
    with attached("a", GUEST) as a:
        assert answered(*GUEST) == sorted(GUEST)  # what the host asks is answered
        with a.entered():
            assert answered(*HOST) == sorted(HOST)
            for address in (HOST[0], "10.0.0.1"):  # on the LAN, too
                found = {name: connects(address, port) for name, port in listening.items()}
                is_open = services is None
                assert found == {"dns": is_open or "dns" in (services or ()), "ssh": is_open}
    nft.delete(made)


@pytest.mark.parametrize("routed", [(), (4, 6)], ids=["no router before", "a router before"])
def test_nat_makes_the_host_a_router_for_its_own_switch_alone(
    machine: Namespace, routed: tuple[int, ...]
) -> None:
    switches.create(PLAIN)
    with far_namespace() as dmz:
        ip(
            f"link add dmz0 type veth peer name dmz1 netns {dmz.path}",
            "link set dmz0 up",
            "addr add 10.5.0.1/24 dev dmz0",
        )
        with dmz.entered():
            ip("link set dmz1 up", "addr add 10.5.0.2/24 dev dmz1")
            ip("route add default via 10.5.0.1")
        with machine.entered():
            ip("route add 10.5.0.0/24 via 10.0.0.1")
            assert answered("10.5.0.2") == ["10.5.0.2"]  # the control: it forwards
        subnets = [ip_network("10.77.0.0/24"), ip_network("fd77::/64")]
        nft.create(nftables.nat("lab", "lan", PLAIN.host_side, subnets, routed))
        with machine.entered():
            assert answered("10.5.0.2", within_s=0.5) == (["10.5.0.2"] if routed else [])
        with attached("a", GUEST) as a, a.entered():
            assert answered("10.5.0.2", MACHINE[0]) == [MACHINE[0], "10.5.0.2"]


def test_an_isolation_is_read_back_as_it_was_made() -> None:
    made = isolation(PLAIN)
    nft.create(made)
    assert observed() == [made]
    nft.delete(made)
    assert observed() == []


def test_a_switch_that_gets_nat_and_loses_it_again_is_never_without_its_table() -> None:
    Path("/proc/sys/net/ipv4/ip_forward").write_text("0")
    apart = isolation(PLAIN)
    out = nftables.nat("lab", "lan", PLAIN.host_side, [ip_network("10.77.0.0/24")])
    nft.create(apart)
    for rules, forwards in ((out, 1), (apart, 0)):
        nft.update(rules)
        assert observed() == [rules]
        assert forwarding.value(4) == forwards
    assert forwarding.value(6) == 1  # somebody else's
