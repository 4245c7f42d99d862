"""Which words of a command line name its plan, when another host gets it by standard input."""

from pathlib import Path

import pytest

from provisioner.cli.fabric.one_host import with_input
from provisioner.errors import VmnetError


@pytest.mark.parametrize(
    ("words", "given", "plan"),
    [
        ("up lab.yaml --json", "up - --json", "lab.yaml"),
        ("up --file lab", "up --file -", "lab"),
        ("status -p lab.yml", "status -p -", "lab.yml"),
        ("snapshot save one -f lab.yaml", "snapshot save one -f -", "lab.yaml"),
        ("up --set a=b.yaml", "up --set a=b.yaml", None),
        ("down --name lab", "down --name lab", None),
        ("host-facts", "host-facts", None),
    ],
)
def test_a_plan_becomes_standard_input(
    words: str, given: str, plan: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert with_input(words.split()) == (given.split(), plan and Path(plan))


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ("up", "up --file -"),
        ("up -", "up -"),
        ("snapshot save one", "snapshot save --file - one"),
        ("up --help", "up --help"),
        ("down --name lab", "down --name lab"),
        ("host-facts", "host-facts"),
    ],
)
def test_the_plan_of_this_folder_is_the_one_that_is_meant(
    words: str, given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vmnet.yaml").touch()
    assert with_input(words.split())[0] == given.split()


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ("ssh web", "has the terminal for itself"),
        ("up a.yaml -f b.yaml", "2 plan files are named"),
        ("frob", '"frob" is no command'),
        ("", '"" is no command'),
    ],
)
def test_what_another_host_cannot_be_given_is_refused(words: str, what: str) -> None:
    with pytest.raises(VmnetError, match=what):
        with_input(words.split())
