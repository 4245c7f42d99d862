"""Guests whose QEMUs run and that libvirt has lost: nothing is taken away under them."""

import shutil
import sys
from pathlib import Path

from tests.framework.lab import Lab, until

PLAN = """\
networks: {lan: {switch: true, subnet: 10.77.0.0/24}}
vms: {a: {nics: [lan], disks: [{size: 8M}]}, b: {nics: [lan]}}
"""
DELETE = """\
import sys
from provisioner.guest.domain import Domain, DomainDisk
from provisioner.host.domain import DomainDriver
from provisioner.host.libvirt.session import LibvirtSession

plan, console = sys.argv[1:]
libvirt = LibvirtSession(plan)
libvirt.choose("auto")
domain = Domain(f"{plan}-b", "", plan, "b", 128, 1, "tcg", console, ())
DomainDriver(libvirt).delete(domain)
libvirt.close()
"""
CAUSE = "its QEMU runs, and libvirt has lost it"


def test_a_guest_that_libvirt_has_lost_is_told_and_shut_down_and_the_plan_converges(
    lab: Lab,
) -> None:
    plan = lab.plan(PLAN)
    lab.vmnet("up", plan)
    root, first = Path("/run/vmnet", lab.name), lab.qemus()
    names = {vm: f"{lab.name}-{vm}" for vm in "ab"}
    lines = {
        vm: f"delete stray domain {name} (process {first[name]}): {CAUSE}"
        for vm, name in names.items()
    }
    # Written and not yet synchronised: it is lost when the guest is not shut down.
    lab.vmnet("exec", "-f", plan, "a", "--", "sh", "-c", "printf kept > /dev/vda")
    (root / "run" / "qemu" / f"{names['a']}.xml").unlink()

    before = lab.snapshot()
    report = lab.vmnet("status", plan, "--json").report
    states = {vm["name"]: (vm["state"], vm["pid"]) for vm in report["vms"]}
    assert states == {
        "a": ("lost by libvirt", first[names["a"]]),
        "b": ("running", first[names["b"]]),
    }
    assert report["to_do"] == [lines["a"], f"create domain {names['a']}: missing"]
    refused = lab.vmnet("check", plan, status=5).stderr
    pid = first[names["a"]]
    assert f"a of the plan is not up: libvirt has lost a, its QEMU is process {pid}" in refused
    assert (lab.snapshot(), lab.qemus()) == (before, first)

    done = lab.vmnet("up", plan, "--json").report["done"]
    assert done == [lines["a"], f"create domain {names['a']}: missing"]
    assert lab.qemus()[names["b"]] == first[names["b"]]
    assert lab.vmnet("exec", "-f", plan, "a", "--", "head", "-c4", "/dev/vda").stdout == "kept"

    second = lab.qemus()
    shutil.rmtree(root)
    # libvirt has lost it between the look and the deletion, which ends its QEMU all the same.
    console = f"/var/lib/vmnet/{lab.name}/console/b.log"
    argv = [*lab.enter, sys.executable, "-c", DELETE, lab.name, console]
    lab.running(argv, lab.environment).finished()
    del second[names["b"]]
    assert lab.qemus() == second
    shown = lab.vmnet("status", "--name", lab.name, "--json").report["to_do"]
    assert f"delete stray domain {names['a']}" in [x.partition(" (")[0] for x in shown]
    assert lab.qemus() == second
    done = lab.vmnet("down", plan, "--json").report["done"]
    assert CAUSE in done[0]
    until(lambda: not lab.qemus(), "the QEMUs have gone", 1)
    assert lab.snapshot() == lab.before
