"""The users of guests on a real host: who else has them, and what belongs to them."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from provisioner import naming
from provisioner.errors import VmnetError
from provisioner.guest.domain import Domain, DomainDisk
from provisioner.guest.jail.user import DEFAULT, GuestUsers
from provisioner.host.jail import folders, users
from tests.builders.domain import WEB

UID, OTHER = 2_001_000_007, 2_001_000_008


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that everybody may walk through, which pytest's own are not."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def home(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VMNET_STATE_DIR", str(place))
    monkeypatch.setenv("VMNET_CONFIG", str(place / "config.yaml"))
    return place / "lab"


def may(uid: int, what: str, path: Path) -> bool:
    ids = [f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    return subprocess.run(["setpriv", *ids, "test", what, path], check=False).returncode == 0


def guest(home: Path, uid: int) -> Domain:
    for name in ("disk/web.qcow2", "seed/web.iso", "boot/web.nvram", "boot/kernel-ab"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        if not (home / name).exists():
            (home / name).touch(0o600)
    disk = DomainDisk(str(home / "disk" / "web.qcow2"), "qcow2")
    return replace(
        WEB,
        home=str(home),
        disks=(disk,),
        seed=str(home / "seed" / "web.iso"),
        nvram=str(home / "boot" / "web.nvram"),
        kernel=str(home / "boot" / "kernel-ab"),
        uid=uid,
        gid=uid,
    )


def test_a_guests_files_are_its_users_alone_and_a_shared_kernel_is_read_by_both(home: Path) -> None:
    domain = guest(home, UID)
    users.hand_over(domain, None)
    own = [Path(domain.disks[0].path), Path(str(domain.seed)), Path(domain.nvram)]
    assert [may(UID, "-w", path) for path in own] == [True, True, True]
    assert [may(OTHER, "-r", path) for path in own] == [False, False, False]
    kernel = Path(domain.kernel)
    assert [may(uid, "-r", kernel) for uid in (UID, OTHER, 65534)] == [True, False, False]
    users.hand_over(replace(guest(home, OTHER), disks=(), seed=None, nvram=""), None)
    assert [may(uid, "-r", kernel) for uid in (UID, OTHER, 65534)] == [True, True, False]
    assert [may(uid, "-w", kernel) for uid in (UID, OTHER)] == [False, False]


def test_what_is_not_below_the_plans_folder_and_what_is_a_link_is_not_given_away(
    home: Path, place: Path
) -> None:
    domain = guest(home, UID)
    other = place / "elsewhere"
    other.touch(0o600)
    users.hand_over(replace(domain, seed=str(other)), None)
    assert other.stat().st_uid == 0
    Path(str(domain.seed)).unlink()
    Path(str(domain.seed)).symlink_to(other)
    with pytest.raises(VmnetError, match="cannot give to its guest"):
        users.hand_over(domain, None)
    assert other.stat().st_uid == 0


@contextmanager
def running_as(uid: int, name: str) -> Iterator[None]:
    argv = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--"]
    words = ["sh", "-c", "echo ready; read x", "-name", f"guest={name},debug-threads=on"]
    with subprocess.Popen([*argv, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stdin
        child.stdout.readline()
        yield
        child.stdin.close()


def test_who_else_has_a_user_is_told(home: Path) -> None:
    wanted = {"web": UID, "db": OTHER}
    assert users.taken(wanted, "lab") == {}
    theirs = home.parent / "other" / "disk" / "x.qcow2"
    theirs.parent.mkdir(parents=True)
    theirs.touch()
    os.chown(theirs, OTHER, OTHER)
    with running_as(UID, "more-web"):
        found = users.taken(wanted, "lab")
        assert found[UID].startswith("the process ")
        assert found[OTHER] == f"another plan: {theirs}"
    with running_as(UID, "lab-web"):
        assert users.taken({"web": UID}, "lab") == {}
    assert users.taken({"web": 65534}, "lab")[65534].endswith("in the user database")


def test_the_range_is_roots_choice_and_a_file_of_anybodys_is_not_read(home: Path) -> None:
    config = home.parent / "config.yaml"
    assert users.available() == GuestUsers(DEFAULT, users._kvm_group())
    config.write_text("guest_users: 50000-59999\n")
    found = users.available()
    assert found
    assert (found.uids, users.prober()[0]) == (range(50000, 60000), 50000)
    assert naming.guest_uid("lab", "web", found.uids) in found.uids
    config.write_text("guest_users: off\n")
    assert users.available() is None
    assert users.prober() == users.shared()
    for text, said in (
        ("guest_users: 1-2", "not a range of users"),
        ("guests: x", "guests, which vmnet does not know"),
        ("[", "is not YAML"),
    ):
        config.write_text(text)
        with pytest.raises(VmnetError, match=said):
            users.available()
    config.write_text("guest_users: off\n")
    config.chmod(0o666)
    with pytest.raises(VmnetError, match="others than you could change"):
        users.available()


def test_libvirts_folders_belong_to_root_and_no_link_of_a_guests_is_followed(
    place: Path,
) -> None:
    lib, victim = place / "lib" / "qemu", place / "victim"
    target = lib / "channel" / "target"
    victim.mkdir(0o750)
    for folder in (target / "domain-1-lab-web", lib / "domain-1-lab-web", lib / "save"):
        folder.mkdir(parents=True)
    (lib / "domain-2-lab-db").symlink_to(victim)
    (target / "domain-2-lab-db").symlink_to(victim)
    for path in (lib, *lib.rglob("*")):
        os.chown(path, UID, UID, follow_symlinks=False)
    folders.take_back(lib)
    assert may(UID, "-w", lib) is may(UID, "-w", target) is may(UID, "-w", lib / "save") is False
    assert may(UID, "-x", lib / "domain-1-lab-web") is False
    assert may(UID, "-x", target / "domain-1-lab-web") is False
    assert (victim.stat().st_uid, victim.stat().st_mode & 0o777) == (0, 0o750)


def test_only_the_folders_of_the_domain_that_was_started_are_taken(tmp_path: Path) -> None:
    lib = tmp_path / "qemu"
    # libvirt's numbers and names, which it cuts short: siblings that are started side by side.
    names = ("domain-1-lab-web1", "domain-12-lab-web10", "domain-3-lab-web", "domain-2-lab-web10")
    for name in names:
        (lib / name).mkdir(parents=True)
        os.chown(lib / name, UID, UID)
    folders.take_started(lib, 12)
    assert [(lib / name).stat().st_uid for name in names] == [UID, 0, UID, UID]
