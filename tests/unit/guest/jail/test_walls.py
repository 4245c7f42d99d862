"""The walls of a QEMU, by what the kernel says of it."""

from dataclasses import replace

import pytest

from provisioner.guest.jail.walls import QemuSeen, judged

STATUS = """\
Name:\tqemu-system-x86
Uid:\t2001000007\t2001000007\t2001000007\t2001000007
CapPrm:\t0000000000000000
CapEff:\t0000000000000000
CapAmb:\t0000000000000000
NoNewPrivs:\t1
Seccomp:\t2
"""
LIMITS = """\
Limit                     Soft Limit           Hard Limit           Units
Max core file size        0                    0                    bytes
Max processes             2048                 2048                 processes
"""
MOUNTS = """\
21 28 0:20 / /proc rw,relatime - proc proc rw
40 28 0:31 / /dev rw,nosuid - tmpfs devfs rw,size=64k,mode=755
41 40 0:22 / /dev/pts rw,relatime - devpts devpts rw
"""
WELL = QemuSeen(STATUS, LIMITS, "libvirt-1234 (enforce)\n", "268435456\n", MOUNTS)


def test_a_qemu_behind_all_walls_lacks_none() -> None:
    walls = judged(WELL, 2_001_000_007)
    assert walls.lacks == ()
    assert str(walls) == (
        "a user of its own (2001000007), no capabilities, no new privileges, seccomp, "
        "no core dumps, limited processes, a /dev of its own, label libvirt-1234 (enforce), "
        "limited memory"
    )


@pytest.mark.parametrize(
    ("seen", "user", "lacks"),
    [
        (WELL, 0, "a user of its own"),
        (WELL, 2_001_000_008, "a user of its own"),
        (replace(WELL, status=STATUS.replace("CapEff:\t0", "CapEff:\t1")), 1, "no capabilities"),
        (replace(WELL, status=STATUS.replace("Privs:\t1", "Privs:\t0")), 1, "no new privileges"),
        (replace(WELL, status=STATUS.replace("comp:\t2", "comp:\t0")), 1, "seccomp"),
        (replace(WELL, limits=LIMITS.replace(" 0  ", " unlimited")), 1, "no core dumps"),
        (replace(WELL, limits=LIMITS.replace("2048", "unlimited")), 1, "limited processes"),
        (replace(WELL, mounts=MOUNTS.replace("devfs", "dev")), 1, "a /dev of its own"),
        (replace(WELL, mounts=""), 1, "a /dev of its own"),
        (replace(WELL, label="unconfined\n"), 1, "a label (AppArmor, SELinux)"),
        (replace(WELL, label=""), 1, "a label (AppArmor, SELinux)"),
        (replace(WELL, memory="max\n"), 1, "a memory limit (cgroup)"),
    ],
)
def test_each_wall_that_is_missing_is_named(seen: QemuSeen, user: int, lacks: str) -> None:
    assert lacks in judged(seen, user).lacks
    assert lacks not in judged(WELL, 2_001_000_007).lacks


def test_a_process_of_which_nothing_is_known_stands_behind_nothing() -> None:
    assert judged(QemuSeen(""), 0).has == ()
