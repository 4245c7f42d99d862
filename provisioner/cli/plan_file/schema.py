"""vmnet schema: JSON Schemas of what vmnet reads and writes."""

import typer

from provisioner.cli.run import running

app = typer.Typer(no_args_is_help=True, help="JSON Schemas of what vmnet reads and writes.")


@app.command("plan")
def plan_() -> None:
    """Print the schema of plan files, for editors and linters.

    Example: vmnet schema plan
    """
    with running("schema plan"):
        from provisioner.plan.schema.generate import as_text, plan_schema

        typer.echo(as_text(plan_schema()), nl=False)


@app.command()
def report() -> None:
    """Print the schema of what --json writes: a report, or the errors instead of one.

    Example: vmnet schema report
    """
    with running("schema report"):
        from provisioner.template_files import template

        typer.echo(template("report.schema.json"), nl=False)
