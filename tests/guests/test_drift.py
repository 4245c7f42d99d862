"""What others do to running guests: named by status, mended by up without a restart."""

import os
import signal
from collections.abc import Sequence

from tests.framework.lab import Lab, until
from tests.framework.plan import PlanUp, brought_up

PLAN = """\
networks: {lan: {switch: true, subnet: 10.77.0.0/24}}
vms: {a: {nics: [lan]}, b: {nics: [lan]}}
"""


def virsh(plan: PlanUp, *words: str) -> str:
    """Do what a user would do by virsh, in the plan's embedded libvirt; return what it prints.

    At times libvirt 9.0's embedded driver crashes at virsh's exit, when all has been done and
    printed: what virsh was to do shows whether it did it.
    """
    root = f"qemu:///embed?root=/run/vmnet/{plan.path.stem}"
    return plan.lab.run("virsh", "-q", "-c", root, *words, statuses=(0, -signal.SIGSEGV))


def told(plan: PlanUp) -> tuple[Sequence[str], dict[str, str]]:
    """Return what status would have done, and the VMs' states."""
    report = plan.lab.vmnet("status", plan.path, "--json").report
    return report["to_do"], {vm["name"]: vm["state"] for vm in report["vms"]}


def mended(plan: PlanUp) -> Sequence[str]:
    """Bring the plan up; return what was done. Its guests are not started anew."""
    report = plan.up("--json").report
    assert report["summary"] == "all 6 measurements are as expected"
    assert plan.lab.qemus() == plan.qemus
    assert told(plan) == ([], {"a": "running", "b": "running"})
    return list(report["done"])


def test_what_is_done_to_a_domain_by_virsh_is_named_and_undone(plan_restored: PlanUp) -> None:
    plan, a, b = plan_restored, *(f"{plan_restored.path.stem}-{vm}" for vm in "ab")
    tap, definition = plan.tap("b"), plan.lab.directory / "defined.xml"
    definition.write_text(virsh(plan, "dumpxml", b))
    virsh(plan, "suspend", a)
    virsh(plan, "define", str(definition))
    mac = plan.lab.run("ip", "-br", "link", "show", tap).split()[2]
    virsh(plan, "detach-interface", b, "ethernet", "--mac", mac, "--live")
    lines = [
        f"update domain {a}: it is paused",
        f"update domain {b}: it has no NIC b.lan, it has been defined in libvirt",
    ]
    to_do, states = told(plan)
    assert (sorted(to_do), states) == (lines, {"a": "paused", "b": "running"})
    assert sorted(mended(plan)) == lines


def test_a_qemu_that_is_stopped_and_a_tap_that_is_dead_are_named_and_mended(
    plan_fresh: PlanUp,
) -> None:
    plan, a, b = plan_fresh, *(f"{plan_fresh.path.stem}-{vm}" for vm in "ab")
    plan.lab.ip("link", "del", plan.tap("b"))
    os.kill(plan.qemus[a], signal.SIGSTOP)
    stopped = "frozen (its process is in state T)"
    to_do, states = told(plan)
    assert states == {"a": stopped, "b": "running"}
    lines = [
        f"update domain {a}: it is {stopped}",
        f"update domain {b}: its NIC b.lan has lost its device",
        "create macvtap b.lan: missing",
        "update guard of b.lan: device is none, want b.lan",
    ]
    assert sorted(to_do) == sorted(lines)
    assert sorted(mended(plan)) == sorted(lines)

    os.kill(plan.qemus[a], signal.SIGKILL)
    to_do, states = told(plan)
    assert to_do == [f"create domain {a}: missing"]
    assert states["a"] in {"ended", "not there"}


def test_a_macvtap_that_was_renamed_gives_way_to_one_of_its_name(plan_restored: PlanUp) -> None:
    plan, tap = plan_restored, plan_restored.tap("b")
    plan.lab.ip("link", "set", tap, "down")
    plan.lab.ip("link", "set", tap, "name", "other0")
    plan.lab.ip("link", "set", "other0", "up")
    to_do, _ = told(plan)
    lines = [
        f"update domain {plan.path.stem}-b: its NIC b.lan has lost its device",
        "create macvtap b.lan: missing",
        "delete macvtap b.0: not in the plan",
        "update guard of b.lan: device is none, want b.lan",
    ]
    assert sorted(to_do) == sorted(lines)
    assert sorted(mended(plan)) == sorted(lines)
    assert "other0" not in plan.lab.ip("-br", "link")


def test_a_guest_paused_by_a_full_disk_is_told_and_runs_on_when_there_is_room(lab: Lab) -> None:
    place = "/var/lib/vmnet"
    script = f"mkdir -p {place}; mount -t tmpfs -o mode=755,size=24M none {place}"
    text = PLAN.replace("a: {nics", "a: {disks: [{size: 32M}], nics").replace(
        ", b: {nics: [lan]}", ""
    )
    with lab.mounted(script):
        plan = brought_up(lab, text)
        filler = lab.root / place.lstrip("/") / "filler"
        filler.write_bytes(bytes(18 << 20))
        plan.inside(
            "a", "(yes | head -c 12000000 | dd of=/dev/vda bs=1M conv=fsync &) 2> /dev/null"
        )
        full = "paused: its disk a.1.qcow2 is full"
        until(lambda: told(plan)[1] == {"a": full}, "the disk is full")
        assert told(plan)[0] == [f"update domain {plan.path.stem}-a: it is {full}"]
        refused = plan.up(status=6).stderr
        assert "a is paused: there is no room for its disk" in refused
        filler.unlink()
        done = plan.up("--json").report["done"]
        assert done == [f"update domain {plan.path.stem}-a: it is {full}"]
        assert lab.qemus() == plan.qemus
        until(lambda: plan.inside("a", "pidof dd || true") == "", "it is written")
        assert plan.inside("a", "tail -c +11999998 /dev/vda | head -c 3") == "\ny\n"
        lab.vmnet("down", plan.path, "--disks", "--yes")
