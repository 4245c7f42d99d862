from ipaddress import ip_address

from provisioner.network.facts import Link
from provisioner.preflight.conflicts import held_by_host
from tests.builders.addresses import interfaces


def link(name: str, *addresses: str) -> Link:
    mac = "02:00:00:00:00:01"
    return Link(
        name,
        7,
        "",
        mac,
        1500,
        ethernet=True,
        up=True,
        carrier=True,
        addresses=interfaces(*addresses),
    )


def test_an_address_that_the_host_has_on_any_device_is_taken() -> None:
    near, other = link("near", "10.0.0.1/24"), link("other", "10.9.0.1/16", "fd00::9/64")
    wanted = [ip_address(x) for x in ("10.0.0.1", "10.0.0.2", "fd00:0::9", "10.9.0.1")]
    assert held_by_host([near, other, link("bare")], wanted) == {
        ip_address("10.0.0.1"): near,
        ip_address("fd00::9"): other,
        ip_address("10.9.0.1"): other,
    }
