"""Whether the guest that runs there is the one that the plan has here."""

from dataclasses import replace

import pytest

from provisioner.errors import Exit, VmnetError
from provisioner.guest.domain import Domain, DomainDisk
from provisioner.guest.moving import same_guest
from tests.builders.domain import SEEDED, WEB

DISK = DomainDisk("/a/disk/web.qcow2", "qcow2", "/a/sha256-1", "qcow2")
THERE = replace(SEEDED, disks=(DISK,), uid=5, user="told then", network="{}")


def test_places_and_users_are_each_hosts_own() -> None:
    disk = replace(DISK, path="/b/disk/web.qcow2", backing="/b/sha256-1")
    here = replace(THERE, disks=(disk,), kernel="/b/vmlinux", uid=9, home="/b", console="/b/log")
    assert same_guest.goal(THERE, here) == here


def test_what_it_was_told_when_it_booted_stays() -> None:
    here = replace(THERE, user="told now", network="{changed}")
    assert same_guest.goal(THERE, here) == THERE


def test_whether_its_nics_are_served_by_the_kernel_is_each_hosts_own() -> None:
    here = replace(WEB, nics=(replace(WEB.nics[0], vhost=True),))
    assert same_guest.goal(WEB, here).nics[0].vhost


@pytest.mark.parametrize(
    ("here", "why"),
    [
        (replace(THERE, memory_mib=256), "memory mib is 128, want 256"),
        (replace(THERE, nics=THERE.nics[:1]), "is not in the plan"),
        (replace(THERE, nics=(WEB.nics[0], replace(THERE.nics[1], mtu=1500))), "mtu of"),
        (replace(THERE, disks=()), "its disk web.qcow2 is not in the plan"),
        (replace(THERE, disks=(replace(DISK, backing="/a/sha256-2"),)), "backing of its disk"),
        (replace(THERE, image=replace(THERE.image, name="debian-12")), "image has another name"),
        (replace(THERE, cpu_model="max"), "cpu model"),
    ],
)
def test_another_guest_is_refused(here: Domain, why: str) -> None:
    with pytest.raises(VmnetError, match=why) as raised:
        same_guest.goal(THERE, here)
    assert raised.value.status is Exit.CONFLICT
