"""A command of vmnet is run on other hosts; one that does not answer is silent, with a reason."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from provisioner.fabric.document import from_json
from provisioner.fabric.facts import Silent
from tests.framework.fabric.hosts import Fabric
from tests.framework.lab import call, until

# What the controller's process runs: requests as JSON on standard input, answers as JSON out.
ASK = """\
import json, sys
from dataclasses import asdict
from pathlib import Path
from provisioner.errors import VmnetError
from provisioner.fabric.remote.answers import Request
from provisioner.host.fabric.remote import run_on
from provisioner.plan.hosts import login
wanted = json.load(sys.stdin)
inventory = Path(wanted["inventory"]) if wanted["inventory"] else None
requests = {
    host: Request(tuple(words), plan, None if inventory else login(f"root@{host}"))
    for host, (words, plan) in wanted["requests"].items()
}
told = []
try:
    said = run_on(requests, inventory=inventory, each=lambda host, _: told.append(host))
except VmnetError as error:
    sys.exit(f"{error.what}\\n{error.fix}")
print(json.dumps({"told": told, "said": {host: asdict(one) for host, one in said.items()}}))
"""


@pytest.fixture(scope="module")
def fabric(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fabric]:
    with Fabric(tmp_path_factory.mktemp("fabric"), "h1", "h2").opened() as made:
        yield made


def asking(
    fabric: Fabric, inventory: str = "", **requests: tuple[list[str], str]
) -> "subprocess.Popen[str]":
    """Start a controller that asks hosts; its files are in the fabric's folder `tmp`."""
    temporary = fabric.directory / "tmp"
    argv = [*fabric.control.enter, "env", f"--chdir={fabric.directory}", sys.executable, "-c", ASK]
    asks = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=fabric.control.environment | {"VMNET_RUN_DIR": str(temporary)},
    )
    assert asks.stdin
    asks.stdin.write(json.dumps({"inventory": inventory, "requests": requests}))
    asks.stdin.flush()
    asks.stdin.close()
    asks.stdin = None
    return asks


def asked(fabric: Fabric, inventory: str = "", **requests: tuple[list[str], str]) -> Any:  # noqa: ANN401  (JSON)
    """Ask hosts; return what each has said, by name."""
    with asking(fabric, inventory, **requests) as asks:
        out, err = asks.communicate(timeout=120)
    assert asks.returncode == 0, err
    return json.loads(out)["said"]


def test_hosts_answer_at_once_and_one_that_is_cut_off_is_silent(fabric: Fabric) -> None:
    with fabric.host("h2").cut():
        said = asked(fabric, h1=(["host-facts", "--json"], ""), h2=(["host-facts", "--json"], ""))
    assert from_json(said["h1"]["stdout"], "h1").name == "h1"
    assert from_json(json.dumps(said["h1"]["document"]), "h1").uplink("lan0")
    assert said["h1"]["clock_error_s"] == 0
    assert "ssh" in Silent(**said["h2"]).why.lower()


def test_a_plan_comes_as_it_is_and_is_seen_in_no_file_and_no_process_list(fabric: Fabric) -> None:
    words = ["validate", "-", "{{ 1/0 }}"]
    plan = "name: lab\n# {{ lookup('env', 'X') }}\nvms: {a: {password: Xw81y7}}\n"
    host, shown, go = fabric.host("h1"), fabric.directory / "shown", fabric.directory / "go"
    os.mkfifo(go)
    shows = f'printf "%s\\n" "$@" > {shown}.part; cat >> {shown}.part; mv {shown}.part {shown}'
    host.put_vmnet(f"#!/bin/sh\n{shows}\ncat {go}\nexit 3\n")
    with asking(fabric, h1=(words, plan)) as asks:
        until(shown.exists, "the command runs on the host")
        assert shown.read_text() == "\n".join(words) + "\n" + plan
        shown.unlink()
        listed = call("ps", "-eww") + call("ps", "eww", "-A")
        files = [path for path in (fabric.directory / "tmp").rglob("*") if path.is_file()]
        with_secret = [path for path in files if b"Xw81y7" in path.read_bytes()]
        go.write_text("go on")
        said = json.loads(asks.communicate(timeout=120)[0])["said"]
    host.put_vmnet()
    assert said["h1"]["status"] == 3
    assert "Xw81y7" not in listed
    assert files
    assert with_secret == []
    assert not (fabric.directory / "tmp").exists()


def test_an_interrupt_ends_all_that_was_started_here_and_the_host_ends_what_it_has_begun(
    fabric: Fabric,
) -> None:
    host, here, go = fabric.host("h1"), fabric.directory / "here", fabric.directory / "go"
    go.unlink(missing_ok=True)
    os.mkfifo(go)
    done = fabric.directory / "done"
    host.put_vmnet(f"#!/bin/sh\ntouch {here}\ncat {go}\ntouch {done}\n")
    before = set(fabric.control.pids())
    with asking(fabric, h1=(["up"], "")) as asks:
        until(here.exists, "the command runs on the host")
        assert len(set(fabric.control.pids()) - before) > 1
        asks.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in asks.communicate(timeout=120)[1]
    until(lambda: set(fabric.control.pids()) <= before, "no process is left here")
    assert not done.exists()
    go.write_text("go on")
    until(done.exists, "the host has ended what it has begun")
    host.put_vmnet()


def test_an_inventory_of_ansible_says_how_hosts_are_reached(fabric: Fabric) -> None:
    inventory = fabric.directory / "inventory.ini"
    inventory.write_text("[all]\nh1 ansible_host=10.98.0.1 ansible_user=root\nh2\n")
    said = asked(fabric, str(inventory), h1=(["--version"], ""), h7=(["--version"], ""))
    assert said["h1"]["stdout"].startswith("vmnet ")
    assert said["h7"] == {"why": "the inventory does not have it", "is_dead": False}
