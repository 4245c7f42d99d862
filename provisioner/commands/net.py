"""vmnet net: devices without a plan, for people who bring their own VMs."""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from provisioner.commands.target import Tell
from provisioner.errors import Exit, VmnetError, bad_input, refuse
from provisioner.host.libvirt import privileges
from provisioner.host.netlink import links
from provisioner.host.network import macvtap, net_guards, nftables, standalone, tap_node
from provisioner.host.system import accounts, locks, paths, systemd
from provisioner.network.facts import Facts, Link
from provisioner.network.resources import Macvtap
from provisioner.network.standalone import device, rules, saved
from provisioner.network.standalone.device import Change, Mark, Wish, changed, is_ours, mark_of
from provisioner.network.standalone.output import Counters, Holder, NetDevice
from provisioner.pattern import pattern
from provisioner.plan.choices import SpoofGuard
from provisioner.text import one_line

_PLACE = ".net"  # no plan can have this name
_LOCK_S = 30.0
_NUMBERS = pattern(r"(\d+)")


def create(wish: Wish, tell: Tell) -> list[NetDevice]:
    """Make the devices that are wished for: all of them, or none.

    Raises Complaints, when the kernel would not have it, before anything is touched; VmnetError
    when it refuses all the same.
    """
    with _alone("net create", tell):
        facts = _facts(routes=wish.mode.is_exclusive)
        taken = _names(facts)
        refuse(rules.complaints(wish, facts, taken))
        uplink = _existing(facts, wish.uplink)
        wish = _guardable(wish, tell)
        for warning in rules.warnings(wish, uplink):
            tell(f"warning: {warning}")
        return _made(device.planned(wish, uplink, taken), facts)


def _guardable(wish: Wish, tell: Tell) -> Wish:
    """Return a wish without a guard where the kernel has none, unless it is to be strict."""
    no_guard = nftables.firewall().no_guard if wish.spoof_guard is not SpoofGuard.OFF else ""
    if not no_guard:
        return wish
    if wish.spoof_guard is SpoofGuard.STRICT:
        raise VmnetError(
            f"--spoof-guard strict cannot be kept here: {no_guard}",
            fix="fix that, or say --spoof-guard off and know that its user can forge frames",
        )
    tell(f"warning: nothing keeps their users from forging MACs: {no_guard}")
    return replace(wish, spoof_guard=SpoofGuard.OFF)


def restore(path: Path, tell: Tell) -> list[NetDevice]:
    """Make the devices again that are written down in a file, but for those that are there.

    Raises VmnetError when the file cannot be read, an uplink is not there, or a name is taken.
    """
    with _alone("net restore", tell):
        text = systemd.read(path)
        if text is None:
            raise bad_input(f"there is no {path}", "write it: vmnet boot install --net")
        facts = _facts()
        ours = {x.name for x in facts.links if is_ours(x)}
        missing = [tap for tap in saved.from_json(text, str(path)) if tap.name not in ours]
        for tap in missing:
            if facts.link(tap.uplink) is None:
                raise VmnetError(
                    f'the NIC "{one_line(tap.uplink)}" of {tap.name} is not there',
                    fix="see what NICs there are: ip link; then: vmnet boot install --net",
                )
        return _made(missing, facts)


def _made(wanted: Sequence[Macvtap], facts: Facts) -> list[NetDevice]:
    """Make devices and give them to their owners: all of them, or none."""
    made = standalone.create(wanted, [x.index for x in facts.links], paths.folder(_PLACE, "node"))
    try:
        net_guards.put(g for tap in wanted if (g := device.guard_of(tap.name, tap.alias)))
    except BaseException:
        _unmade(made)
        raise
    owners = {tap.name: mark.owner for tap in wanted if (mark := mark_of(tap.alias)) and mark.owner}
    try:
        for name, owner in owners.items():
            tap_node.give(name, made[name], owner)
    except BaseException:
        _unmade(made)
        raise
    return _described([x for x in links.at(*made.values()) if x.name in made], facts)


def _unmade(made: Mapping[str, int]) -> None:
    standalone.remove(made, paths.folder(_PLACE, "node"))
    net_guards.remove(made)


def listed(uplink: str = "") -> list[NetDevice]:
    """Return the devices on an uplink, or on all; only root sees everybody's processes."""
    facts = _facts()
    return _described(_chosen(facts, uplink=uplink), facts)


def shown(names: Sequence[str]) -> list[NetDevice]:
    """Return some devices with all that is known of them, counters included."""
    facts = _facts()
    found = _chosen(facts, names)
    return _described(found, facts, links.counters(*(x.index for x in found)))


def change(names: Sequence[str], wish: Change, tell: Tell) -> list[NetDevice]:
    """Change devices while they are in use: same ifindex, same node, the guest stays.

    Raises Complaints before anything is touched; VmnetError when some could not be changed.
    """
    with _alone("net set", tell):
        facts = _facts()
        found = _chosen(facts, names)
        pairs = [(tap := _as_it_is(x, facts), changed(tap, wish)) for x in found]
        refuse(rules.change_complaints(pairs, wish, facts))
        for warning in rules.change_warnings(pairs):
            tell(f"warning: {warning}")
        wanted = [(want, x) for (_, want), x in zip(pairs, found, strict=True)]
        _refuse_partly(wanted, macvtap.update_all(wanted))
        net_guards.put(g for x in found if (g := device.guard_of(x.name, x.alias)))
        if wish.owner is not None:
            for link in found:
                tap_node.give(link.name, link.index, wish.owner)
        return _described(links.at(*(x.index for x in found)), facts)


def keep_guards(names: Collection[str], tell: Tell) -> list[str]:
    """Put back the guards that devices were made with and that are gone; return whose were.

    Raises VmnetError when the kernel refuses.
    """
    with _alone("net set", tell):
        ours = [x for x in _facts().links if x.name in names and is_ours(x)]
        guards = {x.name: g for x in ours if (g := device.guard_of(x.name, x.alias))}
        gone = net_guards.gone(guards.values())
        net_guards.put(guards[name] for name in sorted(gone))
        return sorted(gone)


def remove(names: Sequence[str], tell: Tell, *, uplink: str = "", force: bool = False) -> list[str]:
    """Remove devices, all in one call; return their names.

    Without `names`, all that are on the uplink, or on any where it is "".
    Raises VmnetError for one that is not ours, and for one that a process holds unless `force`:
    whoever reads a node never hears that its device is gone.
    """
    with _alone("net rm", tell):
        facts = _facts()
        doomed = {x.name: x.index for x in _chosen(facts, names, uplink)}
        if not force:
            _refuse_held(doomed)
        _unmade(doomed)
        return list(doomed)


@contextmanager
def _alone(doing: str, tell: Tell) -> Iterator[None]:
    privileges.require_for_devices()
    with locks.held(paths.lock_file(_PLACE), doing, timeout_s=_LOCK_S, notify=tell):
        yield


def _facts(*, routes: bool = False) -> Facts:
    if routes:
        found, ways = links.observe()
        return Facts(links=found, routes=ways)
    return Facts(links=links.every())


def _names(facts: Facts) -> set[str]:
    return {x.name for x in facts.links} | {x.altname for x in facts.links if x.altname}


def _existing(facts: Facts, name: str) -> Link:
    link = facts.link(name)
    if link is None:
        raise RuntimeError(name)  # the rules have seen it
    return link


def _chosen(facts: Facts, names: Sequence[str] = (), uplink: str = "") -> list[Link]:
    """Find the devices that are meant. Raises VmnetError for one that is not there, or not ours."""
    ours = {x.name: x for x in sorted(facts.links, key=_by_number) if is_ours(x)}
    if names:
        return list({x.name: x for x in (_named(n, ours, facts) for n in names)}.values())
    if uplink:
        lower = facts.link(uplink)
        return [x for x in ours.values() if lower and x.lower == lower.index]
    return list(ours.values())


def _named(name: str, ours: Mapping[str, Link], facts: Facts) -> Link:
    if link := ours.get(device.kernel_name(name)):
        return link
    if facts.link(name):
        raise VmnetError(
            f'"{one_line(name)}" is not a device of vmnet net: it does not bear its marks',
            fix="those that are: vmnet net ls; what a plan has made goes with: vmnet down",
            status=Exit.CONFLICT,
        )
    raise bad_input(
        f'there is no device "{one_line(name)}"',
        "those that are there: vmnet net ls",
    )


def _as_it_is(link: Link, facts: Facts) -> Macvtap:
    lower = facts.link_at(link.lower)
    return Macvtap.from_link(link, lower.name if lower else "?")


def _refuse_partly(
    wanted: Sequence[tuple[Macvtap, Link]], errors: Sequence[Exception | None]
) -> None:
    bad = [error for error in errors if error is not None]
    if not bad:
        return
    first = bad[0]
    if len(bad) == len(wanted) or not isinstance(first, VmnetError):
        raise first
    raise VmnetError(
        f"{len(bad)} of {len(wanted)} devices could not be changed; the first: {first.what}",
        fix=first.fix,
        status=Exit.PARTLY_DONE,
    )


def _refuse_held(doomed: Mapping[str, int]) -> None:
    held = _holders(doomed)
    if not held:
        return
    name, holders = next(iter(held.items()))
    who = ", ".join(f"{x.pid} ({x.command})" for x in holders)
    more = f", and {len(held) - 1} more devices are in use" if len(held) > 1 else ""
    raise VmnetError(
        f"the device {name} is open in process {who}{more}",
        fix="end that process first; or say --force: it runs on, and never hears a frame again",
        status=Exit.CONFLICT,
    )


def _holders(devices: Mapping[str, int]) -> dict[str, tuple[Holder, ...]]:
    if not devices:
        return {}
    return {
        name: tuple(Holder(pid, tap_node.command(pid)) for pid in sorted(set(pids)))
        for name, pids in tap_node.holders(devices).items()
    }


def _described(
    found: Sequence[Link], facts: Facts, counted: Mapping[int, tuple[int, ...]] | None = None
) -> list[NetDevice]:
    indexes = {x.name: x.index for x in found}
    try:
        states, held = tap_node.states_of(indexes), _holders(indexes)
    except VmnetError:  # a user who may not look behind /sys sees what netlink answers all the same
        states, held = dict.fromkeys(indexes, "unknown"), {}
    guards = {x.name: g for x in found if (g := device.guard_of(x.name, x.alias))}
    gone = net_guards.gone(guards.values()) if guards and not os.geteuid() else set()
    devices = []
    for link in sorted(found, key=_by_number):
        mark = mark_of(link.alias) or Mark("")
        lower = facts.link_at(link.lower)
        counts = (counted or {}).get(link.index)
        devices.append(
            NetDevice(
                name=link.name,
                uplink=one_line(lower.name) if lower else "?",
                mode=link.mode,
                mac=link.mac,
                mtu=link.mtu,
                node=str(tap_node.path_of(link.index)),
                node_state=states[link.name],
                up=link.up,
                carrier=link.carrier,
                owner=accounts.name_of(mark.owner),
                uid=mark.owner,
                label=one_line(mark.label),
                guard=mark.guard,
                guard_state="gone" if link.name in gone else "unknown" if os.geteuid() else "right",
                born_mac=mark.mac,
                nopromisc=link.nopromisc,
                sources=link.sources,
                queues=link.queues,
                txqueuelen=link.txqueuelen,
                holders=held.get(link.name, ()),
                counters=_counters(counts) if counts else None,
            )
        )
    return devices


def _counters(counted: tuple[int, ...]) -> Counters:
    """Name the kernel's counters: what the device has received is what its guest is to read."""
    received, sent, received_bytes, sent_bytes, _, _, received_dropped, sent_dropped = counted
    return Counters(received, received_bytes, received_dropped, sent, sent_bytes, sent_dropped)


def _by_number(link: Link) -> list[tuple[int, str]]:
    """Sort mvn10 behind mvn9."""
    return [(int(x), "") if x.isdecimal() else (0, x) for x in _NUMBERS.split(link.name)]
