"""Guests with a kernel of the plan's and disks of their own, which grow while they run."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from provisioner.host.image import micro
from provisioner.host.system import paths
from tests.framework.lab import Lab

PLAN = """\
networks: {{lan: {{switch: true, subnet: 10.77.0.0/24}}}}
vms:
  a:
    kernel: {kernel}
    initrd: {initrd}
    cmdline: console=ttyS0 quiet noreplace-smp my.word=1
    disks:
      - {size}
      - {{path: data.img, format: raw, readonly: true}}
    nics: [lan]
"""


@pytest.fixture(scope="module")
def kernel(shared_lab: Lab) -> tuple[Path, Path]:
    """A kernel and an initrd that a user has beside the plan."""
    found = micro.find(paths.cache())
    assert found
    kernel, initrd = (
        Path(shutil.copy(file, shared_lab.directory)) for file in (found.kernel, found.initrd)
    )
    return kernel, initrd


@pytest.fixture(scope="module")
def shared_lab() -> Iterator[Lab]:
    """A lab in a folder of its own: pytest's are closed to QEMU's user, again and again."""
    with TemporaryDirectory() as name, Lab(Path(name)).opened() as here:
        yield here


@pytest.fixture(scope="module")
def up(shared_lab: Lab, kernel: tuple[Path, Path]) -> Iterator[Path]:
    data = shared_lab.directory / "data.img"
    data.write_bytes(b"from the host".ljust(1 << 20, b"\0"))
    plan = shared_lab.plan(PLAN.format(kernel=kernel[0], initrd=kernel[1], size="64M"))
    with shared_lab.settled():
        refused = shared_lab.vmnet("up", plan, status=4)
        assert 'the disk "data.img" cannot be opened by' in refused.stderr
        shared_lab.directory.chmod(0o711)
        shared_lab.vmnet("up", plan)
        yield plan
        shared_lab.vmnet("down", plan)


def inside(lab: Lab, plan: Path, script: str) -> str:
    return lab.vmnet("exec", "-f", plan, "a", "--", "sh", "-c", script).stdout


def test_the_kernel_of_the_plan_runs_with_the_words_of_the_plan(shared_lab: Lab, up: Path) -> None:
    said = inside(shared_lab, up, "cat /proc/cmdline")
    assert said.strip() == "console=ttyS0 quiet noreplace-smp my.word=1"


def test_disks_are_there_as_the_plan_says(shared_lab: Lab, up: Path) -> None:
    sizes = inside(shared_lab, up, "cat /sys/block/vda/size /sys/block/vdb/size /sys/block/vdb/ro")
    assert sizes.split() == ["131072", "2048", "1"]
    assert inside(shared_lab, up, "head -c 13 /dev/vdb") == "from the host"


def test_a_second_up_changes_nothing(shared_lab: Lab, up: Path) -> None:
    assert "nothing to do" in shared_lab.vmnet("up", up).stderr


def test_a_disk_grows_under_a_running_guest(shared_lab: Lab, up: Path) -> None:
    pids = shared_lab.qemus()
    inside(shared_lab, up, "echo kept > /dev/vda")
    up.write_text(up.read_text().replace("64M", "96M"))
    report = shared_lab.vmnet("up", up, "--json").report
    assert report["done"] == ["update disk a.1.qcow2: size is 64 MiB, want 96 MiB"]
    assert inside(shared_lab, up, "cat /sys/block/vda/size; head -n 1 /dev/vda").split() == [
        "196608",
        "kept",
    ]
    assert shared_lab.qemus() == pids


def test_a_disk_is_never_made_smaller(shared_lab: Lab, up: Path) -> None:
    refused = shared_lab.vmnet("up", up, "--set", "vms.a.disks=[8M]", status=3)
    assert "would have to shrink" in refused.stderr
    assert inside(shared_lab, up, "cat /sys/block/vda/size") in {"131072\n", "196608\n"}


def test_recreate_keeps_what_a_guest_has_written(shared_lab: Lab, up: Path) -> None:
    inside(shared_lab, up, "echo kept > /dev/vda; sync")
    up.write_text(up.read_text().replace("my.word=1", "my.word=2"))
    refused = shared_lab.vmnet("up", up, status=3)
    assert "cmdline has changed" in refused.stderr
    shared_lab.vmnet("up", up, "--recreate")
    assert inside(shared_lab, up, "head -n 1 /dev/vda; cat /proc/cmdline").split() == [
        "kept",
        "console=ttyS0",
        "quiet",
        "noreplace-smp",
        "my.word=2",
    ]


IGNITED = """\
networks: {{lan: {{switch: true, subnet: 10.78.0.0/24}}}}
vms:
  c:
    kernel: {kernel}
    initrd: {initrd}
    ignition: ./core.ign
    ready: started
    nics: [lan]
checks: []
"""


def test_ignition_reaches_qemu_as_a_file_that_only_qemu_reads(
    shared_lab: Lab, up: Path, kernel: tuple[Path, Path]
) -> None:
    del up  # its folder is open to QEMU's user
    (shared_lab.directory / "core.ign").write_text('{"ignition": {"version": "3.4.0"}}')
    plan = shared_lab.plan(IGNITED.format(kernel=kernel[0], initrd=kernel[1]), "c")
    shared_lab.vmnet("up", plan)
    words = Path(f"/proc/{shared_lab.qemus()[f'{plan.stem}-c']}/cmdline").read_text()
    found = re.search(r"name=opt/com.coreos/config,file=([^\0,]+)", words)
    assert found
    told = Path(found[1])
    assert told.read_text() == '{"ignition": {"version": "3.4.0"}}'
    assert (told.owner(), oct(told.stat().st_mode & 0o777)) == ("libvirt-qemu", "0o600")
    (shared_lab.directory / "core.ign").write_text('{"ignition": {}}')
    refused = shared_lab.vmnet("up", plan, status=2)
    assert "ignition.version" in refused.stderr
    shared_lab.vmnet("down", plan)
