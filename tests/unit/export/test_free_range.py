"""Addresses for machines beside the guests: none that a guest has or may get."""

import re
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.errors import VmnetError
from provisioner.export.free_range import FreeRange, free_ranges
from provisioner.network.addressing import assign
from provisioner.network.frames import link_local
from provisioner.plan.load.loader import load
from provisioner.plan.model import Plan

TEXT = """\
name: lab
networks:
  lan: {{uplink: nic0, subnet: [10.0.0.0/24, "fd00:1::/64"], gateway: 10.0.0.254, {more}}}
vms:
  a: {{count: 3, nics: [lan]}}
hosts: {{nas: 10.0.0.9}}
"""


def plan(more: str = "pool: 10.0.0.100-10.0.0.120") -> Plan:
    return load(TEXT.format(more=more), "p").plan


def found(of: Plan, *others: str, wanted: tuple[str, ...] = ()) -> list[FreeRange]:
    addresses = map(ip_address, others)
    return free_ranges(of, assign(of), of.network("lan"), addresses, map(ip_network, wanted))


@given(st.integers(2, 250), st.integers(0, 100), st.integers(1, 254))
def test_no_free_range_meets_the_pool_the_gateway_or_another_address(
    first: int, size: int, other: int
) -> None:
    last = max(min(first + size, 253), min(first + 2, 253))
    first = min(first, last - 2)
    of = plan(f"pool: 10.0.0.{first}-10.0.0.{last}")
    four, six = found(of, f"10.0.0.{other}")
    taken = {*range(first, last + 1), 254, 9, other, 0, 255}
    assert not taken & {int(one) & 255 for one in four.range}
    assert four.range.subnet_of(four.subnet)  # type: ignore[arg-type]
    guests = [one.ip for nic in assign(of).values() for one in nic.addresses]
    assert not any(one in four.range or one in six.range for one in guests)


def test_the_largest_block_is_taken_and_the_gateway_is_told() -> None:
    four, six = found(plan())
    assert (str(four.range), str(four.gateway)) == ("10.0.0.128/26", "10.0.0.254")
    assert (str(six.range), six.gateway) == ("fd00:1:0:0:8000::/66", None)
    assert [str(one) for one in four.ends] == ["10.0.0.128", "10.0.0.191"]


def test_guests_that_make_themselves_addresses_have_them_alone() -> None:
    of = plan("addressing: dhcp")
    macs = [nic.mac for nic in assign(of).values()]
    (mac, *_) = macs
    own = ip_address(int(ip_address("fd00:1::")) | int(link_local(mac)) & (1 << 64) - 1)
    with pytest.raises(VmnetError, match="which is taken or for guests"):
        found(of, wanted=("10.0.0.192/27", f"{own}/128"))
    assert [str(one.range) for one in found(of, wanted=("10.0.0.192/27", "fd00:1:0:0:1::/80"))] == [
        "10.0.0.192/27",
        "fd00:1:0:0:1::/80",
    ]


@pytest.mark.parametrize(
    ("more", "wanted", "what"),
    [
        ("mtu: 1400", (), "guests may get any address of 10.0.0.0/24"),
        ("mtu: 1400", ("10.0.0.64/28",), "--range 10.0.0.64/28 meets 10.0.0.1-10.0.0.254"),
        ("pool: 10.0.0.100-10.0.0.120", ("10.0.0.96/28",), "meets 10.0.0.100-10.0.0.120"),
        ("pool: 10.0.0.100-10.0.0.120", ("10.0.0.0/29", "10.9.0.0/24"), "10.9.0.0/24 lies in no"),
        ("pool: 10.0.0.100-10.0.0.120", ("10.0.0.8/30",), "meets 10.0.0.9-10.0.0.9"),
    ],
)
def test_what_is_not_free_is_refused(more: str, wanted: tuple[str, ...], what: str) -> None:
    with pytest.raises(VmnetError, match=re.escape(what)):
        found(plan(more), wanted=wanted)
