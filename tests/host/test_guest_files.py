"""The files that a plan names for its guests: read from real folders, and refused with a place."""

import os
import stat
from pathlib import Path

import pytest

from provisioner.commands import plan_files as planned
from provisioner.commands.target import PlanTarget
from provisioner.errors import Complaints, Exit
from provisioner.guest.userdata import Own, Texts
from provisioner.host.system import plan_files
from provisioner.host.system.plan_files import Fence
from provisioner.plan.load.loader import load

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


def texts(folder: Path, inside: str, *allowed: Path) -> Texts:
    file = folder / "p.yaml"
    loaded = load(PLAN.format(inside=inside), str(file))
    return planned.texts(PlanTarget("lab", loaded.plan, loaded.places, folder, allowed=allowed))


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


def test_user_data_is_shared_by_plans_in_other_folders_where_that_is_allowed(folder: Path) -> None:
    outside = folder.parent / "outside"
    outside.write_text("#!/bin/sh\n")
    (folder / "link").symlink_to(outside)
    for written in ("../outside", str(outside), "link"):
        for allowed in (outside, folder.parent):
            assert set(texts(folder, f"cloud_init: {written}", allowed).own) == {written}
    (folder.parent / "beside").mkdir()
    with pytest.raises(Complaints, match="lies outside the folder of the plan"):
        texts(folder, "cloud_init: ../outside", folder.parent / "beside", folder.parent / "out")


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
        ("../outside", 'the source "../outside" lies outside the folder of the plan'),
        ("link", 'the source "link" lies outside the folder of the plan'),
        ("folder/outside", 'the source "folder/outside" lies outside the folder of the plan'),
        ("/etc/passwd", 'the source "/etc/passwd" lies outside the folder of the plan'),
        (
            "/proc/self/environ",
            'the source "/proc/self/environ" lies outside the folder of the plan',
        ),
        (
            "/proc/self/root/etc/passwd",
            'the source "/proc/self/root/etc/passwd" lies outside the folder of the plan',
        ),
        ("/dev/zero", 'the source "/dev/zero" lies outside the folder of the plan'),
        ("endless", 'the source "endless" is not a regular file'),
        ("pipe", 'the source "pipe" is not a regular file'),
        (".", 'the source "." is not a regular file'),
        ("nothing", 'the source "nothing" cannot be used: No such file or directory'),
        ("large", "large is larger than 64 KiB"),
        ("latin", "latin is not UTF-8 text (line 1, column 2)"),
        ("loop", 'the source "loop" cannot be used: Too many levels of symbolic links'),
        ("x" * 300, f'the source "{"x" * 119}…" cannot be used: File name too long'),
    ],
)
def test_a_file_that_cannot_be_used_is_told_with_its_place(
    folder: Path, written: str, said: str
) -> None:
    (folder / "link").symlink_to("../outside")
    (folder / "folder").symlink_to("..")
    os.mknod(folder / "endless", 0o600 | stat.S_IFCHR, os.makedev(1, 5))
    (folder / "loop").symlink_to("loop")
    (folder / "large").write_bytes(b"x" * (64 * 1024 + 1))
    (folder / "latin").write_bytes(b"a\xe9")
    os.mkfifo(folder / "pipe")
    assert complaints(folder, SOURCE.format(written)) == [PLACE + said]


@pytest.mark.parametrize("key", ["cloud_init", "ignition"])
def test_another_file_of_the_host_is_neither_taken_nor_shown(folder: Path, key: str) -> None:
    (folder.parent / "outside").write_text("#cloud-config\nuser: secret\n")
    with pytest.raises(Complaints) as refused:
        texts(folder, f"{key}: ../outside")
    (error,) = refused.value.errors
    assert "secret" not in f"{error.what} {error.fix} {error.where!r}"
    assert str(error.where) == f"{folder}/p.yaml:7:{len(key) + 7}"
    assert error.fix
    assert error.fix.endswith(f"--allow-file {folder.parent}/outside")


def test_no_line_is_quoted_of_a_file_outside_that_is_allowed(folder: Path) -> None:
    outside = folder.parent / "outside"
    outside.write_text("#cloud-config\nuser: secret\n")
    with pytest.raises(Complaints) as refused:
        texts(folder, "cloud_init: ../outside", outside)
    (error,) = refused.value.errors
    assert str(error.where) == f"{folder}/../outside:2:1"
    assert "secret" not in f"{error.what} {error.fix} {error.where!r}"
    (folder / "own").write_text(outside.read_text())
    with pytest.raises(Complaints) as refused:
        texts(folder, "cloud_init: own")
    assert "user: secret" in repr(refused.value.errors[0].where)


def test_a_name_that_is_a_descriptor_is_judged_by_what_it_leads_to(folder: Path) -> None:
    (folder / "own").write_text("#!/bin/sh\n")
    for path, taken in ((folder / "own", True), (folder.parent / "outside", False)):
        with path.open() as file:
            written = f"/proc/self/fd/{file.fileno()}"
            if taken:
                assert set(texts(folder, f"cloud_init: {written}").own) == {written}
                continue
            with pytest.raises(Complaints, match="lies outside the folder of the plan"):
                texts(folder, f"cloud_init: {written}")


def test_the_plans_folder_may_be_a_link(folder: Path) -> None:
    (folder / "own").write_text("#!/bin/sh\n")
    (folder.parent / "short").symlink_to(folder)
    short = folder.parent / "short"
    assert set(texts(short, "cloud_init: own").own) == {"own"}
    with pytest.raises(Complaints, match="lies outside the folder of the plan"):
        texts(short, "cloud_init: ../outside")


def test_a_link_that_is_exchanged_meanwhile_changes_nothing(folder: Path) -> None:
    (folder / "own").write_text("ours")
    (folder / "link").symlink_to("own")
    with plan_files.opened(Fence(folder), "kernel", "link") as found:
        (folder / "link").unlink()
        (folder / "link").symlink_to("../outside")
        assert (found.itself.read_text(), found.outside) == ("ours", False)
        (folder / "own").rename(folder / "moved")
        (folder / "own").symlink_to("../outside")
        assert found.itself.read_text() == "ours"


def test_user_data_is_no_larger_than_half_a_mebibyte(folder: Path) -> None:
    (folder / "own").write_text("#!/bin/sh\n" + "#" * 512 * 1024)
    assert complaints(folder, "cloud_init: own") == ["p.yaml:7:17: own is larger than 512 KiB"]


def test_all_that_is_wrong_is_told_at_once_and_once(folder: Path) -> None:
    (folder / "own").write_text("#cloud-config\nruncmd: x\nuser: y\n")
    inside = "count: 3\n    cloud_init: own\n    files: [{path: /a, source: b}]"
    assert complaints(folder, inside) == [
        "own:2:1: runcmd is not a list, and vmnet has something to add to it",
        "own:3:1: user: stands here, and vmnet would not know whom to log in as",
        'p.yaml:9:32: the source "b" cannot be used: No such file or directory',
    ]
