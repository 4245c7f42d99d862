"""Disks that QEMU's user cannot open: said at their place in the plan."""

from provisioner.plan.load.loader import load
from provisioner.preflight import images

PLAN = """\
name: lab
networks: {lan: {switch: true, subnet: 10.77.0.0/24}}
vms:
  web:
    nics: [lan]
    disks:
      - {path: data.img, format: raw}
      - 1G
      - {device: /dev/sdb, readonly: true}
"""
WALK = "and walk through the folders above it (see: namei -l)"


def test_only_denied_disks_are_named_with_what_their_user_needs() -> None:
    loaded = load(PLAN, "p")
    found = list(
        images.unopenable(
            loaded.plan, loaded.places, {("web", 0): "libvirt-qemu", ("web", 2): "2001000001"}
        )
    )
    assert [(str(e.where), e.what, e.fix) for e in found] == [
        (
            "p:7:9",
            'the disk "data.img" cannot be opened by libvirt-qemu, whom QEMU runs as',
            f"let libvirt-qemu read and write it, {WALK}",
        ),
        (
            "p:9:9",
            'the disk "/dev/sdb" cannot be opened by 2001000001, whom QEMU runs as',
            f"let 2001000001 read it, {WALK}",
        ),
    ]
    assert list(images.unopenable(loaded.plan, loaded.places, {})) == []
