"""A command that tests have forked answers as one that Python has started.

Most tests take the fork: it spares each command the import of its modules. So what it could change
is held here: words, streams, folder, environment, statuses, signals, namespaces.
"""

import os
import re
import signal
from pathlib import Path

import pytest

from tests.framework import forked
from tests.framework.forked import Fork
from tests.framework.lab import ONE, REPOSITORY, Lab, until
from tests.framework.running import Ran, Running

PLAN = """\
name: forked
networks: {lan: {switch: true, subnet: 10.91.0.0/24}}
vms: {a: {nics: [lan]}, b: {nics: [lan], memory: "${MEM:-128M}"}}
"""
WORDS = (
    "validate",
    "validate nowhere.yaml",
    "validate --set vms.a.nics=[none]",
    "render b",
    "modes",
    "doctor --json",
    "status --json",
    "plan --json",
    "valdiate",
    "--help",
    "--version",
    "exec a -- true",
    "status --name ../x",
)
PLACES = ("VMNET_RUN_DIR", "VMNET_STATE_DIR", "VMNET_CACHE_DIR")


def environment(folder: Path, **given: str) -> dict[str, str]:
    places = {name: str(folder / name.lower()) for name in PLACES}
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), "HOME": str(folder), **places, **given}


def runs(lab: Lab, words: str, **given: str) -> list[Ran]:
    """Run vmnet as Python starts it, as a fork, and as a fork that another program has begun."""
    own = environment(lab.directory, **given)
    (lab.directory / "vmnet.yaml").write_text(PLAN)
    argv = lab.argv(*words.split())
    begun = [*lab.enter, *forked.program(), *words.split()]
    fork = Fork(tuple(words.split()), lab.name)
    return [
        lab.running(argv, own).finished(None),
        Running(argv, lab.directory, own, fork).finished(None),
        lab.running(begun, own).finished(None),
    ]


def without_numbers(ran: Ran) -> tuple[int, str, str]:
    """Return what it said, without what differs each time: seconds, memory that is free."""
    return ran.status, *(re.sub(r"\d+(\.\d+)?", "N", text) for text in (ran.stdout, ran.stderr))  # type: ignore[return-value]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("lab"))


@pytest.mark.parametrize("words", WORDS)
def test_they_say_the_same_and_end_the_same(lab: Lab, words: str) -> None:
    with lab.opened():
        first, *others = map(without_numbers, runs(lab, words))
    assert others == [first, first]


@pytest.mark.parametrize(
    "given", [{"MEM": "96M"}, {"NO_COLOR": "1"}, {"VMNET_DEBUG": "1"}], ids=str
)
def test_the_environment_is_its_own(lab: Lab, given: dict[str, str]) -> None:
    with lab.opened():
        first, *others = runs(lab, "render b", **given)
    assert others == [first, first]
    assert (">96</memory>" in first.stdout) == ("MEM" in given), first.stdout


def test_it_sees_the_devices_of_its_namespace(lab: Lab) -> None:
    with lab.opened():
        lab.ip("link", "add", "here0", "type", "veth", "peer", "name", "there0")
        found = runs(lab, "host-facts --json")
        lab.ip("link", "del", "here0")
    for ran in found:
        assert {"here0", "there0"} <= {nic["name"] for nic in ran.report["uplinks"]}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=str)
def test_a_signal_ends_it_as_it_ends_any(lab: Lab, number: signal.Signals) -> None:
    with lab.opened():
        plan = lab.plan(ONE)
        running = lab.start("status", plan, "--watch")
        until(lambda: running.stdout, "it watches")
        running.process.send_signal(number)
        ended = running.finished(None).status
    assert ended == (-number if number is signal.SIGKILL else 128 + number)
