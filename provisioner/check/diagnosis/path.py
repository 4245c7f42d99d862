"""What can be wrong between two ends: the uplink, its switch, who answers, what is lost."""

from ipaddress import IPv4Address

from provisioner.check.diagnosis import way
from provisioner.check.diagnosis.fixes import UP_AGAIN, watch
from provisioner.check.evidence import Evidence, Uplink
from provisioner.check.result import OWN_MTU, Finding
from provisioner.plan.checks import What
from provisioner.plan.choices import Mode


def uplink(e: Evidence) -> Finding | None:
    """Blame an uplink that is missing, down or without carrier."""
    return uplink_state(e.uplink)


def uplink_state(up: Uplink) -> Finding | None:
    """Return what is wrong with an uplink itself, or with vmnet's own switch behind it."""
    raise_it = "vmnet up" if up.own_switch else f"ip link set dev {up.name} up"
    if not up.exists:
        return Finding(f"the uplink {up.name} is not there", UP_AGAIN, about=up.name)
    if not up.up:
        return Finding(f"the uplink {up.name} is down", f"bring it up: {raise_it}", about=up.name)
    if up.broken:
        return Finding(
            f"the switch behind the uplink {up.name} is broken: {up.broken}",
            UP_AGAIN,
            about=up.name,
        )
    if not up.carrier:
        return Finding(
            f"the uplink {up.name} has no carrier: nothing is at the other end of its cable",
            f"plug it in, or bring up what is at its other end; look at it: ip link show {up.name}",
            about=up.name,
        )
    return None


def refused(e: Evidence) -> Finding | None:
    """Blame a target that is alive, but where nothing listens."""
    if not e.refused:
        return None
    return Finding(
        f"{e.target.vm} is reached, but nothing listens there on {e.asked}: it was refused",
        f"start the service inside {e.target.vm}, or let its firewall pass {e.asked}",
        (f"{e.asked} of {e.target.vm}: {e.note or 'refused'}",),
    )


def twice(e: Evidence) -> Finding | None:
    """Blame a second machine with the same address: the target's, or else the source's."""
    for end, address, owners in (
        (e.target, e.address, e.owners),
        (e.source, e.source_address, e.source_owners),
    ):
        others = [mac for mac in owners if mac != end.mac]
        if others and end.mac:
            who, mine = ", ".join(others), end.mac in owners
            return Finding(
                f"{address} of {end.vm} is used twice: {who} answers for it too"
                if mine
                else f"{address} of {end.vm} is taken: {who} answers for it and {end.vm} does not",
                f"give {end.vm} another address, or find that machine and take the address from it",
                (f"who has {address}: {', '.join(owners)} answered; {end.vm} is {end.mac}",),
                end.vm,
            )
    return None


def small(e: Evidence) -> Finding | None:
    """Blame an MTU on the path, or what drops small packets only."""
    if not e.packet:
        return None
    if e.note.startswith(OWN_MTU):
        return Finding(
            f"{e.source.vm} sends no packets of {e.packet} bytes to {e.target.vm}: {e.note}",
            f"write mtu: {e.packet} at network {e.network}, as far as its uplink and switch carry "
            "it, or a smaller size into checks",
            about=e.source.vm,
        )
    if e.largest > e.packet:
        return Finding(
            f"packets of {e.packet} bytes from {e.source.vm} to {e.target.vm} vanish, those of "
            f"{e.largest} bytes pass: something on the way drops them by their size",
            watch(e),
        )
    most = f"{e.largest} bytes still pass" if e.largest else "small ones pass"
    # veth, bridges and taps let 4 bytes more than their MTU pass, for a VLAN tag
    # (__is_skb_forwardable in net/core/dev.c): what came through may be that much above it.
    mtu = max(e.largest - 4, 0)
    where = f"; something on the way has an MTU of {mtu} to {e.largest}" if mtu else ""
    if 0 < e.uplink.mtu < e.packet:
        mtu, where = e.uplink.mtu, f"; the MTU of {e.uplink.name} is {e.uplink.mtu}"
    return Finding(
        f"packets of {e.packet} bytes from {e.source.vm} to {e.target.vm} vanish, {most}{where}",
        f"make the MTU the same everywhere: ip link show {e.uplink.name}; or write mtu: "
        f"{mtu or 1400} at network {e.network}",
        (f"largest packet that came through: {e.largest or 'small'}; wanted: {e.packet}",),
    )


def lossy(e: Evidence) -> Finding | None:
    """Blame lost pings."""
    if not e.sent or e.answered >= e.sent:
        return None
    if e.answered == 0 and e.asked.what is not What.LOSS:
        return None
    return Finding(
        f"{e.sent - e.answered} of {e.sent} pings from {e.source.vm} to {e.target.vm} were lost",
        f"{watch(e)}; ip -s link show {e.uplink.name}",
        (f"sent {e.sent}, answered {e.answered}",),
    )


def needs_reflection(e: Evidence) -> Finding | None:
    """Blame a switch that does not send frames back, where the modes need that it does."""
    modes = {end.wanted_mode for end in e.ends if end.wanted_mode}
    local = bool(e.target.link) and bool(e.source.link)
    if not local or e.uplink.reflects is not False or modes == {Mode.BRIDGE}:
        return None
    if e.uplink.own_switch and not e.uplink.wanted_reflects:
        return None
    if _lost_before_the_switch(e):
        return None  # the frame that was to come back was lost there, too
    needs = " and ".join(sorted(modes)) or "the host's stack"
    measured = (f"a frame sent through {e.uplink.name} did not come back: hairpin is off",)
    if e.uplink.own_switch:
        return Finding(
            f"the switch of network {e.network} has stopped to send frames back (hairpin is off), "
            f"which mode {needs} needs",
            UP_AGAIN,
            measured,
            e.uplink.name,
        )
    return Finding(
        f"the switch behind {e.uplink.name} sends no frames back (hairpin is off), so guests in "
        f"mode {needs} do not meet",
        "switch on reflective relay (802.1Qbg, hairpin) at that port, or use mode: bridge",
        measured,
        e.uplink.name,
    )


def foreign(e: Evidence) -> Finding | None:
    """Blame a network that drops foreign MACs."""
    if e.uplink.passes_foreign is not False or _lost_before_the_switch(e):
        return None  # the questions from a new MAC were lost there, too
    return Finding(
        f"the network behind {e.uplink.name} drops frames of MACs that it does not know: "
        f"{e.uplink.control} answers the MAC of {e.uplink.name}, and no new one",
        "allow the guests' MACs there (port security, forged transmits), or use mode: passthru",
        (f"asked {e.uplink.control} from two MACs: only that of {e.uplink.name} was answered",),
        e.uplink.name,
    )


def silent(e: Evidence) -> Finding | None:
    """Tell what a pair was seen to do whose frames nobody has followed; nobody is blamed."""
    target = e.target
    if e.listened or e.untested or not (target.link and target.alive and target.mac in e.owners):
        return None
    asks = "ARP" if isinstance(e.address, IPv4Address) else "ND"
    return Finding(
        f"{target.vm} answers {asks} (who-has) but not {e.asked}: the way of its frames was not "
        "followed",
        watch(e),
        (f"{target.mac} has answered who has {e.address}",),
    )


def _lost_before_the_switch(e: Evidence) -> bool:
    """Return whether frames were seen to be lost on this host, between two of its devices."""
    gap = way.lost(e)
    if gap is None or gap.unanswered:
        return False
    return gap.before is None or not gap.after or gap.before.device != gap.after.device
