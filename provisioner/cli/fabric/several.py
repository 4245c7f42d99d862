"""up, down, plan, status and check of a plan of several hosts: what each host is asked for."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeGuard

from provisioner.cli import output
from provisioner.cli.run import end
from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError, bad_input

if TYPE_CHECKING:
    from provisioner.commands.fabric.fleet import Asked, FleetRun
    from provisioner.commands.target import NameTarget, PlanTarget
    from provisioner.fabric.remote.answers import Request
    from provisioner.fabric.remote.shell import HostShell
    from provisioner.report.report import Report

_WITHIN_S = 3600.0  # images may have to be fetched


@dataclass(frozen=True, slots=True)
class FleetWords:
    """The words of a command line, as far as they are about several hosts."""

    words: tuple[str, ...] = ()  # that each host gets, too
    only: Collection[str] | None = None  # VMs
    dead: Collection[str] | None = None  # hosts
    all_or_nothing: bool = False
    lock_timeout_s: float = 30.0
    json: bool = False
    every: bool = False
    exit_code: bool = False
    inventory: Path | None = None


def is_meant(
    target: "PlanTarget | NameTarget", inventory: Path | None = None
) -> "TypeGuard[PlanTarget]":
    """Return whether a plan places its VMs on hosts.

    Raises VmnetError when it does not, and an inventory says how to log in to some.
    """
    from provisioner.commands.target import PlanTarget
    from provisioner.plan.placing.carriers import is_placed

    found = isinstance(target, PlanTarget) and is_placed(target.plan)
    if inventory and not found:
        raise bad_input(
            f"--inventory is for plans of several hosts, and {target.name} is of this host",
            "leave it out, or name hosts: hosts: {h1: {address: 10.0.0.5, uplinks: {}}}",
        )
    return found


def words(**options: object) -> tuple[str, ...]:
    """Return options as words of a command line; those that are not set are left out."""
    found: list[str] = []
    for name, value in options.items():
        if value is True:
            found.append(f"--{name}")
        elif value not in (None, False, ""):
            found += (f"--{name}", str(value))
    return tuple(found)


def refuse(target: "PlanTarget", options: Mapping[str, object]) -> None:
    """Raise VmnetError for the first option that is set, of those for plans of one host."""
    for option, value in options.items():
        if value:
            raise bad_input(
                f"{option} is for plans of one host, and {target.name} places its VMs on hosts",
                "leave it out, or run the command on that host",
            )


def up(target: "PlanTarget", given: FleetWords) -> NoReturn:
    """Bring a plan up on its hosts."""
    from provisioner.commands.fabric import several

    end(_reported("up", several.up, target, given), json=given.json, every=given.every)


def down(target: "PlanTarget", given: FleetWords, *, disks: bool, yes: bool) -> NoReturn:
    """Take a plan away from its hosts. Raises VmnetError when disks would go without --yes."""
    from provisioner.commands.fabric import several

    if disks and not yes:
        raise bad_input(
            "--disks would remove what guests have written on several hosts",
            "if what guests have written may go, say so with --yes",
        )
    more = ("--disks", "--yes") if disks else ()
    given = replace(given, words=(*given.words, *more))
    end(_reported("down", several.down, target, given), json=given.json)


def led(target: "PlanTarget", given: FleetWords, command: str) -> NoReturn:
    """Stop, pause or resume guests on their hosts."""
    from provisioner.commands.fabric import power

    report = _reported(command, lambda of, run: power.led(of, run, command), target, given)
    end(report, json=given.json)


def started(target: "PlanTarget", given: FleetWords, command: str) -> NoReturn:
    """Start guests on their hosts, or restart them, and measure."""
    from provisioner.commands.fabric import power

    given = replace(given, only=given.only or [vm.name for vm in target.plan.vms])
    report = _reported(command, lambda of, run: power.started(of, run, command), target, given)
    end(report, json=given.json, every=given.every)


def status(target: "PlanTarget", given: FleetWords) -> NoReturn:
    """Show what the hosts of a plan have of it."""
    from provisioner.commands.fabric import several

    report = _reported("status", several.status, target, given)
    end(report, json=given.json, steps=True, exit_code=given.exit_code)


def plan(target: "PlanTarget", given: FleetWords) -> NoReturn:
    """Show where VMs go, and what `up` would do on each host."""
    from provisioner.commands.fabric import several

    report = _reported("plan", several.plan, target, given)
    end(report, json=given.json, steps=True, exit_code=given.exit_code)


def checked(target: "PlanTarget", given: FleetWords) -> "Report":
    """Measure on all hosts of a plan."""
    from provisioner.commands.fabric import several

    return _reported("check", several.check, target, given)


def _reported(
    name: str,
    verb: "Callable[[PlanTarget, FleetRun], Report]",
    target: "PlanTarget",
    given: FleetWords,
) -> "Report":
    with running_on(name, target, given) as run:
        return verb(target, run)


@contextmanager
def running_on(name: str, target: "PlanTarget", given: FleetWords) -> "Iterator[FleetRun]":
    """Show what a command does on hosts; yield the run of it. Raises VmnetError for unknown VMs."""
    from provisioner.commands.fabric.fleet import FleetRun
    from provisioner.commands.session import named_vms

    with output.progress(name) as (tell, _):
        yield FleetRun(
            asking(target, given.inventory),
            tell,
            given.words,
            named_vms(target, given.only or ()),
            given.all_or_nothing,
            frozenset(given.dead or ()),
            given.lock_timeout_s,
            shells(target, given.inventory),
        )


def asking(
    target: "PlanTarget", inventory: Path | None
) -> "Callable[[Mapping[str, Request]], Asked]":
    """Return what asks hosts, each as the inventory says, else by its `ssh`, else its address."""
    from provisioner.commands.fabric.roll_call import login_of
    from provisioner.host.fabric.remote import run_on

    def ask(requests: "Mapping[str, Request]") -> "Asked":
        plan = target.plan
        known = {host: replace(one, login=login_of(plan, host)) for host, one in requests.items()}
        return run_on(known, inventory=inventory, within_s=_WITHIN_S)

    return ask


def shells(
    target: "PlanTarget", inventory: Path | None
) -> "Callable[[Collection[str]], Mapping[str, HostShell]]":
    """Return what finds the shells of hosts: those that another way than ssh leads to have none.

    Of an inventory Ansible is asked, which takes a run of it.
    """
    from provisioner.commands.fabric.roll_call import login_of
    from provisioner.fabric.remote.shell import shell_of, shell_of_login

    def find(hosts: "Collection[str]") -> "Mapping[str, HostShell]":
        logins = {host: login_of(target.plan, host) for host in hosts}
        if inventory is None:
            return {host: shell_of_login(login) for host, login in logins.items()}
        from provisioner.host.fabric.where import seek

        found = {}
        for host, sought in seek(logins, inventory).items():
            with suppress(VmnetError):
                found[host] = shell_of(host, sought.login)
        return found

    return find
