"""Guests that start after others: each step waits for those before it, and says so."""

from provisioner.guest.boot import New
from provisioner.guest.domain import Domain, Image
from provisioner.network.addressing import assign
from provisioner.network.facts import Chosen, Facts
from provisioner.plan.load.loader import load
from provisioner.reconcile.desired import desired
from provisioner.reconcile.diff import Step, Verb, diff
from provisioner.reconcile.start_order import awaited_by, ordered, with_those_before

PLAN = load(
    """\
name: lab
networks: {lan: {switch: true, subnet: 10.9.0.0/24}}
vms:
  web: {nics: [lan], after: [router, db]}
  db: {nics: [lan], after: router}
  router: {nics: [lan]}
  other: {nics: [lan]}
""",
    "p",
).plan
IMAGES = {vm.name: Image("/k", "/i") for vm in PLAN.vms}
WANTED = desired(PLAN, assign(PLAN), Facts(home="/s"), New(IMAGES, Chosen("tcg", "")))


def starts(*running: str) -> dict[str, Step]:
    """Return the steps that start guests where some of them run already, by VM."""
    there = {k: r for k, r in WANTED.items() if not isinstance(r, Domain) or r.vm in running}
    steps = ordered(diff(WANTED, there), PLAN)
    return {step.resource.vm: step for step in steps if isinstance(step.resource, Domain)}


def awaited(step: Step) -> set[str]:
    return {name for verb, (kind, name) in step.after if kind == "domain" and verb is Verb.CREATE}


def test_a_guest_is_created_after_those_that_it_starts_after() -> None:
    found = starts()
    assert {vm: awaited(step) for vm, step in found.items()} == {
        "web": {"lab-router", "lab-db"},
        "db": {"lab-router"},
        "router": set(),
        "other": set(),
    }
    assert str(found["web"]) == "create domain lab-web: missing, when router and db are ready"
    assert str(found["db"]) == "create domain lab-db: missing, when router is ready"
    assert str(found["other"]) == "create domain lab-other: missing"


def test_what_runs_already_is_no_step_and_is_still_waited_for() -> None:
    found = starts("router", "other")
    assert awaited(found["web"]) == {"lab-db"}
    assert str(found["db"]) == "create domain lab-db: missing, when router is ready"
    assert {vm: awaited_by(step, PLAN) for vm, step in found.items()} == {"web": "web", "db": "db"}
    assert awaited_by(starts()["router"], PLAN) == ""


def test_a_part_of_a_plan_has_all_that_it_starts_after() -> None:
    assert with_those_before(PLAN, ["web"]) == {"web", "db", "router"}
    assert with_those_before(PLAN, ["other"]) == {"other"}
