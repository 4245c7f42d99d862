"""The file that names hosts: changed whole, and nothing of it but the plan's own block."""

import os
import subprocess
from pathlib import Path

import pytest

from provisioner.errors import Exit, VmnetError
from provisioner.guest.hosts_block import HostsBlock
from provisioner.host.storage import hosts_file
from provisioner.reconcile.resources import Look

BLOCK = HostsBlock("lab", ("10.0.0.1 a.lab a",))
TEXT = b"127.0.0.1 localhost\n# caf\xe9"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "hosts"
    path.write_bytes(TEXT)
    monkeypatch.setenv("VMNET_HOSTS_FILE", str(path))
    monkeypatch.setenv("VMNET_RUN_DIR", str(tmp_path / "run"))
    return path


def test_a_block_is_made_found_changed_and_deleted(file: Path) -> None:
    hosts_file.create(BLOCK)
    assert list(hosts_file.observe(Look("lab"))) == [BLOCK]
    other = HostsBlock("lab", ("10.0.0.2 a",))
    hosts_file.update(other)
    assert list(hosts_file.observe(Look("lab"))) == [other]
    for _ in range(2):
        hosts_file.delete(other)
        assert file.read_bytes() == TEXT
    assert list(hosts_file.observe(Look("lab"))) == []
    assert sorted(one.name for one in file.parent.iterdir()) == ["hosts", "run"]


def test_mode_owner_and_a_link_to_the_file_stay(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = file.with_name("link")
    link.symlink_to(file)
    monkeypatch.setenv("VMNET_HOSTS_FILE", str(link))
    os.chown(file, 65534, 65534)
    file.chmod(0o640)
    before = file.stat()
    hosts_file.create(BLOCK)
    after = file.stat()
    assert (after.st_uid, after.st_gid, after.st_mode) == (65534, 65534, before.st_mode)
    assert after.st_ino != before.st_ino  # replaced whole: nobody reads half of it
    assert link.is_symlink()


def test_a_file_that_is_a_mount_is_written_in_place(file: Path) -> None:
    other = file.with_name("mounted")
    other.write_bytes(TEXT)
    subprocess.run(["mount", "--bind", other, file], check=True)
    try:
        hosts_file.create(BLOCK)
        assert other.read_bytes().endswith(b"# vmnet end lab\n")
        hosts_file.delete(BLOCK)
        assert other.read_bytes() == TEXT
    finally:
        subprocess.run(["umount", file], check=True)


def test_marks_that_somebody_has_edited_are_told_and_nothing_is_changed(file: Path) -> None:
    broken = TEXT + b"\n# vmnet begin lab\n10.0.0.1 a\n"
    file.write_bytes(broken)
    for change in (hosts_file.create, hosts_file.delete):
        with pytest.raises(VmnetError, match="are not one pair: somebody has edited") as refused:
            change(BLOCK)
        assert refused.value.status is Exit.CONFLICT
    assert file.read_bytes() == broken
    assert list(hosts_file.observe(Look("lab"))) == []
