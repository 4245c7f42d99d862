"""The page about the plan names every key that a plan can have, and no other."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from provisioner.plan.model import Network, Nic, Plan, Switch, Vm
from provisioner.plan.schema.generate import plan_schema
from provisioner.plan.vm import Disk, File

PAGE = "\n" + (Path(__file__).parents[3] / "docs" / "reference" / "plan.md").read_text()
SCHEMA = plan_schema()
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


@pytest.mark.parametrize(
    ("heading", "part"),
    [
        ("## A network", "network"),
        ("### A switch", "switch"),
        ("## A VM", "vm"),
        ("### A disk", "disk"),
        ("### A file", "file"),
        ("## A NIC", "nic"),
    ],
)
def test_the_schema_has_the_keys_of_the_page_and_no_other(heading: str, part: str) -> None:
    form = SCHEMA["$defs"][part]
    (known,) = [one["properties"] for one in (form, *form.get("anyOf", ())) if "properties" in one]
    assert set(known) - OF_THE_FILE == keys(heading)
    assert ("count" in known) == (part == "vm")


def test_the_schema_has_the_sections_of_the_page_and_no_other() -> None:
    assert set(SCHEMA["properties"]) - OF_THE_FILE == keys("# The plan file")
    assert "defaults" in SCHEMA["properties"]


def test_the_keys_of_defaults_are_named() -> None:
    (row,) = re.findall(r"^\| `defaults` \| (.*?) for what", PAGE, re.MULTILINE)
    assert set(re.findall(r"`([a-z_]+)`", row)) == set(
        SCHEMA["properties"]["defaults"]["properties"]
    )
