"""Files that a plan names besides itself: found or refused, each at its place in the plan."""

import hashlib
import os
import stat
from pathlib import Path

import pytest

from provisioner.commands import plan_files
from provisioner.commands.target import PlanTarget
from provisioner.errors import Complaints, Exit
from provisioner.guest.boot import BootFile
from provisioner.plan.load.loader import load

HEAD = "name: lab\nnetworks: {lan: {switch: true, subnet: 10.77.0.0/24}}\n"


def target(folder: Path, words: str, *allowed: Path) -> PlanTarget:
    text = f"{HEAD}vms: {{web: {{nics: [lan], {words}}}}}"
    loaded = load(text, "lab.yaml")
    return PlanTarget(loaded.plan.name, loaded.plan, loaded.places, folder, allowed=allowed)


def refused(folder: Path, words: str) -> list[tuple[str, str | None, Exit]]:
    with pytest.raises(Complaints) as caught:
        plan_files.files(target(folder, words))
    return [(f"{e.where}: {e.what}", e.fix, e.status) for e in caught.value.errors]


def test_files_are_found_from_the_plans_folder_on(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "bzImage").write_bytes(b"kernel")
    (tmp_path / "data.img").write_bytes(b"")
    found = plan_files.files(
        target(tmp_path, "kernel: out/bzImage, disks: [1G, {path: data.img, format: raw}]")
    )
    digest = hashlib.sha256(b"kernel").hexdigest()
    assert found["web", "kernel"] == BootFile(str(tmp_path / "out" / "bzImage"), digest)
    assert found["web", "disks/1"].path == str(tmp_path / "data.img")
    assert ("web", "disks/0") not in found


def test_another_content_is_another_digest(tmp_path: Path) -> None:
    kernel = tmp_path / "k"
    kernel.write_bytes(b"one")
    one = plan_files.files(target(tmp_path, "kernel: k"))
    kernel.write_bytes(b"two")
    assert plan_files.files(target(tmp_path, "kernel: k")) != one


def test_a_file_that_is_not_there_is_told_at_its_place(tmp_path: Path) -> None:
    assert refused(tmp_path, "kernel: nope") == [
        (
            'lab.yaml:3:34: the kernel "nope" cannot be used: No such file or directory',
            f"write its path from {tmp_path} on, or fix its permissions",
            Exit.BAD_INPUT,
        )
    ]


@pytest.mark.parametrize("kind", ["folder", "fifo", "device", "loop"])
def test_what_is_no_regular_file_is_no_kernel(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "k"
    match kind:
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "device":
            os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))
        case _:
            path.symlink_to(path)
    ((what, _, status),) = refused(tmp_path, "kernel: k")
    assert 'the kernel "k"' in what
    assert status is Exit.BAD_INPUT


SECRET_DISK = bytes(446) + bytes([0x80, 0, 0, 0, 0x83, 0, 0, 0, 1, 0, 0, 0, 1]) + bytes(3)
SECRET_DISK = SECRET_DISK.ljust(510, b"\0") + b"\x55\xaa" + bytes(1024)

KINDS = {
    "kernel": "kernel: {}",
    "initrd": "kernel: k, initrd: {}",
    "ignition": "kernel: k, ignition: {}",
    "template": "template: {}",
    "disk": "disks: [{{path: {}, format: raw}}]",
    "image": "image: 'file:{}'",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", ["secret", "../secret", "link", "folder/secret"])
def test_no_file_is_taken_from_outside_the_plans_folder(
    tmp_path: Path, kind: str, path: str
) -> None:
    folder = tmp_path / "plan"
    folder.mkdir()
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET_DISK)
    (folder / "k").write_text("kernel")
    (folder / "link").symlink_to(secret)
    (folder / "folder").symlink_to("..")
    written = str(secret) if path == "secret" else path
    words = KINDS[kind].format(written)
    ((what, fix, _),) = refused(folder, words)
    assert what.endswith(f'the {kind} "{written}" lies outside the folder of the plan')
    assert fix
    assert fix.endswith(f"--allow-file {secret}")
    for allowed in (secret, tmp_path):
        plan_files.files(target(folder, words, allowed))


def test_a_device_is_for_the_operator_to_allow(tmp_path: Path) -> None:
    device = Path(f"/dev/.{tmp_path.name}-{os.getpid()}")
    os.mknod(device, 0o600 | stat.S_IFBLK, os.makedev(7, 255))
    try:
        words = f"disks: [{{device: {device}}}]"
        ((what, fix, _),) = refused(tmp_path, words)
        assert what.endswith(f'the device "{device}" lies outside the folder of the plan')
        assert fix
        assert fix.endswith(f"--allow-file {device}")
        found = plan_files.files(target(tmp_path, words, device))
        assert found["web", "disks/0"].path == str(device)
    finally:
        device.unlink()


def test_a_device_has_to_be_a_block_device(tmp_path: Path) -> None:
    with pytest.raises(Complaints) as caught:
        plan_files.files(target(tmp_path, "disks: [{device: /dev/null}]", Path("/dev/null")))
    assert [(f"{e.where}: {e.what}", e.fix, e.status) for e in caught.value.errors] == [
        (
            'lab.yaml:3:34: the device "/dev/null" is not a block device',
            "see: lsblk, and ls -l /dev/disk/by-id",
            Exit.BAD_INPUT,
        )
    ]


def test_a_template_of_a_gigabyte_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "t.j2").open("wb") as file:
        file.truncate(1 << 30)
    ((what, fix, _),) = refused(tmp_path, "template: t.j2")
    assert what.endswith('the template "t.j2" has 1073741824 bytes')
    assert fix == "262144 bytes are the most"
