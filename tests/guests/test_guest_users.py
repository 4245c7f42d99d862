"""Each VM's QEMU has a user of its own; guests of an older vmnet run on without."""

from pathlib import Path

from tests.framework.lab import Lab
from tests.framework.plan import brought_up

PLAN = """\
networks: {lan: {switch: true, subnet: 10.77.0.0/24}}
vms:
  a: {nics: [lan], disks: [16M]}
  b: {nics: [lan]}
"""


def users(lab: Lab) -> dict[str, int]:
    return {vm[-1]: Path(f"/proc/{pid}").stat().st_uid for vm, pid in lab.qemus().items()}


def test_a_guest_of_an_older_vmnet_runs_on_and_has_a_user_of_its_own_when_it_is_started_again(
    lab: Lab,
) -> None:
    config = lab.directory / "config.yaml"
    config.write_text("guest_users: off\n")
    lab.enter = (*lab.enter, "env", f"VMNET_CONFIG={config}")
    plan = brought_up(lab, PLAN)
    before, disk = users(lab), plan.home / "disk" / "a.1.qcow2"
    assert len({*before.values()}) == 1
    assert disk.stat().st_uid == before["a"]
    plan.inside("a", "echo kept > /dev/vda; sync")
    lab.vmnet("snapshot", "save", "-f", plan.path, "old")

    config.write_text("guest_users: 70000-79999\n")
    again = plan.up()
    assert "\nnothing to do\n" in again.stderr
    assert plan.as_at_first
    assert users(lab) == before

    plan.up("--recreate")
    after = users(lab)
    assert len({*after.values(), *before.values()}) == 3
    assert all(uid in range(70001, 80000) for uid in after.values())
    assert disk.stat().st_uid == after["a"]
    assert plan.inside("a", "head -n 1 /dev/vda") == "kept\n"
    lib = Path(f"/run/vmnet/{lab.name}/lib/qemu")
    folders = [path for path in (lib, *lib.rglob("*")) if path.is_dir()]
    assert len(folders) > 8
    assert {path.stat().st_uid for path in folders} == {0}
    config.write_text("guest_users: 80000-89999\n")
    assert "\nnothing to do\n" in plan.up().stderr
    assert users(lab) == after

    lab.vmnet("snapshot", "restore", "-f", plan.path, "old", "--yes")
    restored = users(lab)
    assert all(uid in range(80001, 90000) for uid in restored.values())
    assert disk.stat().st_uid == restored["a"]
    assert "\nnothing to do\n" in plan.up().stderr
    lab.vmnet("snapshot", "rm", "old", "-f", plan.path, "--yes")
