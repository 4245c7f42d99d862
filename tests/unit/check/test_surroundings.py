"""What is wrong around the cells, with what it rests on; nothing is told of when all is well."""

from dataclasses import replace

import pytest

from provisioner.check.evidence import Endpoint, Uplink
from provisioner.check.result import Finding
from provisioner.check.surroundings import of_links
from provisioner.plan.choices import Mode

NIC0 = Uplink("nic0", mtu=1500)
A = Endpoint("a", 1, "mvta", "02:00:00:00:00:0a", mode="bridge", wanted_mode=Mode.BRIDGE)


def test_links_that_are_as_they_should_be_are_not_told_of() -> None:
    assert list(of_links([NIC0], [A], [])) == []


@pytest.mark.parametrize(
    ("uplink", "what", "seen"),
    [
        (Uplink("nic0", exists=False), "is not there", "not there"),
        (Uplink("nic0", up=False, carrier=False), "is down", "down, no carrier"),
        (Uplink("nic0", carrier=False), "has no carrier: ", "up, no carrier"),
    ],
)
def test_an_uplink_that_carries_nothing_is_told_of(uplink: Uplink, what: str, seen: str) -> None:
    (found,) = of_links([uplink], [], [])
    assert found.what.startswith(f"the uplink nic0 {what}")
    assert (found.evidence, found.about) == ((f"uplink nic0: {seen}",), "nic0")


def test_a_macvtap_that_is_down_is_told_of_unless_somebody_has() -> None:
    down = replace(A, up=False)
    (found,) = of_links([NIC0], [down], [Finding("the macvtap mvtb of b is down", "")])
    assert (found.what, found.about) == ("the macvtap mvta of a is down", "a")
    assert found.evidence == ("macvtap of a: mvta, mode bridge, down",)
    told = Finding("the host is not as the plan says; vmnet up would update macvtap mvta", "")
    assert list(of_links([NIC0], [down], [told])) == []


def test_an_impaired_link_is_told_of_with_the_command_that_clears_it() -> None:
    (found,) = of_links([NIC0], [replace(A, impaired="loss 30%")], [])
    assert found == Finding(
        "the link of a is impaired: loss 30%, set by vmnet link",
        "take it away: vmnet link a.1 --clear",
        ("mvta: loss 30%",),
        "a",
    )
