"""What came back is not what a check of the user's wants: an answer is not a dead end."""

from provisioner.check.evidence import Evidence
from provisioner.check.result import Finding


def by_name(e: Evidence) -> Finding | None:
    """Blame a name or a URL whose address nobody but the guest's resolver knows."""
    if e.address or not e.asked.startswith(("dns ", "http://", "https://")):
        return None
    a, reply = e.source.vm, e.value or e.note or "no answer"
    look = f"vmnet exec {a} -- cat /etc/resolv.conf"
    if e.asked.startswith("dns "):
        return Finding(
            f"{a} does not resolve {e.asked.removeprefix('dns ')}: {reply}",
            f"look at its resolver: {look}; or give network {e.network} another dns",
            about=a,
        )
    return Finding(
        f"{a} does not get {e.asked}: {reply}",
        f"look at that server, and at the resolver of {a}: {look}",
        about=a,
    )


def otherwise(e: Evidence) -> Finding | None:
    """Blame what was measured instead: another status, a slower link, a name that is unknown."""
    if not e.value:
        return None
    a, b = e.source.vm, e.target.vm
    kind = e.asked.partition(" ")[0]
    slow = (
        "see what else this host does, and whether guests run on KVM: vmnet status; or write "
        "another limit into checks"
    )
    fix = {"latency": slow, "throughput": slow}.get(kind, f"look at the service of {b}")
    return Finding(
        f"{b} answers {a}, but {e.asked} does not hold: {e.value}",
        fix,
        (f"measured: {e.value}",),
    )
