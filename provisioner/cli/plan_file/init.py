"""vmnet init: a plan to begin with, one of the examples."""

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
    example: Annotated[str, typer.Option(help="Which one: see --list.")] = "",
    listed: Annotated[bool, typer.Option("--list", help="List the examples.")] = False,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", help="Where to write it.", show_default="vmnet.yaml"),
    ] = None,
) -> None:
    """Write one of the examples to vmnet.yaml, which must not be there yet.

    Example: vmnet init --example pair
    """
    with running("init"):
        if listed == bool(example):
            raise bad_input(
                "vmnet init wants either --example or --list",
                "list them with vmnet init --list, then name one: vmnet init --example pair",
            )
        if listed:
            _list()
        else:
            _write(example, file)


def _list() -> None:
    from provisioner.template_files import examples

    rows = [(name, text.splitlines()[1].removeprefix("# ")) for name, text in examples().items()]
    output.print_rows([("example", "what it is"), *rows], _WIDE)


def _write(name: str, file: Path | None) -> None:
    from provisioner.host.system import plan_files
    from provisioner.plan.scalars import meant, quoted
    from provisioner.template_files import examples

    known = examples()
    if name not in known:
        raise bad_input(
            f"there is no example {quoted(name)}", f"{meant(name, known)}see: vmnet init --list"
        )
    path = file or plan_files.usual()
    # Its first line names the schema in the folder of the examples.
    plan_files.create(path, known[name].partition("\n")[2])
    output.typed(f"{one_line(str(path))}: the example {name}")
