"""Losses on a real wire, as a guest's pings count them; this host's shell is the guest."""

import subprocess
from collections.abc import Iterator

import pytest

from provisioner.check.loss import Loss, PingCount
from tests.host.test_guest_probes import Shell
from tests.host_tools.namespace import Namespace, ip
from tests.host_tools.veth_peer import FOUR, SIX

MANY = PingCount(60, 100)


@pytest.fixture(autouse=True)
def addressed(guest: Namespace) -> Namespace:
    ip("addr add 10.0.0.1/24 dev near", "addr add fd00::1/64 dev near nodad")
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
