"""The states that tests of guests stand on. A test asks for the weakest that it can do with.

`lab`            a test's     an empty network namespace, in which vmnet is run
`shared_lab`     a module's   the same, for plans that many tests look at
`plan_text`      a module's   the plan that the next three bring up: `PLAN` of the module, or what
                              a fixture of the module makes of it, such as one with its NIC
`plan_up`        a module's   that plan, up, and only looked at: a test that leaves other macvtaps
                              or other QEMUs than it has found fails
`plan_restored`  a module's   the same plan, up, changed by the test and afterwards put back by the
                              fixture; guests that cannot be put back come up anew
`plan_fresh`     a test's     that plan, up in the test's own `lab`: for tests that end guests

Each test can be run alone and in any order: what a test changes inside a guest of a shared plan, or
outside of vmnet, it changes back itself. What a module needs besides is made by fixtures of its own
with tests/framework: a NIC and the LAN behind it (`wire.cabled_nic`), a machine there that can be
logged in to (`sshd.sshd`), a terminal (`terminal.joined`), a bare QEMU (`bare.booted`).

What is varied, and where: mode, IP version and hairpin in test_truth_table; the spoof guard in
test_guard; libvirt embedded or as a daemon in test_daemon; a user's rights in test_rootless; Debian
instead of the micro image, by BIOS, by UEFI and by its kernel, in test_debian;
a file system like that of a container in test_container. All use KVM where they can.

Of a test that fails, a folder in pytest's temporary directory keeps the console logs, QEMU's log,
vmnet's standard error, links, nftables rules and the kernel's log; pytest's output names it.
"""

import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.framework import evidence
from tests.framework.lab import REPOSITORY, Lab
from tests.framework.plan import PlanUp, SharedPlan, brought_up


@pytest.fixture(scope="session", autouse=True)
def image() -> None:
    """The image that all guests boot from, built once for all labs."""
    argv = [sys.executable, "-m", "provisioner", "image", "build", "micro"]
    subprocess.run(argv, cwd=REPOSITORY, check=True, capture_output=True, timeout=600)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A lab of the test's own."""
    with Lab(tmp_path).opened() as here:
        yield here


@pytest.fixture(scope="module")
def shared_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab for all tests of a module."""
    with Lab(tmp_path_factory.mktemp("lab")).opened() as here:
        yield here


@pytest.fixture(scope="module")
def plan_text(request: pytest.FixtureRequest) -> str:
    """The plan of the module, without its name."""
    return str(request.module.PLAN)


@pytest.fixture(scope="module")
def shared_plan(shared_lab: Lab, plan_text: str) -> Iterator[SharedPlan]:
    """The plan of the module, for `plan_up` and `plan_restored`."""
    plan = SharedPlan(shared_lab, plan_text)
    yield plan
    plan.end()


@pytest.fixture
def plan_up(shared_plan: SharedPlan) -> Iterator[PlanUp]:
    """The plan of the module, which is up and only looked at."""
    up = shared_plan.up()
    yield up
    assert up.as_at_first


@pytest.fixture
def plan_restored(shared_plan: SharedPlan) -> Iterator[PlanUp]:
    """The plan of the module, which the test may change."""
    yield shared_plan.up()
    shared_plan.restore()


@pytest.fixture
def plan_fresh(lab: Lab, plan_text: str) -> PlanUp:
    """The plan of the module, up for this test alone."""
    return brought_up(lab, plan_text)


@pytest.fixture(scope="session", autouse=True)
def failures(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The folder for the evidence of tests that fail."""
    request.session.stash[evidence.FOLDER] = tmp_path_factory.mktemp("failed", numbered=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Have a test's evidence at hand."""
    evidence.begin(item)
    try:
        return (yield)
    finally:
        evidence.end(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep the evidence of a test that has failed."""
    report = yield
    if report.failed:
        evidence.keep(item, report)
    return report
