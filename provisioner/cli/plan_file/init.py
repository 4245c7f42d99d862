"""vmnet init: a plan to begin with, one for this host or one of the examples."""

from pathlib import Path
from typing import Annotated

import typer

from provisioner.cli import output
from provisioner.cli.run import running
from provisioner.errors import bad_input
from provisioner.text import one_line

_WIDE = 160  # columns of a table that goes to a file


def init(
    *,
    example: Annotated[str, typer.Option(help="One of the examples instead: see --list.")] = "",
    listed: Annotated[bool, typer.Option("--list", help="List the examples.")] = False,
    file: Annotated[
        Path | None,
        typer.Option(
            *("--output", "--file", "-f"), help="Where to write it.", show_default="vmnet.yaml"
        ),
    ] = None,
    uplink: Annotated[
        str, typer.Option(metavar="NIC", help="The NIC, instead of the one that leads out.")
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a plan that fits this host, or one of the examples, to vmnet.yaml.

    It asks nothing: the NIC is the one that leads out, or that of --uplink, and comments say why
    each value.

    Example: vmnet init
    """
    with running("init"):
        if listed and example:
            raise bad_input(
                "vmnet init takes either --example or --list",
                "list them with vmnet init --list, then name one: vmnet init --example pair",
            )
        if uplink and (listed or example):
            raise bad_input(
                "--uplink is about a plan for this host, and an example is none",
                "leave out --example and --list: vmnet init --uplink NIC",
            )
        if listed:
            _list()
        elif example:
            _write(file, _example(example), f"the example {example}", force=force)
        else:
            from provisioner.commands.plan_file.init import written

            _write(file, written(uplink), "a plan for this host: vmnet plan, vmnet up", force=force)


def _list() -> None:
    from provisioner.template_files import examples

    rows = [(name, text.splitlines()[1].removeprefix("# ")) for name, text in examples().items()]
    output.print_rows([("example", "what it is"), *rows], _WIDE)


def _example(name: str) -> str:
    from provisioner.plan.scalars import meant, quoted
    from provisioner.template_files import examples

    known = examples()
    if name not in known:
        raise bad_input(
            f"there is no example {quoted(name)}", f"{meant(name, known)}see: vmnet init --list"
        )
    # Its first line names the schema in the folder of the examples.
    return known[name].partition("\n")[2]


def _write(file: Path | None, text: str, what: str, *, force: bool) -> None:
    from provisioner.host.system import plan_files

    path = file or plan_files.usual()
    plan_files.create(path, text, force=force)
    output.typed(f"{one_line(str(path))}: {what}")
