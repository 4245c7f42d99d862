"""vmnet hosts: the hosts that a plan's VMs run on, asked all at once."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from provisioner.cli import output
from provisioner.cli.options import File, Inventory, Json, Plan
from provisioner.cli.run import plan_paths, read, running
from provisioner.errors import Exit, refuse

if TYPE_CHECKING:
    from provisioner.fabric.remote.roll_call import CalledHost
    from provisioner.plan.model import Plan as PlanModel

app = typer.Typer(
    no_args_is_help=True,
    help="The hosts that VMs are placed on, reached by Ansible: what they have, what is wrong.",
)


@app.command()
def ls(
    plan: Plan = None, file: File = None, inventory: Inventory = None, *, json: Json = False
) -> None:
    """List hosts: address, vmnet, cores, free memory, NICs; one that is silent is unknown.

    With an inventory and no plan these are all hosts of the inventory. The status is 4 where a
    host has another version of vmnet, 6 where one does not answer.

    Example: vmnet hosts ls -i inventory.ini
    """
    with running("hosts ls", json=json):
        from provisioner.fabric.remote import roll_call

        _, hosts = _called(plan, file, inventory)
        ends = roll_call.status(hosts)
        if json:
            output.typed(roll_call.as_json("hosts ls", hosts, (), ends))
        else:
            output.print_rows(list(roll_call.rows(hosts)))
            for note in roll_call.clocks(hosts):
                output.line(note)
            refuse([host.skew for host in hosts if host.skew])
        raise typer.Exit(ends)


@app.command()
def facts(
    plan: Plan = None, file: File = None, inventory: Inventory = None, *, json: Json = False
) -> None:
    """Tell what each host has for guests, as vmnet host-facts does there.

    Example: vmnet hosts facts -i inventory.ini --json
    """
    with running("hosts facts", json=json):
        from provisioner.fabric import listing
        from provisioner.fabric.facts import HostFacts
        from provisioner.fabric.remote import roll_call

        _, hosts = _called(plan, file, inventory)
        ends = roll_call.status(hosts)
        if json:
            output.typed(roll_call.as_json("hosts facts", hosts, (), ends))
            raise typer.Exit(ends)
        for host in hosts:
            if isinstance(host.said, HostFacts):
                output.typed("\n".join(listing.lines(host.said)))
            else:
                output.typed(f"{host.name}: unknown: {host.said.why}")
        refuse([host.skew for host in hosts if host.skew])
        raise typer.Exit(ends)


@app.command()
def check(
    plan: Plan = None, file: File = None, inventory: Inventory = None, *, json: Json = False
) -> None:
    """Tell what keeps hosts from running the plan's VMs: versions, clocks, NICs, carriers, MTUs.

    Nothing is sent from their NICs, so whether these are on one LAN is not told. The status is 5
    when something is wrong.

    Example: vmnet hosts check lab.yaml
    """
    with running("hosts check", json=json):
        from provisioner.fabric.remote import roll_call

        model, hosts = _called(plan, file, inventory)
        found = list(roll_call.problems(model, hosts))
        ends = Exit.CHECK_FAILED if found else Exit.DONE
        if json:
            output.typed(roll_call.as_json("hosts check", hosts, found, ends))
        else:
            asked = ", ".join(host.name for host in hosts)
            output.typed("\n".join(found or [f"{asked}: nothing is wrong"]))
        raise typer.Exit(ends)


@app.command()
def bootstrap(
    plan: Plan = None,
    file: File = None,
    inventory: Inventory = None,
    *,
    check: Annotated[
        bool,
        typer.Option("--check", "--dry-run", help="Change nothing; tell what would be changed."),
    ] = False,
    diff: Annotated[
        bool, typer.Option("--diff", help="Show the lines that differ, and programs that were run.")
    ] = False,
    json: Json = False,
) -> None:
    """Install this vmnet on hosts, with the packages that it needs; a second run changes nothing.

    Hosts that have another vmnet get this one. Nothing that is installed is enabled or started.
    The status is 6 where some hosts are not ready, 4 where none is.

    Example: vmnet hosts bootstrap -i inventory.ini --check --diff
    """
    with running("hosts bootstrap", json=json):
        from provisioner.commands.fabric.roll_call import logins_of
        from provisioner.fabric.remote import installed
        from provisioner.host.fabric.bootstrap import install

        logins = logins_of(_plan(plan, file, inventory), inventory)
        with output.progress("hosts bootstrap") as (tell, _):
            hosts = install(
                logins,
                inventory,
                lambda host, what: tell(f"{host}: {what}"),
                is_check=check,
                is_diff=diff,
            )
        errors = installed.complaints(hosts)
        if json:
            output.typed(installed.as_json(hosts, errors[0].status if errors else Exit.DONE))
            raise typer.Exit(errors[0].status if errors else Exit.DONE)
        for host in hosts:
            if not host.why:
                output.typed(installed.summary(host, is_check=check))
        refuse(errors)


def _called(
    plan: Path | None, file: list[Path] | None, inventory: Path | None
) -> "tuple[PlanModel | None, list[CalledHost]]":
    """Ask the hosts of a plan, or all of an inventory where no plan is named."""
    from provisioner.commands.fabric import roll_call

    model = _plan(plan, file, inventory)
    return model, roll_call.call(model, inventory, output.line)


def _plan(plan: Path | None, file: list[Path] | None, inventory: Path | None) -> "PlanModel | None":
    """Read the plan; there is none where an inventory alone is named."""
    from provisioner.commands.loading import texts

    if not (plan or file or inventory is None):
        return None
    paths = plan_paths(file, plan)
    return texts.placed(read(paths), (), paths[0]).plan
