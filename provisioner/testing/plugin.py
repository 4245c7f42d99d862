"""The pytest plugin, loaded in every run: nothing heavy is imported before a lab is made.

See docs/reference/testing.md. What it does with labs is in provisioner.testing.labs.
"""

import uuid
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from provisioner.testing.labs import LabFactory

_FACTORY: Final = pytest.StashKey["LabFactory"]()
_TTL: Final = "2h"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("vmnet", "networked virtual machines (vmnet)")
    group.addoption(
        "--vmnet-keep",
        action="store_true",
        help="Leave labs up that were up when a test failed, and say how to look at them.",
    )
    group.addoption(
        "--vmnet-ttl",
        default=_TTL,
        metavar="TIME",
        help=f"After what time vmnet gc --expired may take a lab away: 30m, 2h ({_TTL}).",
    )


@pytest.fixture(scope="session")
def vmnet_lab(request: pytest.FixtureRequest) -> "Iterator[LabFactory]":
    """Makes labs of plan files, each up in a `with` block, or by `up()`.

    As in: with vmnet_lab("plan.yaml") as lab. It takes what provisioner.api.Lab takes. Plans get
    names of their own, so that several runs and workers do not meet. What is still up at the end of
    the session is taken away.
    """
    from provisioner.testing.labs import LabFactory, Suffix

    config = request.config
    worker: dict[str, str] = getattr(config, "workerinput", {})
    run = worker.get("testrunuid") or uuid.uuid4().hex
    suffix = Suffix(worker.get("workerid", ""), run)
    keep, ttl = bool(config.getoption("--vmnet-keep")), str(config.getoption("--vmnet-ttl"))
    with LabFactory(suffix, ttl, keep=keep) as factory:
        config.stash[_FACTORY] = factory
        yield factory


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Forget what labs have answered to the test before."""
    if factory := item.config.stash.get(_FACTORY, None):
        factory.begin()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to the report of a test that has failed what its labs tell."""
    report = yield
    factory = item.config.stash.get(_FACTORY, None)
    if report.failed and factory:
        report.sections += factory.sections()
    return report
