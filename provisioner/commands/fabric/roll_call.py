"""vmnet hosts: the hosts of a plan or of an inventory are asked what they have."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.errors import bad_input
from provisioner.fabric.remote.answers import HostAnswer, Request
from provisioner.fabric.remote.roll_call import WORDS, CalledHost, called
from provisioner.host.fabric.remote import run_everywhere, run_on
from provisioner.plan.hosts import Login
from provisioner.plan.placing.carriers import carriers

if TYPE_CHECKING:
    from provisioner.fabric.facts import Silent
    from provisioner.plan.model import Plan

_WITHIN_S = 60.0


def login_of(plan: "Plan", host: str) -> Login:
    """Return how a host of a plan is logged in to: as it says, else at its first address."""
    machine = plan.hosts[host]
    return machine.ssh or Login(str(machine.addresses[0]))


def call(
    plan: "Plan | None", inventory: Path | None, tell: Callable[[str], None]
) -> list[CalledHost]:
    """Ask all hosts of a plan, or of an inventory where there is no plan; `tell` who answers.

    Raises VmnetError when there is none to ask, and as `run_on` does.
    """

    def told(host: str, said: "HostAnswer | Silent") -> None:
        tell(
            f"{host} {'has answered' if isinstance(said, HostAnswer) else f'is silent: {said.why}'}"
        )

    logins = logins_of(plan, inventory)
    if plan is None:
        assert inventory  # noqa: S101  (mypy)
        every = run_everywhere(Request(WORDS), inventory, within_s=_WITHIN_S, each=told)
        return [called(host, "", said) for host, said in every.items()]
    requests = {name: Request(WORDS, login=login) for name, login in logins.items()}
    found = run_on(requests, inventory=inventory, within_s=_WITHIN_S, each=told)
    addresses = {name: str(plan.hosts[name].addresses[0]) for name in logins}
    return [called(name, addresses[name], said) for name, said in found.items()]


def logins_of(plan: "Plan | None", inventory: Path | None) -> dict[str, Login]:
    """Return the hosts that are meant, and how each is logged in to: those of the plan.

    Without a plan none are named, which means all of the inventory. Raises VmnetError when there
    is no host.
    """
    if plan is None:
        if inventory is None:
            raise bad_input("no hosts are named", "name a plan, or an inventory with -i")
        return {}
    names = carriers(plan)
    if not names:
        raise bad_input(
            f"plan {plan.name} names no hosts that run VMs",
            "give them uplinks: hosts: {h1: {address: 10.0.0.5, uplinks: {}}}",
        )
    return {name: login_of(plan, name) for name in names}
