import time
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

import pytest

from provisioner.errors import VmnetError
from provisioner.host.probe import neighbours
from tests.host_tools.namespace import Namespace, ip
from tests.host_tools.veth_peer import ABSENT, FOUR, SIX

if TYPE_CHECKING:
    from provisioner.plan.ip import Address


@pytest.fixture
def addressed(guest: Namespace) -> Namespace:
    ip("addr add 10.0.0.1/24 dev near", "addr add fd00::1/64 dev near nodad")
    return guest


@pytest.mark.usefixtures("addressed")
@pytest.mark.parametrize("device", ["near", None])
def test_a_ping_gives_the_round_trip_of_both_families(device: str | None) -> None:
    times = neighbours.ping([FOUR, SIX, FOUR], device=device, deadline_s=5)
    assert (set(times), all(0 < seconds < 1 for seconds in times.values())) == ({FOUR, SIX}, True)


@pytest.mark.usefixtures("addressed")
@pytest.mark.parametrize(("device", "scope"), [("near", ""), (None, "%near")])
def test_a_ping_reaches_a_link_local_address(device: str | None, scope: str) -> None:
    ip("addr add fe80::1/64 dev near nodad")
    target = IPv6Address(f"fe80::ff:fe00:2{scope}")
    assert list(neighbours.ping([target], device=device, deadline_s=5, tries=20)) == [target]


@pytest.mark.usefixtures("addressed")
def test_what_cannot_be_reached_costs_the_deadline_and_is_absent() -> None:
    start = time.monotonic()
    outside = IPv4Address("192.0.2.1")
    times = neighbours.ping([FOUR, ABSENT, outside, IPv6Address("2001:db8::1")], deadline_s=0.2)
    assert (list(times), 0.2 <= time.monotonic() - start < 2) == ([FOUR], True)


@pytest.mark.usefixtures("addressed")
def test_what_is_reached_ends_early_among_many_tries() -> None:
    start = time.monotonic()
    neighbours.ping([FOUR, SIX], deadline_s=60, tries=100)
    assert time.monotonic() - start < 5


def test_pings_at_the_same_time_do_not_mix(addressed: Namespace) -> None:
    with addressed.entered():
        ip(*(f"addr add 10.0.0.{i}/24 dev far" for i in range(100, 150)))
    many = [IPv4Address("10.0.0.100") + i for i in range(50)]
    assert set(neighbours.ping(many, device="near", deadline_s=10)) == set(many)


@pytest.mark.usefixtures("addressed")
def test_a_group_is_not_a_machine_that_answers() -> None:
    groups: list[Address] = [IPv4Address("10.0.0.255"), IPv6Address("ff02::1")]
    assert neighbours.ping(groups, device="near", deadline_s=0.1) == {}


def test_a_link_local_ping_without_a_device_is_refused() -> None:
    with pytest.raises(VmnetError, match="fe80::1 is a link-local address"):
        neighbours.ping([IPv6Address("fe80::1")], deadline_s=1)


@pytest.mark.usefixtures("namespace")
def test_a_ping_through_a_missing_device_is_told() -> None:
    with pytest.raises(VmnetError, match="there is no device nope"):
        neighbours.ping([FOUR], device="nope", deadline_s=1)
