"""Why an end has no address, where it should have got one by itself."""

from provisioner.check.evidence import Endpoint, Evidence
from provisioner.check.result import IPV4, Finding, no_address


def not_got(e: Evidence) -> Finding | None:
    """Blame a missing DHCP lease or router advertisement, at the target or else the source."""
    if e.missing:
        return _lacks(e, e.target, e.missing)
    version = e.address.version if e.address else IPV4  # a resolver comes with a lease
    return _lacks(e, e.source, version) if _has_none(e.source, version) else None


def unknown(e: Evidence) -> Finding | None:
    """Blame an agent that cannot be asked for the address that its guest has got."""
    if e.address or not e.target.due or e.target.agent is not False:
        return None
    vm = e.target.vm
    return Finding(
        f"the address of {vm} is not known: it gets one by itself, and its guest agent does not "
        "answer, which could tell it",
        f"look at the guest: vmnet console {vm}; its image needs qemu-guest-agent",
        about=vm,
    )


def _has_none(end: Endpoint, version: int) -> bool:
    """Return whether a guest says that it lacks an address that it should have got by itself."""
    if version not in end.due or not end.inside:
        return False
    return all(one.version != version for one in end.inside.addresses)


def _lacks(e: Evidence, end: Endpoint, version: int) -> Finding:
    vm, look = end.vm, f"vmnet capture {end.vm}.{end.nic}"
    if e.uplink.serves_dhcp:
        giver = f"vmnet's own DHCP server (dnsmasq) on network {e.network}"
        fix = f"start that server again if it has ended: vmnet up; see whether it answers: {look}"
    else:
        who = "DHCP server" if version == IPV4 else "router"
        giver = f"the {who} behind {e.uplink.name}"
        fix = f"look at that {who}, and see whether it answers the guest: {look}"
    has = ", ".join(map(str, end.inside.addresses)) if end.inside else ""
    return Finding(
        f"{vm} has {no_address(version)}; it should get one from {giver}",
        fix,
        (f"{vm} says: {has or 'no address'}",),
        vm,
    )
