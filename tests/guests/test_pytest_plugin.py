"""The pytest plugin, by pytests of their own in a lab, with real guests."""

import json
import re
import sys
import time
from collections.abc import Iterator

import pytest

from tests.builders.page_examples import examples
from tests.framework.lab import Lab, until

pytest_plugins = ["pytester"]

ONE = """\
networks: {lan: {switch: true, subnet: 10.77.0.0/24}}
vms: {a: {memory: 96M, nics: [lan]}}
"""
MORE_TESTS = """

def test_guests_reach_each_other(lab):
    assert lab.reaches("a", "b")


def test_never_run(lab):
    assert False
"""
FAILS = """\
def test_a_guest_is_another(vmnet_lab):
    with vmnet_lab("PLAN") as lab:
        assert lab.vm("a").exec("hostname").stdout == "b"
"""
CRASHES = """\
import os, signal


def test_that_ends_pytest(vmnet_lab):
    with vmnet_lab("PLAN") as lab:
        assert lab.vm("a").exec("true").status == 0
        os.kill(os.getpid(), signal.SIGKILL)
"""
UNUSED = """\
import sys


def test_that_needs_no_guest():
    heavy = {"pydantic", "libvirt", "pyroute2", "jinja2", "typer", "yaml", "rich"}
    assert heavy & sys.modules.keys() == set()
    assert "provisioner.testing.plugin" in sys.modules
    assert "provisioner.api" not in sys.modules
"""


@pytest.fixture(autouse=True)
def taken_away(lab: Lab) -> Iterator[None]:
    """Have the lab take away what a test leaves that fails, by the names that the plugin gave."""
    yield
    lab.plans |= {domain.removesuffix("-a").removesuffix("-b") for domain in lab.qemus()}


def run(pytester: pytest.Pytester, lab: Lab, test: str, *words: str) -> pytest.RunResult:
    """Run a test file in the lab, with the plugin that is installed."""
    pytester.makepyfile(test_it=test)
    environment = lab.environment | {"TMPDIR": str(pytester.path)}
    variables = [f"{name}={value}" for name, value in environment.items()]
    argv = [*lab.enter, "env", "-i", *variables, f"--chdir={pytester.path}"]
    options = ["-p", "no:cacheprovider", "-W", "error"]
    return pytester.run(*argv, sys.executable, "-m", "pytest", *options, *words, "test_it.py")


def test_three_tests_pass_and_the_red_one_says_why_two_guests_do_not_reach_each_other(
    pytester: pytest.Pytester, lab: Lab
) -> None:
    shown = examples("reference/testing.md")
    plan = lab.plan(shown["plan.yaml"].replace("name: pair\n", ""))
    tests = shown["test_pair.py"].replace("plan.yaml", str(plan))
    ran = run(pytester, lab, tests + MORE_TESTS, "-x")
    ran.assert_outcomes(passed=3, failed=1)
    why = "private mode hands nothing to its neighbours, and this switch reflects nothing"
    ran.stdout.fnmatch_lines(
        [
            f"E * assert <a reaches b: no: {why}>",
            f"*- vmnet {lab.name}-*-1: answer -*",
            f"a reaches b: no: {why}",
            "*✗ the switch of network lan: does not send frames back (hairpin off)",
            f"*- vmnet {lab.name}-*-1: console of a -*",
            f"*- vmnet {lab.name}-*-1: console of b -*",
        ]
    )
    assert lab.snapshot() == lab.before  # -x has ended it before its last test


def test_a_lab_of_a_failed_test_is_kept_if_that_is_wanted(
    pytester: pytest.Pytester, lab: Lab
) -> None:
    test = FAILS.replace("PLAN", str(lab.plan(ONE)))
    ran = run(pytester, lab, test, "-n", "1", "--vmnet-keep", "--vmnet-ttl", "30m")
    ran.assert_outcomes(failed=1)
    ran.stdout.fnmatch_lines(["*: console of a -*", "*: left up -*", "take it away: vmnet down *"])
    (name,) = set(re.findall(rf"{lab.name}-gw0-[0-9a-f]+-1", ran.stdout.str()))
    assert list(lab.qemus()) == [f"{name}-a"]
    look = re.compile(r"^look at it: vmnet console --file (\S+) VM$", re.MULTILINE)
    (plan,) = look.findall(ran.stdout.str())
    assert lab.vmnet("exec", "-f", plan, "a", "--", "hostname").stdout == "a\n"
    assert json.loads(lab.vmnet("status", "--json", plan).stdout)["until"] > time.time()
    lab.vmnet("down", "--name", name, "--disks", "--yes")


def test_a_pytest_that_is_killed_leaves_no_guest(pytester: pytest.Pytester, lab: Lab) -> None:
    ran = run(pytester, lab, CRASHES.replace("PLAN", str(lab.plan(ONE))))
    assert ran.ret == -9
    until(lambda: lab.snapshot() == lab.before, "the guard takes all of it away")


def test_a_run_without_a_lab_imports_nothing_of_vmnets_libraries(
    pytester: pytest.Pytester, lab: Lab
) -> None:
    run(pytester, lab, UNUSED).assert_outcomes(passed=1)
