"""Where to look next: the command that watches frames, or looks inside an end, whatever it is."""

from typing import Final

from provisioner.check.evidence import Endpoint, Evidence

UP_AGAIN: Final = "bring the plan up again, which repairs what differs: vmnet up"
FIREWALL: Final = "nft list ruleset, or iptables -S"


def watch(e: Evidence) -> str:
    """Return how to watch the frames of a pair: at a guest's macvtap, else at the uplink."""
    guest = next((end for end in e.ends if end.is_guest), None)
    if guest:
        return f"watch it: vmnet capture {guest.vm}.{guest.nic}"
    return f"watch it: tcpdump -n -i {e.source.link or e.uplink.name}"


def inside(end: Endpoint, command: str) -> str:
    """Return how to look inside an end with a command; by its console where no agent answers."""
    if end.is_guest and end.agent:
        return f"look inside: vmnet exec {end.vm} -- {command}"
    if end.is_guest:
        return f"look inside: vmnet console {end.vm}; there: {command}"
    return f"look on {'this host' if end.is_host else end.vm}: {command}"
