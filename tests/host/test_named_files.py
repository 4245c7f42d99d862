"""The files that a plan names for its guests: read from real folders, and refused with a place."""

import os
from pathlib import Path

import pytest

from provisioner.core.planfile import load
from provisioner.core.texts import Own, Texts
from provisioner.errors import Complaints, Exit
from provisioner.flow import named

PLAN = """\
name: lab
networks: {{lan: {{uplink: eno1}}}}
vms:
  web:
    image: debian-12
    nics: [lan]
    {inside}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "plan").mkdir()
    (tmp_path / "outside").write_text("secret")
    return tmp_path / "plan"


def texts(folder: Path, inside: str) -> Texts:
    file = folder / "p.yaml"
    return named.texts(load(PLAN.format(inside=inside), str(file)))


def complaints(folder: Path, inside: str) -> list[str]:
    with pytest.raises(Complaints) as refused:
        texts(folder, inside)
    assert refused.value.status is Exit.BAD_INPUT
    return [
        f"{error.where}: {error.what}".removeprefix(f"{folder}/") for error in refused.value.errors
    ]


def test_what_the_plan_names_is_read_from_beside_it(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "motd").write_bytes("é\r\n".encode())
    (folder / "own").write_text("#!/bin/sh\n")
    inside = "cloud_init: own\n    files: [{path: /etc/motd, source: ./sub/motd}]"
    assert texts(folder, inside) == Texts(
        {"./sub/motd": "é\r\n"}, {"own": Own("x-shellscript", "#!/bin/sh\n")}
    )


def test_ignition_is_read_as_it_is(folder: Path) -> None:
    (folder / "core.ign").write_text('{"ignition": {"version": "3.4.0"}}')
    assert texts(folder, "ignition: core.ign").files == {
        "core.ign": '{"ignition": {"version": "3.4.0"}}'
    }


def test_user_data_may_be_shared_by_plans_in_other_folders(folder: Path) -> None:
    (folder.parent / "outside").write_text("#!/bin/sh\n")
    assert set(texts(folder, "cloud_init: ../outside").own) == {"../outside"}


def test_a_password_is_hashed_for_its_guest(folder: Path) -> None:
    assert set(texts(folder, "password: x").hashes) == {"web"}
    inside = "count: 2\n    password: x"
    hashes = texts(folder, inside).hashes
    assert (set(hashes), hashes["web1"] == hashes["web2"]) == ({"web1", "web2"}, False)


SOURCE = "files: [{{path: /a, source: {}}}]"
PLACE = "p.yaml:7:32: "


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("../outside", "../outside does not lie below the folder of the plan"),
        ("link", "link does not lie below the folder of the plan"),
        ("/etc/passwd", "/etc/passwd does not lie below the folder of the plan"),
        ("/proc/self/environ", "/proc/self/environ does not lie below the folder of the plan"),
        ("/dev/zero", "/dev/zero is no regular file"),
        ("pipe", "pipe is no regular file"),
        (".", ". is no regular file"),
        ("nothing", "cannot read nothing: No such file or directory"),
        ("large", "large is larger than 64 KiB"),
        ("latin", "latin is not UTF-8 text: line 1, column 2"),
        ("loop", "cannot read loop: Too many levels of symbolic links"),
        ("x" * 300, f"cannot read {'x' * 119}…: File name too long"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_with_its_place(
    folder: Path, written: str, said: str
) -> None:
    (folder / "link").symlink_to("../outside")
    (folder / "loop").symlink_to("loop")
    (folder / "large").write_bytes(b"x" * (64 * 1024 + 1))
    (folder / "latin").write_bytes(b"a\xe9")
    os.mkfifo(folder / "pipe")
    assert complaints(folder, SOURCE.format(written)) == [PLACE + said]


@pytest.mark.parametrize("key", ["cloud_init", "ignition"])
def test_another_file_of_the_host_is_neither_taken_nor_shown(folder: Path, key: str) -> None:
    with pytest.raises(Complaints) as refused:
        texts(folder, f"{key}: ../outside")
    (error,) = refused.value.errors
    assert "secret" not in f"{error.what} {error.fix} {error.where!r}"
    assert str(error.where) == f"{folder}/../outside:1:1"


def test_user_data_is_no_larger_than_half_a_mebibyte(folder: Path) -> None:
    (folder / "own").write_text("#!/bin/sh\n" + "#" * 512 * 1024)
    assert complaints(folder, "cloud_init: own") == ["p.yaml:7:17: own is larger than 512 KiB"]


def test_all_that_is_wrong_is_told_at_once_and_once(folder: Path) -> None:
    (folder / "own").write_text("#cloud-config\nruncmd: x\nuser: y\n")
    inside = "count: 3\n    cloud_init: own\n    files: [{path: /a, source: b}]"
    assert complaints(folder, inside) == [
        "own:2:1: runcmd is no list, and vmnet has something to add to it",
        "own:3:1: user: stands here, and vmnet would not know whom to log in as",
        "p.yaml:9:32: cannot read b: No such file or directory",
    ]
