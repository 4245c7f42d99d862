"""Guests on a card of the host that the host itself must reach."""

from collections.abc import Iterator

import pytest

from vm.lab import Lab
from vm.wire import Card, card

PLAN = """\
networks:
  lan:
    uplink: {card}
    subnet: [10.90.0.0/24, "fd90::/64"]
    host_access: [10.90.0.11, "fd90::11"]
vms: {{a: {{nics: [lan]}}, b: {{nics: [lan]}}}}
"""


@pytest.fixture
def wire(lab: Lab) -> Iterator[Card]:
    ends = ("10.90.0.254/24", "fd90::254/64")
    with card(lab, *ends, host=("10.90.0.1/24", "fd90::1/64")) as made:
        yield made


def test_the_host_is_a_neighbour_with_an_address_of_its_own(lab: Lab, wire: Card) -> None:
    plan = lab.plan(PLAN.format(card=wire.name))
    with lab.settled():
        report = lab.vmnet("up", plan, "--json").report
        seen = {(r["from"], r["to"], ":" in r["address"]) for r in report["results"]}
        ends = ("a", "b", "host")
        assert seen == {(x, y, six) for x in ends for y in ends if x != y for six in (False, True)}
        assert {(r["expected"], r["observed"]) for r in report["results"]} == {
            ("reaches", "reaches")
        }
        assert {r["address"] for r in report["results"] if r["to"] == "host"} == {
            "10.90.0.11",
            "fd90::11",
        }
        assert "\nnothing to do\n" in lab.vmnet("up", plan).stderr
        answers = wire.outside("arping", "-b", "-c", "3", "-w", "3", "-I", "sw", "10.90.0.1")
        assert len({word for word in answers.split() if word.startswith("[")}) == 1
        lab.vmnet("down", plan)


def test_a_machine_on_the_lan_that_has_an_address_already_is_named(lab: Lab, wire: Card) -> None:
    text = PLAN.format(card=wire.name).replace(
        "a: {nics: [lan]}", "a: {nics: [{network: lan, address: 10.90.0.254}]}"
    )
    with lab.settled():
        refused = lab.vmnet("up", lab.plan(text), status=3)
        assert f"the address 10.90.0.254 is taken: {wire.mac()} answers for it" in refused.stderr
