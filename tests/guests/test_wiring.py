"""Cables pulled, links made worse, frames captured, and checks of the user's own: real guests."""

import signal
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.framework.lab import Lab, until
from tests.framework.plan import PlanUp, SharedPlan

PLAN = """\
networks: {lan: {switch: true, subnet: 10.92.0.0/24}}
vms: {a: {memory: 96M, nics: [lan]}, b: {memory: 96M, nics: [lan]}}
"""


@pytest.fixture(scope="module")
def shared_plan(shared_lab: Lab) -> Iterator[SharedPlan]:
    """The plan, taken down while a link is impaired: down has to take that away, too."""
    plan = SharedPlan(shared_lab, PLAN)
    yield plan
    plan.up().run("link", "a", "--loss", "1%")
    plan.end()


def sentences(plan: PlanUp) -> str:
    report = plan.check(status=5)
    return " | ".join(r["finding"]["what"] for r in report["results"] if r["finding"])


def test_a_pulled_cable_is_what_the_check_says_and_up_plugs_it_in(plan_restored: PlanUp) -> None:
    told = plan_restored.run("link", "a.lan", "down").stdout
    assert ": down;" in told
    assert "of a is down" in sentences(plan_restored)
    plan_restored.up()
    assert ": up; nothing is done to it" in plan_restored.run("link", "a").stdout


def test_frames_that_are_lost_on_purpose_are_counted_and_named(plan_restored: PlanUp) -> None:
    plan_restored.run("link", "b.0", "--loss", "100%")
    try:
        assert "impaired: loss 100%" in sentences(plan_restored)
        told = plan_restored.run("link", "b").stdout
        assert "loss 100%" in told
        assert "; 0 frames dropped" not in told
        assert (
            "b.0: loss 100%, set by vmnet link"
            in plan_restored.lab.vmnet("status", plan_restored.path).stderr
        )
    finally:
        plan_restored.run("link", "b", "--clear")
    plan_restored.check()
    assert "vmnetlink_" not in plan_restored.lab.run("nft", "list", "ruleset")


def test_words_about_no_nic_change_nothing(plan_up: PlanUp) -> None:
    before = plan_up.lab.run("nft", "list", "ruleset")
    for words in (("c",), ("a.7",), ("a", "sideways"), ("a", "--loss", "much")):
        ran = plan_up.run("link", *words, status=2)
        assert "fix: " in ran.stderr
    assert plan_up.lab.run("nft", "list", "ruleset") == before


def test_a_capture_is_a_pcap_of_what_the_guest_sends_and_gets(
    plan_up: PlanUp, tmp_path: Path
) -> None:
    file = tmp_path / "a.pcap"
    capture = plan_up.lab.start("capture", "a", "-w", file, "-c", "2", "-f", plan_up.path, "icmp")
    address = plan_up.run("ip", "a").stdout.split()[0]
    plan_up.lab.run("ping", "-c", "5", "-i", "0.3", "-w", "20", address)
    capture.finished(0)
    raw = file.read_bytes()
    (magic,) = struct.unpack_from("=I", raw)
    assert magic in {0xA1B2C3D4, 0xA1B23C4D}
    assert bytes(map(int, address.split("."))) in raw
    again = plan_up.lab.vmnet("capture", "a", "-w", file, "-c", "1", "-f", plan_up.path, status=2)
    assert "fix: " in again.stderr


def test_each_kind_of_check_is_measured_inside_a_guest(plan_up: PlanUp) -> None:
    results = plan_up.checked(
        "a -> b",
        "a -> b mtu 1500",
        "a -> b latency < 5s",
        "a -> b loss < 50%",
        "host -> b",
    )
    assert [r["observed"] for r in results] == ["reaches"] * len(results), results
    assert len(results) == 5


def test_a_port_that_nobody_listens_on_is_refused_not_dead(plan_up: PlanUp) -> None:
    (result,) = plan_up.checked("a -> b tcp/81 within 2s", status=5)
    assert "nothing listens there on tcp/81" in result["finding"]["what"]
    (result,) = plan_up.checked("a -/> b tcp/81 within 2s", status=5)
    assert result["observed"] == "refused"
    assert result["finding"]["what"].startswith("b refuses a on tcp/81: nothing listens there, but")
    assert result["finding"]["fix"].endswith("with the words or refused")
    plan_up.checked("a -/> b tcp/81 or refused within 2s")


def test_a_pair_that_must_not_meet_and_does_is_a_failure(plan_up: PlanUp) -> None:
    (result,) = plan_up.checked("a -/> b", status=5)
    assert "which it must not: both are in mode bridge" in result["finding"]["what"]


def test_what_a_killed_check_has_left_is_in_nobodys_way_and_goes_with_the_next_up(
    plan_restored: PlanUp,
) -> None:
    def links() -> set[str]:
        return {line.split(": ")[1] for line in plan_restored.lab.ip("-o", "link").splitlines()}

    before = links()
    plan_restored.run("link", "b.0", "--loss", "100%")
    try:
        running = plan_restored.lab.start("check", plan_restored.path, "--json")
        # Why b is dead is asked by a wire that is made for the question.
        until(lambda: links() - before or running.process.poll() is not None, "a wire is made")
        running.process.kill()
        running.process.wait()
        made = links() - before
        assert made, "the check had ended before it could be killed"
    finally:
        plan_restored.run("link", "b", "--clear")
    assert plan_restored.check()["findings"] == []
    steps = plan_restored.lab.vmnet("plan", plan_restored.path, "--json").report["to_do"]
    assert steps
    assert all(step.startswith("delete wire mvx") for step in steps), steps
    plan_restored.up()
    assert links() == before


def test_watching_tells_what_changes_and_ends_with_the_last_status(plan_restored: PlanUp) -> None:
    line = '["a -> b on lan"]'
    words = ("check", plan_restored.path, "--watch", "--every", "0.5", "--set", f"checks={line}")
    watching = plan_restored.lab.start(*words)
    until(lambda: watching.stdout, "a first round")
    plan_restored.run("link", "b", "--loss", "100%")
    try:
        until(lambda: "reaches -> " in watching.stdout, "the change is told")
    finally:
        watching.process.send_signal(signal.SIGINT)
        ran = watching.finished(5)
        plan_restored.run("link", "b", "--clear")
    assert "impaired: loss 100%" in ran.stdout


def test_in_a_github_job_surprises_are_annotations_and_a_summary(
    plan_up: PlanUp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    ran = plan_up.lab.vmnet("check", plan_up.path, "--set", 'checks=["a -/> b"]', status=5)
    (error,) = [line for line in ran.stdout.splitlines() if line.startswith("::error")]
    assert "which it must not" in error
    text = summary.read_text()
    assert text.startswith("before\n")
    assert "which it must not" in text
