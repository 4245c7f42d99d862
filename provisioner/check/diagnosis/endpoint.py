"""What can be wrong with one end of a pair: its VM, its macvtap, what its guest reports."""

from collections.abc import Iterable
from ipaddress import IPv6Address

from provisioner.check.diagnosis.fixes import UP_AGAIN, inside
from provisioner.check.evidence import Endpoint, Evidence
from provisioner.check.result import Finding
from provisioner.guest.domain_state import FROZEN
from provisioner.plan.ip import Address, Interface


def vm_state(end: Endpoint) -> Finding | None:
    """Blame a VM that does not run."""
    if not end.is_guest or end.state in {"running", ""}:
        return None
    # Of a process that is stopped libvirt knows nothing.
    said = "its QEMU shows that" if end.state == FROZEN else "libvirt says"
    return Finding(
        f"{end.vm} is not running: {said} it is {end.state}",
        f"look at what it said: vmnet logs {end.vm}; then: vmnet up",
        (f"state of {end.vm}: {end.state}",),
        end.vm,
    )


def macvtap(end: Endpoint) -> Finding | None:
    """Blame a macvtap that is gone, down, in another mode, of another MAC, or whose node is."""
    if not end.is_guest:
        return None
    node = f"/dev/tap of {end.vm}'s macvtap {end.link} is {end.node}: it is not that device"
    other_node = "" if end.node == "right" else node
    differs = _differs(end, _gone(end) or _down(end) or end.other_mode)
    return differs or _other_link_mac(end) or _differs(end, other_node)


def standing(end: Endpoint) -> Finding | None:
    """Blame a guest's macvtap for what may fail at any moment, even if all came through now."""
    differs = _differs(end, _gone(end) or end.other_mode or _down(end))
    return differs or held(end) or no_multicast(end)


def _gone(end: Endpoint) -> str:
    return "" if end.exists else f"the macvtap {end.link} of {end.vm} is gone"


def _down(end: Endpoint) -> str:
    return "" if end.up else f"the macvtap {end.link} of {end.vm} is down"


def _other_link_mac(end: Endpoint) -> Finding | None:
    if end.link_mac in {"", end.mac}:
        return None
    return Finding(
        f"the macvtap {end.link} of {end.vm} has the MAC {end.link_mac}, its NIC has {end.mac}: "
        "nothing that is for the NIC comes to it",
        f"give it that MAC back: ip link set dev {end.link} address {end.mac}",
        about=end.vm,
    )


def _differs(end: Endpoint, what: str) -> Finding | None:
    return Finding(what, UP_AGAIN, about=end.vm) if what else None


def no_multicast(end: Endpoint) -> Finding | None:
    """Blame a macvtap that receives no multicast."""
    if not end.is_guest or end.all_multicast or not end.up:
        return None
    return Finding(
        f"the macvtap {end.link} of {end.vm} receives no multicast (ALLMULTI is off), and IPv6 "
        "finds its neighbours by multicast",
        f"ip link set dev {end.link} allmulticast on, or: vmnet up",
        (f"flags of {end.link}: ALLMULTI is off",),
        end.vm,
    )


def held(end: Endpoint) -> Finding | None:
    """Blame other readers of a tap: the kernel shares its frames out among all readers."""
    if not end.holders:
        return None
    pids = " ".join(holder.partition(" ")[0] for holder in end.holders)
    return Finding(
        f"the tap of {end.vm} ({end.link}) is open in process {', '.join(end.holders)} too: each "
        "frame goes to only one of its readers",
        f"end that process: kill {pids}",
        (f"readers of {end.link} besides the VM's own: {', '.join(end.holders)}",),
        end.vm,
    )


def impaired(end: Endpoint) -> Finding | None:
    """Blame what the user has done with vmnet link."""
    if not end.impaired:
        return None
    return Finding(
        f"the link of {end.vm} is impaired: {end.impaired}, set by vmnet link",
        f"take it away: vmnet link {end.vm}.{end.nic} --clear",
        about=end.vm,
    )


def agent(e: Evidence) -> Finding | None:
    """Blame a guest agent that does not answer, where nothing else can be asked."""
    if e.source.agent is not False or "agent" not in e.note:
        return None
    return Finding(
        f"cannot be tested: the guest agent of {e.source.vm} does not answer, and {e.asked} "
        "can be asked from inside only",
        f"look at the guest: vmnet console {e.source.vm}; its image needs qemu-guest-agent",
        (e.note,),
        e.source.vm,
    )


def of_host(e: Evidence) -> Finding | None:
    """Blame an address that this host has lost on a switch of vmnet's own."""
    for end in e.ends:
        lost = [x for x in end.planned if x.ip not in end.addresses] if end.is_host else []
        if e.address and any(x.version == e.address.version for x in lost):
            return Finding(
                f"this host has lost its address {_listed(lost)} on {end.link}",
                UP_AGAIN,
                (f"{end.link} has {_listed(end.addresses) or 'no address'}",),
                "host",
            )
    return None


def other_mac(end: Endpoint) -> Finding | None:
    """Blame a MAC inside the guest that is not its NIC's."""
    if not end.inside or end.inside.mac in {"", end.mac}:
        return None
    return Finding(
        f"{end.vm} uses the MAC {end.inside.mac} inside, its NIC has {end.mac}: the "
        "macvtap hands it nothing that is for another MAC",
        f"give the NIC its MAC back inside {end.vm}: ip link set address {end.mac}; or "
        f"write mac: {end.inside.mac} into the plan",
        (f"{end.vm} says its NIC has {end.inside.mac}",),
        end.vm,
    )


def interface(end: Endpoint) -> Finding | None:
    """Blame an interface that is missing inside, is down, or has ARP switched off."""
    if end.inside and not end.inside.found:
        return Finding(
            f"{end.vm} has no NIC with the MAC {end.mac}",
            f"{inside(end, 'ip link')}; then: reboot",
            (f"{end.vm} lists no NIC with {end.mac}",),
            end.vm,
        )
    if end.inside and not end.inside.up:
        return Finding(
            f"inside {end.vm} the interface with {end.mac} is down",
            inside(end, f"ip link set dev eth{end.nic} up"),
            (f"{end.vm} says its interface is down",),
            end.vm,
        )
    if end.inside and not end.inside.arp:
        return Finding(
            f"inside {end.vm} ARP is off at the interface with {end.mac}: it neither asks nor "
            "answers who has an address",
            inside(end, f"ip link set dev eth{end.nic} arp on"),
            (f"{end.vm} says its interface has the flag NOARP",),
            end.vm,
        )
    return None


def guard(end: Endpoint) -> Finding | None:
    """Blame frames that the spoof guard has dropped."""
    if end.dropped <= 0:
        return None
    own = _listed(end.addresses) or "its own"
    used = _listed(end.inside.addresses) if end.inside else ""
    has = f"; inside it has {used}" if used and used != own else ""
    return Finding(
        f"the spoof guard of {end.vm} ({end.guard}) has dropped {end.dropped} frames that "
        f"were not from {end.mac} and {own}{has}",
        f"give {end.vm} its address back, or write spoof_guard: off at its NIC",
        (f"guard of {end.link}: {end.dropped} frames dropped during this check",),
        end.vm,
    )


def address(e: Evidence) -> Finding | None:
    """Blame an address that is missing inside."""
    if not e.address:
        return Finding(
            f"{e.target.vm} has no address",
            _ask_again(e.target),
        )
    version = e.address.version
    target, source = e.target.inside, e.source.inside
    if target and e.address not in target.addresses:
        own = _of_version(target.addresses, version)
        has = f"it has {_listed(own)}" if own else f"it has no IPv{version} address"
        return _unconfigured(
            e.target, version, f"{e.target.vm} does not have the address {e.address} inside: {has}"
        )
    if source and not _of_version(source.addresses, version):
        return _unconfigured(
            e.source, version, f"{e.source.vm} has no IPv{version} address inside to ask from"
        )
    return None


def prefix(e: Evidence) -> Finding | None:
    """Blame a prefix inside that leaves the other end out of the guest's own subnet."""
    for end, other in ((e.source, e.address), (e.target, e.source_address)):
        for has in end.inside.interfaces if end.inside else ():
            due = next((one for one in end.planned if one.ip == has.ip), has)
            if other and other in due.network and other not in has.network:
                device = f"dev eth{end.nic}"
                put_back = f"ip addr add {due} {device}"
                return Finding(
                    f"{end.vm} has {has} inside, the plan says {due}: others of that subnet are no "
                    "neighbours to it",
                    inside(end, f"ip addr del {has} {device}; {put_back}"),
                    (f"{end.vm} says: {has}; {other} is not in {has.network}",),
                    end.vm,
                )
    return None


def _unconfigured(end: Endpoint, version: int, what: str) -> Finding:
    addresses = _listed(end.inside.addresses) if end.inside else ""
    own = (x for x in end.planned if x.version == version)
    lacks = [x for x in own if not end.inside or x.ip not in end.inside.addresses]
    put_back = inside(end, f"ip addr add {lacks[0]} dev eth{end.nic}") if lacks else ""
    return Finding(
        what,
        put_back or _ask_again(end),
        (f"{end.vm} says: {addresses or 'no address'}",),
        end.vm,
    )


def _ask_again(end: Endpoint) -> str:
    """Return how to get a lease: from whom, and how to ask for it."""
    device = f"eth{end.nic}"
    ask = inside(end, f"udhcpc -n -q -i {device}, or networkctl renew {device}")
    return f"look whether its network's DHCP server runs: vmnet plan; have it ask again; {ask}"


def multicast(e: Evidence) -> Finding | None:
    """Blame a macvtap that receives no multicast, where IPv6 needs it."""
    if not isinstance(e.address, IPv6Address):
        return None
    return next(filter(None, map(no_multicast, e.ends)), None)


def _of_version(addresses: Iterable[Address], version: int) -> list[Address]:
    return [one for one in addresses if one.version == version]


def _listed(addresses: Iterable[Address | Interface]) -> str:
    return ", ".join(map(str, addresses))
