"""Plans that somebody else wrote: none reaches the host, each is refused at its place.

`make test-hostile` gives each of them alone to `plan` and `up`. Here those that are refused by
their text are only loaded, but for some, and those that need the host stand in one plan.
"""

from pathlib import Path

import pytest

from provisioner.errors import Complaints, Exit
from provisioner.plan.load import loader
from tests.hostile import table
from tests.hostile.running import Outcome, Ran, run

TOGETHER = ("files", "texts", "images")
SECRETS = "users:\n  - {name: root, key: hunter2}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    table.fill(tmp_path)
    return tmp_path / "plan"


def outcome(folder: Path, *words: tuple[str, ...]) -> Outcome:
    """Run vmnet; nobody has read what lies beside the plan's folder, or connected to anybody."""
    found = run(folder, words, [folder.parent / "canary"])
    assert found.opened == []
    assert not found.connected
    assert [ran.err for ran in found.runs if "Traceback" in ran.err] == []
    assert not Path("/run/vmnet/stranger").exists()
    assert not Path("/var/lib/vmnet/stranger").exists()
    return found


def assert_refused(ran: Ran, file: str, places: list[str]) -> None:
    assert ran.status == table.BAD_INPUT, ran.err
    assert [place for place in places if not table.refused(ran.err, file, place)] == [], ran.err
    assert table.SECRET not in ran.out + ran.err


def test_there_are_more_than_a_hundred_of_them() -> None:
    rows = table.plans()
    assert len({(row.frame, row.row) for row in rows}) == len(rows)
    assert len(rows) > 200


EARLY = [row for row in table.plans() if row.frame not in {*TOGETHER, "templates"}]


@pytest.mark.parametrize("row", EARLY, ids=lambda row: f"{row.frame}-{row.row[:30]}")
def test_a_hostile_plan_is_refused_at_its_place(row: table.HostilePlan) -> None:
    with pytest.raises(Complaints) as caught:
        loader.load(row.text, "vmnet.yaml")
    assert f"vmnet.yaml:{row.place}" in {str(error.where) for error in caught.value.errors}
    assert caught.value.status is Exit.BAD_INPUT


def test_the_commands_refuse_it_there(folder: Path) -> None:
    rows = EARLY[::12]
    for number, row in enumerate(rows):
        (folder / f"{number}.yaml").write_text(row.text, encoding="utf-8")
    words = [(("plan", "up")[n % 2], f"{n}.yaml") for n in range(len(rows))]
    found = outcome(folder, *words)
    for number, (row, ran) in enumerate(zip(rows, found.runs, strict=True)):
        assert_refused(ran, f"{number}.yaml", [row.place])


@pytest.mark.parametrize("stage", TOGETHER)
def test_what_a_plan_names_is_refused_at_its_place(folder: Path, stage: str) -> None:
    rows = [row for row in table.plans() if row.frame == stage]
    parts = [rows[at : at + 20] for at in range(0, len(rows), 20)]  # complaints that are shown
    plans = [table.together(part) for part in parts]
    for number, (text, _) in enumerate(plans):
        (folder / f"{number}.yaml").write_text(text, encoding="utf-8")
    words = [(word, f"{n}.yaml") for n in range(len(plans)) for word in ("plan", "up")]
    for at, ran in enumerate(outcome(folder, *words).runs):
        assert_refused(ran, f"{at // 2}.yaml", plans[at // 2][1])


def test_a_hostile_template_is_refused_at_its_place(folder: Path) -> None:
    rows = [row for row in table.plans() if row.frame == "templates"][::3]
    for number, row in enumerate(rows):
        (folder / f"{number}.yaml").write_text(row.text, encoding="utf-8")
    found = outcome(folder, *(("render", "--file", f"{n}.yaml") for n in range(len(rows))))
    for number, (row, ran) in enumerate(zip(rows, found.runs, strict=True)):
        assert_refused(ran, f"{number}.yaml", [row.place])


@pytest.mark.parametrize("command", ["plan", "up", "status", "check"])
def test_a_plan_that_is_a_link_out_of_its_folder_is_not_read(folder: Path, command: str) -> None:
    (ran,) = outcome_of_link(folder, command)
    assert ran.status == table.BAD_INPUT
    assert table.SECRET not in ran.out + ran.err
    assert "the plan elsewhere.yaml is a link that leads out of its folder" in ran.err
    assert f"name the file itself: {folder.parent / 'canary'}" in ran.err


def outcome_of_link(folder: Path, command: str) -> list[Ran]:
    return run(folder, [(command, "--file", "elsewhere.yaml")], []).runs


def test_a_link_within_the_folder_is_fine(folder: Path) -> None:
    (folder / "folder" / "real.yaml").write_text("name: Hostile\n")
    (folder / "vmnet.yaml").symlink_to("folder/real.yaml")
    (ran,) = outcome(folder, ("plan",)).runs
    assert ran.err.startswith("vmnet.yaml:1:1: ")
