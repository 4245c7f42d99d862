"""The names of a plan's guests in /etc/hosts, from `up` to `down`."""

from pathlib import Path

from tests.framework.lab import Lab
from tests.framework.running import Ran

PLAN = """\
hosts_file: true
networks: {lan: {switch: true, subnet: 10.77.0.0/24}}
vms: {a: {nics: [{network: lan, address: 10.77.0.7}]}}
"""


def test_guests_have_names_while_the_plan_is_up(lab: Lab, tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    text = "127.0.0.1 localhost"
    hosts.write_text(text)
    plan = lab.plan(PLAN)

    def vmnet(*words: str) -> Ran:
        environment = {**lab.environment, "VMNET_HOSTS_FILE": str(hosts)}
        return lab.running(lab.argv(*words), environment).finished(0)

    up = vmnet("up", str(plan), "--json").report
    assert {
        "action": "create",
        "kind": "hosts block",
        "name": lab.name,
        "vm": None,
    }.items() <= next(step for step in up["steps"] if step["kind"] == "hosts block").items()
    name = f"10.77.0.7 a.{lab.name} a a.lan.{lab.name}\n"
    assert name in hosts.read_text()
    assert vmnet("plan", str(plan), "--json").report["to_do"] == []
    hosts.write_text(hosts.read_text().replace(name, ""))
    assert vmnet("status", str(plan), "--json").report["to_do"] == [
        f"update hosts block of {lab.name} in /etc/hosts: its lines are not the plan's"
    ]
    vmnet("down", "--name", lab.name, "--now")
    assert hosts.read_text() == text
