"""provisioner.api, as a program of a user's uses it: one lab, asked everything, then gone."""

import json
import sys
from typing import Any

import pytest

from tests.builders.page_examples import examples
from tests.framework.lab import Lab

PLAN = """\
networks: {lan: {switch: true, subnet: 10.77.0.0/24, mode: private}}
vms: {a: {memory: 96M, nics: [lan]}, b: {memory: 96M, nics: [lan]}}
defaults: {ssh_keys: auto}
"""
PROGRAM = """\
import json, os, sys, threading, warnings
from concurrent.futures import ThreadPoolExecutor
from provisioner.api import ExecFailedError, Lab, LabError, NotMeasuredError, VmnetError

warnings.simplefilter("error")
os.umask(0o077)
beside = threading.Event()
threading.Thread(target=beside.wait, daemon=True).start()
told = {}

def refused(call):
    try:
        call()
    except VmnetError as error:
        return [type(error).__name__, str(error)]

with Lab(sys.argv[1], sets={"vms.a.cpus": 1, "networks.lan.mtu": 1400}) as lab:
    a = lab.vm("a")
    told["up"] = [bool(lab.report), lab.report.summary, len(lab.report.measurements)]
    told["vms"] = lab.vms
    ran = a.exec("sh", "-c", "cat; cat /sys/class/net/eth0/mtu; echo no >&2; exit 3",
                 input="hello ", check=False)
    told["exec"] = [ran.status, ran.stdout, ran.stderr, ran.truncated]
    told["failed"] = refused(lambda: a.exec("false"))
    told["unknown"] = refused(lambda: lab.vm("c"))
    with ThreadPoolExecutor() as both:
        names = both.map(lambda vm: lab.vm(vm).exec("hostname").stdout.strip(), lab.vms)
        told["threads"] = list(names)
    told["addresses"] = a.addresses
    told["ssh"] = [a.ssh_config, lab.ssh_config]
    reach = lab.reaches("a", "b")
    told["reaches"] = [bool(reach), repr(reach), str(reach)]
    told["isolated"] = repr(lab.isolated("a", "b"))
    told["at once again"] = [bool(lab.isolated(*ends)) for ends in (("a", "b"), ("b", "a"))]
    told["host"] = repr(lab.reaches("a", "host"))
    told["not isolated"] = repr(lab.isolated("a", "host"))
    told["check"] = [bool(lab.check()), lab.check().junit[:38]]
    told["console"] = a.console()
    a.exec("sh", "-c", "ip link set eth0 down")
    down = lab.check()
    told["broken"] = [bool(down), repr(down), down.text]
    told["dead"] = repr(lab.isolated("a", "b"))
told["umask"] = oct(os.umask(0o077))
told["gone"] = refused(lambda: lab.reaches("a", "b"))
told["bad"] = refused(lambda: Lab(text="name: x"))
beside.set()
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(shared_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the program has been told."""
    program = tmp_path_factory.mktemp("api") / "program.py"
    program.write_text(PROGRAM)
    plan = shared_lab.plan(PLAN)
    argv = [*shared_lab.enter, sys.executable, str(program), str(plan)]
    found: dict[str, Any] = json.loads(
        shared_lab.running(argv, shared_lab.environment).finished().stdout
    )
    assert shared_lab.snapshot() == shared_lab.before
    return found


def test_a_lab_is_up_in_its_block_as_its_plan_and_its_changes_say(told: dict[str, Any]) -> None:
    assert told["up"] == [True, "all 6 measurements are as expected", 6]
    assert told["vms"] == ["a", "b"]
    assert told["exec"] == [3, "hello 1400\n", "no\n", False]


def test_several_threads_may_ask_at_once(told: dict[str, Any]) -> None:
    assert told["threads"] == ["a", "b"]


def test_a_program_that_fails_in_a_guest_is_an_error_with_its_words(told: dict[str, Any]) -> None:
    kind, what = told["failed"]
    assert kind == "ExecFailedError"
    assert what.startswith("false in a has ended with status 1\n  fix: ")


def test_an_unknown_guest_is_an_error_with_those_that_are_known(told: dict[str, Any]) -> None:
    kind, what = told["unknown"]
    assert kind == "LabError"
    assert what.endswith('has no VM "c"\n  fix: its VMs: a, b')


def test_a_guest_tells_its_addresses_and_how_ssh_gets_in(told: dict[str, Any]) -> None:
    (planned,) = (one for one in told["addresses"] if one.startswith("10.77.0."))
    own, every = told["ssh"]
    assert f"    HostName {planned}\n" in own
    assert "Host a " in own
    assert "Host b " not in own
    assert "Host a " in every
    assert "Host b " in every


def test_two_guests_that_the_mode_keeps_apart_do_not_reach_each_other_and_it_says_why(
    told: dict[str, Any],
) -> None:
    truth, shown, text = told["reaches"]
    why = "private mode hands nothing to its neighbours, and this switch reflects nothing"
    assert truth is False
    assert shown == f"<a reaches b: no: {why}>"
    assert text.startswith(f"a reaches b: no: {why}\n  a -> b (10.77.0.")
    assert "✗ the switch of network lan: does not send frames back (hairpin off)" in text
    assert told["isolated"] == f"<a is isolated from b: yes: {why}>"


def test_isolation_is_shown_while_guests_still_look_for_each_other_after_the_question_before(
    told: dict[str, Any],
) -> None:
    assert told["at once again"] == [True, True]


def test_what_is_reached_is_true_and_not_isolated(told: dict[str, Any]) -> None:
    assert told["host"].startswith("<a reaches host: yes: ")
    assert told["not isolated"].startswith("<a is isolated from host: no: a reaches host, which")


def test_a_check_is_true_while_it_holds_and_has_its_reasons_when_not(told: dict[str, Any]) -> None:
    assert told["check"] == [True, '<?xml version="1.0" encoding="UTF-8"?>']
    truth, shown, text = told["broken"]
    assert truth is False
    assert "measurements are not as expected" in shown
    assert "network lan: from the left to the top" in text
    assert "  fix: " in text


def test_silence_of_a_guest_whose_link_is_down_is_not_shown_to_be_isolation(
    told: dict[str, Any],
) -> None:
    assert told["dead"].startswith("<a is isolated from b: no: ")


def test_the_console_of_a_guest_is_there(told: dict[str, Any]) -> None:
    assert "login" in told["console"] or "~#" in told["console"]


def test_the_program_has_its_own_umask_again(told: dict[str, Any]) -> None:
    assert told["umask"] == "0o77"


def test_after_the_block_nothing_can_be_asked(told: dict[str, Any]) -> None:
    kind, what = told["gone"]
    assert kind == "LabError"
    assert "not up" in what


def test_a_bad_plan_is_refused_with_all_that_is_wrong(told: dict[str, Any]) -> None:
    kind, what = told["bad"]
    assert kind == "PlanRefusedError"
    assert "the text of the plan:1:1: the plan has no networks" in what
    assert "the text of the plan:1:1: the plan has no vms" in what


def test_the_example_of_the_documentation_runs(lab: Lab) -> None:
    shown = examples("reference/testing.md")
    plan = lab.plan(shown["plan.yaml"].replace("name: pair\n", ""))
    (lab.directory / "plan.yaml").write_text(plan.read_text())
    (lab.directory / "program.py").write_text(shown["program.py"])
    argv = [*lab.enter, "env", f"--chdir={lab.directory}", sys.executable, "program.py"]
    told = lab.running(argv, lab.environment).finished().stdout
    assert told.startswith("a is isolated from b: yes: private mode hands nothing to its neighb")
    assert f"{lab.name} is gone; its guests had Linux 6." in told
