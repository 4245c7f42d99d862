"""The page about the plan names every key that a plan can have, and no other."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from provisioner.plan.model import Network, Nic, Plan, Switch, Vm
from provisioner.plan.vm import Disk, File

PAGE = "\n" + (Path(__file__).parents[3] / "docs" / "plan.md").read_text()
# What stands in the file and not in the model: both are merged into the VMs.
OF_THE_FILE = {"defaults", "count"}


def keys(heading: str) -> set[str]:
    """Give the keys of the table under a heading."""
    rest = PAGE.partition(f"\n{heading}\n")[2]
    section = re.split(r"^#+ ", rest, maxsplit=1, flags=re.MULTILINE)[0]
    cells = re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)
    return {key for cell in cells for key in re.findall(r"`([a-z_]+)`", cell)} - OF_THE_FILE


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("# The plan file", Plan),
        ("## A network", Network),
        ("### A switch", Switch),
        ("## A VM", Vm),
        ("### A disk", Disk),
        ("### A file", File),
        ("## A NIC", Nic),
    ],
)
def test_every_key_is_in_its_table(heading: str, model: type[BaseModel]) -> None:
    named_by_its_entry = {"name"} if model in {Network, Vm} else set()
    known = {field.alias or name for name, field in model.model_fields.items()}
    assert keys(heading) == known - named_by_its_entry
