"""Folders of vmnet's that others could change are not worked in."""

import os
from pathlib import Path

import pytest

from provisioner.errors import Exit, VmnetError
from provisioner.host import rights


def refused(folder: Path) -> VmnetError:
    with pytest.raises(VmnetError) as caught:
        rights.require_own_folders(folder)
    assert caught.value.status is Exit.HOST_CANNOT
    return caught.value


def test_what_is_ours_or_not_there_yet_is_fine(tmp_path: Path) -> None:
    rights.require_own_folders(tmp_path, tmp_path / "later")


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
