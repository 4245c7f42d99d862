"""Neighbours that must not reach each other, a guest with six NICs, and one that lets ssh in."""

import re
from pathlib import Path

import pytest

from tests.framework.lab import call
from tests.framework.plan import PlanUp

PLAN = """\
networks:
  lan: {{switch: true, mode: private, subnet: 10.77.0.0/24}}
  dmz: {{switch: true, subnet: [10.78.0.0/24, "fd78::/64"]}}
vms:
  a: {{nics: [lan], ssh_keys: "{key}"}}
  b:
    nics:
      - lan
      - dmz
      - {{network: dmz, address: ["10.78.0.102/24", "fd78::102/64"]}}
      - {{network: dmz, address: ["10.78.0.103/24", "fd78::103/64"]}}
      - {{network: dmz, address: ["10.78.0.104/24", "fd78::104/64"]}}
      - {{network: dmz, address: ["10.78.0.105/24", "fd78::105/64"]}}
"""


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key to log in with."""
    file = tmp_path_factory.mktemp("ssh") / "key"
    call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "me@here", "-f", str(file))
    return file


@pytest.fixture(scope="module")
def plan_text(key: Path) -> str:
    return PLAN.format(key=key.with_suffix(".pub").read_text().strip())


def test_private_neighbours_reach_the_host_and_not_each_other(plan_up: PlanUp) -> None:
    on_lan = {
        (r["from"], r["to"]): (r["expected"], r["observed"])
        for r in plan_up.report["results"]
        if r["network"] == "lan"
    }
    apart, together = ("must not reach", "no answer"), ("reaches", "reaches")
    assert on_lan == {
        ("a", "b"): apart,
        ("b", "a"): apart,
        ("a", "host"): together,
        ("host", "a"): together,
        ("b", "host"): together,
        ("host", "b"): together,
    }
    assert plan_up.report["status"] == 0


def test_a_seed_disk_gives_six_nics_their_addresses(plan_up: PlanUp) -> None:
    found = re.findall(
        r"(eth\d) +inet6? (\S+)", plan_up.inside("b", "ip -o addr show scope global")
    )
    report = plan_up.lab.vmnet("plan", plan_up.path, "--json").report
    (told,) = [vm for vm in report["vms"] if vm["name"] == "b"]
    assert sorted(address for _, address in found) == sorted(told["addresses"])
    assert {nic for nic, _ in found} == {f"eth{n}" for n in range(6)}
    assert (len(told["taps"]), len(plan_up.taps)) == (6, 7)
    assert {"10.78.0.102/24", "fd78::105/64"} <= set(told["addresses"])


def test_the_key_of_the_plan_opens_ssh(plan_up: PlanUp, key: Path) -> None:
    assert (
        plan_up.inside("a", "cat /root/.ssh/authorized_keys").split()
        == key.with_suffix(".pub").read_text().split()
    )
    (address,) = plan_up.addresses("a")
    options = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "ConnectionAttempts=20")
    flags = [word for option in options for word in ("-o", option)]
    there = f"root@{address}"
    ssh = ("ssh", "-F", "none", "-i", str(key), *flags, there)
    assert plan_up.lab.run(*ssh, "hostname") == "a\n"
