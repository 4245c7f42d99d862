"""The scope of systemd that a guest's QEMU runs in: a cgroup of its own, and what it is limited to.

Sources: systemd.scope(5), systemd.resource-control(5); the call is StartTransientUnit of
org.freedesktop.systemd1(5), its words as busctl(1) takes them.
"""

from typing import Final

from provisioner.guest.domain import Domain

_QEMU_MIB: Final = 512
"""What a QEMU needs beside its guest's memory: 60 MiB with the micro guest, its queues and threads
with many disks and NICs, and the pages of files that it could not do well without."""

_TCG_MIB: Final = 1024
"""The most that an emulating QEMU keeps translated code in (DEFAULT_CODE_GEN_BUFFER_SIZE)."""

_MOST_TASKS: Final = 2048

_MANAGER: Final = (
    "org.freedesktop.systemd1",
    "/org/freedesktop/systemd1",
    "org.freedesktop.systemd1.Manager",
)


def scope_of(plan: str, vm: str) -> str:
    """Return the unit of a guest; neither name has a dot, so no other guest's is the same."""
    return f"vmnet-{plan}.{vm}.scope"


def memory_max(guest: int, accel: str) -> int:
    """Return what a guest's QEMU may take at most, in bytes: more is a leak, or an attack.

    `guest` is what the guest may have, as libvirt tells it: a user's own template may give it more
    than the plan says.
    """
    own = _QEMU_MIB + (_TCG_MIB if accel == "tcg" else 0)
    return guest + (own << 20)


def start_words(domain: Domain, pid: int, memory: int, plan_unit: str) -> list[str]:
    """Return the words of busctl that have systemd put a process into a scope of its own.

    `memory` is the guest's, in bytes. Equal weights: a guest of many busy processors leaves the
    others theirs. At a shutdown of the host the scope is ended after `plan_unit`, which lets the
    plan's guests shut down.
    """
    properties = (
        ("PIDs", "au", "1", str(pid)),
        ("Description", "s", f"QEMU of VM {domain.vm}, vmnet plan {domain.plan}"),
        ("Slice", "s", "machine.slice"),
        ("Before", "as", "1", plan_unit),
        ("CollectMode", "s", "inactive-or-failed"),
        ("MemoryMax", "t", str(memory_max(memory, domain.accel))),
        ("TasksMax", "t", str(_MOST_TASKS)),
        ("CPUWeight", "t", "100"),
        ("IOWeight", "t", "100"),
    )
    words = ["--quiet", "call", *_MANAGER, "StartTransientUnit", "ssa(sv)a(sa(sv))"]
    words += [scope_of(domain.plan, domain.vm), "fail", str(len(properties))]
    return [*words, *(word for each in properties for word in each), "0"]
