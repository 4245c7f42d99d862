"""vmnet support: one file that says what has to be known to mend a bug."""

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from provisioner.cli import output
from provisioner.cli.options import File, Name
from provisioner.cli.run import file_words, name_target, plan_paths, read, rereadable, running
from provisioner.commands import command
from provisioner.errors import VmnetError
from provisioner.text import one_line

if TYPE_CHECKING:
    from provisioner.commands.support.bundle import SupportWish


def support(
    file: File = None,
    *,
    name: Name = None,
    write: Annotated[
        Path | None,
        typer.Option("--output", help="Where to.", show_default="vmnet-support-TIME.tar.gz"),
    ] = None,
    consoles: Annotated[
        bool, typer.Option("--consoles", help="With what guests have written to their consoles.")
    ] = False,
) -> None:
    """Pack what helps to mend a bug of vmnet's: versions, host facts, the plan, status, logs.

    Secrets are masked, and consoles left out unless they are asked for. Nothing is sent anywhere.

    Example: vmnet support -f lab.yaml
    """
    with running(command.SUPPORT):
        from provisioner.commands.support.bundle import write as pack

        wish = replace(_wish(file, name), consoles=consoles)
        path = write or Path(f"vmnet-support-{time.strftime('%Y%m%d-%H%M%S')}.tar.gz")
        members = pack(path, wish, output.line)
        output.typed(one_line(f"{path}: {', '.join(members)}", 2000))
        output.line("look through it before you pass it on: only what looks secret is masked")


def _wish(file: list[Path] | None, name: str | None) -> "SupportWish":
    """Return what of a plan is known; one that cannot be read is told of, and left out."""
    from provisioner.commands.support.bundle import SupportWish

    if name:
        return SupportWish(name=name_target(name, None).name)
    try:
        paths = rereadable(plan_paths(file))
        texts = read(paths)
    except VmnetError as error:
        output.line(f"without a plan: {error.what}")
        return SupportWish()
    return SupportWish(texts, _name_in(texts), file_words(paths))


def _name_in(texts: list[tuple[str, str]]) -> str:
    """Return the name of a plan, "" of one that holds too little to know it."""
    from provisioner.errors import Complaints
    from provisioner.plan.load import loader

    try:
        return loader.load_merged(texts).plan.name
    except Complaints:
        return ""
