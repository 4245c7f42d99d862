"""Where a thing on the host differs from what it should be; whether it can be changed live."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields

from provisioner.guest.domain import Domain, DomainDisk, DomainNic, FileCopy, Image, Overlay, Seed
from provisioner.network.resources import Dhcp, Guard, HostAccess, Macvtap, Nat, Switch, Vlan
from provisioner.reconcile.resources import Resource
from provisioner.text import one_line

# What can be set on a thing that lives, without anything that leans on it noticing.
_LIVE: dict[type[Resource], frozenset[str]] = {
    Switch: frozenset({"addresses", "mtu", "alias", "up", "ignores_routers", "bridge", "host_mac"}),
    Vlan: frozenset({"mtu", "alias", "up", "ignores_routers"}),
    HostAccess: frozenset(
        {"addresses", "routes", "mtu", "alias", "up", "ignores_routers", "answers_for_itself"}
    ),
    Macvtap: frozenset(
        {"mode", "nopromisc", "sources", "mtu", "txqueuelen"}
        | {"alias", "altname", "up", "quiet", "node"}
    ),
    Guard: frozenset({"marks", "family", "device"}),
    Nat: frozenset({"marks", "family", "device", "forwards", "translates"}),
    Dhcp: frozenset(),
    Seed: frozenset(),
    FileCopy: frozenset(),
    Overlay: frozenset({"size"}),
    Domain: frozenset({"nics", "network"}),
}


def drift(want: Resource | None, have: Resource) -> Iterator[tuple[str, str]]:
    """Name every field that differs, and say how."""
    if want is None:
        yield "", "not in the plan"
        return
    for f in fields(want):
        if f.compare and getattr(want, f.name) != getattr(have, f.name):
            yield f.name, _told(f.name, getattr(want, f.name), getattr(have, f.name))


def can_live(want: Resource | None, have: Resource, changed: Iterable[str]) -> bool:
    """Tell whether the fields that changed can be set while the thing lives."""
    if want is None or not set(changed) <= _LIVE[type(have)]:
        return False
    match want, have:
        case Macvtap(), Macvtap():
            # The kernel answers EINVAL to a change to or from passthru; a node that belongs to
            # another device can only be mended by taking another ifindex.
            return have.node != "foreign" and (
                want.mode == have.mode or "passthru" not in {want.mode, have.mode}
            )
        case Overlay(), Overlay():
            return want.size > have.size  # a guest that was given less would lose what is beyond
        case Domain(), Domain():
            # Whole cards come and go; a card that stays must stay as it is.
            before = {nic.link: nic for nic in have.nics}
            return all(before.get(nic.link, nic) == nic for nic in want.nics)
        case _:
            return True


_SENTENCES = {
    "quiet": "the host speaks through it",
    "ignores_routers": "the host learns from routers through it",
    "alive": "it has ended",
    "answers_for_itself": "it answers for addresses of the host that are not its own",
    "marks": "its rules have changed",
    "forwards": "the host does not forward",
    "translates": "nat has changed",
    "user": "user-data has changed",
    "network": "network configuration has changed",
    "backing": "it lies over another image",
} | {
    name: f"{name.replace('_', ' ')} has changed"
    for name in ("cmdline", "initrd", "kernel", "config", "ignition", "template")
}
"""What is told of fields whose values would say nothing to the user."""


def _told(name: str, want: object, have: object) -> str:
    if name in _SENTENCES:
        return _SENTENCES[name]
    if name in _WORDS:
        return _WORDS[name](want, have)
    return f"{name.replace('_', ' ')} is {_plain(have)}, want {_plain(want)}"


def _image(want: object, have: object) -> str:
    if not (isinstance(want, Image) and isinstance(have, Image)) or want.name == have.name:
        return "image has changed"
    return f"image is {one_line(have.name)}, want {one_line(want.name)}"


def _nics(want: object, have: object) -> str:
    """Say which cards come, go, and are other ones than before."""
    if not (isinstance(want, tuple) and isinstance(have, tuple)):
        return "nics have changed"
    now: dict[str, DomainNic] = {nic.link: nic for nic in have}
    then: dict[str, DomainNic] = {nic.link: nic for nic in want}
    changed = [
        f"{words} of {link} is {_plain(getattr(now[link], f))}, want {_plain(getattr(nic, f))}"
        for link, nic in then.items()
        if link in now
        for f, words in (("mac", "mac"), ("mtu", "mtu"), ("queues", "queues"), ("vhost", "vhost"))
        if getattr(now[link], f) != getattr(nic, f)
    ]
    come = [f"it has no card on {link}" for link in then if link not in now]
    gone = [f"its card on {link} is not in the plan" for link in now if link not in then]
    return ", ".join([*changed, *come, *gone]) or "its cards are in another order"


def _disks(want: object, have: object) -> str:
    """Say which disks come, go, and are attached otherwise."""
    if not (isinstance(want, tuple) and isinstance(have, tuple)):
        return "disks have changed"
    now: dict[str, DomainDisk] = {disk.path: disk for disk in have}
    then: dict[str, DomainDisk] = {disk.path: disk for disk in want}
    come = [f"it has no disk {_base(path)}" for path in then if path not in now]
    gone = [f"its disk {_base(path)} is not in the plan" for path in now if path not in then]
    other = [
        f"{f.name.replace('_', ' ')} of its disk {_base(path)} has changed"
        for path, disk in then.items()
        if path in now
        for f in fields(disk)
        if getattr(disk, f.name) != getattr(now[path], f.name)
    ]
    return ", ".join([*other, *come, *gone]) or "its disks are in another order"


def _base(path: str) -> str:
    return one_line(path.rsplit("/", 1)[-1])


def _plain(value: object) -> str:
    match value:
        case tuple():
            return " ".join(map(_plain, value)) or "none"
        case None | "":
            return "none"
        case bool():
            return "on" if value else "off"
        case _:
            return str(value)


_WORDS: dict[str, Callable[[object, object], str]] = {
    "up": lambda want, _: "is down" if want else "is up",
    "node": lambda _, have: f"its /dev/tap node is {have}",
    "nopromisc": lambda want, _: (
        "it makes the uplink promiscuous" if want else "its uplink is not promiscuous"
    ),
    "nics": _nics,
    "disks": _disks,
    "image": _image,
    "size": lambda want, have: f"size is {_mib(have)}, want {_mib(want)}",
}
"""What is told of fields by what they were and shall be."""


def _mib(size: object) -> str:
    return f"{size // 1048576} MiB" if isinstance(size, int) else "unknown"
