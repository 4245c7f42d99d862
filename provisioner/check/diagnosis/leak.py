"""Why frames pass that must not: as much a failure as a dead link."""

from provisioner.check.evidence import Evidence
from provisioner.check.result import Finding

_UP_AGAIN = "bring the plan up again, which repairs what differs: vmnet up"


def changed(e: Evidence) -> Finding | None:
    """Blame what is otherwise than the plan has it: a mode, an owner, a machine that forwards."""
    pair = _meet(e)
    for end in (e.source, e.target):
        if end.mode and end.wanted_mode and end.mode != end.wanted_mode:
            return Finding(
                f"{pair}: the macvtap {end.link} of {end.vm} is in mode {end.mode}, the plan says "
                f"{end.wanted_mode}",
                _UP_AGAIN,
                about=end.vm,
            )
    heard = e.near or e.owners
    others = [mac for mac in heard if mac != e.target.mac]
    if others and e.target.mac and e.target.mac not in heard:
        return Finding(
            f"{e.address} answers {e.source.vm}, but it is {', '.join(others)} that has the "
            f"address there, not {e.target.vm}",
            f"find that machine and take the address from it, or give {e.target.vm} another one",
        )
    if e.gone_by:
        return Finding(
            f"{pair}: the machine {e.gone_by} hands the packets on between them",
            "stop it from forwarding between these guests, or take their route to it away",
        )
    return None


def by_the_wire(e: Evidence) -> Finding | None:
    """Say that a machine outside is not kept from guests by any mode but source."""
    outside = next((end for end in (e.source, e.target) if not end.link and end.vm != "host"), None)
    guest = e.target if outside is e.source else e.source
    if not outside or not guest.mode:
        return None
    return Finding(
        f"{_meet(e)}: mode {guest.mode} receives from the wire and sends to it, as every mode does",
        "keep them apart in the network (a VLAN, a firewall), or use mode: source with a list that "
        f"leaves {outside.vm} out",
        about=guest.vm,
    )


def by_mode(e: Evidence) -> Finding | None:
    """Say that the plan's own modes let them meet, which a check of the user's forbids."""
    modes = (e.source.mode, e.target.mode)
    far = next((end for end in (e.source, e.target) if end.vm == "host"), None)
    if modes == ("bridge", "bridge"):
        return Finding(
            f"{_meet(e)}: both are in mode bridge, which hands frames from macvtap to macvtap",
            "write mode: private at both NICs, put them on two networks, or take the line out of "
            "checks",
        )
    if far and e.uplink.own_switch:
        return Finding(
            f"{_meet(e)}: the host is at the far side of the switch of network {e.network}",
            "take the line out of checks, or put a firewall on the host: nft list ruleset",
        )
    return None


def reflected(e: Evidence) -> Finding | None:
    """Blame a switch that sends frames back."""
    pair = _meet(e)
    if e.uplink.own_switch and e.uplink.reflects and not e.uplink.wanted_reflects:
        return Finding(
            f"{pair}: the switch sends frames back, the plan says hairpin: false",
            _UP_AGAIN,
            about=e.uplink.name,
        )
    if e.uplink.reflects:
        return Finding(
            f"{pair}: the switch behind {e.uplink.name} sends frames back (hairpin), and they know "
            "each other's MAC",
            "switch hairpin (reflective relay) off at that port",
            about=e.uplink.name,
        )
    return None


def _meet(e: Evidence) -> str:
    return f"{e.source.vm} reaches {e.target.vm}, which it must not"
