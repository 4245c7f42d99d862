"""How far a packet has come inside the guest that it is for, by what that guest counts itself."""

from provisioner.check.diagnosis.fixes import FIREWALL, inside, watch
from provisioner.check.evidence import Endpoint, Evidence
from provisioner.check.stack import Stack


def counted(end: Endpoint, stack: Stack) -> tuple[str, ...]:
    """Return what a guest has counted while it was asked once more, and its rules that drop."""
    return (
        (
            f"{end.vm} has counted: NIC received {stack.nic_in}, sent {stack.nic_out}; IP received "
            f"{stack.ip_in}; questions taken {stack.asked_in}, answered {stack.answered_out}; "
            f"answers taken {stack.answered_in}"
        ),
        *(f"rule of {end.vm}: {rule}" for rule in stack.drops),
    )


def outside_target(end: Endpoint, stack: Stack, came: str) -> str:
    """Return how a packet was lost that never was the guest's, or its answer that has left it."""
    if stack.answered_out:
        return f"{came}, and of the answers that {end.vm} sent none came out"
    where = "IP" if stack.nic_in else "NIC"
    return f"{came}, and the {where} inside {end.vm} has received nothing meanwhile"


def inside_target(e: Evidence, stack: Stack) -> tuple[str, str] | None:
    """Return how the target has dropped what it was seen to receive, and where to look.

    None for a packet that it has not received, or has answered.
    """
    if stack.answered_out or not (stack.ip_in or stack.asked_in):
        return None
    return _not_for_it(e, stack) or _by_its_rules(e, stack)


def _not_for_it(e: Evidence, stack: Stack) -> tuple[str, str] | None:
    a, b = e.source.vm, e.target.vm
    if stack.damaged:
        return (
            f"{b} receives what {a} sends with a wrong checksum: something on the way changes it",
            f"look what rewrites packets: nft list ruleset; {watch(e)}",
        )
    if stack.misrouted:
        return (
            f"{b} drops what comes from {a}: it has no route back by that NIC (rp_filter)",
            inside(e.target, "ip route"),
        )
    if stack.no_way:
        return f"{b} has no way back to {a}: {stack.no_way}", inside(e.target, "ip route")
    return None


def _by_its_rules(e: Evidence, stack: Stack) -> tuple[str, str]:
    a, b, asked = e.source.vm, e.target.vm, e.asked
    if stack.asked_in and stack.ignores_pings:
        return (
            f"{b} ignores pings: icmp_echo_ignore_all is 1 inside it",
            inside(e.target, "sysctl -w net.ipv4.icmp_echo_ignore_all=0"),
        )
    look = inside(e.target, FIREWALL)
    if stack.asked_in:
        return f"{b} has taken {asked} of {a}, and its own stack has sent no answer", look
    if stack.drops:
        return (
            (
                f"the firewall of {b} drops {asked} of {a}: its IP has received it and handed "
                f"nothing on; it has the rule: {stack.drops[0]}"
            ),
            look,
        )
    return (
        (
            f"{b} has received {asked} of {a}: its IP has counted it and handed nothing on, so "
            "something inside it drops it"
        ),
        look,
    )
