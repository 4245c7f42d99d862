"""Guests with a kernel of the plan's and disks of their own, which grow while they run."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from provisioner.host.image import micro
from provisioner.host.system import paths
from tests.framework.lab import Lab
from tests.framework.plan import PlanUp, SharedPlan, brought_up

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


@dataclass(frozen=True, slots=True)
class Place:
    """A lab in a folder of its own (pytest's are closed to QEMU's user), and the plan for it."""

    lab: Lab
    kernel: Path
    initrd: Path

    @property
    def text(self) -> str:
        return PLAN.format(kernel=self.kernel, initrd=self.initrd, size="64M")


@contextmanager
def placed() -> Iterator[Place]:
    """Make a lab, with a kernel and an initrd that its user has beside the plan, and a disk."""
    found = micro.find(paths.cache())
    assert found
    with TemporaryDirectory() as name, Lab(Path(name)).opened() as lab:
        files = [Path(shutil.copy(file, name)) for file in (found.kernel, found.initrd)]
        (lab.directory / "data.img").write_bytes(b"from the host".ljust(1 << 20, b"\0"))
        lab.directory.chmod(0o711)
        yield Place(lab, *files)


@pytest.fixture(scope="module")
def shared_plan() -> Iterator[SharedPlan]:
    with placed() as here:
        plan = SharedPlan(here.lab, here.text)
        yield plan
        plan.end()


@pytest.fixture
def place() -> Iterator[Place]:
    with placed() as here:
        yield here


def test_a_disk_that_qemus_user_cannot_open_is_refused(place: Place) -> None:
    place.lab.directory.chmod(0o700)
    refused = place.lab.vmnet("up", place.lab.plan(place.text), status=4)
    assert 'the disk "data.img" cannot be opened by' in refused.stderr


def test_the_kernel_of_the_plan_runs_with_the_words_of_the_plan(plan_up: PlanUp) -> None:
    said = plan_up.inside("a", "cat /proc/cmdline")
    assert said.strip() == "console=ttyS0 quiet noreplace-smp my.word=1"


def test_disks_are_there_as_the_plan_says(plan_up: PlanUp) -> None:
    sizes = plan_up.inside("a", "cat /sys/block/vda/size /sys/block/vdb/size /sys/block/vdb/ro")
    assert sizes.split() == ["131072", "2048", "1"]
    assert plan_up.inside("a", "head -c 13 /dev/vdb") == "from the host"


def test_a_second_up_changes_nothing(plan_up: PlanUp) -> None:
    assert "nothing to do" in plan_up.up().stderr


def test_a_disk_is_never_made_smaller(plan_up: PlanUp) -> None:
    refused = plan_up.up("--set", "vms.a.disks=[8M]", status=3)
    assert "would have to shrink" in refused.stderr
    assert plan_up.inside("a", "cat /sys/block/vda/size") == "131072\n"


def test_a_disk_grows_under_a_running_guest(place: Place) -> None:
    plan = brought_up(place.lab, place.text)
    plan.inside("a", "echo kept > /dev/vda")
    plan.write(place.text.replace("64M", "96M"))
    report = plan.up("--json").report
    assert report["done"] == ["update disk a.1.qcow2: size is 64 MiB, want 96 MiB"]
    shown = plan.inside("a", "cat /sys/block/vda/size; head -n 1 /dev/vda")
    assert shown.split() == ["196608", "kept"]
    assert plan.as_at_first


def test_recreate_keeps_what_a_guest_has_written(place: Place) -> None:
    plan = brought_up(place.lab, place.text)
    plan.inside("a", "echo kept > /dev/vda; sync")
    plan.write(place.text.replace("my.word=1", "my.word=2"))
    refused = plan.up(status=3)
    assert "cmdline has changed" in refused.stderr
    plan.up("--recreate")
    assert plan.inside("a", "head -n 1 /dev/vda; cat /proc/cmdline").split() == [
        "kept",
        "console=ttyS0",
        "quiet",
        "noreplace-smp",
        "my.word=2",
    ]


def test_down_keeps_what_a_guest_has_written_until_it_is_told_otherwise(place: Place) -> None:
    text = place.text.replace("- {path:", "- 8M\n      - {path:")
    plan = brought_up(place.lab, f"{text}defaults: {{ssh_keys: auto}}\n")
    plan.inside("a", "echo kept > /dev/vda; sync")
    gone = place.lab.vmnet("down", plan.path, "--json").report
    (disk,) = gone["disks"]
    path = plan.home / "disk/a.1.qcow2"
    assert (disk["vm"], disk["path"], disk["virtual_bytes"]) == ("a", str(path), 64 << 20)
    assert disk["host_bytes"] == path.stat().st_blocks * 512
    # The other disk was never written to, and nothing else is left but the marks and the keys by
    # which the guest is logged in to.
    names = {file.name for file in plan.home.rglob("*") if file.is_file()}
    keys = {"authorized_keys", "ssh_key"}
    assert names == {".vmnet", "a.1.qcow2", ".a.1.qcow2.own"} | keys
    again = place.lab.vmnet("down", plan.path)
    assert "kept: disk a.1.qcow2 of a (64.0 MiB, " in again.stdout
    assert f"vmnet down --name {plan.path.stem} --disks" in again.stdout
    report = plan.up("--json").report
    assert "create disk a.1.qcow2: new" not in report["done"]
    assert plan.inside("a", "head -n 1 /dev/vda") == "kept\n"
    refused = place.lab.vmnet("down", plan.path, "--disks", status=2)
    assert "--yes" in refused.stderr
    assert str(path) in refused.stderr
    assert plan.lab.qemus()
    place.lab.vmnet("down", plan.path, "--disks", "--yes")
    assert not plan.home.exists()


def may_read(file: Path, uid: int) -> bool:
    ids = [f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    return subprocess.run(["setpriv", *ids, "test", "-r", file], check=False).returncode == 0


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


def test_ignition_reaches_qemu_as_a_file_that_only_qemu_reads(place: Place) -> None:
    lab, file = place.lab, place.lab.directory / "core.ign"
    file.write_text('{"ignition": {"version": "3.4.0"}}')
    plan = lab.plan(IGNITED.format(kernel=place.kernel, initrd=place.initrd))
    lab.vmnet("up", plan)
    words = Path(f"/proc/{lab.qemus()[f'{plan.stem}-c']}/cmdline").read_text()
    found = re.search(r"name=opt/com.coreos/config,file=([^\0,]+)", words)
    assert found
    told = Path(found[1])
    assert told.read_text() == '{"ignition": {"version": "3.4.0"}}'
    user = Path(f"/proc/{lab.qemus()[f'{plan.stem}-c']}").stat().st_uid
    assert [may_read(told, uid) for uid in (user, user + 1, 65534)] == [True, False, False]
    file.write_text('{"ignition": {}}')
    refused = lab.vmnet("up", plan, status=2)
    assert "ignition.version" in refused.stderr
    lab.vmnet("down", plan)
