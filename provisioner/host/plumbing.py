"""What a plan's guests stand on: links, rules, files, addresses. Runs in the worker."""

from provisioner.core import names
from provisioner.core.diff import Step, Verb
from provisioner.core.facts import Link, Route
from provisioner.core.resources import (
    Copy,
    Dhcp,
    Disk,
    Domain,
    Guard,
    HostAccess,
    Macvtap,
    Nat,
    Resource,
    Seed,
    Switch,
    Vlan,
)
from provisioner.core.resources import Link as OwnLink
from provisioner.core.text import one_line
from provisioner.errors import Exit, VmnetError
from provisioner.host import (
    disks,
    dnsmasq,
    links,
    macvtaps,
    netlink,
    nft,
    places,
    qemufiles,
    siblings,
    switches,
    taps,
    vlans,
)
from provisioner.host.secretfiles import Owner


def is_ours(plan: str, link: Link) -> bool:
    """Tell whether a link bears all marks of a plan.

    The alias is missing only when vmnet was killed between two messages of one call.
    """
    return (
        link.group == names.group(plan)
        and names.are_ours(link.name, link.kind)
        and (not link.alias or link.alias.startswith(f"vmnet:{plan}/"))
    )


def observe(
    plan: str, found: tuple[Link, ...], routes: tuple[Route, ...], tables: nft.Listing
) -> list[Resource]:
    """List what vmnet has made for a plan, and clear away nodes whose link has gone."""
    ours = [x for x in found if is_ours(plan, x)]
    taps.remove_stale_nodes(places.nodes(plan), [x.index for x in ours])
    by_index = {x.index: x for x in found}
    out: list[Resource] = [*qemufiles.observe(plan), *dnsmasq.observe(plan)]
    out += nft.observe(plan, tables)
    out += switches.strays(ours)
    for link in ours:
        match link.kind, link.name[:3]:
            case "macvtap", _:
                out.append(_macvtap(link, by_index))
            case _, names.LOWER:
                out.append(switches.observed(link, found))
            case "vlan", _:
                out.append(vlans.observed(link, found))
            case "macvlan", _:
                out.append(siblings.observed(link, found, routes))
            case _:
                continue  # the far end and the bridge of a switch: parts of it
    return out


def perform(plan: str, step: Step, owner: Owner | None = None) -> None:
    """Do one step: the whole of it, or nothing that anybody would recognise.

    `owner` is who QEMU runs as, where it has to own what it opens.
    """
    match step.verb:
        case Verb.CREATE:
            _create(plan, step.resource, owner)
        case Verb.UPDATE:
            _update(plan, step.resource)
        case Verb.DELETE:
            _delete(plan, step)


def _create(plan: str, resource: Resource, owner: Owner | None) -> None:
    match resource:
        case Macvtap():
            _create_macvtap(plan, resource)
        case Switch() | Vlan() | HostAccess():
            try:
                _create_link(resource)
            except FileExistsError as error:
                raise _taken(resource.name) from error
        case Guard() | Nat():
            nft.create(resource)
        case Dhcp():
            dnsmasq.create(resource)
        case Seed() | Disk() | Copy():
            qemufiles.create(plan, resource, owner)
        case Domain():
            raise RuntimeError(resource)  # host.machine has done it


def _create_macvtap(plan: str, tap: Macvtap) -> None:
    _, _, path = tap.alias.partition(":")
    _, vm, nic = path.split("/")
    for index in names.ifindexes(plan, vm, int(nic)):
        if not taps.is_free(index):
            continue  # another namespace's node, or one that somebody made: not ours to open
        try:
            macvtaps.create(tap, index)
        except FileExistsError as error:
            if netlink.index_of(tap.name):
                raise _taken(tap.name) from error
            continue  # the ifindex was taken meanwhile
        if taps.state_of(tap.name, index) == "missing":
            taps.make_node(tap.name, index, places.nodes(plan))
        if taps.state_of(tap.name, index) == "right":
            return
        links.delete(tap.name)


def _update(plan: str, resource: Resource) -> None:
    match resource:
        case Switch() | Vlan() | HostAccess():
            _update_link(resource)
        case Macvtap():
            have = next(x for x in links.observe()[0] if x.name == resource.name)
            macvtaps.update(resource, have)
            if taps.state_of(have.name, have.index) == "missing":
                taps.make_node(have.name, have.index, places.nodes(plan))
        case Guard() | Nat():
            nft.update(resource)
        case Disk():
            disks.grow(resource)
        case Dhcp() | Seed() | Copy() | Domain():
            raise RuntimeError(resource)  # core.diff knows that these are not updated here


def _update_link(resource: Switch | Vlan | HostAccess) -> None:
    match resource:
        case Switch():
            switches.update(resource)
        case Vlan():
            vlans.update(resource)
        case HostAccess():
            siblings.update(resource)


def _delete(plan: str, step: Step) -> None:
    match step.resource:
        case Seed() | Disk() | Copy() as file:
            qemufiles.delete(file)
        case Guard() | Nat() as rules:
            nft.delete(rules)
        case Dhcp() as dhcp:
            dnsmasq.delete(dhcp)
        case Domain():
            raise RuntimeError(step)  # host.machine has done it
        case _:
            gone = (step.resource, *step.together)
            _delete_links(plan, [r for r in gone if isinstance(r, OwnLink)])


def _delete_links(plan: str, wanted: list[OwnLink]) -> None:
    here = {x.name: x for x in links.observe()[0] if is_ours(plan, x)}
    parts = [
        part
        for r in wanted
        for part in ((r.name, r.bridge) if isinstance(r, Switch) else (r.name,))
    ]
    gone = [here[name] for name in parts if name in here]
    # The node first: when vmnet is killed in between, the link still tells whose it was.
    for link in gone:
        if link.kind == "macvtap":
            taps.remove_node(link.index, places.nodes(plan))
    macvtaps.let_go(gone)
    if len(wanted) > 1:
        links.delete_group(names.group(plan), lambda x: is_ours(plan, x))
    else:
        for link in gone:
            links.delete(link.name)


def _create_link(resource: Switch | Vlan | HostAccess) -> None:
    match resource:
        case Switch():
            switches.create(resource)
        case Vlan():
            vlans.create(resource)
        case HostAccess():
            siblings.create(resource)


def _taken(name: str) -> VmnetError:
    return VmnetError(
        f'the device name "{name}" has been taken meanwhile by something that is not vmnet\'s',
        fix=f"look at it with: ip -d link show dev {name}",
        status=Exit.CONFLICT,
    )


def _macvtap(link: Link, by_index: dict[int, Link]) -> Macvtap:
    uplink = by_index.get(link.lower)
    return Macvtap(
        name=link.name,
        uplink=uplink.name if uplink else "?",
        mode=link.mode,
        mac=link.mac,
        mtu=link.mtu,
        group=link.group,
        alias=one_line(link.alias),
        altname=one_line(link.altname),
        nopromisc=link.nopromisc,
        sources=link.sources,
        queues=link.queues,
        txqueuelen=link.txqueuelen,
        up=link.up,
        quiet=link.quiet and not link.ipv6,
        node=taps.state_of(link.name, link.index),
    )
