"""Numbers of a plan: text in, a whole number in its unit out, or a complaint and its fix."""

import re

from provisioner.plan.scalars import BadValue, quoted, scalar

_WHOLE = re.compile(r"0|[1-9][0-9]{0,14}")
_MEMORY = re.compile(r"(0|[1-9][0-9]{0,8}) ?(|M|Mi|MiB|G|Gi|GiB)")


def whole(value: object, what: str, low: int, high: int) -> int:
    """Take a whole number from `low` to `high`, written in plain decimal digits."""
    text = scalar(value)
    if not _WHOLE.fullmatch(text) or not low <= int(text) <= high:
        raise BadValue(
            f"{quoted(text)} is not {what}", f"write a whole number from {low} to {high}"
        )
    return int(text)


def cpus(value: object) -> int:
    """Take a number of virtual CPUs."""
    return whole(value, "a number of CPUs", 1, 64)


def mtu(value: object) -> int:
    """Take an MTU in bytes: from IPv4's least (RFC 791) to the most a macvtap takes."""
    return whole(value, "an MTU", 68, 65535)


def vlan(value: object) -> int:
    """Take a VLAN's number; 0 and 4095 are reserved (IEEE 802.1Q, 9.6)."""
    return whole(value, "a VLAN", 1, 4094)


def queues(value: object) -> int:
    """Take a number of queues; libvirt and macvtap both stop at 256 (linux/if_tap.h)."""
    return whole(value, "a number of queues", 1, 256)


def txqueuelen(value: object) -> int:
    """Take the length of a device's queue, in frames."""
    return whole(value, "a queue length", 1, 1_000_000)


def memory_mib(value: object) -> int:
    """Take an amount of memory, in MiB unless a unit says GiB."""
    text = scalar(value)
    parts = _MEMORY.fullmatch(text)
    if parts is None:
        raise BadValue(
            f"{quoted(text)} is not an amount of memory",
            "write it like 128M, 512MiB or 1G; a number alone counts MiB",
        )
    mib = int(parts[1]) * (1024 if parts[2].startswith("G") else 1)
    least, most = 96, 1024 * 1024
    if mib < least:
        raise BadValue(
            f"{quoted(text)} is too little memory", f"give at least {least}M: less does not boot"
        )
    if mib > most:
        raise BadValue(f"{quoted(text)} is too much memory", f"give at most {most // 1024}G")
    return mib
