"""Who the QEMU of each VM runs as: a user of its own, whom nothing else on the host is run as."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from provisioner import naming
from provisioner.dataclass import dataclass
from provisioner.errors import Exit, VmnetError, bad_input
from provisioner.pattern import pattern

DEFAULT: Final = range(2_001_000_000, 2_100_000_000)
"""Above what sssd and FreeIPA give out, in the part of 32 bits that systemd leaves unused."""

SMALL: Final = range(40_000, 60_000)
"""For containers whose user namespace has no more than 65536 users."""

LEAST: Final = 1000  # fewer would meet each other
_MOST: Final = 0x7FFFFFFF  # above it numbers are negative for some programs
_RANGE = pattern(r"(\d{1,10})-(\d{1,10})", re.ASCII)


@dataclass(frozen=True, slots=True)
class GuestUsers:
    """Where the users of guests are taken from; a QEMU's group is its own unless one is given."""

    uids: range
    kvm_group: int = 0  # the one that may open /dev/kvm; 0 where anybody may
    group: int = 0  # the one that may walk to a daemon's files; 0 where anybody may

    def of(self, plan: str, vm: str, accel: str) -> tuple[int, int]:
        """Return the user and the group of a VM's QEMU; 0 where it would need two groups."""
        uid = naming.guest_uid(plan, vm, self.uids)
        kvm_group = self.kvm_group if accel == "kvm" else 0
        if kvm_group and self.group not in {0, kvm_group}:
            return 0, 0
        return uid, kvm_group or self.group or uid


def read_range(text: str) -> range | None:
    """Return the numbers that "FIRST-LAST" means, None for "off". Raises VmnetError."""
    if text == "off":
        return None
    found = _RANGE.fullmatch(text)
    first, last = (int(found[1]), int(found[2])) if found else (0, 0)
    if first < LEAST or last > _MOST or last - first < LEAST:
        raise bad_input(
            "guest_users is not a range of users",
            f"write FIRST-LAST with {LEAST} numbers or more, such as "
            f"{DEFAULT[0]}-{DEFAULT[-1]}, all from {LEAST} on",
        )
    return range(first, last + 1)


def collisions(uids: Mapping[str, int], taken: Mapping[int, str]) -> Iterable[VmnetError]:
    """List VMs, given with their users, whose user another one or somebody else has."""
    seen: dict[int, str] = {}
    for vm, uid in uids.items():
        other = f"the VM {seen[uid]} of this plan" if uid in seen else taken.get(uid, "")
        if other:
            yield VmnetError(
                f'the user {uid}, whom QEMU of the VM "{vm}" would run as, is that of {other}',
                fix="rename the VM or the plan, or have the users of guests taken from another "
                "range: guest_users in /etc/vmnet/config.yaml",
                status=Exit.CONFLICT,
            )
        seen.setdefault(uid, vm)
