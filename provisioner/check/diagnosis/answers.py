"""What came back is not what a check of the user's wants: an answer is not a dead end."""

from provisioner.check.diagnosis.fixes import inside
from provisioner.check.evidence import Evidence
from provisioner.check.result import Finding
from provisioner.plan.checks import What


def by_name(e: Evidence) -> Finding | None:
    """Blame a name or a URL whose address nobody but the guest's resolver knows."""
    if e.address or e.asked.what not in {What.DNS, What.HTTP}:
        return None
    a, reply = e.source.vm, e.value or e.note or "no answer"
    look = inside(e.source, "cat /etc/resolv.conf")
    seen = (f"{e.asked} asked from {a}: {reply}",)
    if e.asked.what is What.DNS:
        return Finding(
            f"{a} does not resolve {e.asked.text}: {reply}",
            f"look at its resolver; {look}; or give network {e.network} another dns",
            seen,
            a,
        )
    return Finding(
        f"{a} does not get {e.asked}: {reply}",
        f"look at that server, and at the resolver of {a}; {look}",
        seen,
        a,
    )


def otherwise(e: Evidence) -> Finding | None:
    """Blame what was measured instead: another status, a slower link, a name that is unknown."""
    if not e.value:
        return None
    a, b = e.source.vm, e.target.vm
    slow = (
        "see what else this host does, and whether guests run on KVM: vmnet status; or write "
        "another limit into checks"
    )
    is_slow = e.asked.what in {What.LATENCY, What.THROUGHPUT}
    fix = slow if is_slow else f"look at the service of {b}"
    return Finding(
        f"{b} answers {a}, but {e.asked} does not hold: {e.value}",
        fix,
        (f"measured: {e.value}",),
    )
