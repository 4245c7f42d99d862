"""Asked from another machine on the LAN, by a real ssh to a real sshd: real guests, all the way."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.framework.lab import Lab
from tests.framework.sshd import Sshd, sshd
from tests.framework.wire import CabledNic, cabled_nic

NAS, HERE = "10.93.0.254", "10.93.0.1"
PLAN = """\
networks: {{lan: {{uplink: {uplink}, subnet: 10.93.0.0/24, pool: 10.93.0.10-10.93.0.99}}}}
vms:
  a: {{memory: 96M, nics: [lan]}}
  p: {{memory: 96M, nics: [{{network: lan, mode: private}}]}}
hosts: {{nas: {{address: 10.93.0.254, ssh: "{login}"}}}}
"""


@pytest.fixture(scope="module")
def wire(shared_lab: Lab) -> Iterator[CabledNic]:
    with cabled_nic(shared_lab, f"{NAS}/24", host=(f"{HERE}/24",)) as made:
        yield made


@pytest.fixture(scope="module")
def server(wire: CabledNic, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(wire, tmp_path_factory.mktemp("sshd"), NAS, 2222) as made:
        yield made


@pytest.fixture(autouse=True)
def configured(server: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{server.programs}:{os.environ['PATH']}")


@pytest.fixture(scope="module")
def plan(shared_lab: Lab, wire: CabledNic, server: Sshd) -> Iterator[Path]:
    with shared_lab.settled():
        login = f"root@{server.address}:{server.port}"
        path = shared_lab.plan(PLAN.format(uplink=wire.name, login=login), "m")
        shared_lab.vmnet("up", path, status=5)  # without the keys: nothing is known, so not good
        yield path
        shared_lab.vmnet("down", path)


def told(report: Any, source: str, target: str) -> dict[str, Any]:  # noqa: ANN401  (JSON)
    (found,) = [r for r in report["results"] if (r["from"], r["to"]) == (source, target)]
    return dict(found)


def checked(lab: Lab, plan: Path, *more: str, status: int = 0) -> Any:  # noqa: ANN401  (JSON)
    return lab.vmnet("check", plan, "--json", *more, status=status).report


def test_each_guest_is_pinged_from_the_machine_and_pings_it(shared_lab: Lab, plan: Path) -> None:
    report = checked(shared_lab, plan)
    for vm in ("a", "p"):
        asked = told(report, "nas", vm)
        assert (asked["expected"], asked["observed"]) == ("reaches", "reaches")
        assert asked["by"] == "another host, by ssh"
        assert told(report, vm, "nas")["observed"] == "reaches"
    grid = shared_lab.vmnet("check", plan, "--all").stdout
    assert [line for line in grid.splitlines() if line.startswith("nas")]
    assert "another host, by ssh; ping" in grid


def test_a_sample_still_asks_from_each_machine(shared_lab: Lab, plan: Path) -> None:
    report = checked(shared_lab, plan, "--pairs", "sample")
    asked = {(r["from"], r["to"]) for r in report["results"]}
    assert {("nas", "a"), ("nas", "p"), ("a", "nas"), ("p", "nas")} <= asked


def test_a_host_of_sshs_own_configuration_will_do(shared_lab: Lab, plan: Path) -> None:
    by_alias = plan.with_name("alias.yaml")
    text = plan.read_text()
    by_alias.write_text(text.replace(f"root@{NAS}:2222", "nas"))
    assert told(checked(shared_lab, by_alias), "nas", "a")["observed"] == "reaches"


def test_frames_that_are_lost_between_them_are_followed(shared_lab: Lab, plan: Path) -> None:
    script = "echo 1 > /proc/sys/net/ipv4/icmp_echo_ignore_all"
    shared_lab.vmnet("exec", "-f", plan, "a", "--", "sh", "-c", script)
    try:
        report = checked(shared_lab, plan, status=5)
    finally:
        undo = script.replace("1 >", "0 >")
        shared_lab.vmnet("exec", "-f", plan, "a", "--", "sh", "-c", undo)
    asked = told(report, "nas", "a")
    assert asked["observed"] == "no answer"
    assert asked["finding"]["what"] == "a ignores pings: icmp_echo_ignore_all is 1 inside it"
    assert told(report, "nas", "p")["observed"] == "reaches"


def test_a_way_that_the_machine_closes_itself_is_told_apart(
    shared_lab: Lab, plan: Path, wire: CabledNic
) -> None:
    rules = "add table ip shut; add chain ip shut out { type filter hook output priority 0; }; "
    wire.outside("nft", f"{rules} add rule ip shut out ip protocol icmp drop")
    try:
        report = checked(shared_lab, plan, "--set", 'checks=["nas -> a"]', status=5)
    finally:
        wire.outside("nft", "delete table ip shut")
    what = told(report, "nas", "a")["finding"]["what"]
    assert what.startswith(f"what nas sent to {told(report, 'nas', 'a')['address']} never came to")


def test_what_must_not_be_reached_and_is_fails(shared_lab: Lab, plan: Path) -> None:
    report = checked(shared_lab, plan, "--set", 'checks=["nas -/> p"]', status=5)
    what = told(report, "nas", "p")["finding"]["what"]
    assert what.startswith("nas reaches p, which it must not: mode private receives from the wire")


@pytest.mark.parametrize("broken", ["another host key", "no key of ours", "nobody listens"])
def test_what_cannot_be_logged_in_to_is_not_measured_and_never_down(
    shared_lab: Lab, plan: Path, server: Sshd, tmp_path: Path, broken: str
) -> None:
    path, room = plan, server.programs.parent
    changed = {"another host key": room / "known_hosts", "no key of ours": room / "user.pub"}
    file = changed.get(broken)
    before = file.read_text() if file else ""
    if file:
        file.write_text("# nobody\n")
    else:
        path = tmp_path / "closed.yaml"
        path.write_text(plan.read_text().replace(":2222", ":2223"))
    try:
        report = checked(shared_lab, path, "--set", 'checks=["nas -> a", "nas -/> p"]', status=5)
    finally:
        if file:
            file.write_text(before)
    for vm in ("a", "p"):
        asked = told(report, "nas", vm)
        assert (asked["observed"], asked["as_expected"], asked["by"]) == (
            "not measured", False, None
        )  # fmt: skip
        assert asked["finding"]["what"].startswith("cannot be tested: cannot log in to root@")
        assert "ssh -o BatchMode=yes -p 222" in asked["finding"]["fix"]
