"""Ways into the guests of a large plan: the work grows with the pairs of guests at most.

Work is counted in calls of functions: a clock would measure the machine and its load.
"""

from collections.abc import Callable

import pytest

from provisioner.network.addressing import assign
from provisioner.network.facts import Facts
from provisioner.plan.checks import HOST
from provisioner.plan.load.loader import load
from provisioner.plan.model import Plan
from provisioner.reachability import explain
from provisioner.reachability.ssh_route import Routes
from tests.builders.call_count import calls

NEITHER = """\
name: lab
networks: {lan: {uplink: nic0, mode: bridge, subnet: 10.0.0.0/16}}
vms: {web: {count: %d, nics: [lan]}}
"""
"""The host's own NIC: it reaches no guest, so for each one a guest to go through is looked for."""
HALF = """\
name: lab
networks:
  lan: {uplink: nic0, mode: private, subnet: 10.0.0.0/16}
  own: {switch: true, subnet: 10.1.0.0/16}
vms: {web: {count: %d, nics: [lan]}, near: {count: %d, nics: [own]}}
"""
"""The host reaches half of the guests, and none of them reaches one of the other half."""


def routes(plan: Plan) -> Routes:
    return Routes(plan, assign(plan), Facts())


def all_ways_in(plan: Plan) -> None:
    """Ask what `vmnet export ssh-config` asks, for each guest."""
    found = routes(plan)
    for vm in plan.vms:
        if not any(way.sure for way in found.ways(vm.name)):
            assert not list(found.jumps(vm.name))
            assert "cannot reach" in found.no_way(vm.name, HOST).what


def one_way_in(plan: Plan) -> None:
    """Ask what `vmnet ssh` asks."""
    found = routes(plan)
    assert not any(way.sure for way in found.ways("web1"))
    assert "cannot reach" in found.no_way("web1", HOST).what


def explained(plan: Plan) -> None:
    """Ask what `vmnet explain` asks."""
    found = explain.explain(plan, assign(plan), "web1", "web2")
    assert found.verdict in {"reaches", "must not reach"}


@pytest.mark.parametrize("text", [NEITHER, HALF], ids=["neither", "half"])
@pytest.mark.parametrize(
    ("work", "most"), [(all_ways_in, 4.2), (one_way_in, 2.2), (explained, 2.2)]
)
def test_twice_the_guests_are_no_more_than_twice_the_work_for_one_pair_and_four_times_for_all(
    text: str, work: Callable[[Plan], None], most: float
) -> None:
    few, many = (load(text.replace("%d", str(n)), "p").plan for n in (10, 20))
    work(few)  # imports and caches are not part of it
    assert calls(lambda: work(many)) <= most * calls(lambda: work(few))
