"""A full or read-only file system is reported as such, whoever met it."""

import errno
import os
from pathlib import Path

import pytest

from provisioner.errors import VmnetError
from provisioner.host.libvirt.errors import converted
from provisioner.host.system import file_errors, programs


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMNET_STATE_DIR", str(tmp_path))


def fault(number: int, path: Path) -> OSError:
    return OSError(number, os.strerror(number), str(path))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_file_system_is_named_by_a_folder_that_df_knows(number: int, tmp_path: Path) -> None:
    error = file_errors.converted(fault(number, tmp_path / "lab" / "x"), "cannot write", tmp_path)
    assert error.what == f"cannot write {tmp_path}/lab/x: {os.strerror(number)}"
    assert error.fix == (
        f"make room there (df -h {tmp_path}; df -i {tmp_path}), "
        "or set VMNET_STATE_DIR to a folder on another file system"
    )


def test_any_other_fault_keeps_the_fix_of_its_place(tmp_path: Path) -> None:
    error = file_errors.converted(
        fault(errno.EACCES, tmp_path), "cannot write", tmp_path, fix="ask"
    )
    assert error.fix == "ask"


def test_a_program_that_found_no_room_says_so_in_the_fix() -> None:
    argv = ["sh", "-c", "echo 'write: No space left on device' >&2; exit 1"]
    with pytest.raises(VmnetError) as caught:
        programs.run(argv, timeout_s=5, fix="vmnet needs OpenSSH's client: openssh-client")
    assert str(caught.value.fix).startswith("make room there (df -h ")


def test_what_libvirt_prints_of_a_program_is_cut_and_the_cause_is_not() -> None:
    words = "LC_ALL=C PATH=/usr/bin " + "HOME=/x " * 200
    said = f"internal error: Child process ({words}) unexpected exit status 1: {{}}"
    full = converted(said.format("write: No space left on device"), "starting")
    assert full.what == (
        "starting: a program ended with exit status 1: write: No space left on device"
    )
    assert str(full.fix).startswith("make room there (df -h ")
    ended = converted("internal error: client socket is closed", "starting")
    assert str(ended.fix).startswith("the libvirt daemon has ended")
