"""Folders of vmnet's that others could change are not worked in."""

import os
from pathlib import Path

import pytest

from provisioner.errors import Exit, VmnetError
from provisioner.host.libvirt import embedded, privileges


def refused(folder: Path) -> VmnetError:
    with pytest.raises(VmnetError) as caught:
        privileges.require_own_folders(folder)
    assert caught.value.status is Exit.HOST_CANNOT
    return caught.value


def test_what_is_ours_or_not_there_yet_is_fine(tmp_path: Path) -> None:
    privileges.require_own_folders(tmp_path, tmp_path / "later")


@pytest.mark.parametrize("mode", [0o777, 0o1777])
def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    error = refused(tmp_path)
    assert str(tmp_path) in error.what
    assert error.fix
    assert f"chmod o-w {tmp_path}" in error.fix


def test_somebody_elses_folder_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    assert "owner 65534" in refused(tmp_path).what


def test_a_link_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    assert "link is a symbolic link" in refused(tmp_path / "link").what


def test_a_file_in_the_folders_place_is_refused_with_a_fix_that_fits(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told = refused(tmp_path / "file")
    assert told.what.endswith("file is a file, and vmnet needs a folder there")
    assert str(told.fix).startswith(f"move it away (mv {tmp_path / 'file'} ")


@pytest.fixture
def opened(tmp_path: Path) -> Path:
    """The folders of a plan, as a vmnet of before made them under umask 000."""
    for name in ("home/disk", "home/dhcp", "root/etc", "root/run/qemu", "root/lib/qemu/save"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("root/etc/qemu.conf", "home/dhcp/lan-1.conf"):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o666)
    (tmp_path / "root" / "run" / "qemu" / "web.xml").write_text("")
    owner = embedded.owner()
    assert owner
    (tmp_path / "home" / "disk" / "web.qcow2").write_text("")
    (tmp_path / "home" / "dhcp" / "lan-1.pid").write_text("1")
    os.chown(tmp_path / "home" / "dhcp" / "lan-1.pid", 65534, 65534)
    for name in ("home/disk/web.qcow2", "root/lib/qemu", "root/lib/qemu/save"):
        os.chown(tmp_path / name, *owner)
    for path in (tmp_path, *tmp_path.rglob("*")):
        if path.is_dir():
            path.chmod(0o777)
    return tmp_path


def close(folder: Path) -> None:
    privileges.close_own_folders(folder / "home", folder / "root", folder)


def test_folders_of_a_run_under_umask_000_are_closed_where_nobody_has_used_them(
    opened: Path,
) -> None:
    close(opened)
    ours = [p for p in (opened, *opened.rglob("*")) if p.is_dir() and p.stat().st_uid == 0]
    assert {oct(path.stat().st_mode & 0o777) for path in ours} == {"0o755"}
    privileges.require_own_folders(opened, opened / "home", opened / "root")


@pytest.mark.parametrize(
    "name",
    [
        "root/run/qemu/evil.xml",
        "root/etc/qemu/autostart",
        "home/dhcp/a.conf",
        "root/lib/qemu/save/x",
    ],
)
def test_what_somebody_else_has_put_there_is_named_and_nothing_is_trusted(
    opened: Path, name: str
) -> None:
    (opened / name).parent.mkdir(exist_ok=True)
    (opened / name).symlink_to("/etc")
    os.chown(opened / name, 65534, 65534, follow_symlinks=False)
    with pytest.raises(VmnetError, match="may be theirs") as caught:
        close(opened)
    assert str(opened / name) in caught.value.what
    assert caught.value.fix
    assert caught.value.fix.endswith(f"rm -r {opened / name}")
    (opened / name).unlink()
    close(opened)


def test_qemus_user_has_nothing_beside_the_files_that_libvirt_obeys(opened: Path) -> None:
    owner = embedded.owner()
    assert owner
    (opened / "root" / "run" / "qemu" / "evil.xml").write_text("")
    os.chown(opened / "root" / "run" / "qemu" / "evil.xml", *owner)
    with pytest.raises(VmnetError, match="may be theirs"):
        close(opened)


def test_a_file_of_roots_that_everybody_could_write_to_is_not_trusted(opened: Path) -> None:
    (opened / "root" / "run" / "qemu" / "web.xml").chmod(0o666)
    with pytest.raises(VmnetError, match="may be theirs"):
        close(opened)
