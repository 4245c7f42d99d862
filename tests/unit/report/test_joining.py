"""The reports of several hosts, read and made one."""

import json
from dataclasses import replace

import pytest

from provisioner.check.loss import Loss
from provisioner.check.result import Probed, Result
from provisioner.errors import Exit, VmnetError
from provisioner.network.addressing import assign
from provisioner.plan.checks import line
from provisioner.plan.load.loader import load
from provisioner.plan.model import Plan
from provisioner.plan.nic_id import NicId
from provisioner.reachability.pairs import Expected
from provisioner.reconcile.diff import Verb
from provisioner.report import matrix
from provisioner.report.document import as_json
from provisioner.report.html import as_html
from provisioner.report.joining import taken
from provisioner.report.joining.join import FleetOutcome, joined, labels
from provisioner.report.joining.told import read
from provisioner.report.junit import as_junit
from provisioner.report.report import Failure, Report, ReportStep, StepThing, VmStatus, causes
from provisioner.report.tap14 import as_tap
from tests.builders.report import (
    APART,
    DEAD,
    GOOD,
    HOSTILE,
    LEAK,
    NOT_SHOWN,
    PLAN,
    UNKNOWN,
    pair,
    report,
)

EVERY = (
    GOOD,
    DEAD,
    LEAK,
    APART,
    NOT_SHOWN,
    UNKNOWN,
    replace(GOOD, loss=Loss(20, 1)),
    replace(GOOD, wrong="loss 50% of 20, at most 5%", loss=Loss(20, 10)),
    replace(GOOD, vanished=1500, wrong="packets of 1500 bytes do not pass"),
    replace(DEAD, seen=Probed(reached=False, refused=True)),
    replace(UNKNOWN, missing=4),
    replace(GOOD, pair=pair(Expected.EITHER)),
)
TWO = load(
    """\
name: lab
networks: {lan: {uplink: eno1, subnet: 10.0.0.0/24}, own: {switch: true, subnet: 10.7.0.0/24}}
hosts: {h1: {address: 10.9.0.1, uplinks: {}}, h2: {address: 10.9.0.2, uplinks: {}}}
vms: {a: {nics: [lan, lan]}, b: {nics: [lan, own]}, c: {nics: [lan]}}
""",
    "p",
).plan


def through_json(one: Report, host: str = "h1", plan: Plan = TWO) -> Report:
    told = read(as_json(one), host, one.command)
    return taken.report(told, "lab", host, labels(plan, assign(plan)))


def answered(**more: object) -> FleetOutcome:
    homes = {"a": "h1", "b": "h2", "c": "h2"}
    empty = FleetOutcome(TWO, "check", {}, {}, {}, homes, {}, assign(TWO))
    return replace(empty, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("result", EVERY)
def test_a_result_of_another_host_is_judged_and_drawn_as_there(result: Result) -> None:
    (back,) = through_json(report(result)).results
    assert (back.met, back.observed, back.around) == (result.met, result.observed, result.around)
    assert [[str(cell) for cell in grid.cells.values()] for grid in matrix.grids([back])] == [
        [str(cell) for cell in grid.cells.values()] for grid in matrix.grids([result])
    ]


@pytest.mark.parametrize(
    "asked",
    ["tcp/22", "udp/53", "http://b/x status 204", "dns example.org", "mtu 1500", "latency < 5ms",
     "throughput > 900mbit", "loss < 1%", "ping"],
)  # fmt: skip
def test_what_was_asked_is_read_back(asked: str) -> None:
    check = line(f"a -> b {asked}" if asked != "ping" else "a -> b")
    assert not isinstance(check, str)
    (back,) = through_json(report(replace(GOOD, pair=pair(asked=check.asked)))).results
    assert back.pair.asked == check.asked


def test_the_host_itself_is_called_by_its_name() -> None:
    result = replace(GOOD, pair=pair(source="host"))
    (back,) = through_json(report(result), "h2").results
    assert (back.pair.source_label, back.pair.target_label) == ("h2", "b")


def test_a_nic_of_a_guest_elsewhere_is_named_as_on_its_own_host() -> None:
    (at,) = assign(TWO)[NicId("a", 1)].static
    asked = replace(GOOD, pair=pair(source="c", target="a", addresses=(at,)), address=at)
    (back,) = through_json(replace(report(asked), vms=()), "h2").results
    assert back.pair.target_label == "a.1"


def test_steps_and_failures_say_on_which_host_they_are() -> None:
    made = ReportStep(
        Verb.CREATE, (StepThing("macvtap", "m1", "a"), StepThing("guard", "m1", "a")), "missing",
        "create macvtap m1: missing",
    )  # fmt: skip
    left = ReportStep(Verb.CREATE, (StepThing("domain", "a", "a"),), "missing", "create domain a")
    failed = Failure(left, VmnetError("no room", fix="make room"))
    one = through_json(replace(report(), done=(made,), to_do=(left,), failed=(failed,)))
    assert one.done == (replace(made, line="h1: create macvtap m1: missing"),)
    assert one.to_do == (replace(left, line="h1: create domain a"),)
    assert (one.failed[0].error.what, one.failed[0].error.fix) == (
        "h1: no room",
        "on h1: make room",
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is not JSON"),
        ("[]", "it is no document of vmnet check"),
        ('{"command": "up", "status": 0}', "it is no document of vmnet check"),
        ('{"command": "check", "status": 77}', "77 is no exit status of it"),
        ('{"command": "check", "status": "0"}', "status: Input should be a valid integer"),
        ('{"command": "check", "status": 0, "vms": {}}', "vms: Input should be"),
    ],
)
def test_what_is_no_report_is_refused(text: str, why: str) -> None:
    with pytest.raises(VmnetError, match=why) as refused:
        read(text, "h1", "check")
    assert refused.value.status is Exit.HOST_CANNOT


@pytest.mark.parametrize(
    ("key", "value"),
    [("expected", "maybe"), ("address", "10.0.0"), ("by", "magic"), ("asked", "tcp/0")],
)
def test_a_report_that_says_what_none_says_is_no_report(key: str, value: str) -> None:
    document = json.loads(as_json(report(GOOD)))
    document["results"][0][key] = value
    with pytest.raises(ValueError, match=r".+"):
        taken.report(read(json.dumps(document), "h1", "check"), "lab", "h1", {})


def test_texts_of_hosts_are_as_harmless_as_those_of_guests() -> None:
    for text in (one for one in HOSTILE if one != "\ud800"):  # no JSON has that
        one = replace(GOOD, note=text, pair=pair(why=text, source=text))
        document = json.loads(as_json(report(one)))
        document["results"][0]["note"] = text
        told = read(json.dumps(document), "h1", "check")
        whole = joined(answered(reports={"h1": taken.report(told, "lab", "h1", {})}), changes=False)
        for shown in (as_html(whole, PLAN), as_junit(whole), as_tap(whole), as_json(whole)):
            assert not {"\x1b", "\x9b", "\u202e", "\0"} & set(shown)


def test_one_matrix_has_the_measurements_of_all_hosts() -> None:
    there = replace(GOOD, pair=pair(source="c", target="b"))
    back = replace(GOOD, pair=pair(source="a", target="c"))
    whole = joined(
        answered(reports={"h2": through_json(report(there)), "h1": through_json(report(back))}),
        changes=False,
    )
    assert [(r.pair.source, r.pair.target) for r in whole.results] == [("a", "c"), ("c", "b")]
    assert {vm.name: vm.host for vm in whole.vms} == {"a": "h1", "b": "h2", "c": "h2"}


def test_what_a_silent_host_would_have_measured_is_not_shown() -> None:
    one = replace(report(GOOD), status=Exit.DONE)
    whole = joined(
        answered(reports={"h1": through_json(one)}, silent={"h2": "timed out"}), changes=False
    )
    unseen = [r for r in whole.results if r.observed == matrix.NOT_SHOWN]
    assert [(r.pair.network, r.pair.source, r.pair.target, r.met) for r in unseen] == [
        ("lan", "b", "a", False),
        ("lan", "b", "c", False),
        ("lan", "c", "a", False),
        ("lan", "c", "b", False),
    ]
    assert [vm.state for vm in whole.vms if vm.host == "h2"] == [
        "unknown: h2 does not answer",
        "unknown: h2 does not answer",
    ]
    assert whole.status is Exit.HOST_CANNOT
    (told,) = [f.what for _, f in causes(whole) if "timed out" in f.what]
    assert told == "h2 does not answer (timed out): what runs there is not known"


@pytest.mark.parametrize(
    ("statuses", "stopped", "more", "changes", "status"),
    [
        ((Exit.DONE, Exit.DONE), (), {}, True, Exit.DONE),
        ((Exit.DONE, Exit.CHECK_FAILED), (), {}, True, Exit.CHECK_FAILED),
        ((Exit.DONE,), (Exit.CONFLICT,), {}, True, Exit.PARTLY_DONE),
        ((), (Exit.CONFLICT, Exit.HOST_CANNOT), {}, True, Exit.CONFLICT),
        ((Exit.CHECK_FAILED,), (Exit.HOST_CANNOT,), {}, False, Exit.HOST_CANNOT),
        ((Exit.DONE,), (), {"silent": {"h2": "timed out"}}, True, Exit.PARTLY_DONE),
        ((Exit.DONE,), (), {"held": {"b": "it may run on h2"}}, True, Exit.PARTLY_DONE),
        ((Exit.PARTLY_DONE, Exit.DONE), (), {}, True, Exit.PARTLY_DONE),
    ],
)
def test_the_exit_status_is_the_worst_and_partly_done_where_some_hosts_are(
    statuses: tuple[Exit, ...],
    stopped: tuple[Exit, ...],
    more: dict[str, object],
    changes: bool,  # noqa: FBT001
    status: Exit,
) -> None:
    reports = {f"d{n}": Report("up", "lab", one) for n, one in enumerate(statuses)}
    errors = {f"s{n}": [VmnetError("no", status=one)] for n, one in enumerate(stopped)}
    found = joined(answered(reports=reports, stopped=errors, **more), changes=changes)
    assert found.status is status


def test_errors_of_a_host_say_where_they_come_from() -> None:
    text = '{"command": "up", "status": 3, "errors": [{"what": "taken", "where": "-:1:2"}]}'
    (error,) = taken.errors(read(text, "h1", "up"), "h1")
    assert (error.what, error.status) == ("h1: taken (-:1:2)", Exit.CONFLICT)


def test_vms_that_wait_are_told_with_the_reason() -> None:
    whole = joined(answered(held={"c": "it may run on h3"}, homes={"a": "h1"}), changes=True)
    assert [(vm.name, vm.state) for vm in whole.vms] == [
        ("a", "not there"), ("b", "not there"), ("c", "waits"),
    ]  # fmt: skip
    assert whole.summary == "c waits: it may run on h3"


def test_a_vm_that_was_not_asked_about_is_as_before_and_one_of_no_host_may_be_on_a_silent_one() -> (
    None
):
    before = {vm: VmStatus(vm, "paused", host=host) for vm, host in (("a", "h1"), ("b", "h2"))}
    whole = joined(
        answered(
            reports={"h1": Report("stop", "lab")},
            silent={"h3": "no route", "h4": "no route"},
            homes={"a": "h1", "b": "h2"},
            before=before,
        ),
        changes=True,
    )
    assert [(vm.name, vm.state, vm.host) for vm in whole.vms] == [
        ("a", "not there", "h1"),
        ("b", "paused", "h2"),
        ("c", "unknown: h3 and h4 do not answer", ""),
    ]


def test_what_a_host_has_told_before_it_was_lost_is_not_known_any_more() -> None:
    before = Report("up", "lab", vms=(VmStatus("b", "not there", host="h2"),))
    whole = joined(answered(reports={"h2": before}, silent={"h2": "no route"}), changes=True)
    states = {vm.name: vm.state for vm in whole.vms}
    assert states == dict.fromkeys("bc", "unknown: h2 does not answer") | {"a": "not there"}


def test_the_host_of_each_vm_is_in_json() -> None:
    whole = joined(answered(reports={"h1": Report("up", "lab")}), changes=True)
    rows = json.loads(as_json(whole))["vms"]
    assert {row["name"]: row["host"] for row in rows} == {"a": "h1", "b": "h2", "c": "h2"}
    alone = json.loads(as_json(Report("up", "lab", vms=(VmStatus("a", "running"),))))
    assert "host" not in alone["vms"][0]
