"""Why frames pass that must not: as much a failure as a dead link."""

from provisioner.check import isolation
from provisioner.check.diagnosis.fixes import UP_AGAIN
from provisioner.check.evidence import Evidence
from provisioner.check.result import Finding
from provisioner.plan.choices import Mode


def changed(e: Evidence) -> Finding | None:
    """Blame what is otherwise than the plan has it: a mode, an owner, a machine that forwards."""
    pair = _meet(e)
    for end in e.ends:
        if end.other_mode:
            return Finding(f"{pair}: {end.other_mode}", UP_AGAIN, about=end.vm)
    others = e.near or e.owners
    if others and e.target.mac and e.target.mac not in others:
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


def refused(e: Evidence) -> Finding | None:
    """Blame that a port answers, although it refuses: a service that starts there is reached."""
    if not e.refused:
        return None
    return Finding(
        f"{e.target.vm} refuses {e.source.vm} on {e.asked}: nothing listens there, but packets "
        "pass both ways, and what starts to listen will be reached",
        "keep them apart, or end the line in checks with the words or refused",
    )


def not_shown(e: Evidence) -> Finding | None:
    """Blame what is missing for a silence to be isolation."""
    missing = isolation.lack(e.source.vm, e.target.vm, e.control) if e.control else None
    if not missing:
        return None
    return Finding(
        f"silence alone is no isolation: {missing.what}",
        missing.fix,
    )


def by_the_wire(e: Evidence) -> Finding | None:
    """Blame the modes: none but source keeps a machine outside from guests."""
    outside = next((end for end in e.ends if not end.is_guest and not end.is_host), None)
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
    """Blame the plan's own modes: they let pass what a check of the user's forbids."""
    if all(end.mode == Mode.BRIDGE for end in e.ends):
        return Finding(
            f"{_meet(e)}: both are in mode bridge, which hands frames from macvtap to macvtap",
            "write mode: private at both NICs, put them on two networks, or take the line out of "
            "checks",
        )
    if e.uplink.own_switch and any(end.is_host for end in e.ends):
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
            UP_AGAIN,
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
