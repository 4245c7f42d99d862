"""What a plan's guests stand on: links, rules, files, addresses. Runs in the worker."""

from provisioner import naming
from provisioner.errors import Exit, VmnetError
from provisioner.guest.domain import Domain, FileCopy, Overlay, Seed
from provisioner.host.netlink import links
from provisioner.host.network import dnsmasq, host_access, macvtap, nftables, switch, tap_node, vlan
from provisioner.host.storage import disks, files
from provisioner.host.system import paths, plan_folders
from provisioner.host.system.secret_files import Owner
from provisioner.network.facts import Link, Route
from provisioner.network.resources import Dhcp, Guard, HostAccess, Macvtap, Nat, Switch, Vlan
from provisioner.network.resources import Link as OwnLink
from provisioner.reconcile.diff import Step, Verb
from provisioner.reconcile.resources import Resource
from provisioner.text import one_line


def is_ours(plan: str, link: Link) -> bool:
    """Tell whether a link bears all marks of a plan.

    The alias is missing only when vmnet was killed between two messages of one call.
    """
    return (
        link.group == naming.group(plan)
        and naming.are_ours(link.name, link.kind)
        and (not link.alias or link.alias.startswith(f"vmnet:{plan}/"))
    )


def observe(
    plan: str, found: tuple[Link, ...], routes: tuple[Route, ...], tables: nftables.Listing
) -> list[Resource]:
    """List what vmnet has made for a plan; files only in a folder that it made, too."""
    ours = [x for x in found if is_ours(plan, x)]
    by_index = {x.index: x for x in found}
    out: list[Resource] = []
    if plan_folders.is_marked(paths.home(plan), plan):
        out += [*files.observe(plan), *dnsmasq.observe(plan)]
    out += nftables.observe(plan, tables)
    out += switch.strays(ours)
    for link in ours:
        match link.kind, link.name[:3]:
            case "macvtap", _:
                out.append(_macvtap(link, by_index))
            case _, naming.LOWER:
                out.append(switch.observed(link, found))
            case "vlan", _:
                out.append(vlan.observed(link, found))
            case "macvlan", _:
                out.append(host_access.observed(link, found, routes))
            case _:
                continue  # the peer and the bridge of a switch: parts of it
    return out


def clear_leftovers(plan: str, found: tuple[Link, ...]) -> None:
    """Take away what a run that was killed has left: drafts, nodes whose link has gone."""
    home = paths.home(plan)
    if plan_folders.is_marked(home, plan):
        plan_folders.remove_drafts(home)
        tap_node.remove_stale_nodes(paths.nodes(plan), [x.index for x in found if is_ours(plan, x)])


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
            nftables.create(resource)
        case Dhcp():
            dnsmasq.create(resource)
        case Seed() | Overlay() | FileCopy():
            files.create(plan, resource, owner)
        case Domain():
            raise RuntimeError(resource)  # host.machine has done it


def _create_macvtap(plan: str, tap: Macvtap) -> None:
    _, _, path = tap.alias.partition(":")
    _, vm, nic = path.split("/")
    for index in naming.ifindexes(plan, vm, int(nic)):
        if not tap_node.is_free(index):
            continue  # another namespace's node, or one that somebody made: not ours to open
        try:
            macvtap.create(tap, index)
        except FileExistsError as error:
            if links.index_of(tap.name):
                raise _taken(tap.name) from error
            continue  # the ifindex was taken meanwhile
        if tap_node.state_of(tap.name, index) == "missing":
            tap_node.make_node(tap.name, index, paths.nodes(plan))
        if tap_node.state_of(tap.name, index) == "right":
            return
        links.delete(tap.name)


def _update(plan: str, resource: Resource) -> None:
    match resource:
        case Switch() | Vlan() | HostAccess():
            _update_link(resource)
        case Macvtap():
            have = next(x for x in links.observe()[0] if x.name == resource.name)
            macvtap.update(resource, have)
            if tap_node.state_of(have.name, have.index) == "missing":
                tap_node.make_node(have.name, have.index, paths.nodes(plan))
        case Guard() | Nat():
            nftables.update(resource)
        case Overlay():
            disks.grow(resource)
        case Dhcp() | Seed() | FileCopy() | Domain():
            raise RuntimeError(resource)  # reconcile.diff knows that these are not updated here


def _update_link(resource: Switch | Vlan | HostAccess) -> None:
    match resource:
        case Switch():
            switch.update(resource)
        case Vlan():
            vlan.update(resource)
        case HostAccess():
            host_access.update(resource)


def _delete(plan: str, step: Step) -> None:
    match step.resource:
        case Seed() | Overlay() | FileCopy() as file:
            files.delete(file)
        case Guard() | Nat() as rules:
            nftables.delete(rules)
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
            tap_node.remove_node(link.index, paths.nodes(plan))
    macvtap.prepare_removal(gone)
    if len(wanted) > 1:
        links.delete_group(naming.group(plan), lambda x: is_ours(plan, x))
    else:
        for link in gone:
            links.delete(link.name)


def _create_link(resource: Switch | Vlan | HostAccess) -> None:
    match resource:
        case Switch():
            switch.create(resource)
        case Vlan():
            vlan.create(resource)
        case HostAccess():
            host_access.create(resource)


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
        node=tap_node.state_of(link.name, link.index),
    )
