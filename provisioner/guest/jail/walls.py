"""The walls between a guest's QEMU and others, by what the kernel says of its process."""

import re
from typing import Final

from provisioner.dataclass import dataclass
from provisioner.pattern import pattern

_FILTER: Final = "2"  # prctl(2), PR_GET_SECCOMP
_FIELD = pattern(r"^(\w+):[ \t]*(.*)$", re.MULTILINE)
_LIMIT = pattern(r"^(Max [a-z ]+?) {2,}(\S+)", re.MULTILINE)
_OWN_DEV = pattern(r" /dev [^\n]*- tmpfs devfs ")  # as libvirt mounts it
_UNLIMITED: Final = "unlimited"
_UNCONFINED: Final = frozenset({"", "unconfined", "kernel"})


@dataclass(frozen=True, slots=True)
class QemuSeen:
    """What /proc says of a QEMU: files of its process, as they are named there."""

    status: str
    limits: str = ""
    label: str = ""
    memory: str = "max"  # memory.max of its cgroup
    mounts: str = ""  # its mountinfo


@dataclass(frozen=True, slots=True)
class Walls:
    """Which walls a guest's QEMU stands behind, and which it does not."""

    has: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return them as a sentence."""
        lacks = f"; without {', '.join(self.lacks)}" if self.lacks else ""
        return f"{', '.join(self.has)}{lacks}"


def judged(seen: QemuSeen, user: int) -> Walls:
    """Return the walls of a QEMU that was started with a user of its own, 0 for without."""
    found = dict(_FIELD.findall(seen.status))
    limits = dict(_LIMIT.findall(seen.limits))
    uids = {*found.get("Uid", "").split()}
    label = seen.label.strip("\0\n ")
    rows = (
        (user != 0 and uids == {str(user)}, f"a user of its own ({user})", "a user of its own"),
        (_is_zero(found, "CapEff", "CapPrm", "CapAmb"), "no capabilities", ""),
        (found.get("NoNewPrivs") == "1", "no new privileges", ""),
        (found.get("Seccomp") == _FILTER, "seccomp", ""),
        (limits.get("Max core file size") == "0", "no core dumps", ""),
        (limits.get("Max processes", _UNLIMITED) != _UNLIMITED, "limited processes", ""),
        (_OWN_DEV.search(seen.mounts) is not None, "a /dev of its own", ""),
        (
            label.partition(" ")[0] not in _UNCONFINED,
            f"label {label}",
            "a label (AppArmor, SELinux)",
        ),
        (seen.memory.strip() != "max", "limited memory", "a memory limit (cgroup)"),
    )
    return Walls(
        tuple(has for holds, has, _ in rows if holds),
        tuple(lacks or has for holds, has, lacks in rows if not holds),
    )


def _is_zero(found: dict[str, str], *names: str) -> bool:
    return all(found.get(name, "1").strip("0") == "" for name in names)
