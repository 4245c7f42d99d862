"""What can be wrong with one end of a pair: its VM, its macvtap, what its guest says of itself."""

from ipaddress import ip_address

from provisioner.check.evidence import Endpoint, Evidence
from provisioner.check.result import Finding

_UP_AGAIN = "bring the plan up again, which repairs what differs: vmnet up"


def vm_state(e: Evidence) -> Finding | None:
    """Blame a VM that does not run."""
    for end in (e.source, e.target):
        if end.link and end.vm != "host" and end.state not in {"running", ""}:
            return Finding(
                f"{end.vm} is not running: libvirt says it is {end.state}",
                f"look at what it said: vmnet logs {end.vm}; then: vmnet up",
                (f"state of {end.vm}: {end.state}",),
                end.vm,
            )
    return None


def macvtap(e: Evidence) -> Finding | None:
    """Blame a macvtap that is gone, down, in another mode, or whose node is not its own."""
    for end in (e.source, e.target):
        if not end.link or end.vm == "host":
            continue
        if not end.exists:
            return Finding(f"the macvtap {end.link} of {end.vm} is gone", _UP_AGAIN, about=end.vm)
        if not end.up:
            return Finding(f"the macvtap {end.link} of {end.vm} is down", _UP_AGAIN, about=end.vm)
        if end.mode and end.wanted_mode and end.mode != end.wanted_mode:
            return Finding(_other_mode(end), _UP_AGAIN, about=end.vm)
        if end.node != "right":
            return Finding(
                f"/dev/tap of {end.vm}'s macvtap {end.link} is {end.node}: it is not that device",
                _UP_AGAIN,
                about=end.vm,
            )
    return None


def standing(end: Endpoint) -> Finding | None:
    """Say what is wrong with a macvtap by itself, even if everything went through just now."""
    if not end.exists:
        return Finding(f"the macvtap {end.link} of {end.vm} is gone", _UP_AGAIN, about=end.vm)
    if end.mode and end.mode != end.wanted_mode:
        return Finding(_other_mode(end), _UP_AGAIN, about=end.vm)
    if end.holders:
        return held_twice(end.vm, end.link, end.holders)
    if not end.all_multicast:
        return deaf_to_groups(end)
    return None


def _other_mode(end: Endpoint) -> str:
    return (
        f"the macvtap {end.link} of {end.vm} is in mode {end.mode}, the plan says {end.wanted_mode}"
    )


def deaf_to_groups(end: Endpoint) -> Finding:
    """Say that a macvtap receives no multicast."""
    return Finding(
        f"the macvtap {end.link} of {end.vm} receives no multicast (ALLMULTI is off), and IPv6 "
        "finds its neighbours by multicast",
        f"ip link set dev {end.link} allmulticast on, or: vmnet up",
        about=end.vm,
    )


def held(e: Evidence) -> Finding | None:
    """Blame another reader of a tap."""
    for end in (e.source, e.target):
        if end.holders:
            return held_twice(end.vm, end.link, end.holders)
    return None


def held_twice(vm: str, link: str, holders: tuple[str, ...]) -> Finding:
    """Say that others read a VM's tap: the kernel shares its frames out among all readers."""
    who = ", ".join(holders)
    pids = " ".join(holder.partition(" ")[0] for holder in holders)
    return Finding(
        f"the tap of {vm} ({link}) is open in process {who} too: each frame goes to only one "
        "of its readers",
        f"end that process: kill {pids}",
        about=vm,
    )


def impaired(e: Evidence) -> Finding | None:
    """Blame what the user has done with vmnet link."""
    for end in (e.source, e.target):
        if end.impaired:
            return Finding(
                f"the link of {end.vm} is impaired: {end.impaired}, set by vmnet link",
                f"take it away: vmnet link {end.vm}.{end.nic} --clear",
                about=end.vm,
            )
    return None


def agent(e: Evidence) -> Finding | None:
    """Say that nobody inside could be asked."""
    if e.source.agent is False and "agent" in e.note:
        return Finding(
            f"cannot be tested: the guest agent of {e.source.vm} does not answer, and {e.asked} "
            "can be asked from inside only",
            f"look at the guest: vmnet console {e.source.vm}; its image needs qemu-guest-agent",
            about=e.source.vm,
        )
    return None


def other_mac(e: Evidence) -> Finding | None:
    """Blame a MAC inside the guest that is not its card's."""
    for end in (e.source, e.target):
        if end.inside and end.inside.mac and end.inside.mac != end.mac:
            return Finding(
                f"{end.vm} uses the MAC {end.inside.mac} inside, its NIC has {end.mac}: the "
                "macvtap hands it nothing that is for another MAC",
                f"give the NIC its MAC back inside {end.vm}: ip link set address {end.mac}; or "
                f"write mac: {end.inside.mac} into the plan",
                (f"{end.vm} says its NIC has {end.inside.mac}",),
                end.vm,
            )
    return None


def interface_down(e: Evidence) -> Finding | None:
    """Blame an interface that is down or missing inside."""
    for end in (e.source, e.target):
        if end.inside and end.inside.found and not end.inside.up:
            return Finding(
                f"inside {end.vm} the interface with {end.mac} is down",
                f"bring it up there: vmnet exec {end.vm} -- ip link set dev eth{end.nic} up",
                (f"{end.vm} says its interface is down",),
                end.vm,
            )
        if end.inside and not end.inside.found:
            return Finding(
                f"{end.vm} has no NIC with the MAC {end.mac}",
                f"start it anew: vmnet up --recreate; look inside: vmnet exec {end.vm} -- ip link",
                about=end.vm,
            )
    return None


def guard(e: Evidence) -> Finding | None:
    """Blame frames that the spoof guard has dropped."""
    for end in (e.source, e.target):
        if end.dropped > 0:
            own = ", ".join(end.addresses) or "its own"
            used = ", ".join(end.inside.addresses) if end.inside else ""
            has = f"; inside it has {used}" if used and used != own else ""
            return Finding(
                f"the spoof guard of {end.vm} ({end.guard}) has dropped {end.dropped} frames that "
                f"were not from {end.mac} and {own}{has}",
                f"give {end.vm} its address back, or write spoof_guard: off at its NIC",
                (f"guard of {end.link}: {end.dropped} frames dropped during this check",),
                end.vm,
            )
    return None


def address(e: Evidence) -> Finding | None:
    """Blame an address that is missing inside."""
    if not e.address:
        return Finding(
            f"{e.target.vm} has no address",
            f"look at who should give it one: vmnet exec {e.target.vm} -- ip addr; vmnet logs",
        )
    end = e.target
    version = ip_address(e.address).version
    own = [a for a in (end.inside.addresses if end.inside else ()) if _is(a, version)]
    if end.inside and e.address not in end.inside.addresses:
        has = f"it has {', '.join(own)}" if own else f"it has no IPv{version} address"
        return Finding(
            f"{end.vm} does not have the address {e.address} inside: {has}",
            f"configure it there, or start it anew: vmnet up --recreate; look: vmnet exec {end.vm} "
            "-- ip addr",
            (f"{end.vm} says: {', '.join(end.inside.addresses) or 'no address'}",),
        )
    source = e.source.inside
    if source and not any(_is(a, version) for a in source.addresses):
        return Finding(
            f"{e.source.vm} has no IPv{version} address inside to ask from",
            f"configure it there, or start it anew: vmnet up --recreate; look: vmnet exec "
            f"{e.source.vm} -- ip addr",
            (f"{e.source.vm} says: {', '.join(source.addresses) or 'no address'}",),
            e.source.vm,
        )
    return None


def multicast(e: Evidence) -> Finding | None:
    """Blame a macvtap that receives no multicast, where IPv6 needs it."""
    if not (e.address and _is(e.address, 6)):
        return None
    ends = (e.source, e.target)
    deaf = (end for end in ends if end.link and end.vm != "host" and not end.all_multicast)
    return next((deaf_to_groups(end) for end in deaf), None)


def _is(address: str, version: int) -> bool:
    return (":" in address) == (version == 6)  # noqa: PLR2004
