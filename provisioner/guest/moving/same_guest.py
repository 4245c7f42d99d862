"""Whether a guest that runs on another host can run on as the plan has it here."""

from dataclasses import replace

from provisioner.errors import Exit, VmnetError
from provisioner.guest.domain import Domain, DomainDisk

_OF_HOST = ("uid", "gid", "home", "kernel", "initrd", "loader", "nvram", "seed", "ignition")


def goal(there: Domain, here: Domain) -> Domain:
    """Return the guest as it is to be here: as it runs there, with this host's places.

    `here` is what the plan makes of it on this host. Raises VmnetError when they are two guests.
    """
    error = other_guest(there, here)
    if error:
        raise error
    own = {name: getattr(here, name) for name in (*_OF_HOST, "console", "image", "disks", "nics")}
    return replace(there, **own)


def other_guest(there: Domain, here: Domain) -> VmnetError | None:
    """Return why the guest of the plan here is not the one that runs there, None when it is.

    What the guest was told when it booted may have changed in the plan: it runs on as it is.
    """
    told = ("user", "network", "template", "state", "is_persistent")
    same = replace(
        here,
        **{name: getattr(there, name) for name in (*_OF_HOST, *told, "console", "image")},
        disks=there.disks if _are_alike(there.disks, here.disks) else here.disks,
        nics=tuple(
            replace(nic, vhost=old.vhost, is_dead=old.is_dead, is_absent=old.is_absent)
            for nic, old in zip(here.nics, there.nics, strict=False)
        )
        if len(here.nics) == len(there.nics)
        else here.nics,
    )
    found = [text for _, text in there.differences(same)]
    if there.image.name != here.image.name:
        found.append("its image has another name")
    if not found:
        return None
    return VmnetError(
        f"{there.vm} runs otherwise than the plan has it on the other host: {'; '.join(found)}",
        fix="bring it to what the plan says first, where it runs: vmnet up",
        status=Exit.CONFLICT,
    )


def _are_alike(there: tuple[DomainDisk, ...], here: tuple[DomainDisk, ...]) -> bool:
    """Return whether disks differ in nothing but their folders.

    An image's file is named by its content, so one of the same name has the same bytes.
    """
    return [*map(_without_folders, there)] == [*map(_without_folders, here)]


def _without_folders(disk: DomainDisk) -> DomainDisk:
    path, backing = (x.rpartition("/")[2] for x in (disk.path, disk.backing))
    return replace(disk, path=path, backing=backing)
