"""A plan's folder is vmnet's by its mark; what vmnet has not made in it stays."""

from pathlib import Path

import pytest

from provisioner.commands.session import connection_of
from provisioner.commands.target import NameTarget
from provisioner.errors import Exit, VmnetError
from provisioner.host.guest import host_keys
from provisioner.host.inventory import expired
from provisioner.host.system import paths, plan_folders, plan_marks
from provisioner.inventory.plan_mark import PlanMark


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VMNET_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("VMNET_RUN_DIR", str(tmp_path / "run"))
    return paths.home("lab")


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    return path


def files(folder: Path) -> set[Path]:
    return {x for x in folder.rglob("*") if not x.is_dir()}


MINE = (
    *("mine.txt", "disk/mine.qcow2", "disk/.mine.qcow2.part", "seed/mine.iso", "boot/mine"),
    *("console/mine.log", "console/mine.log.1", "node/tap5", "node/tapx", "keys/x/id_ed25519"),
    *("dhcp/mine.conf", "dhcp/lan-0123456789.conf", "dhcp/mine.leases", "other/deep/file"),
)


def test_a_folder_without_the_mark_is_never_touched(home: Path) -> None:
    mine = {put(home / name) for name in (*MINE, ".vmnet")}
    plan_folders.clear("lab")
    assert files(home) == mine
    assert list(plan_folders.foreign("lab")) == [home]


@pytest.mark.parametrize("inside", [(), ("thesis/ch1.txt",)])
def test_a_folder_that_is_there_is_refused_with_a_fix_that_works(
    home: Path, inside: tuple[str, ...]
) -> None:
    home.mkdir(parents=True)
    for name in inside:
        put(home / name)
    with pytest.raises(VmnetError) as refused:
        plan_folders.make(home, "lab")
    assert refused.value.status == Exit.CONFLICT
    assert f"echo lab > {home}/.vmnet" in str(refused.value.fix)
    (home / ".vmnet").write_text("lab\n")
    plan_folders.make(home, "lab")


def test_another_plans_mark_is_none(home: Path) -> None:
    plan_folders.make(home, "lab")
    assert plan_folders.is_marked(home, "lab")
    assert not plan_folders.is_marked(home, "la")


def test_a_mark_is_renewed_and_keeps_its_first_time(home: Path) -> None:
    plan_folders.make(home, "lab")
    made = plan_marks.read(home)
    assert made
    assert made.made > 0
    assert plan_marks.renewed(home, PlanMark("lab", made=1, until=7, file="/lab.yaml"))
    assert plan_marks.read(home) == PlanMark("lab", made.made, 7, "/lab.yaml")
    assert not plan_marks.renewed(home, PlanMark("other"))
    plan_folders.clear("lab")
    assert not home.exists()


def test_a_folder_has_its_expiry_from_its_first_moment_until_it_is_down(home: Path) -> None:
    mark = PlanMark("lab", 5, 7, "/lab.yaml")
    plan_folders.make(home, "lab", mark)
    assert plan_marks.read(home) == mark
    assert (expired.plans(6), expired.plans(7)) == ([], ["lab"])
    put(home / "mine.txt")
    plan_folders.clear("lab")
    assert plan_marks.read(home) == PlanMark("lab", 5, 0, "/lab.yaml")
    assert expired.plans(7) == []


def test_a_plan_without_its_file_is_looked_for_where_its_libvirt_was(home: Path) -> None:
    assert connection_of(NameTarget("lab")) == "auto"
    plan_folders.make(home, "lab", PlanMark("lab", connection="qemu:///session"))
    assert connection_of(NameTarget("lab")) == "qemu:///session"
    assert connection_of(NameTarget("lab", "qemu:///system")) == "qemu:///system"


def test_a_killed_renewal_leaves_nothing_that_stays(home: Path) -> None:
    plan_folders.make(home, "lab")
    (home / ".vmnet.part").write_text("la")
    assert list(plan_folders.foreign("lab")) == []
    plan_folders.clear("lab")
    assert not home.exists()


def test_what_vmnet_made_goes_and_all_else_stays(home: Path) -> None:
    plan_folders.make(home, "lab")
    own = [home / "console" / "a.log", home / "disk" / "a.qcow2", home / "dhcp" / "lan.leases"]
    for path in own:
        plan_folders.own(path)
        put(path)
    put(home / "console" / "a.log.1")
    put(home / "disk" / ".a.qcow2.part")
    host_keys.ensure(home / "keys", "a")
    host_keys.publish(home / "keys", "lab")
    assert list(plan_folders.foreign("lab")) == []
    mine = {put(home / name) for name in MINE}
    (home / "link").symlink_to("/etc")
    assert set(plan_folders.foreign("lab")) == {
        *(x for x in mine if x.parts[len(home.parts)] not in {"keys", "other"}),
        *(home / "keys" / "x", home / "other", home / "link"),
    }
    plan_folders.clear("lab")
    assert files(home) == mine | {home / ".vmnet"}
    assert (home / "link").is_symlink()


def test_a_folder_with_nothing_of_anybody_elses_goes_whole(home: Path) -> None:
    plan_folders.make(home, "lab")
    plan_folders.own(home / "console" / "a.log")
    put(home / "console" / "a.log")
    plan_folders.clear("lab")
    assert list(home.parent.iterdir()) == []


@pytest.mark.parametrize("marked", [False, True])
def test_a_run_killed_while_it_makes_or_removes_a_folder_leaves_nothing(
    home: Path, *, marked: bool
) -> None:
    draft = home.with_name(".lab.new")
    draft.mkdir(parents=True)
    if marked:
        (draft / ".vmnet").write_text("lab\n")
    plan_folders.make(home, "lab")
    assert plan_folders.is_marked(home, "lab")
    draft.mkdir()
    plan_folders.clear("lab")
    assert list(home.parent.iterdir()) == []


@pytest.mark.parametrize("marked", [True, False])
def test_what_somebody_writes_into_a_folder_that_is_put_away_is_found_where_it_was(
    home: Path, *, marked: bool
) -> None:
    draft = home.with_name(".lab.new")  # as it is between the two renames
    put(draft / "mine")
    if marked:
        (draft / ".vmnet").write_text("lab\n")
    plan_folders.clear("lab")
    there = home if marked else draft
    assert files(home.parent) == {there / "mine", *([there / ".vmnet"] if marked else [])}


def test_the_root_of_libvirt_goes_only_when_vmnet_made_it(home: Path) -> None:
    root = paths.libvirt_root("lab")
    put(root / "etc" / "qemu.conf")
    plan_folders.clear_root("lab")
    assert files(root) == {root / "etc" / "qemu.conf"}
    (root / ".vmnet").write_text("lab\n")
    put(root / "mine")
    plan_folders.clear_root("lab")
    assert files(root) == {root / "mine", root / ".vmnet"}
    (root / "mine").unlink()
    plan_folders.clear_root("lab")
    assert not root.exists()
    assert not home.exists()


def test_the_mark_of_a_file_that_was_never_made_is_found_and_taken_away(home: Path) -> None:
    plan_folders.make(home, "lab")
    disk, config = home / "disk/a.qcow2", home / "dhcp/lan-0123456789.conf"
    lease = home / "dhcp/lan.leases"
    for path in (disk, config, lease, home / "console/a.log"):
        plan_folders.own(path)
    marks = [disk.with_name(".a.qcow2.own"), config.with_name(f".{config.name}.own")]
    assert list(plan_folders.drafts(home)) == marks
    for mark in marks:
        plan_folders.discard(mark)
    assert not any(map(plan_folders.is_own, (disk, config, lease)))
    assert plan_folders.is_own(home / "console/a.log")


def test_the_mark_of_a_file_that_is_there_stays(home: Path) -> None:
    plan_folders.make(home, "lab")
    plan_folders.own(home / "disk/a.qcow2")
    put(home / "disk/a.qcow2")
    assert list(plan_folders.drafts(home)) == []
    plan_folders.discard(home / "disk/.a.qcow2.own")
    assert plan_folders.is_own(home / "disk/a.qcow2")


def test_a_draft_goes_with_the_mark_of_the_file_that_it_never_became(home: Path) -> None:
    plan_folders.make(home, "lab")
    plan_folders.own(home / "seed/a.iso")
    draft = put(home / "seed/.a.iso.part")
    assert list(plan_folders.drafts(home)) == [draft]
    plan_folders.discard(draft)
    assert files(home / "seed") == set()


def test_the_draft_of_a_configuration_goes_and_the_configuration_in_use_stays(home: Path) -> None:
    plan_folders.make(home, "lab")
    config = home / "dhcp/lan-1.conf"
    plan_folders.own(config)
    put(config)
    draft = put(plan_folders.draft_of(config))
    assert list(plan_folders.drafts(home)) == [draft]
    plan_folders.discard(draft)
    assert files(home / "dhcp") == {config, config.with_name(f".{config.name}.own")}
