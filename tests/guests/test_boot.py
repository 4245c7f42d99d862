"""A host that boots again: what systemd's units and libvirt's hook run brings the guests back.

systemd does not run here: its own tool judges the units, and their command lines are run as they
stand there. Whether systemd runs them is shown by `make test-nested`.
"""

import json
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders.documents import valid
from tests.framework import libvirtd
from tests.framework.lab import Lab, until
from tests.framework.libvirtd import SYSTEM
from tests.framework.running import Ran

PRIVATE = """\
mkdir -p /etc/vmnet
mount -t tmpfs tmpfs /etc/systemd/system
mount -t tmpfs tmpfs /etc/vmnet
if [ -d /etc/libvirt/hooks ]; then mount -t tmpfs tmpfs /etc/libvirt/hooks; fi
"""
PLAN = """\
networks:
  lan: {uplink: nic0, mode: bridge, subnet: 10.78.0.0/24, host_access: true}
  lab: {switch: {nat: true, dhcp: true}, subnet: 10.77.0.0/24}
vms:
  a: {nics: [lan, lab]}
  b: {nics: [lab], memory: 96M}
"""


@pytest.fixture
def wired(lab: Lab) -> Iterator[Lab]:
    """A lab with a NIC."""
    lab.ip("link", "add", "nic0", "type", "veth", "peer", "name", "far0")
    for end in ("nic0", "far0"):
        lab.ip("link", "set", end, "addrgenmode", "none")
        lab.ip("link", "set", end, "up")
    had = Path("/etc/vmnet").exists()
    try:
        yield lab
    finally:
        lab.ip("link", "del", "nic0")
        if not had:
            Path("/etc/vmnet").rmdir()


@pytest.fixture
def host(wired: Lab) -> Iterator[Lab]:
    """A host whose folders for units, plans and hooks are its own."""
    with wired.mounted(PRIVATE):
        yield wired


def complaints(host: Lab, unit: str) -> str:
    """Return what systemd has to complain about in a unit."""
    argv = [*host.enter, "systemd-analyze", "verify", "--man=no", unit]
    ran = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    return ran.stdout + ran.stderr


def command_lines(host: Lab, unit: str, key: str) -> list[list[str]]:
    """Return the command lines of a unit, split as systemd does where nothing is to expand."""
    folder = host.root / "etc/systemd/system"
    files = [folder / unit, folder / f"{unit}.d" / "plan.conf"]
    text = "\n".join(file.read_text() for file in files if file.exists())
    return [shlex.split(line) for line in re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)]


def run_unit(host: Lab, unit: str, key: str) -> Ran:
    """Run the one command line of a unit, in the environment of a unit."""
    (argv,) = command_lines(host, unit, key)
    running = host.running([*host.enter, *argv], {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"})
    return running.finished()


def reboot(host: Lab) -> None:
    """Take away all that does not outlive a boot: processes, devices, rules, /run."""
    for pid in host.pids():
        if Path(f"/proc/{pid}/comm").read_text().strip() in {"qemu-system-x86", "dnsmasq"}:
            os.kill(pid, signal.SIGKILL)
    until(lambda: not host.qemus(), "QEMU has ended")
    host.run("nft", "flush", "ruleset")
    for link in json.loads(host.ip("-json", "link")):
        if link["ifname"].startswith("mv"):
            subprocess.run(
                ["ip", "-n", host.name, "link", "del", link["ifname"]],
                check=False,
                capture_output=True,
            )
    host.run(
        "find",
        "/run/vmnet",
        "-maxdepth",
        "1",
        "-name",
        f"{host.name}*",
        "-exec",
        "rm",
        "-rf",
        "{}",
        "+",
    )


def test_the_units_are_as_systemd_wants_them_and_go_again(host: Lab) -> None:
    plan = host.plan(PLAN)
    host.vmnet("boot", "install", plan, "--set", "vms.b.memory=128M")
    unit = f"vmnet@{host.name}.service"
    watch = f"vmnet-watch@{host.name}.service"
    assert complaints(host, unit) + complaints(host, watch) == ""
    (words,) = command_lines(host, watch, "ExecStart")
    assert words[-4] == "watch"
    assert words[-2:] == ["--set", "vms.b.memory=128M"]
    assert host.run("systemctl", "is-enabled", unit) == "enabled\n"
    document = host.vmnet("boot", "status", "--json").report
    (shown,) = valid(document, "boot status")["plans"]
    assert (shown["name"], shown["enabled"], shown["changed"]) == (host.name, True, False)
    again = host.vmnet("boot", "install", plan, "--json")
    assert not again.stderr.count("daemon that runs")
    assert valid(again.report, "boot install")["plans"] == [{**shown, "changed": False}]

    plan.write_text(plan.read_text().replace("96M", "112M"))
    assert "changed since" in host.vmnet("boot", "status").stdout

    assert host.vmnet("boot", "remove", "--name", host.name).stdout == "done\n"
    assert host.vmnet("boot", "remove", "--name", host.name).stdout == "nothing to do\n"
    places = ("/etc/systemd/system", "/etc/vmnet", "/etc/libvirt/hooks")
    assert host.run("find", *places, "-type", "f", "-o", "-type", "l") == ""


def test_what_is_somebody_elses_stays(host: Lab) -> None:
    host.run("sh", "-c", "echo mine > /etc/systemd/system/vmnet@.service")
    refused = host.vmnet("boot", "install", host.plan(PLAN), status=3).stderr
    assert "/etc/systemd/system/vmnet@.service is in the way" in refused
    assert "fix: move it away" in refused
    host.vmnet("boot", "remove", "--name", host.name)
    assert host.run("cat", "/etc/systemd/system/vmnet@.service") == "mine\n"


def test_after_a_boot_the_unit_alone_brings_everything_back(host: Lab) -> None:
    plan = host.plan(PLAN)
    host.vmnet("boot", "install", plan)
    unit = f"vmnet@{host.name}.service"
    first = host.vmnet("up", plan, "--json").report
    reboot(host)
    up = run_unit(host, unit, "ExecStart")
    assert f"{host.name}: {first['summary']}" in up.stdout
    assert sorted(host.qemus()) == [f"{host.name}-a", f"{host.name}-b"]
    assert host.vmnet("plan", plan, "--json").report["to_do"] == []

    run_unit(host, unit, "ExecStop")
    assert host.qemus() == {}
    run_unit(host, unit, "ExecReload")
    assert sorted(host.qemus()) == [f"{host.name}-a", f"{host.name}-b"]
    _is_watched_until_it_is_down(host, plan)


def _is_watched_until_it_is_down(host: Lab, plan: Path) -> None:
    """The plan's other unit puts back what a flush takes away, and nothing of what `down` takes."""
    tables = _tables(host)
    (argv,) = command_lines(host, f"vmnet-watch@{host.name}.service", "ExecStart")
    rights = "-all,+net_admin,+chown,+dac_override"  # as its unit has them
    held = ["setpriv", "--bounding-set", rights, "--no-new-privs"]
    watch = host.running([*host.enter, *held, *argv], {"PATH": os.environ["PATH"]})
    try:
        host.run("nft", "flush", "ruleset")
        until(lambda: _tables(host) == tables, "it is put back", within_s=20)
        host.run("nft", "flush", "ruleset")
        host.vmnet("down", plan)
        assert watch.runs_for(0.5)
    finally:
        watch.process.send_signal(signal.SIGTERM)
        ended = watch.finished(143)
    assert "no more watching" in ended.stderr
    assert ended.stdout.count("was gone, and is put back") >= len(tables), ended.stdout
    assert _tables(host) == []
    assert host.run("cat", "/proc/sys/net/ipv4/ip_forward") == "0\n"


def _tables(host: Lab) -> list[str]:
    rules = host.run("nft", "--stateless", "list", "ruleset")
    return sorted(filter(None, re.split(r"(?m)^(?=table )", rules)))


def test_devices_of_vmnet_net_come_back_as_they_were(host: Lab) -> None:
    refused = host.vmnet("boot", "install", "--net", status=2).stderr
    assert "there is no device of vmnet net" in refused
    host.vmnet(
        "net",
        "create",
        "--uplink",
        "nic0",
        "--mode",
        "private",
        "--count",
        "2",
        "--owner",
        "nobody",
        "--label",
        "lan",
    )
    host.vmnet(
        "net",
        "create",
        "--uplink",
        "nic0",
        "--mode",
        "source",
        "--name",
        "x",
        "--allow",
        "02:00:00:00:00:01",
    )
    host.vmnet("net", "rm", "mvn0")
    before = json.loads(host.vmnet("net", "ls", "--json").stdout)["devices"]
    host.vmnet("boot", "install", "--net")
    assert complaints(host, "vmnet-net.service") == ""
    host.vmnet("net", "rm", "--all")
    run_unit(host, "vmnet-net.service", "ExecStart")
    assert json.loads(host.vmnet("net", "ls", "--json").stdout)["devices"] == before
    assert host.vmnet("net", "restore", "/etc/vmnet/net.json").stdout == "there is no device\n"
    host.vmnet("net", "rm", "--all")
    host.vmnet("boot", "remove", "--net")
    assert host.run("find", "/etc/systemd/system", "/etc/vmnet", "-type", "f") == ""


def test_libvirt_starts_a_domain_by_itself_and_its_hook_makes_the_macvtaps(wired: Lab) -> None:
    host = wired
    # Without keys it has no seed, which `up` would make.
    plan = host.plan(PLAN.replace("  b: {", "  b: {ssh_keys: none, "))
    xml = host.directory / "b.xml"
    with host.mounted(libvirtd.PRIVATE + PRIVATE):
        host.vmnet("boot", "install", plan)
        with libvirtd.running(host):
            xml.write_text(host.vmnet("render", "b", "-f", plan).stdout)
            virsh = ("virsh", "-q", "-c", SYSTEM)
            host.run(*virsh, "define", str(xml))
            host.run(*virsh, "start", f"{host.name}-b")
            assert sorted(host.qemus()) == [f"{host.name}-b"]
            assert len(host.macvtaps()) == 3
            qemu = host.qemus()
            report = host.vmnet("up", plan, "--json").report
            assert f"create domain {host.name}-a: missing" in report["done"]
            assert qemu.items() <= host.qemus().items()

            host.vmnet("boot", "remove", "--name", host.name)
            host.vmnet("down", plan)
            assert host.macvtaps() == {}
            refused = subprocess.run(
                [*host.enter, *virsh, "start", f"{host.name}-b"],
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            assert refused.returncode
            host.run(*virsh, "undefine", f"{host.name}-b")


def test_a_domain_whose_plan_is_not_stored_is_refused_with_the_way_out(host: Lab) -> None:
    plan = host.plan(PLAN)
    xml = host.directory / "b.xml"
    xml.write_text(host.vmnet("render", "b", "-f", plan).stdout)
    argv = host.argv("boot", "devices", "b")
    vmnet = ["sh", "-c", f'exec "$@" <{xml}', "sh", *argv[len(host.enter) :]]
    ran = host.running([*host.enter, *vmnet], host.environment).finished(4)
    assert f"the domain {host.name}-b is of the plan {host.name}, whose devices" in ran.stderr
    assert "fix: vmnet boot install FILE" in ran.stderr
