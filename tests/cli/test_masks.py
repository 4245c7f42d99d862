"""What the real `vmnet` makes under a umask that lets everybody write, and under one of no one."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

HOUSE = Path(__file__).parents[2]
VMNET = (sys.executable, "-m", "provisioner")
PLAN = """\
name: masked
networks: {lan: {switch: {dhcp: true}, subnet: 10.94.0.0/24}}
vms: {a: {nics: [lan], disks: [1M], ready: agent}}
"""
SCRIPT = """\
umask "$1"; shift
ip link set lo up
"$@" up plan.yaml >out 2>&1; echo "$?" >status
find "$VMNET_STATE_DIR" "$VMNET_RUN_DIR" ! -type l ! -type s -printf '%m %u %y %p\\n' >found
cat found
umask 022
"$@" down plan.yaml >>out 2>&1 || exit 1
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that QEMU's user can walk through, on a path that is short enough for sockets."""
    with TemporaryDirectory(prefix="u", dir="/run") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("mask", ["000", "077"])
def test_a_plan_comes_up_and_only_its_owners_can_change_its_files(folder: Path, mask: str) -> None:
    (folder / "plan.yaml").write_text(PLAN)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(HOUSE),
        "VMNET_STATE_DIR": str(folder / "state"),
        "VMNET_RUN_DIR": str(folder / "r"),
    }
    ran = subprocess.run(
        ["unshare", "-n", "sh", "-c", SCRIPT, "sh", mask, *VMNET],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    said = (folder / "out").read_text()
    assert ((folder / "status").read_text(), ran.returncode) == ("0\n", 0), said
    found = [line.split(" ", 3) for line in ran.stdout.splitlines()]
    assert {f"{folder}/r/masked/etc/qemu.conf", f"{folder}/state/masked/disk"} <= {
        path for *_, path in found
    }
    # A folder of libvirt's own for the D-Bus daemon of QEMU's user, made 0770 by a chmod.
    own = f"{folder}/r/masked/run/qemu/dbus"
    assert [line for line in found if int(line[0], 8) & 0o022 and line[3] != own] == []
