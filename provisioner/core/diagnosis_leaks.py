"""Why frames pass that must not: as much a failure as a dead link."""

from provisioner.core.evidence import Evidence, Finding

_UP_AGAIN = "bring the plan up again, which mends what differs: vmnet up"


def leak(e: Evidence) -> Finding | None:
    """Say by which way a pair meets that is promised to be apart; None when none was found."""
    pair = f"{e.source.vm} reaches {e.target.vm}, which it must not"
    for end in (e.source, e.target):
        if end.mode and end.wanted_mode and end.mode != end.wanted_mode:
            return Finding(
                f"{pair}: the macvtap {end.link} of {end.vm} is in mode {end.mode}, the plan says "
                f"{end.wanted_mode}",
                _UP_AGAIN,
                about=end.vm,
            )
    others = [mac for mac in e.owners if mac != e.target.mac]
    if others and e.target.mac and e.target.mac not in e.owners:
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
