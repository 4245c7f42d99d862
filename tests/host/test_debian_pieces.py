"""The Debian image: what is on its disk, and what its builder says to whom it cannot help."""

import json
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from provisioner.errors import VmnetError
from provisioner.host.image import built
from provisioner.host.image.builder import ImageBuilder
from provisioner.host.image.built import BuiltImage, recipe_digest
from provisioner.host.image.debian import archive, layout, recipe
from provisioner.host.image.debian.builder import DebianBuilder
from provisioner.host.image.debian.layout import MIB, Layout
from provisioner.host.image.packages import Package
from tests.host_tools import debian_parts

NAME = debian_parts.NAME
SUITE = recipe.suites()[NAME]
OTHER = next(name for name in recipe.suites() if name != NAME)
REPOSITORY = Path(__file__).parent.parent.parent
NOBODY = 65534
T = TypeVar("T")
PATIENCE_S = 120
BUILD = """
import sys
from pathlib import Path
from typing import TypeVar
from provisioner.errors import VmnetError
from provisioner.host.image.debian.builder import DebianBuilder
def say(line): print(line, flush=True)
try:
    say(DebianBuilder(Path(sys.argv[1]), say, sys.argv[2]).build().digest)
except VmnetError as error:
    say(f"{error.what} / {error.fix}")
"""


def builder(cache: Path, user: int | None = None) -> subprocess.Popen[str]:
    argv = [sys.executable, "-B", "-c", BUILD, str(cache), NAME]
    return subprocess.Popen(argv, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, user=user)


def next_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], PATIENCE_S)
    assert ready
    return process.stdout.readline()


def told(*argv: str | Path) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout


def test_a_disk_is_an_esp_and_then_root_which_can_grow() -> None:
    plan = Layout(100, 10, "seed")
    assert plan.table == (
        f"label: gpt\nlabel-id: {plan.uuid('disk')}\nunit: sectors\n"
        "start=2048, size=20480, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B,"
        f' uuid={plan.uuid("esp part")}, name="ESP", attrs=LegacyBIOSBootable\n'
        "start=22528, size=180224, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709,"
        f' uuid={plan.uuid("root part")}, name="root"\n'
    )
    assert Layout(100, 10, "seed").uuid("root") == plan.uuid("root")
    assert Layout(100, 10, "other").uuid("root") != plan.uuid("root")


def test_both_boot_loaders_start_the_same_kernel_with_the_same_words() -> None:
    assert layout.loader_files("Debian", "quiet") == {
        "loader/loader.conf": "default debian.conf\ntimeout 0\n",
        "loader/entries/debian.conf": (
            "title Debian\nlinux /vmlinuz\ninitrd /initrd\noptions quiet\n"
        ),
        "loader/entries/previous.conf": (
            "title Debian, kernel before\nlinux /vmlinuz.old\ninitrd /initrd.old\noptions quiet\n"
        ),
        "syslinux/syslinux.cfg": (
            "DEFAULT debian\nPROMPT 0\n"
            "LABEL debian\nLINUX /vmlinuz\nINITRD /initrd\nAPPEND quiet\n"
            "LABEL previous\nLINUX /vmlinuz.old\nINITRD /initrd.old\nAPPEND quiet\n"
        ),
    }


def test_of_the_hosts_sources_only_those_of_the_release_are_taken(tmp_path: Path) -> None:
    names = (
        "m_bookworm_InRelease",
        "s_bookworm-security_Release",
        "s_bookworm-security_Release.gpg",
    )
    for name in (*names, "m_trixie_InRelease", "m_bookworm-backports_InRelease"):
        (tmp_path / name).touch()
    packages = "main_binary-amd64_Packages"
    targets = (
        f"http://mirror.test/debian/|bookworm|main|bookworm|{tmp_path}/m_bookworm_{packages}.lz4\n"
        f"http://mirror.test/debian/|trixie|main|trixie|{tmp_path}/m_trixie_{packages}\n"
        f"http://mirror.test/debian/|bookworm-backports|main|bookworm-backports|"
        f"{tmp_path}/m_bookworm-backports_{packages}\n"
        f"http://mirror.test/sec|bookworm-security|main|bookworm-security|"
        f"{tmp_path}/s_bookworm-security_{packages}\n"
    )
    found = archive.read(targets, "bookworm", signed_by=tmp_path / names[0])
    signed = f"[signed-by={tmp_path}/{names[0]}]"
    assert found.sources == (
        f"deb {signed} http://mirror.test/debian bookworm main\n"
        f"deb {signed} http://mirror.test/sec bookworm-security main\n"
    )
    assert [path.name for path in found.lists] == [
        "m_bookworm_InRelease",
        f"m_bookworm_{packages}.lz4",
        "s_bookworm-security_Release",
        "s_bookworm-security_Release.gpg",
        f"s_bookworm-security_{packages}",
    ]


@pytest.fixture(scope="module")
def image() -> BuiltImage:
    return debian_parts.image()


@pytest.fixture(scope="module")
def disk(image: BuiltImage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The disk without its qcow2 around it."""
    raw = tmp_path_factory.mktemp("disk") / "disk.raw"
    told("qemu-img", "convert", "-f", "qcow2", "-O", "raw", image.disk, raw)
    yield raw
    raw.unlink()


@pytest.fixture(scope="module")
def plan(image: BuiltImage) -> Layout:
    what = recipe.read(NAME)
    return Layout(what.size_mib, what.esp_mib, image.folder.name)


def test_what_is_built_is_told_whole(image: BuiltImage, plan: Layout) -> None:
    assert (image.boot, image.user, image.min_memory_mib, image.agent) == (
        ("bios", "uefi"),
        "debian",
        256,
        True,
    )
    assert image.cmdline.startswith(f"root=UUID={plan.uuid('root')} rw ")
    assert "console=ttyS0" in image.cmdline
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in image.folder.iterdir()}
    assert modes == dict.fromkeys(("disk.qcow2", "vmlinuz", "initrd", "manifest.json"), "0o644")
    assert oct(image.folder.stat().st_mode & 0o777) == "0o755"
    assert told("sha256sum", image.disk).split()[0] == image.digest
    info = json.loads(told("qemu-img", "info", "-f", "qcow2", "--output=json", image.disk))
    assert (info["virtual-size"], "backing-filename" in info) == (plan.size_mib * MIB, False)
    told("qemu-img", "check", "-f", "qcow2", image.disk)


def test_the_partitions_are_those_that_were_asked_for(disk: Path, plan: Layout) -> None:
    table = json.loads(told("sfdisk", "--json", disk))["partitiontable"]
    assert (table["label"], table["id"].lower()) == ("gpt", plan.uuid("disk"))
    esp, root = table["partitions"]
    assert (esp["start"] * 512, esp["attrs"]) == (plan.esp_offset, "LegacyBIOSBootable")
    assert (root["start"] * 512, root["size"] // 2) == (plan.root_offset, plan.root_kib)
    assert "No errors detected" in told("sfdisk", "--verify", disk)
    with disk.open("rb") as file:
        assert file.read(440).rstrip(b"\0") != b""


def test_the_esp_has_loaders_and_the_kernel_that_lies_beside_the_disk(
    disk: Path, plan: Layout, image: BuiltImage, tmp_path: Path
) -> None:
    esp = f"{disk}@@{plan.esp_offset}"
    found = told("mdir", "-i", esp, "-/", "-b", "::").splitlines()
    assert {name.removeprefix("::/") for name in found} >= {
        "EFI/BOOT/BOOTX64.EFI",
        "vmlinuz",
        "initrd",
        *layout.loader_files("", ""),
    }
    for name in ("vmlinuz", "initrd"):
        told("mcopy", "-i", esp, f"::{name}", tmp_path / name)
        assert (tmp_path / name).read_bytes() == (image.folder / name).read_bytes()
    config = told("mtype", "-i", esp, "::syslinux/syslinux.cfg")
    assert (
        config
        == layout.loader_files(recipe.read(NAME).title, image.cmdline)["syslinux/syslinux.cfg"]
    )


def test_the_file_system_is_sound_and_belongs_to_no_vm_yet(disk: Path, plan: Layout) -> None:
    root = f"{disk}?offset={plan.root_offset}"
    told("e2fsck", "-f", "-n", root)

    def asked(words: str) -> str:
        return told("debugfs", "-R", words, root)

    def names(folder: str) -> set[str]:
        return set(
            re.findall(r"^/\d+/\d+/\d+/\d+/([^/]+)/", asked(f"ls -p {folder}"), re.MULTILINE)
        )

    assert asked("cat /etc/machine-id") == ""
    assert {name for name in names("/etc/ssh") if name.startswith("ssh_host")} == set()
    assert "hostname" not in names("/etc")
    for folder in ("/proc", "/sys", "/run", "/var/lib/apt/lists"):
        assert names(folder) - {".", ".."} == set(), folder
    assert not {name for name in names("/etc/apt/apt.conf.d") if "mmdebstrap" in name}
    hook = asked("stat /etc/kernel/postinst.d/zz-vmnet-esp")
    assert re.search(r"Mode:\s+0755", hook)
    assert re.search(r"User:\s+0\s+Group:\s+0", hook)


def test_a_second_build_finds_the_first_and_leaves_the_hosts_lists_alone(image: BuiltImage) -> None:
    lists = sorted(Path("/var/lib/apt/lists").iterdir())
    said: list[str] = []
    assert DebianBuilder(debian_parts.cache(), said.append, NAME).build() == image
    assert said == [f"the {NAME} image is up to date: {image.folder}"]
    assert sorted(Path("/var/lib/apt/lists").iterdir()) == lists
    assert lists


def test_an_image_that_is_not_whole_is_not_found(tmp_path: Path) -> None:
    folder = tmp_path / "images" / f"{NAME}-{recipe_digest('debian')[:12]}-new"
    folder.mkdir(parents=True)
    for name in ("disk.qcow2", "vmlinuz", "initrd"):
        (folder / name).write_text("abc")
    manifest = {
        "disk": {"name": "disk.qcow2", "size": 3, "sha256": "d1"},
        "kernel": {"name": "vmlinuz", "size": 3},
        "initrd": {"name": "initrd", "size": 3},
        "cmdline": "quiet",
        "boot": ["bios", "uefi"],
        "user": "debian",
        "min_memory_mib": 256,
        "agent": True,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert built.find(tmp_path, "debian", NAME) == BuiltImage(
        disk=str(folder / "disk.qcow2"),
        kernel=str(folder / "vmlinuz"),
        initrd=str(folder / "initrd"),
        cmdline="quiet",
        digest="d1",
        boot=("bios", "uefi"),
        user="debian",
        min_memory_mib=256,
        agent=True,
    )
    (folder / "disk.qcow2").write_text("ab")
    assert built.find(tmp_path, "debian", NAME) is None


def test_a_killed_build_ends_with_all_it_started_and_the_next_one_clears_away(
    tmp_path: Path,
) -> None:
    first, second = builder(tmp_path), None
    try:
        assert next_line(first).startswith("installing ")
        second = builder(tmp_path)
        assert next_line(second) == f"waiting for another vmnet that builds the {NAME} image\n"
        left = waited_for(lambda: list(tmp_path.glob("images/work-*/mmdebstrap.*/var/lib/dpkg")))
        first.kill()
        waited_for(lambda: not processes_of(left[0].parents[3]))
        assert next_line(second).startswith("installing ")
        assert not left[0].exists()
        second.send_signal(signal.SIGINT)
        waited_for(lambda: second.poll() is not None)
        waited_for(lambda: not processes_of(tmp_path))
        assert sorted(path.name for path in (tmp_path / "images").iterdir()) == [
            f"build-{NAME}.lock"
        ]
        assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    finally:
        for process in filter(None, (first, second)):
            process.kill()
            process.communicate()


def waited_for(condition: Callable[[], T]) -> T:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline
        select.select([], [], [], 0.05)
    return found


def processes_of(folder: Path) -> list[str]:
    """The command lines of the processes that were told of the folder, ourselves left out."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if str(folder) in line and "pytest" not in line:
            found.append(line)
    return found


def refusal(cache: Path) -> tuple[str, str | None]:
    with pytest.raises(VmnetError) as caught:
        DebianBuilder(cache, print, NAME).build()
    return caught.value.what, caught.value.fix


def test_missing_programs_are_named_with_the_line_that_installs_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program in ("apt-get", "apt-cache", "dpkg-deb", "unshare", "setpriv", "mke2fs", "qemu-img"):
        (tmp_path / program).symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refusal(tmp_path / "cache") == (
        f"the {NAME} image is made with programs that are not installed",
        "apt-get install dosfstools fdisk mmdebstrap mtools syslinux",
    )
    assert not (tmp_path / "cache").exists()


def test_who_is_not_root_is_told_so(tmp_path: Path) -> None:
    with builder(tmp_path / "cache", user=NOBODY) as asked:
        assert asked.communicate(timeout=30)[0] == (
            f"only root can build the {NAME} image: its packages are installed in a folder of"
            f" their own / sudo vmnet image build {NAME}\n"
        )


def test_without_package_lists_the_cure_is_a_source_and_an_update(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lists/partial").mkdir(parents=True)
    (tmp_path / "apt.conf").write_text(f'Dir::State::lists "{tmp_path}/lists";\n')
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    what, fix = refusal(tmp_path / "cache")
    assert what == f"apt has no package lists of Debian {NAME[-2:]} ({SUITE})"
    assert fix == (
        f"name a mirror that has it: vmnet image build {NAME} --mirror URI, or give apt a source"
        f" of Debian {SUITE} main and run apt-get update as root"
    )


def test_the_hosts_own_release_is_the_one_that_is_built(tmp_path: Path) -> None:
    release = tmp_path / "os-release"
    for name, suite in recipe.suites().items():
        release.write_text(f'NAME="Debian GNU/Linux"\nVERSION_CODENAME={suite}\nID=debian\n')
        assert recipe.own_name(release) == name
        assert recipe.read(name).suite == suite
    release.write_text("ID=arch\n")
    assert recipe.own_name(release) == recipe.own_name(tmp_path / "none") == "debian-13"


def test_another_release_comes_from_the_mirror_that_is_named(tmp_path: Path) -> None:
    """Its lists are fetched into the builder's room, from this host's own mirror."""
    lists = sorted(Path("/var/lib/apt/lists").iterdir())
    uri = archive.of(recipe.read(NAME)).sources.split("] ")[-1].split()[0]
    uri = uri.removesuffix("-security")
    told = recipe.read(OTHER)
    found = archive.fetched(told, [uri, f"{uri}-security"], tmp_path)
    assert {line.split()[-2] for line in found.sources.splitlines()} == {
        *(told.suite, f"{told.suite}-updates", f"{told.suite}-security")
    }
    assert [path for path in found.lists if path.parent != tmp_path / "lists"] == []
    wanted = archive.versions(found, told.packages, tmp_path)
    deb = {"debian-12": "deb12", "debian-13": "deb13"}[OTHER]
    assert {"systemd", "cloud-init", "libc6"} <= {package.name for package in wanted}
    assert [package for package in wanted if deb in package.version]
    assert sorted(Path("/var/lib/apt/lists").iterdir()) == lists


def test_a_mirror_without_the_release_is_told(tmp_path: Path) -> None:
    with pytest.raises(VmnetError) as caught:
        archive.fetched(recipe.read(OTHER), [f"file:{tmp_path}/nothing"], tmp_path)
    assert caught.value.what.startswith("apt-get ")
    suite = recipe.suites()[OTHER]
    assert caught.value.fix == (
        f"see that file:{tmp_path}/nothing has {suite}, and that this host reaches it"
    )


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "none", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_without_room_is_named_before_anything_is_fetched(small_disk: Path) -> None:
    assert refusal(small_disk) == (
        f"the disk is full: {small_disk} (20 MiB free)",
        f"make room for 2048 MiB in {small_disk}, or name another cache folder",
    )


def test_a_disk_that_fills_up_under_a_program_is_named_not_the_program(small_disk: Path) -> None:
    class Filling(ImageBuilder):
        KIND = "debian"
        NEEDED_MIB = 1

        def versions(self, folder: Path) -> list[Package]:
            (folder / "large").write_bytes(bytes(15 * MIB))
            return []

        def make(self, folder: Path, *_: object) -> BuiltImage:
            assert (folder / "large").exists()
            raise VmnetError("dpkg failed with status 2")

    with pytest.raises(VmnetError, match=r"the disk is full: \S+ \(5 MiB free\)"):
        Filling(small_disk, print, "any").build()
