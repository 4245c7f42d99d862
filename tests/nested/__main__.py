"""A host that is a guest: vmnet in a Debian VM brings its own guests back when that VM reboots.

    python -m tests.nested

Real systemd, real libvirtd, a real reboot. CPUs emulated by emulated CPUs: it takes minutes, and is
no part of the suite.
"""

import argparse
import dataclasses
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from provisioner.host.image import micro
from provisioner.host.image.built import BuiltImage
from provisioner.host.image.debian import recipe
from provisioner.host.image.debian.builder import DebianBuilder
from provisioner.host.system import paths
from tests.framework.lab import REPOSITORY, Lab, call

T = TypeVar("T")

BOOT_S = 900.0
UNIT_S = 1500.0  # of the unit's start: three guests, emulated twice
CHECK_S = 900.0
GRACE_S = 900.0  # for its units to stop its guests
PAUSE_S = 5.0
PACKAGES = (
    *("python3", "qemu-system-x86", "qemu-utils", "libvirt-daemon-system"),
    *("libvirt-daemon-driver-qemu", "nftables", "dnsmasq-base", "openssh-client", "openssl"),
)
TOOLS = {"mypy", "mypyc", "ruff", "hypothesis", "pip", "setuptools", "grimp", "cryptography"}
OUTER = """\
# The MACs of its own guests pass its NIC.
networks: {{lan: {{switch: true, mode: passthru, spoof_guard: off, subnet: 10.66.0.0/24}}}}
vms:
  host:
    image: file:{image}
    memory: 2G
    cpus: 2
    ready: cloud-init
    disk: 6G
    keep: false
    disks: [{{path: vmnet.raw, format: raw}}]
    nics: [lan]
    run:
      - mkdir -p /opt/vmnet
      - echo '/dev/vdb /opt/vmnet ext4 ro,nofail 0 0' >>/etc/fstab
      - mount /opt/vmnet
      - mkdir -p /var/cache/vmnet
      - cp -a /opt/vmnet/images /var/cache/vmnet/
      - sh /opt/vmnet/install
      - mkdir -p /var/log/journal
      - journalctl --flush
"""
# Python's own way to a package that lies elsewhere; a unit's Python reads it, isolated or not.
INSTALL = """\
place=$(python3 -c 'import site; print(site.getsitepackages()[0])')
mkdir -p "$place"
printf '/opt/vmnet/vmnet\\n/opt/vmnet/packages\\n' >"$place/vmnet.pth"
printf '#!/bin/sh\\nexec python3 -m provisioner "$@"\\n' >/usr/local/bin/vmnet
chmod 755 /usr/local/bin/vmnet
systemctl enable --now libvirtd.service
"""
# What stands on b's disk must outlive the reboot of its host.
INNER = """\
name: inner
networks:
  lab: {{switch: true, subnet: 10.77.0.0/24}}
  nic:
    uplink: {nic}
    subnet: 10.66.0.0/24
    pool: 10.66.0.200-10.66.0.210
    gateway: 10.66.0.1
vms:
  a: {{nics: [lab], memory: 96M}}
  b: {{nics: [lab], memory: 96M, disks: [16M], keep: true}}
  c: {{nics: [nic], memory: 96M}}
"""
# By vmnet's own libvirt, whose QEMUs have the limits that vmnet gives them.
ALONE = """\
name: alone
networks: {lab: {switch: true, subnet: 10.78.0.0/24}}
vms: {d: {nics: [lab], memory: 96M}}
"""
WRITTEN = "written before the reboot"
FILES = "ls -liR --time-style=full-iso /var/lib/vmnet/inner"


class HostBuilder(DebianBuilder):
    """Builds Debian with all that vmnet needs to run, but vmnet itself."""

    def __init__(self) -> None:
        super().__init__(paths.cache(), say, recipe.own_name())
        packages = [*self._recipe.packages, *PACKAGES]
        self._recipe = dataclasses.replace(self._recipe, packages=packages, size_mib=3072)
        self.name = f"nested-{self.name}"


def say(text: str) -> None:
    """Print a line, with the time."""
    print(f"{time.strftime('%T')} {text}", flush=True)  # noqa: T201


def disk_of_vmnet(disk: Path) -> None:
    """Make a file system of this vmnet, its Python packages, and the micro image."""
    tree = disk.with_suffix(".tree")
    ignored = shutil.ignore_patterns(".git", ".venv", ".*_cache", ".hypothesis")
    shutil.copytree(REPOSITORY, tree / "vmnet", ignore=ignored, symlinks=True)
    (packages,) = (REPOSITORY / ".venv" / "lib").glob("python3.*/site-packages")
    (tree / "packages").mkdir()
    for entry in packages.iterdir():
        if entry.name.partition("-")[0] in TOOLS or "__mypyc" in entry.name:
            continue
        if entry.is_dir():
            shutil.copytree(entry, tree / "packages" / entry.name)
        elif entry.suffix != ".pth":
            shutil.copy2(entry, tree / "packages" / entry.name)
    image = micro.build(paths.cache(), say)
    shutil.copytree(image.folder, tree / "images" / image.folder.name)
    (tree / "install").write_text(INSTALL)
    size_mib = sum(x.lstat().st_size for x in tree.rglob("*")) // (1 << 20) * 3 // 2 + 64
    call("mke2fs", "-q", "-t", "ext4", "-d", str(tree), str(disk), f"{size_mib}M")
    shutil.rmtree(tree)
    disk.chmod(0o666)  # for the user whom the QEMU of its guest runs as


@dataclasses.dataclass(frozen=True, slots=True)
class Nested:
    """The guest that is a host."""

    lab: Lab
    plan: Path

    def inside(self, command: str, *, status: int | None = 0, timeout_s: float = 120) -> str:
        """Run a line of shell in it, and return its output."""
        words = ("exec", "-f", self.plan, "--timeout", f"{timeout_s:g}", "host", "--")
        ran = self.lab.vmnet(*words, "sh", "-c", command, status=status, within_s=timeout_s + 60)
        return ran.stdout

    def until(self, command: str, wanted: Callable[[str], bool], within_s: float) -> str:
        """Run a line again and again until its output is as wanted."""
        end = time.monotonic() + within_s
        while True:
            said = self.inside(command, status=None, timeout_s=300).strip()
            if wanted(said):
                return said
            if time.monotonic() > end:
                raise AssertionError(f"{command}: {said}, {within_s:g} s long")
            say(f"  {command}: {said[-100:]}")
            self.inside(f"sleep {PAUSE_S:g}", status=None)

    def limits_a_qemu_of_its_own(self) -> None:
        """See systemd limit the QEMU of a guest of the embedded libvirt, until that ends."""
        path = "/root/alone.yaml"
        self.inside(f"cat >{path} <<'END'\n{ALONE}END")
        self.inside("systemctl stop 'libvirtd*.socket' libvirtd.service")
        # Emulated twice, a guest may be later than a check waits for it: it runs all the same.
        up = f"vmnet up {path} --timeout {UNIT_S:g} || test $? = 5"
        self.inside(up, timeout_s=UNIT_S)
        told = self.inside(f"vmnet status {path} --wide", timeout_s=300)
        say("\n".join(line for line in told.splitlines() if "walls of" in line))
        assert "limited memory" in told, told
        group = "/sys/fs/cgroup/machine.slice/vmnet-alone.d.scope"
        files = " ".join(f"{group}/{name}" for name in ("memory.max", "pids.max", "cgroup.procs"))
        memory, tasks, pid = self.inside(f"cat {files}").split()
        say(f"memory.max {memory}, pids.max {tasks}")
        assert (int(memory), tasks) == ((96 + 512 + 1024) << 20, "2048")
        assert "guest=alone-d" in self.inside(f"tr '\\0' '\\n' </proc/{pid}/cmdline")
        assert "vmnet@alone.service" in self.inside("systemctl show -P Before vmnet-alone.d.scope")
        self.inside(f"vmnet down {path}", timeout_s=300)
        assert self.inside(f"test -e {group} || echo gone").strip() == "gone"
        self.inside("systemctl start libvirtd.socket libvirtd.service")

    def unit_ends_its_start(self) -> str:
        """Wait for the unit of the inner plan; return what its start has said."""
        self.until(
            "systemctl show -P ActiveState vmnet@inner", {"active", "failed"}.__contains__, UNIT_S
        )
        journal = self.inside("journalctl -b -o cat --no-pager -u vmnet@inner")
        state = self.inside("systemctl show -P ActiveState vmnet@inner").strip()
        assert state == "active", f"{state}\n{journal}"
        return journal


def run(lab: Lab, image: BuiltImage) -> None:
    """Prove it, in a lab."""
    lab.directory.chmod(0o755)  # QEMU's user opens its disks there
    disk_of_vmnet(lab.directory / "vmnet.raw")
    shutil.copyfile(image.disk, lab.directory / "host.qcow2")
    plan = lab.plan(OUTER.format(image="host.qcow2"))
    began = time.monotonic()
    lab.vmnet("up", plan, "--timeout", f"{BOOT_S:g}", within_s=BOOT_S + 120)
    say(f"the host is up after {time.monotonic() - began:.0f} s")
    host = Nested(lab, plan)
    nic = host.inside("ls /sys/class/net | grep -v lo | head -1").strip()
    host.limits_a_qemu_of_its_own()
    path = "/root/inner.yaml"
    host.inside(f"cat >{path} <<'END'\n{INNER.format(nic=nic)}END")
    host.inside(f"vmnet boot install {path} --timeout {UNIT_S:g} --now", timeout_s=300)
    say("the unit of the inner plan has been installed and started")
    first = host.unit_ends_its_start()
    say(f"inner up: {first.strip().splitlines()[-1]}")
    write = f"vmnet exec -f {path} --timeout 240 b -- dd of=/dev/vda conv=fsync"
    say(host.inside(f"echo '{WRITTEN}' | {write} 2>&1", timeout_s=300).strip())
    read = f"vmnet exec -f {path} --timeout 240 b -- head -c {len(WRITTEN)} /dev/vda"
    kept = host.inside(read, timeout_s=300)
    assert kept == WRITTEN, f"before the restart: {kept!r}"
    say(host.inside(FILES).strip())
    boot = host.inside("cat /proc/sys/kernel/random/boot_id")
    began = time.monotonic()
    words = ("restart", "-f", plan, "--grace", f"{GRACE_S:g}", "--timeout", f"{BOOT_S:g}")
    lab.vmnet(*words, within_s=2 * BOOT_S)
    say(f"the host has been restarted in {time.monotonic() - began:.0f} s")
    assert host.inside("cat /proc/sys/kernel/random/boot_id") != boot
    again = host.unit_ends_its_start()
    say(f"inner up: {again.strip().splitlines()[-1]}")
    # While three guests boot on CPUs emulated twice, a ping can take longer than a check waits.
    host.until(
        f"vmnet check {path} 2>&1 | tail -1", lambda said: "are as expected" in said, CHECK_S
    )
    say("the matrix is as the plan promises")
    told = host.inside("journalctl -b -1 -o short-monotonic --no-pager -u vmnet@inner | tail -30")
    say(f"at the shutdown before: {told.strip()}")
    say(host.inside(FILES).strip())
    kept = host.inside(read, timeout_s=300)
    assert kept == WRITTEN, f"after the restart: {kept!r}"
    assert "stop domain inner-b: vmnet stop" in told, "its guests were not shut down by its unit"
    status = json.loads(host.inside(f"vmnet status {path} --json", timeout_s=300))
    assert status["to_do"] == [], status
    for line in lab.vmnet("logs", "-p", plan, "host").stdout.splitlines()[-20:]:
        say(f"| {line}")
    say("the guests are back and proved, the disk is kept")


def main() -> None:
    """Run it."""
    argparse.ArgumentParser(prog="python -m tests.nested", description=__doc__).parse_args()
    image = HostBuilder().build()
    with tempfile.TemporaryDirectory() as folder, Lab(Path(folder)).opened() as lab:
        run(lab, image)


if __name__ == "__main__":
    main()
