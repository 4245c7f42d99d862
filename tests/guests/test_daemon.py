"""A libvirt daemon that runs already: used where it can see the devices, and left where not."""

import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.framework.lab import Lab, call, until
from tests.framework.libvirtd import PRIVATE, SYSTEM, running
from tests.framework.terminal import typed

PLAN = """\
accel: tcg
networks: {lan: {switch: true, subnet: 10.77.0.0/24}}
vms: {a: {nics: [lan]}, b: {nics: [lan]}}
"""
PROGRAM = """\
import sys
from provisioner.api import Lab
print(Lab(sys.argv[1], connection="qemu:///system").vm("a").exec("hostname").stdout, end="")
"""


@pytest.fixture(scope="module")
def served(shared_lab: Lab) -> Iterator[Lab]:
    """A host with a libvirt daemon, in the network namespace that vmnet is run in."""
    with shared_lab.mounted(PRIVATE), running(shared_lab), shared_lab.settled():
        yield shared_lab


@pytest.fixture
def host(served: Lab) -> Iterator[Lab]:
    """The same, as a test finds it: what one leaves that fails is no matter of the next."""
    with served.settled():
        yield served


def virsh(lab: Lab, *words: str) -> str:
    return lab.run("virsh", "-q", "-c", SYSTEM, *words)


def chosen(report: Any) -> tuple[str, str]:  # noqa: ANN401  (JSON)
    libvirt = report["chosen"]["libvirt"]
    return libvirt["value"], libvirt["why"]


def test_up_and_down_use_the_daemon_that_answers(host: Lab) -> None:
    plan = host.plan(PLAN)
    first = host.vmnet("up", plan, "--json").report
    why = "a libvirt daemon answers at /run/libvirt/libvirt-sock"
    assert chosen(first) == (SYSTEM, why)
    assert first["summary"] == "all 6 measurements are as expected"
    running = virsh(host, "list", "--name").split()
    assert sorted(running) == [f"{host.name}-a", f"{host.name}-b"]
    qemus = host.qemus()
    assert sorted(qemus) == sorted(running)

    second = host.vmnet("up", plan)
    assert f"libvirt {SYSTEM}: {why}\n" in second.stderr
    assert "\nnothing to do\n" in second.stderr
    assert host.qemus() == qemus

    host.vmnet("down", plan)
    assert virsh(host, "list", "--all") == ""
    assert host.snapshot() == host.before


def test_guests_are_got_into_over_a_daemon_too(host: Lab, tmp_path: Path) -> None:
    plan = host.plan(PLAN)
    host.vmnet("up", plan)
    flood = "head -c 3000000 /dev/zero | tr '\\0' x; exit 3"
    ran = host.vmnet("exec", "-f", plan, "a", "--", "sh", "-c", flood, status=3)
    assert ran.stdout == "x" * (2 << 20)
    argv = [*host.enter, sys.executable, "-c", PROGRAM, str(plan)]
    assert host.running(argv, host.environment).finished().stdout == "a\n"
    source, back = tmp_path / "file", tmp_path / "back"
    source.write_bytes(bytes(range(256)) * 6000)
    host.vmnet("cp", "-f", plan, "--way", "agent", source, "a:/tmp/file")
    host.vmnet("cp", "-f", plan, "--way", "agent", "a:/tmp/file", back)
    assert back.read_bytes() == source.read_bytes()
    assert "ready uptime" in host.vmnet("logs", "-p", plan, "a").stdout
    host.vmnet("down", plan)
    assert host.snapshot() == host.before


def test_dead_and_half_dead_guests_are_told_over_a_daemon_too(host: Lab) -> None:
    plan = host.plan(PLAN)
    host.vmnet("up", plan)
    pid = host.qemus()[f"{host.name}-a"]
    watching = host.start("check", plan, "--watch", "--every", "60")
    try:
        until(lambda: "measurements are as expected" in watching.stdout, "a first round")
        typed(host, plan, "b", "kill -STOP $(pidof qemu-ga)")
        until(lambda: "b: its guest agent has not answered for" in watching.stdout, "it is told")
    finally:
        watching.process.send_signal(signal.SIGINT)
        watching.finished(None)
    os.kill(pid, signal.SIGSTOP)
    try:
        report = host.vmnet("check", plan, "--json", status=5, within_s=40).report
    finally:
        os.kill(pid, signal.SIGCONT)
    said = {f["about"]: f["what"] for f in report["findings"]}
    stopped = f"its guest agent does not answer: its QEMU, process {pid}, is stopped (state T)"
    assert said["a"] == f"a is not up: {stopped}; it does not answer on the wire either"
    # The daemon may still wait, for the check before, for an answer of b's: it asks no second time.
    why = "(, though libvirt says it is connected|: libvirt has not asked the guest's agent .*)"
    assert re.match(f"b: its guest agent does not answer{why}; it answers on the wire", said["b"])
    host.vmnet("down", plan)
    assert host.snapshot() == host.before


STRANGER = """\
<domain type='qemu'>
  <name>Old Web&amp;Shop</name>
  <memory unit='MiB'>128</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/><source file='/mnt/web.qcow2'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <interface type='direct'>
      <mac address='52:54:00:00:00:01'/><source dev='up0' mode='private'/><model type='virtio'/>
    </interface>
    <memballoon model='none'/>
  </devices>
</domain>
"""


def test_a_plan_is_written_for_a_domain_that_runs_on_a_macvtap(host: Lab) -> None:
    links = host.snapshot().links
    host.ip("link", "add", "up0", "type", "veth", "peer", "name", "up1")
    host.run("qemu-img", "create", "-q", "-f", "qcow2", "/mnt/web.qcow2", "1M")
    (host.root / "mnt/web.xml").write_text(STRANGER)
    virsh(host, "create", "--paused", "/mnt/web.xml")
    try:
        adopted = host.vmnet("adopt", "--name", "taken").stdout
        assert "left out" not in adopted
        written = host.directory / "taken.yaml"
        written.write_text(adopted)
        rendered = host.vmnet("render", "-f", written, "web", status=2).stderr
        assert "lies outside the folder of the plan" in rendered
        assert 'up0-private: {uplink: "up0", mode: private' in adopted
        assert '- {network: up0-private, mac: "52:54:00:00:00:01"}' in adopted
        assert "  # the domain Old Web&Shop\n  old-web-shop:\n" in adopted
        assert "has no domain nobody" in host.vmnet("adopt", "nobody", status=2).stderr
    finally:
        virsh(host, "destroy", "Old Web&Shop")
        host.ip("link", "del", "up0")
    assert host.snapshot().links == links


def test_a_domain_of_somebody_else_is_not_touched(host: Lab) -> None:
    theirs = host.directory / "theirs.xml"
    name = f"{host.name}-a"
    theirs.write_text(
        f"<domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory>"
        "<os><type arch='x86_64' machine='q35'>hvm</type></os></domain>"
    )
    virsh(host, "define", str(theirs))
    before = virsh(host, "dumpxml", name)
    refused = host.vmnet("up", host.plan(PLAN), status=3).stderr
    assert f'libvirt already has a domain "{name}" that vmnet did not make' in refused
    host.vmnet("down", "--name", host.name)
    assert virsh(host, "dumpxml", name) == before
    virsh(host, "undefine", name)
    assert host.snapshot() == host.before


def test_a_daemon_in_another_network_namespace_is_not_used(host: Lab, tmp_path: Path) -> None:
    with Lab(tmp_path).opened() as elsewhere:
        root, enter = elsewhere.root, elsewhere.enter
        elsewhere.root = host.root
        elsewhere.enter = (*host.enter[:-1], f"--net=/run/netns/{elsewhere.name}")
        report = elsewhere.vmnet("plan", elsewhere.plan(PLAN), "--json").report
        uri, why = chosen(report)
        assert uri == f"qemu:///embed?root=/run/vmnet/{elsewhere.name}"
        assert "libvirt-sock runs in another network namespace" in why
        elsewhere.root, elsewhere.enter = root, enter
    assert call("ip", "netns", "list").count(elsewhere.name) == 0


def test_a_daemon_shows_nothing_of_what_a_guest_is_told(host: Lab) -> None:
    file = '{path: /etc/a, content: "hidden content"}'
    plan = host.plan(PLAN.replace("b: {nics: [lan]}", f"b: {{nics: [lan], files: [{file}]}}"), "h")
    host.vmnet("up", plan)
    (seed,) = Path("/var/lib/vmnet", f"{host.name}h", "seed").glob("b-*.iso")
    # vmnet has given it to its QEMU's user; nobody else has ever had a right to it.
    user = Path(f"/proc/{host.qemus()[f'{host.name}h-b']}").stat().st_uid
    assert (seed.stat().st_uid, f"{seed.stat().st_mode:o}") == (user, "100600")
    assert user > 2_000_000_000
    shown = virsh(host, "--readonly", "dumpxml", f"{host.name}h-b")
    assert str(seed) in shown
    assert [word for word in ("hidden", "aGlkZGVu", "write_files") if word in shown] == []
    read = host.vmnet("exec", "-f", plan, "b", "--", "cat", "/etc/a").stdout
    assert read == "hidden content"
    host.vmnet("down", plan)


def test_a_snapshot_is_put_back_by_a_daemon_too(host: Lab) -> None:
    plan = host.plan(PLAN.replace("a: {nics: [lan]}", "a: {nics: [lan], disks: [16M]}"), "s")
    host.vmnet("up", plan)

    def inside(script: str) -> str:
        return host.vmnet("exec", "-f", plan, "a", "--", "sh", "-c", script).stdout

    inside("echo before > /tmp/word; echo before > /dev/vda; sync")
    host.vmnet("snapshot", "save", "first", "-f", plan)
    inside("echo after > /tmp/word; echo after > /dev/vda; sync")
    back = host.vmnet("snapshot", "restore", "first", "-f", plan, "--yes", "--json").report
    assert (back["summary"], back["to_do"]) == ("all 6 measurements are as expected", [])
    assert inside("cat /tmp/word; head -n 1 /dev/vda").split() == ["before", "before"]
    host.vmnet("down", plan)
    assert virsh(host, "list", "--all") == ""
    back = host.vmnet("up", plan, "--from-snapshot", "first", "--yes", "--json").report
    assert back["summary"] == "all 6 measurements are as expected"
    assert inside("cat /tmp/word; head -n 1 /dev/vda").split() == ["before", "before"]
    host.vmnet("down", plan)
    host.vmnet("snapshot", "rm", "first", "-f", plan, "--yes")
    assert host.snapshot() == host.before
