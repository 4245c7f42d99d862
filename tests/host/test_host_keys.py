"""The ssh host keys of a plan's guests, judged by OpenSSH itself."""

import subprocess
import threading
from pathlib import Path
from stat import S_IMODE

import pytest

from provisioner.errors import VmnetError
from provisioner.host.guest import host_keys


def modes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): f"{S_IMODE(path.lstat().st_mode):04o}"
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "lab" / "keys"


def test_a_key_pair_is_made_once_and_nobody_else_may_read_it(folder: Path) -> None:
    made = host_keys.ensure(folder, "web")
    assert host_keys.ensure(folder, "web") == made
    assert modes(folder.parent) == {
        "keys": "0700",
        "keys/web": "0700",
        "keys/web/key": "0600",
        "keys/web/key.pub": "0644",
    }
    argv = ["ssh-keygen", "-y", "-f", str(folder / "web" / "key")]
    ran = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert ran.stdout.split()[:2] == made.public.split()[:2]
    assert made.public.startswith("ssh-ed25519 ")


def test_what_a_killed_run_left_is_cleared_away(folder: Path) -> None:
    (folder / ".web.part").mkdir(parents=True)
    folder.chmod(0o700)
    (folder / ".web.part" / "key").write_text("half a key")
    host_keys.ensure(folder, "web")
    assert [path.name for path in folder.iterdir()] == ["web"]


def test_a_removed_key_is_gone_and_the_next_is_another(folder: Path) -> None:
    before = host_keys.ensure(folder, "web")
    host_keys.remove(folder, "web")
    host_keys.remove(folder, "web")
    assert list(folder.iterdir()) == []
    assert host_keys.ensure(folder, "web") != before


def test_keys_are_not_put_where_others_can_read_them(folder: Path) -> None:
    folder.mkdir(parents=True, mode=0o755)
    with pytest.raises(VmnetError, match="others may get at them"):
        host_keys.ensure(folder, "web")
    folder.rmdir()
    folder.symlink_to("/tmp")  # noqa: S108
    with pytest.raises(VmnetError, match="others may get at them"):
        host_keys.ensure(folder, "web")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "lab").write_text("a file")
    with pytest.raises(VmnetError, match="cannot make the ssh host key of web"):
        host_keys.ensure(tmp_path / "lab" / "keys", "web")


def test_ssh_finds_every_guest_in_the_known_hosts_of_its_plan(folder: Path) -> None:
    made = {vm: host_keys.ensure(folder, vm) for vm in ("web", "db")}
    path = host_keys.publish(folder, "lab")
    assert path == host_keys.known_hosts(folder)
    assert S_IMODE(path.stat().st_mode) == 0o644  # ssh -F reads it as whoever runs it
    for vm, key in made.items():
        argv = ["ssh-keygen", "-F", f"vmnet:lab:{vm}", "-f", str(path)]
        found = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        assert found.splitlines()[1].split()[1:] == key.public.split()[:2]
    host_keys.remove(folder, "db")
    host_keys.publish(folder, "lab")
    assert [line.split()[0] for line in path.read_text().splitlines()] == ["vmnet:lab:web"]


def test_guests_that_start_side_by_side_are_all_known(folder: Path) -> None:
    vms = [f"vm{number}" for number in range(8)]
    host_keys.ensure(folder, "first")

    def start(vm: str) -> None:
        host_keys.ensure(folder, vm)
        host_keys.publish(folder, "lab")

    threads = [threading.Thread(target=start, args=(vm,)) for vm in vms]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    known = host_keys.known_hosts(folder).read_text().splitlines()
    assert sorted(line.split()[0] for line in known) == sorted(
        f"vmnet:lab:{vm}" for vm in [*vms, "first"]
    )
    assert sorted(path.name for path in folder.parent.iterdir()) == ["keys", "known_hosts"]
