"""Cables pulled, links made worse, frames captured, and checks of the user's own: real guests."""

import json
import signal
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.framework.lab import Lab, until

PLAN = """\
networks: {lan: {switch: true, subnet: 10.92.0.0/24}}
vms: {a: {memory: 96M, nics: [lan]}, b: {memory: 96M, nics: [lan]}}
"""


@pytest.fixture(scope="module")
def plan(shared_lab: Lab) -> Iterator[Path]:
    with shared_lab.settled():
        plan = shared_lab.plan(PLAN, "wire")
        shared_lab.vmnet("up", plan)
        yield plan
        # Left worse on purpose: down has to take that away too.
        shared_lab.vmnet("link", "a", "--loss", "1%", "-f", plan)
        shared_lab.vmnet("down", plan)


def checked(lab: Lab, plan: Path, *lines: str, status: int = 0) -> list[dict[str, Any]]:
    words = ("check", plan, "--json", "--set", f"checks={json.dumps(lines)}")
    results: list[dict[str, Any]] = lab.vmnet(*words, status=status).report["results"]
    return results


def sentences(lab: Lab, plan: Path) -> str:
    report = lab.vmnet("check", plan, "--json", status=5).report
    return " | ".join(r["finding"]["what"] for r in report["results"] if r["finding"])


def test_a_pulled_cable_is_what_the_check_says_and_up_plugs_it_in(
    shared_lab: Lab, plan: Path
) -> None:
    told = shared_lab.vmnet("link", "a.lan", "down", "-f", plan).stdout
    assert ": down;" in told
    assert "of a is down" in sentences(shared_lab, plan)
    shared_lab.vmnet("up", plan)
    assert ": up; nothing is done to it" in shared_lab.vmnet("link", "a", "-f", plan).stdout


def test_frames_that_are_lost_on_purpose_are_counted_and_named(shared_lab: Lab, plan: Path) -> None:
    shared_lab.vmnet("link", "b.0", "--loss", "100%", "-f", plan)
    try:
        assert "made worse on purpose: loss 100%" in sentences(shared_lab, plan)
        told = shared_lab.vmnet("link", "b", "-f", plan).stdout
        assert "loss 100%" in told
        assert "; 0 frames dropped" not in told
        assert "b.0: loss 100%, set by vmnet link" in shared_lab.vmnet("status", plan).stderr
    finally:
        shared_lab.vmnet("link", "b", "--clear", "-f", plan)
    shared_lab.vmnet("check", plan)
    assert "vmnetlink_" not in shared_lab.run("nft", "list", "ruleset")


def test_words_about_no_nic_change_nothing(shared_lab: Lab, plan: Path) -> None:
    before = shared_lab.run("nft", "list", "ruleset")
    for words in (("c",), ("a.7",), ("a", "sideways"), ("a", "--loss", "much")):
        ran = shared_lab.vmnet("link", *words, "-f", plan, status=2)
        assert "fix: " in ran.stderr
    assert shared_lab.run("nft", "list", "ruleset") == before


def test_a_capture_is_a_pcap_of_what_the_guest_sends_and_gets(
    shared_lab: Lab, plan: Path, tmp_path: Path
) -> None:
    file = tmp_path / "a.pcap"
    capture = shared_lab.start("capture", "a", "-w", file, "-c", "2", "-f", plan, "icmp")
    address = shared_lab.vmnet("ip", "a", "-f", plan).stdout.split()[0]
    shared_lab.run("ping", "-c", "5", "-i", "0.3", "-w", "20", address)
    capture.finished(0)
    raw = file.read_bytes()
    (magic,) = struct.unpack_from("=I", raw)
    assert magic in {0xA1B2C3D4, 0xA1B23C4D}
    assert bytes(map(int, address.split("."))) in raw
    again = shared_lab.vmnet("capture", "a", "-w", file, "-c", "1", "-f", plan, status=2)
    assert "fix: " in again.stderr


def test_each_kind_of_check_is_measured_inside_a_guest(shared_lab: Lab, plan: Path) -> None:
    results = checked(
        shared_lab,
        plan,
        "a -> b",
        "a -> b mtu 1500",
        "a -> b latency < 5s",
        "a -> b loss < 50%",
        "host -> b",
    )
    assert [r["observed"] for r in results] == ["reaches"] * len(results), results
    assert len(results) == 5


def test_a_port_that_nobody_listens_on_is_refused_not_dead(shared_lab: Lab, plan: Path) -> None:
    (result,) = checked(shared_lab, plan, "a -> b tcp/81 within 2s", status=5)
    assert "nothing listens there on tcp/81" in result["finding"]["what"]
    checked(shared_lab, plan, "a -/> b tcp/81 within 2s")


def test_a_pair_that_must_not_meet_and_does_is_a_failure(shared_lab: Lab, plan: Path) -> None:
    (result,) = checked(shared_lab, plan, "a -/> b", status=5)
    assert "which it must not: both are in mode bridge" in result["finding"]["what"]


def test_a_check_that_was_killed_leaves_nothing_to_the_next_one(
    shared_lab: Lab, plan: Path
) -> None:
    def links() -> set[str]:
        return {line.split(": ")[1] for line in shared_lab.ip("-o", "link").splitlines()}

    before = links()
    shared_lab.vmnet("link", "b.0", "--loss", "100%", "-f", plan)
    try:
        running = shared_lab.start("check", plan, "--json")
        # Why b is dead is asked by a wire that is made for the question.
        until(lambda: links() - before or running.process.poll() is not None, "a wire is made")
        running.process.kill()
        running.process.wait()
        made = links() - before
        assert made, "the check had ended before it could be killed"
    finally:
        shared_lab.vmnet("link", "b", "--clear", "-f", plan)
    shared_lab.vmnet("check", plan)
    assert links() == before


def test_watching_tells_what_changes_and_ends_with_the_last_status(
    shared_lab: Lab, plan: Path
) -> None:
    line = '["a -> b on lan"]'
    words = ("check", plan, "--watch", "--every", "0.5", "--set", f"checks={line}")
    watching = shared_lab.start(*words)
    until(lambda: watching.stdout, "a first round")
    shared_lab.vmnet("link", "b", "--loss", "100%", "-f", plan)
    try:
        until(lambda: "reaches -> " in watching.stdout, "the change is told")
    finally:
        watching.process.send_signal(signal.SIGINT)
        ran = watching.finished(5)
        shared_lab.vmnet("link", "b", "--clear", "-f", plan)
    assert "made worse on purpose: loss 100%" in ran.stdout


def test_in_a_github_job_surprises_are_annotations_and_a_summary(
    shared_lab: Lab, plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    ran = shared_lab.vmnet("check", plan, "--set", 'checks=["a -/> b"]', status=5)
    (error,) = [line for line in ran.stdout.splitlines() if line.startswith("::error")]
    assert "which it must not" in error
    text = summary.read_text()
    assert text.startswith("before\n")
    assert "which it must not" in text
