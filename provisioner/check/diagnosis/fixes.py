"""Where to look next: the command that watches frames, or looks inside an end, whatever it is."""

from provisioner.check.evidence import Endpoint, Evidence


def is_guest(end: Endpoint) -> bool:
    """Tell whether an end is a guest: neither the host nor a machine outside."""
    return bool(end.link) and end.vm != "host"


def watch(e: Evidence) -> str:
    """Say how to watch the frames of a pair: at a guest's macvtap, else at the uplink."""
    guest = next((end for end in (e.source, e.target) if is_guest(end)), None)
    if guest:
        return f"watch it: vmnet capture {guest.vm}.{guest.nic}"
    return f"watch it: tcpdump -n -i {e.source.link or e.uplink.name}"


def inside(end: Endpoint, words: str) -> str:
    """Say how to look inside an end with a command."""
    if is_guest(end):
        return f"look inside: vmnet exec {end.vm} -- {words}"
    return f"look on {'this host' if end.vm == 'host' else end.vm}: {words}"
