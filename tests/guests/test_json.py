"""What each command writes with --json about a plan that is up, held to its schema."""

from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.builders.documents import valid
from tests.framework.lab import Lab
from tests.framework.plan import PlanUp

PLAN = """\
networks:
  lan: {switch: true, subnet: [10.77.0.0/24, "fd77::/64"]}
  dmz: {switch: true, subnet: 10.78.0.0/24, mode: private}
vms:
  a: {nics: [lan, dmz], disks: [64M]}
"""


def document(plan: PlanUp, words: str, *more: str | Path, status: int = 0) -> Any:  # noqa: ANN401
    """Run a command with --json; return what it has written, which its schema takes."""
    report = plan.lab.vmnet(*words.split(), *more, "--json", status=status).report
    return valid(report, "report" if words == "plan" else words)


def test_a_report_has_the_vms_with_their_nics_the_networks_and_the_images(plan_up: PlanUp) -> None:
    told = document(plan_up, "status", plan_up.path, "--wide")
    (vm,) = told["vms"]
    names = {index: name for name, index in plan_up.taps.items()}
    seen = [
        (nic["name"], nic["network"], nic["mode"], nic["device"], nic["addresses"][0][:6])
        for nic in vm["nics"]
    ]
    assert seen == [
        ("a.lan", "lan", "bridge", names[int(vm["taps"][0].removeprefix("/dev/tap"))], "10.77."),
        ("a.dmz", "dmz", "private", names[int(vm["taps"][1].removeprefix("/dev/tap"))], "10.78."),
    ]
    assert [nic["tap"] for nic in vm["nics"]] == vm["taps"]
    assert sorted(nic["mac"] for nic in vm["nics"]) == sorted(
        nic["mac"] for nic in vm["guest"]["nics"]
    )
    assert [
        (one["name"], one["kind"], one["mode"], one["subnets"]) for one in told["networks"]
    ] == [
        ("lan", "switch", "bridge", ["10.77.0.0/24", "fd77::/64"]),
        ("dmz", "switch", "private", ["10.78.0.0/24"]),
    ]
    assert (vm["image"], told["images"]) == (
        "micro",
        [{"name": "micro", "disk": None, "vms": ["a"]}],
    )


def test_a_plan_without_its_file_has_the_nics_that_are_there(plan_up: PlanUp) -> None:
    told = document(plan_up, "status", "--name", plan_up.path.stem)
    (vm,) = told["vms"]
    by_file = document(plan_up, "status", plan_up.path)["vms"][0]["nics"]
    seen = [
        (nic["device"], nic["mac"], nic["mode"], nic["uplink"], nic["tap"]) for nic in vm["nics"]
    ]
    assert seen == [
        (nic["device"], nic["mac"], nic["mode"], nic["uplink"], nic["tap"]) for nic in by_file
    ]
    assert (told["networks"], [nic["name"] for nic in vm["nics"]]) == ([], ["a.0", "a.1"])


def test_steps_say_what_is_done_to_what_and_why(plan_up: PlanUp) -> None:
    told = document(plan_up, "plan", plan_up.path, "--set", "networks.dmz.mode=bridge")
    (step,) = told["steps"]
    device = next(nic for nic in told["vms"][0]["nics"] if nic["network"] == "dmz")["device"]
    assert step == {
        "action": "update",
        "kind": "macvtap",
        "name": device,
        "vm": "a",
        "cause": "mode is private, want bridge",
        "state": "to do",
        "line": 0,
    }
    assert told["to_do"] == ["update macvtap a.dmz: mode is private, want bridge"]


def test_what_an_up_has_done_is_told_step_by_step(plan_up: PlanUp) -> None:
    told = valid(plan_up.report, "up")
    kinds = {(step["action"], step["kind"], step["vm"], step["state"]) for step in told["steps"]}
    assert kinds >= {
        ("create", "switch", None, "done"),
        ("create", "macvtap", "a", "done"),
        ("create", "guard", "a", "done"),
        ("create", "disk", "a", "done"),
        ("create", "domain", "a", "done"),
    }
    assert len(told["steps"]) == len(told["done"])


def test_what_is_done_to_guests_is_a_report(plan_restored: PlanUp, tmp_path: Path) -> None:
    named = ("-f", plan_restored.path)
    metrics = tmp_path / "lab.prom"
    told = document(plan_restored, "check", *named, "--prom", metrics)
    (found,) = (
        one
        for one in text_string_to_metric_families(metrics.read_text())
        if one.name == "vmnet_check_as_expected"
    )
    ends = {(one.labels["source"], one.labels["target"]): one.value for one in found.samples}
    assert ends == {(one["from"], one["to"]): 1.0 for one in told["results"]}
    assert ([*tmp_path.iterdir()], metrics.stat().st_mode & 0o777) == ([metrics], 0o644)
    for words in (("pause",), ("resume",), ("stop", "--now"), ("start",)):
        told = document(plan_restored, words[0], *named, *words[1:])
        assert (told["command"], told["status"]) == (words[0], 0)
    told = document(plan_restored, "restart", *named, "--now")
    assert ("create", "domain", "a", "done") in {
        (step["action"], step["kind"], step["vm"], step["state"]) for step in told["steps"]
    }


def test_what_is_asked_of_the_plan_and_of_the_host_has_its_schema(plan_up: PlanUp) -> None:
    nics = document(plan_up, "ip", "-f", plan_up.path)["nics"]
    assert [nic["network"] for nic in nics] == ["lan", "dmz"]
    way = document(plan_up, "explain", "a", "host", "-f", plan_up.path)
    assert (way["command"], way["source"], way["there"][0]["passes"]) == ("explain", "a", True)
    assert plan_up.path.stem in {one["name"] for one in document(plan_up, "ls")["plans"]}
    assert plan_up.path.stem in {one["plan"] for one in document(plan_up, "gc")["left"]}


def test_snapshots_have_their_schemas(plan_restored: PlanUp) -> None:
    named = ("-f", plan_restored.path)
    saved = document(plan_restored, "snapshot save", "one", *named)["snapshot"]
    assert document(plan_restored, "snapshot ls", *named)["snapshots"] == [saved]
    told = document(plan_restored, "snapshot restore", "one", *named, "--yes")
    assert ("create", "domain", "a") in {
        (step["action"], step["kind"], step["vm"]) for step in told["steps"]
    }
    plan_restored.lab.vmnet("snapshot", "rm", "one", *named, "--yes")


def test_a_down_that_finds_nothing_has_no_steps(lab: Lab) -> None:
    told = lab.vmnet("down", lab.plan(PLAN), "--json").report
    assert (valid(told, "down")["steps"], told["summary"]) == ([], "nothing to do")
