"""Plans that somebody else wrote, given to the real `vmnet` as root: what they must not reach."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.framework import forked

HOUSE = Path(__file__).parents[2]
VMNET = forked.program()
PLAN = """\
name: hostile
networks: {lan: {switch: true, subnet: 10.91.0.0/24}}
vms:
  a:
    nics: [lan]
"""


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str


def vmnet(*words: str, cwd: Path, **environment: str) -> Ran:
    """Run vmnet in a fresh network and mount namespace."""
    ran = subprocess.run(
        ["unshare", "-mn", *VMNET, *words],
        cwd=cwd,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(HOUSE), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in ran.stderr
    return Ran(ran.returncode, ran.stdout, ran.stderr)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "plan").mkdir()
    return tmp_path / "plan"


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    yield
    for place in ("/run/vmnet/hostile", "/var/lib/vmnet/hostile", "/run/vmnet/hostile.lock"):
        assert not Path(place).exists()


@pytest.fixture
def hostile_root(tmp_path: Path) -> Path:
    """A root for the embedded libvirt, as its driver would obey it: a domain that starts at once.

    It belongs to somebody without rights; the domain's "emulator" writes down who runs it.
    """
    root = tmp_path / "root"
    emulator = tmp_path / "emulator"
    emulator.write_text(f'#!/bin/sh\nid -u >>{root}/ran\nexec /usr/bin/qemu-system-x86_64 "$@"\n')
    emulator.chmod(0o755)
    settings = root / "etc" / "qemu"
    (settings / "autostart").mkdir(parents=True)
    (root / "etc" / "qemu.conf").write_text('user = "root"\ngroup = "root"\nseccomp_sandbox = 0\n')
    domain = settings / "own.xml"
    domain.write_text(
        "<domain type='qemu'><name>own</name><memory unit='MiB'>64</memory>"
        "<os><type arch='x86_64' machine='q35'>hvm</type></os>"
        f"<devices><emulator>{emulator}</emulator></devices></domain>"
    )
    (settings / "autostart" / "own.xml").symlink_to(domain)
    for path in (root, *root.rglob("*")):
        os.chown(path, 65534, 65534, follow_symlinks=False)
    return root


@pytest.mark.parametrize("command", ["plan", "status", "check", "up", "down"])
def test_no_plan_chooses_the_folder_whose_settings_libvirt_obeys(
    folder: Path, hostile_root: Path, command: str
) -> None:
    (folder / "vmnet.yaml").write_text(f'{PLAN}connection: "qemu:///embed?root={hostile_root}"\n')
    ran = vmnet(command, cwd=folder)
    assert not (hostile_root / "ran").exists()
    assert ran.status == 2
    assert ran.err.startswith('vmnet.yaml:6:13: "qemu:///embed?root=')
    assert "vmnet alone chooses the root of its embedded libvirt" in ran.err
    assert "fix: use auto, which takes the embedded libvirt where no daemon answers\n" in ran.err


def test_no_option_chooses_it_either(folder: Path, hostile_root: Path) -> None:
    (folder / "vmnet.yaml").write_text(PLAN)
    uri = f"qemu:///embed?root={hostile_root}"
    for words in (("--connection", uri), ("--set", f"connection={uri}")):
        ran = vmnet("plan", *words, cwd=folder)
        assert (ran.status, (hostile_root / "ran").exists()) == (2, False)
    ran = vmnet("plan", cwd=folder, VMNET_CONNECTION=uri)
    assert (ran.status, (hostile_root / "ran").exists()) == (2, False)
    assert ran.err.startswith('--connection: "qemu:///embed?root=')


def test_the_operator_names_another_socket_which_a_plan_cannot(folder: Path) -> None:
    uri = f"qemu+unix:///system?socket={folder}/libvirt"
    (folder / "vmnet.yaml").write_text(PLAN)
    for command in (("plan",), ("status",), ("down", "--name", "hostile")):
        ran = vmnet(*command, "--connection", uri, cwd=folder)
        assert ran.status == 4
        assert f"Failed to connect socket to '{folder}/libvirt'" in ran.err
    assert vmnet("plan", cwd=folder, VMNET_CONNECTION=uri).status == 4
    (folder / "vmnet.yaml").write_text(f"{PLAN}connection: {uri}\n")
    assert vmnet("plan", cwd=folder).status == 2


def test_another_host_is_refused_with_a_sentence(folder: Path) -> None:
    (folder / "vmnet.yaml").write_text(f"{PLAN}connection: qemu+ssh://192.0.2.1/system\n")
    ran = vmnet("plan", cwd=folder)
    assert ran.status == 2
    assert "leads to another host, and macvtaps are made on this one" in ran.err


OUTSIDE = {
    "kernel": "kernel: {}",
    "initrd": "kernel: k\n    initrd: {}",
    "ignition": "kernel: k\n    ignition: {}",
    "cloud_init": "image: debian-12\n    cloud_init: {}",
    "template": "template: {}",
    "source": "files: [{{path: /a, source: {}}}]",
    "disk": "disks: [{{path: {}, format: raw}}]",
    "image": "image: 'file:{}'",
}


@pytest.mark.parametrize("kind", OUTSIDE)
@pytest.mark.parametrize("way", ["path", "link"])
def test_no_file_outside_the_plans_folder_is_taken_or_quoted(
    folder: Path, kind: str, way: str
) -> None:
    secret = folder.parent / "secret"
    secret.write_text("#cloud-config\nuser: hunter2\n")
    (folder / "k").write_text("kernel")
    (folder / "link").symlink_to(secret)
    written = {"path": "../secret", "link": "link"}[way]
    (folder / "vmnet.yaml").write_text(f"{PLAN}    {OUTSIDE[kind].format(written)}\naccel: tcg\n")
    ran = vmnet("plan", cwd=folder)
    assert ran.status == 2
    assert f'the {kind} "{written}" lies outside the folder of the plan' in ran.err
    assert f"add --allow-file {secret}\n" in ran.err
    assert "hunter2" not in ran.err + ran.out


def test_what_the_operator_allows_is_taken_and_still_not_quoted(folder: Path) -> None:
    own = folder.parent / "own"
    own.write_text("#cloud-config\nuser: hunter2\n")
    (folder.parent / "my.xml.j2").write_text("hunter2 {{ domain.nothing }}\n")
    (folder / "vmnet.yaml").write_text(f"{PLAN}    image: debian-12\n    cloud_init: ../own\n")
    refused = vmnet("render", "--allow-file", str(own), cwd=folder)
    assert (refused.status, "hunter2" in refused.err) == (2, False)
    assert refused.err.startswith(f"{folder}/../own:2:1: user: stands here")
    own.write_text("#cloud-config\npackages: [hello]\n")
    for allowed in ("../own", str(folder.parent)):
        assert vmnet("render", "--allow-file", allowed, cwd=folder).status == 0
    assert vmnet("render", cwd=folder).status == 2
    (folder / "vmnet.yaml").write_text(f"{PLAN}    template: ../my.xml.j2\n")
    refused = vmnet("render", "--allow-file", str(folder.parent), cwd=folder)
    assert (refused.status, "hunter2" in refused.err) == (2, False)
    assert f"{folder}/../my.xml.j2:1:1: " in refused.err
