"""What containers lack: a /dev that the kernel fills, a /sys of their own network."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from tests.framework.lab import ONE, Lab

# As container engines make it: a few nodes, and none that appears by itself.
BARE_DEV = """\
mount -t tmpfs tmpfs /mnt
for x in null zero full random urandom; do cp -a /dev/$x /mnt/; done
mkdir /mnt/pts
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts /mnt/pts
ln -s pts/ptmx /mnt/ptmx
mount --rbind /mnt /dev
"""


def nodes(lab: Lab) -> set[str]:
    return {path.name for path in (lab.root / "dev").iterdir()}


def test_where_dev_does_not_fill_itself_vmnet_makes_the_nodes_and_takes_them_away(lab: Lab) -> None:
    with lab.mounted(BARE_DEV):
        bare = nodes(lab)
        plan = lab.plan(ONE)
        report = lab.vmnet("up", plan, "--json").report
        assert report["summary"] == "all 2 measurements are as expected"
        (index,) = lab.macvtaps().values()
        assert nodes(lab) - bare == {f"tap{index}"}
        assert lab.vmnet("plan", plan, "--json").report["to_do"] == []
        lab.vmnet("down", plan)
        assert nodes(lab) == bare
        assert lab.snapshot() == lab.before


def test_where_sys_shows_another_network_the_devices_are_found_all_the_same(lab: Lab) -> None:
    lab.enter = ("nsenter", f"--net=/run/netns/{lab.name}")
    assert lab.run("ls", "/sys/class/net") == "\n".join(sorted(_host_links())) + "\n"
    report = lab.vmnet("up", lab.plan(ONE), "--json").report
    assert report["summary"] == "all 2 measurements are as expected"
    (name,) = lab.macvtaps()
    assert not re.search(name, lab.run("ls", "/sys/class/net"))


# As PID 1: a shell, which waits for every child, and what containers of CI jobs mostly have.
RUN_EACH = """\
import subprocess
for command in ({up!r}, {ps!r}, {down!r}, {ps!r}):
    subprocess.run(command, shell=True, check=True)
"""
# What `up` leaves to find out about init is called as itself until it knows.
DECIDED = (
    "n=0; while pgrep -f '^[^ ]*python[^ ]* -m provisioner up' >/dev/null && [ $n -lt 400 ]; "
    "do sleep 0.05; n=$((n + 1)); done"
)
INITS = {
    "waits": ("bash", "-c", "{up}; {ps}; {down}; {ps}"),
    "never waits": (sys.executable, "-c", RUN_EACH),
}


@pytest.mark.parametrize("init", INITS)
def test_whatever_init_does_a_guest_that_ends_is_no_zombie(lab: Lab, init: str) -> None:
    plan = lab.plan(ONE)
    up, down = (shlex.join(lab.argv(x, str(plan))) + " >&2" for x in ("up", "down"))
    ps = f"{DECIDED}; echo -; ps -ww -eo stat=,args="
    program = (word.format(up=up, down=down, ps=ps) for word in INITS[init])
    ran = lab.run("unshare", "--pid", "--fork", "--mount-proc", *program)
    _, with_guest, without = ran.split("-\n")
    assert "guest=" in with_guest
    assert ("vmnet: waits for guests to end" in with_guest) is (init == "never waits")
    assert "vmnet: waits" not in without
    assert "qemu" not in without


def _host_links() -> list[str]:
    return [path.name for path in Path("/sys/class/net").iterdir()]
