"""Guards, NAT and isolation that are gone while guests run: put back by most commands.

So are the guards of granted devices, whether guests run on them or not, when it is root who asks.

A reload of a firewall takes all tables away, vmnet's too (`flush ruleset`). `status` and `check`,
which change nothing, tell. What is changed, not gone, is left to `up`: the plan may have been
edited since.
"""

from collections.abc import Container, Iterator
from typing import TYPE_CHECKING

from provisioner.check.result import Finding
from provisioner.commands.target import CommandRun
from provisioner.host.machine import MACHINE
from provisioner.network.nft_ruleset import DORMANT
from provisioner.network.resources import Guard, Nat, Switch
from provisioner.network.standalone import granted
from provisioner.reconcile.desired import desired_network
from provisioner.reconcile.diff import Step, diff
from provisioner.reconcile.resources import Snapshot

if TYPE_CHECKING:
    from provisioner.network.addressing import Nics
    from provisioner.network.facts import Facts
    from provisioner.plan.model import Plan
    from provisioner.resource import Resources


def gone(plan: "Plan", nics: "Nics", now: Snapshot, want: "Resources | None" = None) -> list[Step]:
    """Return the steps that put back what guards the guests that run now."""
    have, facts = now.resources, now.facts
    indexes = {index for x in facts.live if x.pid for _, index in x.taps}
    if facts.user or not indexes:
        return []
    devices = {x.name for x in facts.links if x.index in indexes}
    devices |= {x.host_side for x in have.values() if isinstance(x, Switch)}
    return missing(want or desired_network(plan, nics, facts), have, devices)


def missing(want: "Resources", have: "Resources", devices: Container[str]) -> list[Step]:
    """Return the steps that put back rules about some devices that are gone, or not in force."""
    found = {
        key: rules
        for key, rules in want.items()
        if isinstance(rules, Guard | Nat) and rules.device in devices
        if not _is_there(have.get(key))
    }
    return diff(found, {key: have[key] for key in found.keys() & have.keys()})


def put_back(plan: "Plan", nics: "Nics", now: Snapshot, run: CommandRun) -> Snapshot:
    """Put back what is gone, if the command is one that does, and say so; return the host then.

    Raises VmnetError when the kernel refuses.
    """
    if run.command.keeps_guards or run.command.starts_guests:
        _put_back_granted(plan, now.facts, run)
    steps = gone(plan, nics, now) if run.command.keeps_guards else []
    for step in steps:
        run.worker.do(MACHINE.perform, step)
        run.tell(f"warning: it was gone while guests ran, and is put back: {step.resource.label}")
    return run.worker.do(MACHINE.observe) if steps else now


def _put_back_granted(plan: "Plan", facts: "Facts", run: CommandRun) -> None:
    if names := granted_gone(plan, facts):
        from provisioner.commands import net

        for name in net.keep_guards(names, run.tell):
            run.tell(f"warning: it was gone, and is put back: guard of {name}")


def findings(
    plan: "Plan", nics: "Nics", now: Snapshot, want: "Resources | None" = None
) -> Iterator[Finding]:
    """Return what is gone, as a status tells it, and what has become of granted devices."""
    called = want or {}
    for step in gone(plan, nics, now, want):
        yield Finding(
            f"{step.resource.called(called)} is gone while guests run: nftables has no table of "
            "it that is in force",
            "vmnet up",
        )
    yield from of_granted(plan, now.facts)


def of_granted(plan: "Plan", facts: "Facts") -> Iterator[Finding]:
    """Return the granted devices that have lost root's guard, or whose MAC their user has changed.

    Raises VmnetError when the kernel does not answer.
    """
    for name in granted_gone(plan, facts):
        yield Finding(
            f"the guard of the device {name}, which root has made, is gone or not whole",
            f"vmnet net set {name} --up",
        )
    for what in granted.changed_macs(plan, facts):
        yield Finding(what, "let root make the device anew: vmnet net rm, then vmnet net create")


def granted_gone(plan: "Plan", facts: "Facts") -> list[str]:
    """Return the granted devices that have lost root's guard; none when it is not root who asks.

    Raises VmnetError when the kernel does not answer.
    """
    guards = {} if facts.user else granted.guards(plan, facts)
    if not guards:
        return []
    from provisioner.host.network import net_guards

    return sorted(net_guards.gone(guards.values()))


def unseen(plan: "Plan", facts: "Facts") -> Iterator[str]:
    """Return what is not known of guards: nft answers root only."""
    if facts.user and (names := sorted(granted.guards(plan, facts))):
        yield f"only root sees whether {', '.join(names)} are still guarded: vmnet net ls"


def _is_there(rules: object) -> bool:
    return isinstance(rules, Guard | Nat) and DORMANT not in rules.marks
