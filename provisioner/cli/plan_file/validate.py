"""vmnet validate: judges plan files by themselves, for editors, hooks and CI."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from provisioner.cli import output
from provisioner.cli.options import Json
from provisioner.cli.run import plan_paths, read, running
from provisioner.errors import Complaints, Exit, VmnetError, collected
from provisioner.text import one_line

if TYPE_CHECKING:
    from provisioner.plan.model import Plan


def validate(
    plans: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PLAN]...", help="The plans.", show_default="vmnet.yaml or vmnet.yml"
        ),
    ] = None,
    *,
    file: Annotated[
        list[Path] | None, typer.Option("--file", "-f", help="A plan. Repeatable.")
    ] = None,
    json: Json = False,
) -> None:
    """Say what is wrong with plans, without any right and without a look at this host.

    The files that they name are not looked for, nor NICs, images or libvirt: that is for plan.

    Example: vmnet validate lab.yaml
    """
    with running("validate", json=json):
        errors: list[VmnetError] = []
        paths = [*(file or ()), *(plans or ())] or plan_paths(None)
        valid: list[tuple[Path, Plan]] = []
        for path in paths:
            with collected(errors):
                valid.append((path, _loaded(path)))
        status = Complaints(errors).status if errors else Exit.DONE
        if json:
            output.typed(_as_json(valid, errors, status))
        else:
            for path, plan in valid:
                output.typed(f"{one_line(str(path))}: {_counted(plan)}: valid")
            output.errors("validate", errors, status, json=False)
        raise typer.Exit(status)


def _loaded(path: Path) -> "Plan":
    from provisioner.plan.load import loader

    return loader.load_merged(read([path]), environment=os.environ).plan


def _counted(plan: "Plan") -> str:
    vms, networks = len(plan.vms), len(plan.networks)
    return f"{vms} VM{'s' * (vms != 1)}, {networks} network{'s' * (networks != 1)}"


def _as_json(valid: "list[tuple[Path, Plan]]", errors: list[VmnetError], status: Exit) -> str:
    from provisioner.json_document import json_document
    from provisioner.report.document import ValidateDocument, ValidPlan, errors_as_data

    found = [
        ValidPlan(file=str(path), plan=plan.name, vms=len(plan.vms), networks=len(plan.networks))
        for path, plan in valid
    ]
    document = ValidateDocument(plans=found, errors=errors_as_data(errors))
    return json_document("validate", status, document)
