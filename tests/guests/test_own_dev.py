"""Where libvirt may make one, each QEMU has a /dev with nothing but what its guest needs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.framework.fabric.mounts import OWN_DEV
from tests.framework.lab import Lab

PLAN = """\
networks:
  lan: {{switch: true, subnet: 10.77.0.0/24}}
  more: {{switch: true, subnet: 10.78.0.0/24}}
vms:
  a: {{nics: [{nics}], disks: [{{size: 16M, keep: false}}]}}
  b: {{nics: [lan, more]}}
"""

NODES = {"full", "null", "ptmx", "pts", "random", "shm", "urandom", "zero"}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab(tmp_path).opened() as here:
        yield here


def devices(pid: int) -> set[str]:
    """Return what a process finds in /dev."""
    return {found.name for found in Path(f"/proc/{pid}/root/dev").iterdir()}


def test_a_qemu_finds_no_device_of_the_hosts_and_its_guest_lives_on_through_changes(
    lab: Lab,
) -> None:
    with lab.mounted(OWN_DEV):
        path = lab.plan(PLAN.format(nics="lan"))
        lab.vmnet("up", path)
        qemus = lab.qemus()
        assert [devices(pid) for pid in qemus.values()] == [NODES, NODES]
        walls = lab.vmnet("status", path, "--wide").stdout
        assert walls.count("a /dev of its own") == len(qemus)
        path = lab.plan(PLAN.format(nics="lan, more"))
        lab.vmnet("up", path)  # plugs a NIC in
        lab.vmnet("snapshot", "save", "one", "-f", path)
        lab.vmnet("snapshot", "restore", "one", "-f", path, "--yes")
        lab.vmnet("check", path)
        lab.vmnet("snapshot", "rm", "one", "-f", path, "--yes")
        again = lab.qemus()
        assert set(again) == set(qemus)
        assert [devices(pid) for pid in again.values()] == [NODES, NODES]


def test_a_file_mounted_in_dev_is_a_reason_to_leave_dev_as_it_is(lab: Lab) -> None:
    mounted = 'touch "/dev/device"\nmount --bind /dev/null /dev/device'
    with lab.mounted(f"{OWN_DEV}{mounted}"):
        path = lab.plan(PLAN.format(nics="lan"))
        lab.vmnet("up", path)
        assert all("device" in devices(pid) for pid in lab.qemus().values())
        assert "without a /dev of its own" in lab.vmnet("status", path, "--wide").stdout
