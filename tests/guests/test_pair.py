"""Two guests on a switch: from nothing to up, all that can be asked meanwhile, and back."""

import os
import pty
import re
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from tests.framework.lab import PAIR, Lab, call, until
from tests.framework.running import PATIENCE_S


@dataclass(frozen=True, slots=True)
class Pair:
    """The pair that all tests here look at; the last one takes it down."""

    lab: Lab
    plan: Path
    first: Any  # the report of the first `up`
    taps: dict[str, int]
    qemus: dict[str, int]

    @property
    def now(self) -> tuple[dict[str, int], dict[str, int]]:
        return self.lab.macvtaps(), self.lab.qemus()


@pytest.fixture(scope="module")
def pair(shared_lab: Lab) -> Pair:
    plan = shared_lab.plan(PAIR)
    first = shared_lab.vmnet("up", plan, "--json").report
    return Pair(shared_lab, plan, first, shared_lab.macvtaps(), shared_lab.qemus())


def test_up_measures_both_families_in_all_directions(pair: Pair) -> None:
    seen = {
        (r["from"], r["to"], ":" in r["address"], r["observed"], r["as_expected"])
        for r in pair.first["results"]
    }
    assert seen == {
        (source, target, six, "reaches", True)
        for source, target in permutations(("a", "b", "host"), 2)
        for six in (False, True)
    }


def test_up_says_what_it_has_made(pair: Pair) -> None:
    told = {vm["name"]: (vm["state"], vm["pid"], *vm["taps"]) for vm in pair.first["vms"]}
    name = pair.lab.name
    assert set(told) == {"a", "b"}
    assert {told[vm][:2] for vm in told} == {("running", pair.qemus[f"{name}-{vm}"]) for vm in told}
    assert {told[vm][2] for vm in told} == {f"/dev/tap{index}" for index in pair.taps.values()}
    assert (pair.first["status"], pair.first["to_do"], pair.first["failed"]) == (0, [], [])


def test_a_second_up_does_nothing(pair: Pair) -> None:
    ran = pair.lab.vmnet("up", pair.plan)
    assert "\nnothing to do\n" in ran.stderr
    assert f"{pair.lab.name}: all 12 measurements are as expected" in ran.stdout
    assert pair.now == (pair.taps, pair.qemus)


@pytest.mark.parametrize("command", ["status", "plan"])
def test_nothing_is_left_to_do(pair: Pair, command: str) -> None:
    report = pair.lab.vmnet(command, pair.plan, "--json").report
    assert (report["to_do"], report["vms"]) == ([], pair.first["vms"])


def test_status_needs_no_file(pair: Pair) -> None:
    report = pair.lab.vmnet("status", "--name", pair.lab.name, "--json").report
    assert [(vm["name"], vm["state"]) for vm in report["vms"]] == [
        ("a", "running"),
        ("b", "running"),
    ]


def test_check_measures_again(pair: Pair) -> None:
    report = pair.lab.vmnet("check", pair.plan, "--json").report
    assert (report["done"], report["summary"]) == ([], "all 12 measurements are as expected")


def test_a_program_runs_inside_a_guest(pair: Pair) -> None:
    assert pair.lab.vmnet("exec", "-f", pair.plan, "b", "--", "hostname").stdout == "b\n"


def test_its_output_and_its_status_are_passed_through(pair: Pair) -> None:
    words = ("sh", "-c", "echo out; echo err >&2; exit 7")
    ran = pair.lab.vmnet("exec", "-f", pair.plan, "a", "--", *words, status=7)
    assert (ran.stdout, ran.stderr) == ("out\n", "err\n")


def test_logs_show_what_a_guest_has_said(pair: Pair) -> None:
    assert "vmnet: ready" in pair.lab.vmnet("logs", "a", "-f", pair.plan).stdout


def test_logs_of_qemu_show_its_command_line(pair: Pair) -> None:
    told = pair.lab.vmnet("logs", "a", "--qemu", "-f", pair.plan).stdout
    assert f"guest={pair.lab.name}-a," in told


def test_render_prints_what_libvirt_runs(pair: Pair) -> None:
    accel = f"accel={pair.first['chosen']['accel']['value']}"
    xml = pair.lab.vmnet("render", "a", "-f", pair.plan, "--set", accel).stdout
    file = pair.lab.directory / "a.xml"
    file.write_text(xml)
    call("virt-xml-validate", str(file), "domain")
    name = pair.lab.name
    runs = Path(f"/run/vmnet/{name}/run/qemu/{name}-a.xml").read_text()
    assert _mark(runs) == _mark(xml)


def _mark(xml: str) -> str:
    """Give the text in which vmnet writes down all that a domain is made of."""
    found = re.search(r"<vmnet:domain [^>]*>([^<]+)</vmnet:domain>", xml)
    assert found
    return unescape(found[1])


def test_the_console_is_a_shell_that_ctrl_bracket_leaves(pair: Pair) -> None:
    with _console(pair, "a") as (terminal, process):
        os.write(terminal, b"echo $((6 * 7))\r")
        said = b""
        while b"\n42\r\n" not in said:
            said += os.read(terminal, 4096)
        os.write(terminal, b"\x1d")
        assert process.wait(PATIENCE_S) == 0
        assert _cooked(terminal)


@contextmanager
def _console(pair: Pair, vm: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        pair.lab.argv("console", vm, "-f", pair.plan),
        env=pair.lab.environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    try:
        until(lambda: not _cooked(theirs), "the console joins the terminal to the guest's")
        yield ours, process
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)


def _cooked(terminal: int) -> bool:
    return bool(termios.tcgetattr(terminal)[3] & termios.ICANON)


def test_all_that_asking_leaves_everything_as_it_was(pair: Pair) -> None:
    assert pair.now == (pair.taps, pair.qemus)


def test_down_leaves_the_host_as_it_was_before_the_first_up(pair: Pair) -> None:
    ran = pair.lab.vmnet("down", pair.plan)
    assert ran.stdout.endswith(f"{pair.lab.name}: done\n")
    assert pair.lab.snapshot() == pair.lab.before


def test_down_again_finds_nothing_to_do(pair: Pair) -> None:
    ran = pair.lab.vmnet("down", pair.plan)
    assert ran.stdout.endswith(f"{pair.lab.name}: nothing to do\n")
    assert pair.lab.snapshot() == pair.lab.before
