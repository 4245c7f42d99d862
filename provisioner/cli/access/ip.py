"""vmnet ip: which addresses guests have, as people or scripts want it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from provisioner.cli import output
from provisioner.cli.fabric import one_vm, several
from provisioner.cli.options import Connection, File, Inventory, Json, LockTimeout, MadeName
from provisioner.cli.run import known_target, running
from provisioner.commands import command
from provisioner.commands.target import CommandRun
from provisioner.errors import Exit
from provisioner.json_document import json_document
from provisioner.text import sanitize

if TYPE_CHECKING:
    from provisioner.check.discovery import NicAddresses


def ip(  # noqa: PLR0913  (every one a word of the command line)
    ctx: typer.Context,
    nic: Annotated[str, typer.Argument(help="VM, VM.NUMBER or VM.NETWORK.")] = "",
    file: File = None,
    *,
    name: MadeName = None,
    timeout: Annotated[float, typer.Option(help="Seconds to look for addresses.", min=0.2)] = 3.0,
    connection: Connection = None,
    inventory: Inventory = None,
    lock_timeout: LockTimeout = 30.0,
    json: Json = False,
) -> None:
    """Find the addresses that guests have, with nothing inside them; of one VM, for scripts.

    Example: vmnet ip web
    """
    with running(command.IP, ctx, json=json) as worker:
        from provisioner.commands.access import ip as addresses

        target = known_target(name, file, connection=connection, several=True)
        if several.is_meant(target, inventory):
            words = several.words(timeout=timeout, json=json)
            words = (*words, "--lock-timeout", f"{lock_timeout:g}", *filter(None, [nic]))
            alone = {"--connection": connection}
            hosted = one_vm.find(target, one_vm.of_nic(target, nic), inventory, alone)
            one_vm.there(target, hosted, ("ip", *words))
        run = CommandRun(command.IP, worker, timeout, lock_timeout)
        found = addresses.find(target, run, nic)
        bad = any(one.findings or not one.addresses for one in found)
        status = Exit.CHECK_FAILED if bad else Exit.DONE
        if json:
            from provisioner.check.discovery import as_document

            output.typed(json_document("ip", status, as_document(found)))
        else:
            for line in (line for one in found for line in _lines(one, bare=bool(nic))):
                output.typed(sanitize(line))
        for finding in (finding for one in found for finding in one.findings):
            output.line(f"{finding.what}; fix: {finding.fix}")
        raise typer.Exit(status)


def _lines(found: "NicAddresses", *, bare: bool) -> Iterator[str]:
    """Return the addresses, alone as scripts want them, or with where they are known from."""
    for known in found.addresses:
        name = f"{found.vm}.{found.nic}"
        how = "; ".join(known.how)
        yield known.address if bare else f"{name} {known.address} {found.mac} ({how})"
    if not found.addresses and not bare:
        yield f"{found.vm}.{found.nic} - {found.mac} (no address found)"
