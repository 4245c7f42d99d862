"""Macvtaps of nobody's plan, for people who bring their own VMs: names, marks, wishes and words.

Such a device bears four marks: its name, its group, its kind and its alias. Only what bears all of
them is ever changed or removed by `vmnet net`, and no plan's devices bear them. The alias can be
written by root alone and read by everybody, so it tells a user which devices were made for him.
"""

from collections.abc import Collection, Iterator
from dataclasses import replace
from itertools import count, islice
from typing import Final, TypeVar

from provisioner import naming
from provisioner.dataclass import dataclass
from provisioner.network import nftables
from provisioner.network.facts import Link
from provisioner.network.resources import Guard, Macvtap
from provisioner.pattern import pattern
from provisioner.plan.choices import Mode, SpoofGuard
from provisioner.plan.mac import Mac, is_mac
from provisioner.plan.scalars import BadValue, quoted, scalar

_T = TypeVar("_T")

LONGEST_NAME: Final = 11
_ALIAS = "vmnet-net:"
_NAME = pattern(naming.NET_TAP + r"(?:[0-9]+|-[A-Za-z0-9][A-Za-z0-9._-]*)")
_GIVEN = pattern(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ROOT = 0


@dataclass(frozen=True, slots=True)
class Mark:
    """What a device's alias holds: its uplink, whose it is, which network it stands for."""

    uplink: str
    owner: int = _ROOT  # the user who may open its node
    label: str = ""  # a name under which plans may ask for it
    guard: str = ""  # its spoof guard: mac or strict; "" for none
    mac: str = ""  # that it was made with: its user may change it; "" of an older vmnet's

    @property
    def alias(self) -> str:
        """The text that the kernel keeps."""
        made = f"/{self.guard}/{self.mac}" if self.mac else ""
        return f"{_ALIAS}{self.uplink}/{self.owner}/{self.label}{made}"


def mark_of(alias: str) -> Mark | None:
    """Parse an alias; None when it is not of `vmnet net`."""
    parts = alias.removeprefix(_ALIAS).split("/")
    if not alias.startswith(_ALIAS) or len(parts) not in {3, 5} or not parts[1].isdecimal():
        return None
    if len(parts) == 3:  # noqa: PLR2004
        return Mark(parts[0], int(parts[1]), parts[2])
    if parts[3] not in {"", "mac", "strict"} or not is_mac(parts[4]):
        return None
    return Mark(parts[0], int(parts[1]), *parts[2:])


def born_mac(link: Link) -> str:
    """Return the MAC that a device was made with, which is its guest's."""
    mark = mark_of(link.alias)
    return (mark and mark.mac) or link.mac


def guard_of(name: str, alias: str) -> Guard | None:
    """Return the guard that a device should have, None for none."""
    mark = mark_of(alias)
    if mark is None or not mark.guard:
        return None
    return nftables.net_guard(name, Mac(mark.mac), SpoofGuard(mark.guard))


def is_ours(link: Link) -> bool:
    """Return whether a device bears all marks of `vmnet net`."""
    return (
        link.kind == "macvtap"
        and link.group in {naming.NET_GROUP, naming.NET_LEAVING_GROUP}
        and bool(_NAME.fullmatch(link.name))
        and mark_of(link.alias) is not None
    )


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for: `count` devices that differ in name, MAC and node only."""

    uplink: str
    mode: Mode
    count: int = 1
    name: str = ""  # "" for mvn0, mvn1 …
    owner: int = _ROOT
    label: str = ""
    mac: str = ""  # "" for a derived one
    mtu: int | None = None  # None for the uplink's
    queues: int = 1
    txqueuelen: int = 500
    sources: tuple[str, ...] = ()
    nopromisc: bool = False
    spoof_guard: SpoofGuard = SpoofGuard.MAC
    take_over: bool = False  # passthru, even on the NIC that the host's default route goes through


@dataclass(frozen=True, slots=True)
class Change:
    """What is to become of a device; None leaves a thing as it is."""

    mode: Mode | None = None
    mtu: int | None = None
    sources: tuple[str, ...] | None = None
    nopromisc: bool | None = None
    up: bool | None = None
    txqueuelen: int | None = None
    owner: int | None = None


def given_name(value: object) -> str:
    """Return a name that the user gives a device: what is put behind mvn-."""
    text = scalar(value)
    if not _GIVEN.fullmatch(text) or len(text) > LONGEST_NAME:
        raise BadValue(
            f"{quoted(text)} cannot name a device",
            f"use letters, digits, . _ and -, at most {LONGEST_NAME} of them",
        )
    return text


def kernel_name(name: str) -> str:
    """Return the kernel's name of a device that the user calls `name`."""
    return name if _NAME.fullmatch(name) else f"{naming.NET_TAP}-{name}"


def free_names(name: str, number: int, taken: Collection[str]) -> Iterator[str]:
    """Return the names of new devices: the lowest numbers that are free, the same on every run."""
    stem = f"{naming.NET_TAP}-{name}" if name else naming.NET_TAP
    if name and number == 1:
        yield stem
        return
    numbered = (f"{stem}{at}" for at in count())
    yield from islice((one for one in numbered if one not in taken), number)


def planned(wish: Wish, uplink: Link, taken: Collection[str]) -> tuple[Macvtap, ...]:
    """Return the devices that a wish stands for."""
    given_mac = uplink.mac if wish.mode.takes_uplink_mac else wish.mac
    macs = {
        name: given_mac or naming.net_mac(uplink.mac, name)
        for name in free_names(wish.name, wish.count, taken)
    }
    guard = "" if wish.spoof_guard is SpoofGuard.OFF else str(wish.spoof_guard)
    return tuple(
        Macvtap(
            name=name,
            uplink=uplink.name,
            mode=wish.mode,
            mac=mac,
            mtu=wish.mtu or uplink.mtu,
            group=naming.NET_GROUP,
            alias=Mark(uplink.name, wish.owner, wish.label, guard, mac).alias,
            altname="",
            nopromisc=wish.nopromisc,
            sources=wish.sources,
            queues=wish.queues,
            txqueuelen=wish.txqueuelen,
        )
        for name, mac in macs.items()
    )


def changed(tap: Macvtap, change: Change) -> Macvtap:
    """Return what a device should become; one that leaves source mode leaves its list behind."""
    mark = mark_of(tap.alias)
    if change.owner is not None and mark:
        tap = replace(tap, alias=replace(mark, owner=change.owner).alias)
    mode = change.mode or tap.mode
    return replace(
        tap,
        mode=mode,
        mtu=_first(change.mtu, tap.mtu),
        sources=_first(change.sources, tap.sources) if mode.has_source_list else (),
        nopromisc=_first(change.nopromisc, tap.nopromisc) and mode.is_exclusive,
        up=_first(change.up, tap.up),
        txqueuelen=_first(change.txqueuelen, tap.txqueuelen),
    )


def _first(given: _T | None, otherwise: _T) -> _T:
    return otherwise if given is None else given
