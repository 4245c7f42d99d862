"""What is written of a check, for people, CI and programs; hostile text harms none of it."""

import json
import re
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError

from provisioner.check.result import Probed, Result
from provisioner.cli.plan_file.documents import schema
from provisioner.errors import Exit, VmnetError
from provisioner.network.resources import Guard
from provisioner.plan.checks import CheckSpec, What
from provisioner.reconcile.diff import Step, Verb
from provisioner.report import github, matrix
from provisioner.report.document import as_json, errors_as_json
from provisioner.report.html import as_html
from provisioner.report.junit import as_junit
from provisioner.report.report import Failure, Report, ReportStep, causes
from provisioner.report.tap14 import as_tap
from provisioner.text import sanitize
from tests.builders.controls import SHOWN
from tests.builders.report import (
    APART,
    DEAD,
    FINDING,
    GOOD,
    HOSTILE,
    LEAK,
    PLAN,
    UNKNOWN,
    pair,
    report,
    spoilt,
)

HERE = Path(__file__).parent
hostile = st.sampled_from(HOSTILE) | st.text(max_size=40)
is_valid = Draft202012Validator(schema("report")).validate
STEP = ReportStep(Verb.CREATE, (), "new", "x")


def parsed(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314  (our own)


@pytest.mark.parametrize(
    ("results", "cell"),
    [
        ((GOOD,), "✓ 0.4 ms"),
        ((DEAD,), "✗ no answer"),
        ((GOOD, DEAD), "✗ no answer 1/2"),
        ((LEAK,), "! LEAK"),
        ((replace(APART, seen=Probed(reached=False, refused=True)),), "! refused"),
        ((replace(DEAD, seen=Probed(reached=False, refused=True)),), "✗ refused"),
        ((APART,), "· isolated"),
        ((UNKNOWN,), "? not measured"),
    ],
)
def test_a_cell_says_the_same_by_its_symbol_and_its_word(results: tuple, cell: str) -> None:  # type: ignore[type-arg]
    (grid,) = matrix.grids(results)
    assert [str(one) for one in grid.cells.values()] == [cell]


def test_a_reason_that_many_pairs_share_is_told_once() -> None:
    told = list(causes(report(DEAD, GOOD, DEAD, findings=(FINDING,))))
    assert told == [("a -> b", FINDING)]


def test_junit_has_a_case_for_each_thing_and_says_why_it_failed() -> None:
    root = parsed(as_junit(report(GOOD, DEAD, LEAK, UNKNOWN, findings=(FINDING,))))
    suites = {suite.get("name"): suite for suite in root}
    counts = ("tests", "failures", "errors")
    assert {name: tuple(map(suite.get, counts)) for name, suite in suites.items()} == {
        "a": ("3", "2", "0"),
        "b": ("1", "0", "1"),
        "findings": ("1", "1", "0"),
    }  # fmt: skip
    failure = suites["a"].find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == FINDING.what
    assert "fix: ip link set dev nic0 up" in (failure.text or "")


def test_junit_has_what_was_chosen_and_the_end_of_the_console() -> None:
    root = parsed(as_junit(report(GOOD, DEAD, hostile="the last line")))
    (suite,) = root.findall("testsuite[@name='a']")
    properties = {p.get("name"): p.get("value") for p in suite.findall("properties/property")}
    assert set(properties) == {
        "vmnet", "plan", "chosen libvirt", "date", "host", "kernel", "plan sha256",
        "changed by --set",
    }  # fmt: skip
    assert properties["plan sha256"] == "0f" * 32
    assert properties["chosen libvirt"] == "embedded: because the last line"
    assert suite.findtext("system-out") == "login: the last line"


@given(hostile)
def test_junit_is_xml_whatever_a_guest_has_said(text: str) -> None:
    root = parsed(as_junit(spoilt(text)))
    assert "\x1b" not in "".join(root.itertext())


def test_junit_is_what_jenkins_takes(tmp_path: Path) -> None:
    for number, one in enumerate([report(), report(GOOD, DEAD, UNKNOWN), *map(spoilt, HOSTILE)]):
        (tmp_path / f"{number}.xml").write_text(as_junit(one), encoding="utf-8")
    argv = ["xmllint", "--noout", "--schema", str(HERE / "junit.xsd")]
    ran = subprocess.run(
        [*argv, *map(str, sorted(tmp_path.iterdir()))], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr


def test_tap_counts_and_says_why() -> None:
    assert as_tap(report(GOOD, DEAD)).splitlines()[:6] == [
        "TAP version 14",
        "1..2",
        "ok 1 - a -> b 10.0.0.2: reaches",
        "not ok 2 - a -> b 10.0.0.2: reaches",
        "  ---",
        '  expected: "reaches"',
    ]


@given(hostile)
def test_no_line_of_tap_is_a_guests(text: str) -> None:
    for line in as_tap(spoilt(text)).split("\n"):
        assert re.fullmatch(r"(TAP version 14|1\.\.\d+|(not )?ok \d+ - .*|  .*|)", line)
        assert not re.search(r"##\w*\[|^\s*::", line)
        assert sanitize(line) == line


@given(hostile)
def test_no_workflow_command_is_a_guests(text: str) -> None:
    for line in github.annotations(spoilt(text)).split("\n"):
        assert not line or re.fullmatch(r"::error title=vmnet lab::[^\r\n]*", line)
        assert not re.search(r"##\w*\[", line)
    for line in github.summary(spoilt(text)).split("\n"):
        assert not line.startswith(("::", "##["))
        assert "<script" not in line


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [str(v) for k, v in attrs if k in {"src", "href", "action"}]


@given(hostile)
def test_the_page_has_no_tag_and_no_link_of_a_guests(text: str) -> None:
    plain, spoilt_page = _Reader(), _Reader()
    plain.feed(as_html(spoilt("x"), PLAN))
    spoilt_page.feed(as_html(spoilt(f"x{text}"), PLAN))
    assert (spoilt_page.tags, spoilt_page.links) == (plain.tags, [])


@given(hostile)
def test_json_keeps_its_schema_and_steers_no_terminal(text: str) -> None:
    written = as_json(spoilt(text))
    is_valid(json.loads(written))
    assert sanitize(written) == written
    assert not re.search(r"##\w*\[|(?m:^\s*::)", written)


@pytest.mark.parametrize(
    ("done", "failed", "left", "said"),
    [
        (0, 1, 2, "1 step failed, 0 done, 2 left to do"),
        (3, 2, 2, "2 steps failed, 3 done, 2 left to do"),
        (0, 0, 0, "nothing to do"),
        (3, 0, 0, "done"),
    ],
)
def test_the_summary_counts_what_failed(done: int, failed: int, left: int, said: str) -> None:
    for status in (Exit.PARTLY_DONE, Exit.HOST_CANNOT) if failed else (Exit.DONE,):
        made = Report(
            "up",
            "lab",
            status,
            done=(STEP,) * done,
            to_do=(STEP,) * left,
            failed=(Failure(STEP, VmnetError("x")),) * failed,
        )
        assert made.summary == said


@pytest.mark.parametrize(
    ("results", "said"),
    [
        ((GOOD,), "1 measurement is as expected"),
        ((DEAD,), "1 of 1 measurement is not as expected"),
        ((GOOD, GOOD), "all 2 measurements are as expected"),
        ((GOOD, DEAD), "1 of 2 measurements are not as expected"),
    ],
)
def test_the_summary_counts_measurements(results: tuple[Result, ...], said: str) -> None:
    status = Exit.CHECK_FAILED if DEAD in results else Exit.DONE
    assert replace(report(*results), status=status).summary == said


def test_a_guard_without_its_macvtap_is_named_by_its_table() -> None:
    guard = Guard("vmnet_lab_mvt0123456789", "netdev", "", ())
    assert str(Step(Verb.DELETE, guard, "not in the plan")) == (
        "delete guard vmnet_lab_mvt0123456789, whose macvtap is gone: not in the plan"
    )


def test_json_of_errors_keeps_its_schema_too() -> None:
    error = VmnetError("no", fix="do it", where=None)
    is_valid(json.loads(errors_as_json("check", [error], Exit.HOST_CANNOT)))


def test_the_schema_refuses_what_is_not_a_report() -> None:
    found = json.loads(as_json(report(GOOD)))
    found["results"][0]["expected"] = "maybe"
    with pytest.raises(ValidationError, match="expected"):
        is_valid(found)


@pytest.mark.parametrize(
    ("dead", "named"),
    [
        (["a -> b"], "a -> b"),
        (["a -> b", "a -> c", "b -> a"], "a -> b, c; b -> a"),
        (["a -> b", "a -> c", "a -> d"], "a -> all 3"),
        (["a -> d", "b -> d", "c -> d", "c -> a"], "all 3 -> d; c -> a"),
        ([f"{a} -> {b}" for a in "abcd" for b in "abcd" if a != b], "all 12 pairs"),
        (
            ["d -> a", "d -> b", "d -> c", "a -> d", "b -> d", "c -> d"],
            "d -> all 3; all 3 -> d",
        ),
    ],
)
def test_a_cause_has_all_its_cells_in_few_words(dead: list[str], named: str) -> None:
    ends = [f"{a} -> {b}" for a in "abcd" for b in "abcd" if a != b]
    results = [
        replace(DEAD if cell in dead else GOOD, pair=pair(source=cell[0], target=cell[-1]))
        for cell in ends
    ]
    assert causes_of(results) == [named]


def test_cells_of_several_networks_and_kinds_are_told_apart() -> None:
    ssh = replace(DEAD, pair=pair(asked=CheckSpec(What.TCP, 22)))
    dmz = replace(DEAD, pair=pair(network="dmz"))
    assert causes_of([DEAD, ssh, dmz]) == [
        "a -> b (on lan); a -> b (tcp/22, on lan); a -> b (on dmz)"
    ]
    assert causes_of([DEAD, ssh]) == ["a -> b; a -> b (tcp/22)"]


def causes_of(results: list[Result]) -> list[str]:
    return [pairs for pairs, _ in causes(report(*results))]


def test_markdown_is_escaped_and_other_text_is_not() -> None:
    shown = github.summary(spoilt("a|b"))
    assert "x a&#124;b" in shown
    assert "**the uplink nic0 is down**" in github.summary(report(DEAD))


def test_a_cell_of_the_page_has_the_results_of_its_pair() -> None:
    page = as_html(report(GOOD, DEAD, UNKNOWN), PLAN)
    cells = re.search(r'id="cells">(.*?)</script>', page, re.DOTALL)
    assert cells
    assert [[one["asked"] for one in cell] for cell in json.loads(cells[1])] == [
        ["a -> b", "a -> b"],
        ["b -> a"],
    ]


def test_the_page_tells_when_where_and_of_which_plan_it_is() -> None:
    page = as_html(report(GOOD), PLAN)
    for word in ("2026-11-28 10:00:00 +0000", "builder", "Linux 6.18.0", "0f" * 32, "networks.lan"):
        assert f"<dd>{word}</dd>" in page


def test_what_a_silence_rests_on_is_in_each_form_of_the_report() -> None:
    seen = "question of a: left it"
    assert seen in json.loads(as_json(report(APART)))["results"][0]["control"]
    assert json.loads(as_json(report(GOOD)))["results"][0]["control"] == []
    assert seen in as_html(report(APART), PLAN)
    dead = replace(SHOWN, target=replace(SHOWN.target, after=None))
    silent = report(replace(APART, control=dead))
    assert "control of b (a ping put in at the uplink): no answer" in as_junit(silent)


def test_what_a_cause_rests_on_is_in_each_form_of_the_report() -> None:
    told = report(DEAD, findings=(FINDING,))
    seen = "uplink nic0: down"
    assert json.loads(as_json(told))["results"][0]["finding"]["evidence"] == [seen]
    assert f"<dd>{seen}</dd>" in as_html(told, PLAN)
    assert as_junit(told).count(seen) == 2
    assert seen in as_tap(told)
    assert "uplink nic0&#58; down" in github.summary(told)


def test_junit_has_no_suite_of_a_vm_with_nothing_to_tell() -> None:
    suites = parsed(as_junit(report(UNKNOWN)))
    assert [suite.get("name") for suite in suites] == ["b"]


def test_targets_of_a_grid_come_in_the_order_of_its_sources() -> None:
    ends = [("a", "b"), ("b", "a"), ("a", "gateway"), ("c", "b")]
    results = [replace(GOOD, pair=pair(source=source, target=target)) for source, target in ends]
    (grid,) = matrix.grids(results)
    assert (grid.sources, grid.targets) == (("a", "b", "c"), ("a", "b", "gateway"))
