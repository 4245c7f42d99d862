"""vmnet schema: JSON Schemas of what vmnet reads and writes."""

from typing import Annotated

import typer

from provisioner.cli.run import running
from provisioner.errors import bad_input

PLAN = "plan"


def schema(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="COMMAND",
            help="A command, as ls or net ls; plan is of plan files, report of vmnet plan --json.",
        ),
    ],
) -> None:
    """Print the JSON Schema of what a command writes with --json, or of plan files.

    Example: vmnet schema status
    """
    with running("schema"):
        from provisioner.plan.schema.generate import as_text, plan_schema

        name = " ".join(words)
        typer.echo(as_text(plan_schema() if name == PLAN else _of_command(name)), nl=False)


def _of_command(name: str) -> "dict[str, object]":
    """Return the schema of what a command writes. Raises VmnetError when it writes no JSON."""
    from provisioner.cli.plan_file import documents
    from provisioner.plan.scalars import meant, quoted

    known = documents.documents()
    if name not in known:
        raise bad_input(
            f"there is no schema of {quoted(name)}",
            f"{meant(name, known)}name one of {', '.join(sorted({PLAN, *known}))}",
        )
    return documents.schema(name)
