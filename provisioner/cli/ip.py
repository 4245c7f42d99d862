"""vmnet ip: which addresses guests have, as people or scripts want it."""

import json as jsons
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from provisioner.cli import output
from provisioner.cli.run import Allowed, Connection, answering, options, target, worker_of
from provisioner.errors import Exit
from provisioner.text import sanitize

if TYPE_CHECKING:
    from provisioner.check.discovery import NicAddresses


def ip(  # noqa: PLR0913  (every one a word of the command line)
    ctx: typer.Context,
    nic: Annotated[str, typer.Argument(help="VM, VM.NUMBER or VM.NETWORK.")] = "",
    file: Annotated[Path | None, typer.Option("--file", "-f", help="The plan.")] = None,
    *,
    timeout: Annotated[float, typer.Option(help="Seconds to look for addresses.", min=0.2)] = 3.0,
    connection: Connection = None,
    lock_timeout: Annotated[
        float, typer.Option(help="Seconds to wait for another command on the plan.", min=0)
    ] = 30.0,
    json: Annotated[bool, typer.Option("--json", help="Write it as JSON.")] = False,
) -> None:
    """Find the addresses that guests have, with nothing inside them; of one VM, for scripts."""

    def work() -> None:
        from provisioner.commands.access import ip as addresses

        how = options("ip", timeout, lock_timeout)
        about = target(None, file, None, allowed=Allowed(connection))
        found = addresses.find(about, how, worker_of(ctx), output.nothing, nic)
        if json:
            told = {"format": 1, "command": "ip", "nics": [asdict(one) for one in found]}
            output.typed(jsons.dumps(told, indent=2))
        else:
            for line in (line for one in found for line in _lines(one, bare=bool(nic))):
                output.typed(sanitize(line))
        for finding in (finding for one in found for finding in one.findings):
            output.line(f"{finding.what}; fix: {finding.fix}")
        bad = any(one.findings or not one.addresses for one in found)
        raise typer.Exit(Exit.CHECK_FAILED if bad else Exit.DONE)

    answering("ip", work, json=json, worker=ctx.obj)


def _lines(found: "NicAddresses", *, bare: bool) -> Iterator[str]:
    """Give the addresses, alone as scripts want them, or with where they are known from."""
    for known in found.addresses:
        name = f"{found.vm}.{found.nic}"
        how = "; ".join(known.how)
        yield known.address if bare else f"{name} {known.address} {found.mac} ({how})"
    if not found.addresses and not bare:
        yield f"{found.vm}.{found.nic} - {found.mac} (no address found)"
