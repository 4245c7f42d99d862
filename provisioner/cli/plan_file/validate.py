"""vmnet validate: judges plan files by themselves, for editors, hooks and CI."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from provisioner.cli import output
from provisioner.cli.options import File, Json, Sets
from provisioner.cli.run import is_implied, plan_paths, read, running
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
    file: File = None,
    sets: Sets = None,
    *,
    json: Json = False,
) -> None:
    """Say what is wrong with plans, without any right and without a look at this host.

    The files that they name are not looked for, nor NICs, images or libvirt: that is for plan. Each
    argument is a plan by itself; files of --file are merged to one.

    Example: vmnet validate lab.yaml
    """
    with running("validate", json=json):
        from provisioner.plan.load import loader

        errors: list[VmnetError] = []
        valid: list[tuple[str, Plan]] = []
        for paths in _asked(plans or [], file or []):
            with collected(errors):
                loaded = loader.load_merged(read(paths), sets or (), os.environ)
                valid.append((" + ".join(map(str, paths)), loaded.plan))
        status = Complaints(errors).status if errors else Exit.DONE
        if json:
            output.typed(_as_json(valid, errors, status))
        else:
            for path, plan in valid:
                output.typed(f"{one_line(path)}: {_counted(plan)}: valid")
            output.errors("validate", errors, status, json=False)
        raise typer.Exit(status)


def _asked(plans: list[Path], file: list[Path]) -> list[tuple[Path, ...]]:
    """Return the plans to judge, each as the files that it is merged of."""
    if plans and is_implied(file):
        file = []
    if not (plans or file):
        return [plan_paths(None)]
    return [*([tuple(file)] if file else []), *((path,) for path in plans)]


def _counted(plan: "Plan") -> str:
    vms, networks = len(plan.vms), len(plan.networks)
    return f"{vms} VM{'s' * (vms != 1)}, {networks} network{'s' * (networks != 1)}"


def _as_json(valid: "list[tuple[str, Plan]]", errors: list[VmnetError], status: Exit) -> str:
    from provisioner.json_document import json_document
    from provisioner.report.document import ValidateDocument, ValidPlan, errors_as_data

    found = [
        ValidPlan(file=path, plan=plan.name, vms=len(plan.vms), networks=len(plan.networks))
        for path, plan in valid
    ]
    document = ValidateDocument(plans=found, errors=errors_as_data(errors))
    return json_document("validate", status, document)
