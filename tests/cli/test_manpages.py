"""The manual pages: they are made from the program itself, and readers find nothing wrong."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioner.cli.completion import index
from provisioner.plan.schema.generate import plan_schema

REPOSITORY = Path(__file__).parents[2]
INDEX = index.read()
HIDDEN = frozenset({"boot devices", "net restore"})


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("man")
    argv = [sys.executable, "tools/manpages.py", str(folder), "2026-11-29"]
    subprocess.run(argv, check=True, cwd=REPOSITORY)
    return {path.name: path.read_text() for path in folder.iterdir()}


def judged(page: str) -> str:
    argv = ["mandoc", "-T", "lint", "-W", "warning"]
    ran = subprocess.run(argv, input=page, capture_output=True, text=True, check=False)
    return ran.stdout + ran.stderr


def shown(page: str) -> str:
    argv = ["mandoc", "-T", "utf8", "-O", "width=200"]
    ran = subprocess.run(argv, input=page, capture_output=True, text=True, check=True)
    return re.sub(r".\x08", "", ran.stdout)  # bold is what is printed twice in one place


def page_of(command: str) -> str:
    return "-".join(("vmnet", *command.split())) + ".1"


def test_each_command_has_a_page_and_each_page_a_command(pages: dict[str, str]) -> None:
    wanted = {page_of(command) for command in INDEX if command not in HIDDEN}
    assert pages.keys() == wanted | {"vmnet.yaml.5"}


def test_each_option_stands_in_the_page_of_its_command(pages: dict[str, str]) -> None:
    for command, entry in INDEX.items():
        if command not in HIDDEN:
            text = shown(pages[page_of(command)])
            missing = [option for option in entry["options"] if option not in text]
            assert missing in ([], ["--help"]), command


def keys(schema: Any) -> Iterator[str]:  # noqa: ANN401  (JSON)
    if isinstance(schema, list):
        for one in schema:
            yield from keys(one)
    elif isinstance(schema, dict):
        yield from schema.get("properties", {})
        for one in schema.values():
            yield from keys(one)


def test_each_key_of_a_plan_stands_in_its_page(pages: dict[str, str]) -> None:
    text = shown(pages["vmnet.yaml.5"])
    known = set(keys(plan_schema()))
    assert len(known) > 60
    assert [key for key in sorted(known) if f" {key}:" not in text] == []


def test_mandoc_finds_nothing_wrong_with_any_page(pages: dict[str, str]) -> None:
    assert {name: said for name, page in pages.items() if (said := judged(page))} == {}


def test_mandoc_does_find_what_is_wrong(pages: dict[str, str]) -> None:
    assert "skipping unknown macro" in judged(f"{pages['vmnet-up.1']}.XY what\n")


def test_text_that_a_reader_could_take_for_a_request_is_shown(pages: dict[str, str]) -> None:
    assert "networks.lan.mode=vepa" in shown(pages["vmnet-up.1"])
    assert "Show what up would do" in shown(pages["vmnet-plan.1"])  # bold instead of backticks
    assert "`" not in shown(pages["vmnet.1"])
