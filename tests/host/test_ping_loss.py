"""Losses and sizes on a real wire, as pings tell them; this host's shell is the guest's."""

import subprocess
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from provisioner.check.loss import Loss, PingCount
from provisioner.host.probe import neighbours, ssh_ping
from provisioner.plan.ip import Address
from provisioner.template_files import template
from tests.host.test_guest_probes import Shell
from tests.host_tools.namespace import Namespace, ip
from tests.host_tools.veth_peer import ABSENT, FOUR, SIX

NEAR = ip_address("10.0.0.1")
MANY = PingCount(60, 100)


@pytest.fixture(autouse=True)
def addressed(guest: Namespace) -> Namespace:
    ip("link set lo up", "addr add 10.0.0.1/24 dev near", "addr add fd00::1/64 dev near nodad")
    return guest


@pytest.fixture
def drops(request: pytest.FixtureRequest) -> Iterator[None]:
    """A rule that drops some of what comes in on this side of the wire."""
    hook = "type filter hook ingress device near priority 0"
    rule = f"table netdev bad {{ chain in {{ {hook}; {request.param} drop; }}; }}"
    subprocess.run(["nft", "-f", "-"], input=rule, text=True, check=True)
    yield
    subprocess.run(["nft", "delete", "table", "netdev", "bad"], check=True)


def test_nothing_is_lost_on_a_wire_that_is_well() -> None:
    found = Shell().ping({FOUR: 1, SIX: 1}, {FOUR: 1500}, None, {FOUR: MANY, SIX: MANY})
    assert {a: (ping.size, ping.loss) for a, ping in found.items()} == {
        FOUR: (1500, Loss(60, 0)),
        SIX: (104, Loss(60, 0)),
    }


@pytest.mark.parametrize("drops", ["meta protocol ip numgen random mod 100 < 30"], indirect=True)
@pytest.mark.usefixtures("drops")
def test_losses_are_counted_where_some_are_lost() -> None:
    found = Shell().ping({FOUR: 4, SIX: 4}, {FOUR: 1500}, None, {FOUR: MANY, SIX: MANY})
    assert 85 <= found[FOUR].loss.sent <= 100
    assert 0.1 < found[FOUR].loss.share < 0.6
    assert found[SIX].loss == Loss(60, 0)


@pytest.mark.parametrize("drops", ["meta protocol ip meta length > 600"], indirect=True)
@pytest.mark.usefixtures("drops")
def test_what_is_too_large_is_no_loss() -> None:
    found = Shell().ping({FOUR: 4}, {FOUR: 1500}, None, {FOUR: PingCount(3, 20)})
    assert (found[FOUR].size, found[FOUR].loss) == (84, Loss(20, 0))


@pytest.mark.parametrize("drops", ["meta protocol ip meta length < 600"], indirect=True)
@pytest.mark.usefixtures("drops")
def test_small_packets_go_to_what_is_outside_too() -> None:
    outside = PingCount(3, 20, outside=True)
    found = Shell().ping({FOUR: 2, SIX: 2}, {FOUR: 1500, SIX: 1500}, None, {FOUR: outside})
    assert (found[FOUR].size, found[FOUR].loss, found[FOUR].vanished) == (1500, Loss(20, 0), 84)
    assert found[SIX].vanished == 0


@pytest.mark.parametrize("drops", ["meta protocol ip meta length > 600"], indirect=True)
@pytest.mark.usefixtures("drops")
def test_the_host_sends_packets_of_a_size() -> None:
    sizes: dict[Address, int] = {FOUR: 601, SIX: 1500}
    assert neighbours.ping(sizes, device="near", deadline_s=0.3, sizes=sizes).keys() == {SIX}
    sizes[FOUR] = 600
    found = neighbours.ping(sizes, device="near", deadline_s=5, sizes=sizes)
    assert found.keys() == {FOUR, SIX}


@pytest.mark.parametrize("drops", ["meta protocol ip meta length > 600"], indirect=True)
@pytest.mark.usefixtures("drops")
def test_a_machine_sends_small_packets_where_large_ones_are_not_answered() -> None:
    words = [f"{FOUR}/1/572", f"{SIX}/1/1452", "10.0.0.1/1/56"]
    assert machine(*words) == {FOUR: 600, SIX: 1500, NEAR: 84}
    assert machine(f"{FOUR}/2/573", f"{ABSENT}/1/573") == {FOUR: 84, ABSENT: 0}


def machine(*words: str) -> dict[Address, int]:
    """Return the size of the largest packets that came through to each address, 0 for none."""
    argv = ["sh", "-s", "--", *words]
    ran = subprocess.run(
        argv, input=template("ssh-ping.sh"), capture_output=True, text=True, check=True
    )
    asked = {ip_address(word.partition("/")[0]): 9 for word in words}
    return {a: probed.largest for a, probed in ssh_ping.answers(ran.stdout, asked).items()}
