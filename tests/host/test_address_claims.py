"""Who holds an address: machines of the LAN, guests on the same uplink, nobody, or the guest."""

import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from provisioner import naming
from provisioner.errors import VmnetError
from provisioner.host.netlink import links
from provisioner.host.probe import address_claims, ingress_injector
from provisioner.host.probe.ingress_injector import SyntheticWire
from provisioner.host.probe.neighbours import Seen, watch
from provisioner.network.resources import LeftWire
from provisioner.network.standalone import device
from provisioner.plan.ip import Address
from provisioner.plan.mac import Mac
from provisioner.reconcile.resources import Look
from tests.host_tools.namespace import Namespace, far_namespace, ip
from tests.host_tools.veth_peer import ABSENT, FAR, FOUR, NEAR, OTHER, SIX, reacting

GUEST = Mac("02:00:00:00:00:0a")
HOUSE = Path(__file__).parents[2]


def owners(wanted: dict[Address, Mac], deadline_s: float) -> dict[Address, str]:
    """Who has addresses besides those that are to have them, when all could be asked."""
    found = address_claims.claims("near", wanted, deadline_s)
    assert not found.unreached
    return found.others({address: {mac} for address, mac in wanted.items()})


def asked(wire: SyntheticWire, targets: dict[Address, Mac], within_s: float) -> dict[Address, Seen]:
    return dict(watch(wire, targets, within_s))


def left() -> list[LeftWire]:
    """The wires that the next `up` or `down` would delete."""
    return ingress_injector.observe(Look("lab", links.every()))


@contextmanager
def guest_on_near(mode: str, *, tentative: bool = False) -> Iterator[Namespace]:
    """Another plan's guest on the uplink, with both addresses."""
    with far_namespace() as there:
        ip(
            f"link add link near name guest address {GUEST} type macvlan mode {mode}",
            f"link set dev guest netns {there.path}",
        )
        with there.entered():
            if tentative:
                Path("/proc/sys/net/ipv6/conf/guest/router_solicitation_delay").write_text("0")
            ip(
                "link set dev guest up",
                f"addr add {FOUR}/24 dev guest",
                f"addr add {SIX}/64 dev guest" + (" nodad" if not tentative else ""),
            )
        yield there


@pytest.fixture
def clean() -> Iterator[None]:
    """Whatever was asked, the devices are the same afterwards."""
    before = {x.name for x in links.every()}
    yield
    assert {x.name for x in links.every()} == before


@pytest.mark.usefixtures("guest", "clean")
def test_a_machine_of_the_lan_that_holds_an_address_is_named() -> None:
    assert owners({FOUR: OTHER, SIX: OTHER, ABSENT: OTHER}, 0.3) == {FOUR: FAR, SIX: FAR}


@pytest.mark.usefixtures("far", "clean")
def test_an_address_that_nobody_holds_is_free() -> None:
    assert owners({FOUR: OTHER, SIX: OTHER}, 0.3) == {}


@pytest.mark.usefixtures("guest", "clean")
def test_the_guest_itself_is_no_conflict() -> None:
    assert owners({FOUR: FAR, SIX: FAR}, 60) == {}


@pytest.mark.usefixtures("guest", "clean")
def test_a_rival_is_told_though_the_guest_itself_answers_too() -> None:
    with guest_on_near("private"):
        assert owners({FOUR: FAR, SIX: GUEST}, 0.3) == {FOUR: GUEST, SIX: FAR}


@pytest.mark.usefixtures("far", "clean")
@pytest.mark.parametrize("mode", ["private", "vepa", "bridge"])
def test_a_guest_of_another_plan_is_heard_in_every_mode(mode: str) -> None:
    with guest_on_near(mode):
        assert owners({FOUR: OTHER, SIX: OTHER}, 0.3) == {FOUR: GUEST, SIX: GUEST}


@pytest.mark.usefixtures("far")
def test_the_host_answers_for_its_own_addresses_only() -> None:
    ip(f"addr add {FOUR}/24 dev near", f"addr add {SIX}/64 dev near nodad")
    assert owners({FOUR: OTHER, SIX: OTHER, ABSENT: OTHER}, 0.3) == {FOUR: NEAR, SIX: NEAR}


def test_asking_stores_nothing_of_ipv4_at_the_machines_of_the_lan(guest: Namespace) -> None:
    ip("addr add 10.0.0.1/24 dev near")
    owners({FOUR: OTHER}, 0.1)
    with guest.entered():
        assert Path("/proc/thread-self/net/arp").read_text().splitlines()[1:] == []


def test_each_address_is_asked_for_several_times(far: Namespace) -> None:
    with reacting(far, lambda _request: []) as requests:
        owners({FOUR: OTHER}, 0.4)
        assert 3 <= len(requests) <= 5
        assert {request[28:32] for request in requests} == {bytes(4)}  # from 0.0.0.0


@pytest.mark.usefixtures("far")
def test_a_booting_guest_keeps_its_ipv6_address() -> None:
    with guest_on_near("private", tentative=True) as there:
        owners({SIX: OTHER}, 0.3)
        with there.entered():
            lines = Path("/proc/thread-self/net/if_inet6").read_text().splitlines()
    flags = [int(line.split()[4], 16) for line in lines if line.startswith("fd00")]
    assert [flag & 0x08 for flag in flags] == [0]  # IFA_F_DADFAILED


def test_nothing_wanted_asks_nobody() -> None:
    assert address_claims.claims("no such device", {}, 60) == address_claims.Claims({})


@pytest.mark.usefixtures("namespace")
def test_an_uplink_that_is_down_is_told() -> None:
    ip("link add near type veth peer name far")
    with pytest.raises(VmnetError, match="near is down"):
        owners({FOUR: OTHER}, 0.1)


@pytest.mark.usefixtures("far", "clean")
def test_a_synthetic_wire_reaches_guests_only() -> None:
    with guest_on_near("private"), SyntheticWire("near") as wire:
        seen = asked(wire, {FOUR: GUEST, SIX: GUEST, ABSENT: GUEST}, 0.2)
    assert {x: who.macs for x, who in seen.items()} == {FOUR: (GUEST,), SIX: (GUEST,)}


@pytest.mark.usefixtures("guest", "clean")
def test_a_synthetic_wire_does_not_hear_the_lan() -> None:
    with SyntheticWire("near") as wire:
        assert asked(wire, {FOUR: FAR, SIX: FAR}, 0.1) == {}


@pytest.mark.usefixtures("far", "clean")
@pytest.mark.parametrize(("allowed", "answering"), [(NEAR, {FOUR}), (OTHER, set())])
def test_a_guest_in_source_mode_answers_when_it_allows_the_uplink_s_mac(
    allowed: Mac, answering: set[Address]
) -> None:
    with far_namespace() as there:
        ip(
            f"link add link near name guest address {GUEST} type macvlan mode source",
            f"link set dev guest type macvlan macaddr add {allowed}",
            f"link set dev guest netns {there.path}",
        )
        with there.entered():
            ip("link set dev guest up", f"addr add {FOUR}/24 dev guest")
        with SyntheticWire("near") as wire:
            assert set(asked(wire, {FOUR: GUEST}, 0.2)) == answering


def killed_run() -> None:
    """Let another process make a wire and be killed."""
    program = textwrap.dedent("""
        import sys
        from provisioner.host.probe.ingress_injector import SyntheticWire
        wire = SyntheticWire("near")
        print("made", flush=True)
        sys.stdin.read()
    """)
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=HOUSE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"made\n"
        process.send_signal(signal.SIGKILL)
        process.wait(10)


@pytest.mark.usefixtures("far", "clean")
def test_what_a_killed_run_left_is_observed_and_deleted() -> None:
    killed_run()
    (wire,) = left()
    ingress_injector.delete(wire)
    ingress_injector.delete(wire)  # it has gone already
    assert left() == []


@pytest.mark.usefixtures("far")
def test_only_what_bears_the_group_and_the_name_of_a_wire_is_taken_for_one() -> None:
    wires, others = naming.WIRE_GROUP, (0, naming.NET_GROUP, naming.group("lab"))
    made = {f"mvx000000000{at}": group for at, group in enumerate((wires, *others))}
    made |= {"mvx-mine": wires, "mvl0000000009": wires}
    for at, (name, group) in enumerate(made.items()):
        ip(f"link add {name} type veth peer name peer{at}", f"link set {name} group {group}")
    assert left() == [LeftWire("mvx0000000000")]
    for name in made:
        ingress_injector.delete(LeftWire(name))
    assert set(made) - {x.name for x in links.every()} == {"mvx0000000000"}
    with SyntheticWire("near"):
        here = [x for x in links.every() if x.group == wires and naming.is_wire(x.name, x.kind)]
        assert len(here) == 2
        assert not any(device.is_ours(x) for x in links.every())


@pytest.mark.usefixtures("far", "clean")
def test_a_wire_that_is_in_use_is_left_alone() -> None:
    with SyntheticWire("near") as one, SyntheticWire("near"), guest_on_near("private"):
        ends = [x.name for x in links.every() if x.name.startswith("mvx")]
        assert (len(ends), left()) == (2, [])
        for name in ends:
            ingress_injector.delete(LeftWire(name))
        assert set(asked(one, {FOUR: GUEST}, 1)) == {FOUR}


@pytest.mark.usefixtures("guest", "clean")
def test_where_the_wire_cannot_be_made_the_lan_is_asked_and_the_reason_told() -> None:
    program = textwrap.dedent(f"""
        from ipaddress import ip_address
        from provisioner.host.probe.address_claims import claims
        found = claims("near", {{ip_address("{FOUR}"): "{OTHER}"}}, 0.1)
        print([*found.macs.values()], found.unreached)
    """)
    ran = subprocess.run(
        ["setpriv", "--bounding-set=-net_admin", sys.executable, "-c", program],
        cwd=HOUSE,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert ran.stdout == (
        f"[('{FAR}',)] making a wire into \"near\": the kernel says Operation not permitted\n"
    )
