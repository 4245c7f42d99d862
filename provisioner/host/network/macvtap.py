"""Macvtaps: made whole in one call, changed while guests run on them, read back and compared.

The order of the messages is measured, not chosen: group, name, MAC and ifindex go into the creating
message, since alias and altname are silently ignored there (Linux 6.18, rtnetlink.c); the host's
IPv6 must be off and addr_gen_mode "none" before UP, or the host sends neighbour discovery with the
guest's MAC, and takes routes from routers while nobody holds the tap.
"""

import errno
import select
import time
from collections.abc import Iterable, Iterator, Sequence

from provisioner import naming
from provisioner.errors import VmnetError
from provisioner.host.netlink import ipv6, link_codec, links
from provisioner.host.netlink.link_codec import IFF_ALLMULTI, IFF_NOARP, IFF_UP, linkinfo
from provisioner.host.netlink.message import Attribute, Message
from provisioner.host.netlink.rtnetlink import ask, refused, transact, write
from provisioner.host.network import devices, tap_node
from provisioner.host.system import paths
from provisioner.network.facts import ELSEWHERE, Link
from provisioner.network.readback import CARRIER, Difference, differences
from provisioner.network.resources import Macvtap
from provisioner.plan.choices import Mode
from provisioner.reconcile.resources import Look

_FOLLOWS_S = 2.0  # a macvtap follows its uplink's carrier when the kernel's link watch runs
_POLL_S = 0.02
# ALLMULTI: macvlan filters multicast by the host-side device's list, which knows nothing of the
# guest's addresses, and would drop the neighbour solicitations for them.
_WORKING = IFF_UP | IFF_ALLMULTI

_AT_CREATION_ONLY = "passthru is chosen when a device is made: delete this one and make it anew"
_ALONE = "a passthru device must be alone on its uplink: look at what else sits there: ip -d link"


def observe(look: Look) -> list[Macvtap]:
    """List the macvtaps of a plan, with the state of their nodes."""
    ours = [x for x in look.ours if x.kind == "macvtap"]
    nodes = tap_node.states_of({x.name: x.index for x in ours})
    return [
        Macvtap.from_link(x, look.name_of(x.lower) or ELSEWHERE, plan=look.plan, node=nodes[x.name])
        for x in ours
    ]


def create(tap: Macvtap) -> None:
    """Make a macvtap of a plan with a node of its own, whole or not at all.

    Raises VmnetError as `create_at` does, and when another device has its name.
    """
    for index in naming.ifindexes(tap.plan, tap.vm, tap.nic):
        if not tap_node.is_free(index):
            continue  # another namespace's node, or one that somebody made: not ours to open
        if links.index_of(tap.name):
            # The kernel does the messages behind a creating one that it refuses, too: a stranger's
            # device of this name would get our alias.
            raise devices.taken(tap.name)
        try:
            create_at(tap, index)
        except FileExistsError as error:
            if links.index_of(tap.name):
                raise devices.taken(tap.name) from error
            continue  # the ifindex was taken meanwhile
        if tap_node.state_of(tap.name, index) == "missing":
            tap_node.make_node(tap.name, index, paths.folder(tap.plan, "node"))
        if tap_node.state_of(tap.name, index) == "right":
            return
        links.delete(tap.name)


def update(tap: Macvtap) -> None:
    """Bring a macvtap and its node to what they should be. Raises VmnetError as `update_from`."""
    (have,) = links.at(links.existing_index(tap.name))
    update_from(tap, have)
    if tap_node.state_of(have.name, have.index) == "missing":
        tap_node.make_node(have.name, have.index, paths.folder(tap.plan, "node"))


def delete(tap: Macvtap) -> None:
    """Delete a macvtap and its node; one that has gone already is fine."""
    release([tap])
    devices.delete(tap)


def release(taps: Iterable[Macvtap]) -> None:
    """Remove the nodes of macvtaps and make them ready to be deleted.

    The node first: when vmnet is killed in between, the link still tells whose it was.
    """
    owners = {tap.name: tap for tap in taps}
    here = [x for x in links.every() if x.name in owners and x.group == owners[x.name].group]
    for link in here:
        tap_node.remove_node(link.index, paths.folder(owners[link.name].plan, "node"))
    prepare_removal(here)


def create_at(tap: Macvtap, index: int) -> None:
    """Make a macvtap with the given ifindex, whole or not at all.

    Raises VmnetError when the kernel refuses, or has made something else than was asked for;
    FileExistsError when the ifindex is taken.
    """
    if error := create_all([(tap, index)])[0]:
        raise error


def create_all(wanted: Sequence[tuple[Macvtap, int]]) -> list[Exception | None]:
    """Make many macvtaps in few calls; return for each what `create_at` would raise.

    One that fails is gone again, whatever becomes of the others.
    """
    uplinks = {name: links.existing_index(name) for name in {tap.uplink for tap, _ in wanted}}
    statuses = transact(_creation(tap, index, uplinks[tap.uplink]) for tap, index in wanted)
    made = [at for at, answered in enumerate(statuses) if answered[0] == 0]
    _activate([wanted[at] for at in made], [statuses[at] for at in made])
    errors: list[Exception | None] = [
        _refusal(f'making the macvtap "{tap.name}" on "{tap.uplink}"', tap, answered)
        for (tap, _), answered in zip(wanted, statuses, strict=True)
    ]
    whole = [at for at in made if errors[at] is None]
    mismatches = _mismatches([wanted[at] for at in whole])
    for at in whole:
        errors[at] = mismatches.get(wanted[at][0].name)
    transact([[link_codec.delete(index=wanted[at][1])] for at in made if errors[at] is not None])
    return errors


def update_from(tap: Macvtap, have: Link) -> None:
    """Bring what can be set on a living macvtap to what it should be.

    Raises VmnetError when the kernel refuses, or has done something else than was asked for.
    """
    if error := update_all([(tap, have)])[0]:
        raise error


def update_all(wanted: Sequence[tuple[Macvtap, Link]]) -> list[Exception | None]:
    """Change many macvtaps in few calls; return for each what `update_from` would raise."""
    statuses = transact(_changes(tap, have) for tap, have in wanted)
    _activate([(tap, have.index) for tap, have in wanted], statuses)
    errors = [
        _refusal(f'changing the macvtap "{tap.name}"', tap, answered, have)
        for (tap, have), answered in zip(wanted, statuses, strict=True)
    ]
    whole = [one for one, error in zip(wanted, errors, strict=True) if error is None]
    mismatches = _mismatches([(tap, have.index) for tap, have in whole])
    pairs = zip(errors, wanted, strict=True)
    return [error or mismatches.get(tap.name) for error, (tap, _) in pairs]


def plug(name: str, *, up: bool) -> None:
    """Set a macvtap up or down, as if its guest's cable were plugged in or pulled out.

    Raises VmnetError when it is not there.
    """
    index = links.existing_index(name)
    messages = [link_codec.new(index=index, on=_WORKING)] if up else link_codec.downed(index)
    write(f'setting "{name}" {"up" if up else "down"}', messages)


def prepare_removal(doomed: Iterable[Link]) -> None:
    """Make macvtaps ready to be deleted: a passthru one undoes what it has set on its uplink.

    The kernel forgets that when the device goes; see `link_codec.downed`.
    """
    doomed = [x for x in doomed if x.mode == Mode.PASSTHRU]
    transact([[link_codec.new(index=x.index, off=IFF_ALLMULTI)] for x in doomed])


def _creation(tap: Macvtap, index: int, uplink: int) -> list[Message]:
    """List the messages that make a macvtap, the creating one first."""
    named = ("IFLA_IFNAME", tap.name)
    # A passthru device bears its uplink's MAC: the kernel ignores any other at creation, and
    # setting one later would change the uplink's.
    mac = [] if tap.mode.takes_uplink_mac else [("IFLA_ADDRESS", tap.mac)]
    messages = [
        link_codec.new(
            named,
            *mac,
            ("IFLA_LINK", uplink),
            ("IFLA_MTU", tap.mtu),
            ("IFLA_GROUP", tap.group),
            ("IFLA_TXQLEN", tap.txqueuelen),
            ("IFLA_NUM_TX_QUEUES", tap.queues),
            ("IFLA_NUM_RX_QUEUES", tap.queues),
            _mode(tap),
            index=index,
            create=True,
        ),
        link_codec.new(named, linkinfo("macvtap"), ("IFLA_IFALIAS", tap.alias)),
    ]
    if tap.altname:
        messages.append(link_codec.altname("RTM_NEWLINKPROP", tap.altname, named))
    return messages


def _activate(taps: Sequence[tuple[Macvtap, int]], statuses: Sequence[list[int]]) -> None:
    """Shut macvtaps out of the host's IPv6, then set their flags; add the kernel's answers.

    In this order: on a device that is up, the host would take routes from any router on the wire.
    """
    ipv6.disable(*(tap.name for tap, _ in taps))
    requests = ([link_codec.silence(index=index), *_flags(tap, index)] for tap, index in taps)
    for before, after in zip(statuses, transact(requests), strict=True):
        before.extend(after)


def _changes(tap: Macvtap, have: Link) -> list[Message]:
    """List the messages that make a living macvtap what it should be, but for its flags.

    It never stops working, unless its MTU was too small for IPv6 and becomes large enough.
    """
    index = have.index
    messages = list(ipv6.below_ipv6(have.mtu, tap.mtu, index))
    if (have.mode, have.nopromisc) != (tap.mode, tap.nopromisc):
        messages.append(link_codec.new(_mode(tap), index=index))
    elif tap.mode.has_source_list:
        messages += _source_edits(tap, have)
    if have.altname != tap.altname:
        if have.altname:
            messages.append(link_codec.altname("RTM_DELLINKPROP", have.altname, index=index))
        if tap.altname:
            messages.append(link_codec.altname("RTM_NEWLINKPROP", tap.altname, index=index))
    settings = (
        ("IFLA_MTU", tap.mtu),
        ("IFLA_TXQLEN", tap.txqueuelen),
        ("IFLA_IFALIAS", tap.alias),
    )
    messages.append(link_codec.new(linkinfo("macvtap"), *settings, index=index))
    return messages


def _flags(tap: Macvtap, index: int) -> list[Message]:
    """Return the requests to set and clear the flags of a macvtap."""
    if tap.up:
        return [link_codec.new(index=index, on=IFF_NOARP | _WORKING)]
    return [*link_codec.downed(index), link_codec.new(index=index, on=IFF_NOARP)]


def _mode(tap: Macvtap) -> Attribute:
    """Return a mode with all that belongs to it: leaving source has flushed its list."""
    sources = tap.sources if tap.mode.has_source_list else None
    return link_codec.macvlan("macvtap", tap.mode, nopromisc=tap.nopromisc, sources=sources)


def _source_edits(tap: Macvtap, have: Link) -> Iterator[Message]:
    """Add and delete single MACs: to set the list anew would lose frames from those that stay.

    (macvlan_changelink_sources flushes it first.)
    """
    wanted, there = set(tap.sources), set(have.sources)
    for verb, macs in (("add", wanted - there), ("del", there - wanted)):
        for mac in sorted(macs):
            edit = ("IFLA_MACVTAP_MACADDR_MODE", verb), ("IFLA_MACVTAP_MACADDR", mac)
            yield link_codec.new(linkinfo("macvtap", *edit), index=have.index)


def _refusal(
    doing: str, tap: Macvtap, statuses: Sequence[int], have: Link | None = None
) -> Exception | None:
    """Turn the kernel's answers into an error, if one of them is one."""
    bad = list(filter(None, statuses))
    if not bad:
        return None
    fix = None
    if bad[0] == errno.EINVAL:
        if have and (have.mode == Mode.PASSTHRU) != tap.mode.is_exclusive:
            fix = _AT_CREATION_ONLY
        elif tap.mode.is_exclusive:
            fix = _ALONE
    return refused(bad[0], doing, made=have is not None or statuses[0] == 0, fix=fix)


def _mismatches(wanted: Sequence[tuple[Macvtap, int]]) -> dict[str, VmnetError]:
    """Read devices back and compare; return the error of each that is something else, by name."""
    end = time.monotonic() + _FOLLOWS_S
    errors: dict[str, VmnetError] = {}
    left = wanted
    while left:
        found = {tap.name: bad for tap, bad in _compared(left) if bad}
        late = {name for name, bad in found.items() if {x.field for x in bad} == {CARRIER}}
        if time.monotonic() > end:
            late = set()
        errors |= {name: _mismatch(name, bad) for name, bad in found.items() if name not in late}
        left = [(tap, index) for tap, index in left if tap.name in late]
        select.select([], [], [], _POLL_S if left else 0)
    return errors


def _compared(
    wanted: Sequence[tuple[Macvtap, int]],
) -> Iterator[tuple[Macvtap, tuple[Difference, ...]]]:
    found = ask([link_codec.get(index) for _, index in wanted])
    have = [link_codec.link(message) if message else None for message in found]
    uplinks = {x.index: x for x in links.at(*{x.lower for x in have if x and x.lower})}
    for (tap, _), link, message in zip(wanted, have, found, strict=True):
        if link is None:
            yield tap, (Difference("device", "a macvtap", "none any more"),)
            continue
        unset = [] if link.quiet else link_codec.unset(message)
        if link.ipv6 and ipv6.can_be_set():
            unset.append("disable_ipv6")
        yield tap, differences(tap, link, uplinks.get(link.lower), unset)


def _mismatch(name: str, bad: Sequence[Difference]) -> VmnetError:
    found = "; ".join(map(str, bad))
    return VmnetError(
        f'the macvtap "{name}" is not what was asked for: {found}',
        fix="the kernel has passed over it without a word: ask for something else in its place",
    )
