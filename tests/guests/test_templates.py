"""A template of the user's: booted for real, or refused before anything is touched."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from tests.framework.lab import REPOSITORY, Lab

PLAN = """\
networks: {lan: {switch: true, subnet: 10.77.0.0/24}}
vms: {a: {template: my.xml.j2, memory: 96M, nics: [lan]}}
"""
OURS = (REPOSITORY / "templates" / "domain.xml.j2").read_text()


@pytest.fixture
def plan(lab: Lab) -> Path:
    return lab.plan(PLAN)


def written(lab: Lab, text: str) -> None:
    (lab.directory / "my.xml.j2").write_text(text)


@pytest.fixture
def with_watchdog(lab: Lab, plan: Path) -> Iterator[Path]:
    more = '  <watchdog model="i6300esb" action="reset"/>\n  </devices>'
    written(lab, OURS.replace("</devices>", more))
    yield plan
    lab.vmnet("down", plan)


def test_a_guest_boots_from_a_template_with_a_device_more(lab: Lab, with_watchdog: Path) -> None:
    lab.vmnet("up", with_watchdog)
    (pid,) = lab.qemus().values()
    assert "i6300esb" in Path(f"/proc/{pid}/cmdline").read_text()
    again = lab.vmnet("up", with_watchdog, "--json").report
    assert again["done"] == []
    written(lab, OURS)
    refused = lab.vmnet("up", with_watchdog, status=3)
    assert "template has changed" in refused.stderr


def test_the_check_measures_all_the_same_when_what_the_plan_names_has_changed_or_gone(
    lab: Lab, with_watchdog: Path
) -> None:
    lab.vmnet("up", with_watchdog)
    written(lab, OURS)
    changed = lab.vmnet("check", with_watchdog, "--json", status=5).report
    (finding, *_) = changed["findings"]
    assert finding["what"].startswith("the host is not as the plan says; vmnet up would create dom")
    assert finding["about"] == "a"
    assert finding["fix"] == "run vmnet up --recreate, or take the change back"
    (lab.directory / "my.xml.j2").unlink()
    gone = lab.vmnet("check", with_watchdog, "--json", status=5).report
    (finding,) = gone["findings"]
    assert finding["what"].startswith("it is not known whether the host is as the plan says: ")
    written(lab, OURS)
    assert all(r["as_expected"] for r in (*changed["results"], *gone["results"]))
    assert changed["results"]


REFUSED = {
    "a command line for QEMU": (
        OURS.replace(
            "</domain>", '<qemu:commandline><qemu:arg value="-S"/></qemu:commandline></domain>'
        ),
        "qemu:commandline",
    ),
    "a loop": (
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "",
    ),
    "a way out": ("{{ cycler.__init__.__globals__.os.popen('id').read() }}", "my.xml.j2:1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_template_that_wants_more_is_refused_at_once(lab: Lab, plan: Path, case: str) -> None:
    text, said = REFUSED[case]
    written(lab, text)
    before = lab.snapshot()
    for command in ("render", "up"):
        words = ("render", "-f", plan, "a") if command == "render" else ("up", plan)
        start = monotonic()
        ran = lab.vmnet(*words, status=2)
        assert re.search(said, ran.stderr)
        assert monotonic() - start < 30  # how long it may compute: tests/host/test_template.py
    assert lab.snapshot() == before


def test_vmnets_own_template_is_where_one_begins(lab: Lab, plan: Path) -> None:
    shutil.copy(REPOSITORY / "templates" / "domain.xml.j2", lab.directory / "my.xml.j2")
    assert "<name>" in lab.vmnet("render", "-f", plan, "a").stdout
