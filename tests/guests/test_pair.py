"""Two guests on a switch: from nothing to up, all that can be asked meanwhile, and back."""

import re
from collections.abc import Iterator
from html import unescape
from itertools import permutations
from pathlib import Path

import pytest

from tests.framework.lab import PAIR, Lab, call, until
from tests.framework.plan import PlanUp, brought_up
from tests.framework.running import PATIENCE_S, Ran
from tests.framework.terminal import joined

PLAN = PAIR


def test_up_measures_both_families_in_all_directions(plan_up: PlanUp) -> None:
    seen = {
        (r["from"], r["to"], ":" in r["address"], r["observed"], r["as_expected"])
        for r in plan_up.report["results"]
    }
    assert seen == {
        (source, target, six, "reaches", True)
        for source, target in permutations(("a", "b", "host"), 2)
        for six in (False, True)
    }


def test_up_says_what_it_has_made(plan_up: PlanUp) -> None:
    first, name = plan_up.report, plan_up.path.stem
    vms = {vm["name"]: (vm["state"], vm["pid"], *vm["taps"]) for vm in first["vms"]}
    assert set(vms) == {"a", "b"}
    assert {vms[vm][:2] for vm in vms} == {("running", plan_up.qemus[f"{name}-{vm}"]) for vm in vms}
    assert {vms[vm][2] for vm in vms} == {f"/dev/tap{index}" for index in plan_up.taps.values()}
    assert (first["status"], first["to_do"], first["failed"]) == (0, [], [])


def test_a_second_up_does_nothing(plan_up: PlanUp) -> None:
    ran = plan_up.up()
    assert "\nnothing to do\n" in ran.stderr
    assert f"{plan_up.path.stem}: all 12 measurements are as expected" in ran.stdout
    assert plan_up.as_at_first


@pytest.mark.parametrize("command", ["status", "plan"])
def test_nothing_is_left_to_do(plan_up: PlanUp, command: str) -> None:
    report = plan_up.lab.vmnet(command, plan_up.path, "--json").report
    assert (report["to_do"], report["vms"]) == ([], plan_up.report["vms"])


def test_status_needs_no_file(plan_up: PlanUp) -> None:
    report = plan_up.lab.vmnet("status", "--name", plan_up.path.stem, "--json").report
    assert [(vm["name"], vm["state"]) for vm in report["vms"]] == [
        ("a", "running"),
        ("b", "running"),
    ]


def test_check_measures_again(plan_up: PlanUp) -> None:
    report = plan_up.check()
    assert (report["done"], report["summary"]) == ([], "all 12 measurements are as expected")


def test_a_program_runs_inside_a_guest(plan_up: PlanUp) -> None:
    assert plan_up.run("exec", "b", "--", "hostname").stdout == "b\n"


def test_its_output_and_its_status_are_passed_through(plan_up: PlanUp) -> None:
    ran = plan_up.run("exec", "a", "--", "sh", "-c", "echo out; echo err >&2; exit 7", status=7)
    assert (ran.stdout, ran.stderr) == ("out\n", "err\n")


def test_logs_show_what_a_guest_has_said(plan_up: PlanUp) -> None:
    assert "vmnet: ready" in plan_up.run("logs", "a").stdout


def test_logs_of_qemu_show_its_command_line(plan_up: PlanUp) -> None:
    assert f"guest={plan_up.path.stem}-a," in plan_up.run("logs", "a", "--qemu").stdout


def test_render_prints_what_libvirt_runs(plan_up: PlanUp) -> None:
    accel = f"accel={plan_up.report['chosen']['accel']['value']}"
    xml = plan_up.run("render", "a", "--set", accel).stdout
    file = plan_up.lab.directory / "a.xml"
    file.write_text(xml)
    call("virt-xml-validate", str(file), "domain")
    name = plan_up.path.stem
    runs = Path(f"/run/vmnet/{name}/run/qemu/{name}-a.xml").read_text()
    assert _mark(runs) == _mark(xml)


def _mark(xml: str) -> str:
    """Return the text in which vmnet writes down all that a domain is made of."""
    found = re.search(r"<vmnet:domain [^>]*>([^<]+)</vmnet:domain>", xml)
    assert found
    return unescape(found[1])


def test_the_console_is_a_shell_that_ctrl_bracket_leaves(plan_up: PlanUp) -> None:
    with joined(plan_up.lab, plan_up.path, "a") as console:
        until(console.is_raw, "the terminal is raw")
        console.types(b"echo $((6 * 7))\r")
        console.sees(b"\n42\r\n")
        console.types(b"\x1d")
        assert console.process.wait(PATIENCE_S) == 0
        assert not console.is_raw()


def test_all_that_asks_leaves_everything_as_it_was(plan_up: PlanUp) -> None:
    for command in ("status", "plan", "check"):
        plan_up.lab.vmnet(command, plan_up.path)
    assert plan_up.as_at_first


@pytest.fixture(scope="module")
def gone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, Path, Ran]]:
    """A lab whose plan was up and has been taken down, the plan, and what `down` said."""
    with Lab(tmp_path_factory.mktemp("gone")).opened() as lab:
        up = brought_up(lab, PAIR)
        yield lab, up.path, lab.vmnet("down", up.path)


def test_down_leaves_the_host_as_it_was_before_the_first_up(gone: tuple[Lab, Path, Ran]) -> None:
    lab, plan, ran = gone
    assert ran.stdout.endswith(f"{plan.stem}: done\n")
    assert lab.snapshot() == lab.before


def test_down_again_finds_nothing_to_do(gone: tuple[Lab, Path, Ran]) -> None:
    lab, plan, _ = gone
    ran = lab.vmnet("down", plan)
    assert ran.stdout.endswith(f"{plan.stem}: nothing to do\n")
    assert lab.snapshot() == lab.before
