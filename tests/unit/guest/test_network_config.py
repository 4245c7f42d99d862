"""Two network-configs compared: what a running guest has to be told."""

import json

import pytest

from provisioner.guest.network_config import changed_mtus, changed_nics, difference, without

A, B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"


def config(**mtus: int | None) -> str:
    """Return a network-config of NICs by the last letter of their MACs, some with an MTU."""
    nics = {
        f"nic{letter}": {
            "match": {"macaddress": f"02:00:00:00:00:0{letter}"},
            "dhcp4": False,
            **({"mtu": mtu} if mtu else {}),
        }
        for letter, mtu in mtus.items()
    }
    return json.dumps({"version": 2, "ethernets": nics})


def test_a_changed_mtu_is_named_by_its_nic() -> None:
    before, now = config(a=None, b=None), config(a=1400, b=None)
    assert changed_mtus(before, now) == {A}
    assert difference(now, before) == f"its NIC {A} has to be told its MTU, 1400"
    back = difference(before, now)
    assert back == f"its NIC {A} has to be told its MTU, as it was at first"


@pytest.mark.parametrize("before", ["", config(b=None), config(a=None).replace("false", "true")])
def test_what_more_has_changed_is_not_called_an_mtu(before: str) -> None:
    now = config(a=1400, b=None)
    assert A in changed_nics(before, now)
    assert difference(now, before) == "network configuration has changed"


def test_a_nic_that_is_plugged_in_anew_is_to_be_configured_anew() -> None:
    both = config(a=None, b=1400)
    assert changed_nics(without(both, {B}), both).keys() == {B}
    assert without(both, {"02:00:00:00:00:0c"}) == both
    assert without("", {A}) == ""
