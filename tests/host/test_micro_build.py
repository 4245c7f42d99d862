"""The builder of the micro image: always the same bytes, and an answer to what goes wrong."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from provisioner.errors import VmnetError
from provisioner.host.image import micro
from provisioner.host.image.built import BuiltImage, recipe_digest
from tests.host_tools.micro_parts import image

REPOSITORY = Path(__file__).parent.parent.parent
NOBODY = 65534
BUILD = """
import sys
from pathlib import Path
from provisioner.errors import VmnetError
from provisioner.host.image import micro
try:
    print(micro.build(Path(sys.argv[1]), print).digest)
except VmnetError as error:
    print(f"{error.what} / {error.fix}")
"""


def builder(cache: Path, *before: str, user: int | None = None) -> subprocess.Popen[str]:
    argv = [*before, sys.executable, "-B", "-c", BUILD, str(cache)]
    return subprocess.Popen(argv, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, user=user)


def refusal(cache: Path) -> tuple[str, str | None]:
    with pytest.raises(VmnetError) as caught:
        micro.build(cache, print)
    return caught.value.what, caught.value.fix


def test_two_ordinary_users_at_once_build_one_image_and_the_very_same_bytes() -> None:
    with TemporaryDirectory() as name:
        cache = Path(name) / "cache"
        user = None
        if os.geteuid() == 0:
            user = NOBODY
            os.chown(name, NOBODY, NOBODY)
        both = [builder(cache, user=user) for _ in range(2)]
        said = sorted((line.communicate(timeout=300)[0] for line in both), key=len)
        assert [text.splitlines()[-1] for text in said] == [image().digest] * 2
        assert [text.count("up to date") for text in said] == [1, 0]
        (folder,) = cache.glob("images/micro-*")
        assert sorted(path.name for path in (cache / "images").iterdir()) == [
            "build-micro.lock",
            folder.name,
        ]
        modes = {
            path.name: oct(path.stat().st_mode & 0o777) for path in (folder, *folder.iterdir())
        }
        assert modes == {
            folder.name: "0o755",
            "vmlinux": "0o644",
            "initrd": "0o644",
            "manifest.json": "0o644",
        }
        found = micro.find(cache)
        assert found is not None
        assert found.digest == image().digest


def fake_image(cache: Path, packages: str, *, size: int = 3) -> Path:
    folder = cache / "images" / f"micro-{recipe_digest('micro')[:12]}-{packages}"
    folder.mkdir(parents=True)
    for name in ("vmlinux", "initrd"):
        (folder / name).write_text("abc")
    manifest = {
        "kernel": {"name": "vmlinux", "size": 3},
        "initrd": {"name": "initrd", "size": size},
        "cmdline": "quiet",
        "digest": packages,
        "min_memory_mib": 96,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def expected(folder: Path) -> BuiltImage:
    digest = folder.name.rpartition("-")[2]
    return BuiltImage(str(folder / "vmlinux"), str(folder / "initrd"), "quiet", 96, digest=digest)


def test_the_newest_whole_image_is_found(tmp_path: Path) -> None:
    assert micro.find(tmp_path) is None
    old, new = fake_image(tmp_path, "old"), fake_image(tmp_path, "new")
    damaged, foreign = fake_image(tmp_path, "cut", size=4), fake_image(tmp_path, "odd")
    (foreign / "manifest.json").write_text("[]")
    (tmp_path / "images" / "micro-000000000000-of-another-recipe").mkdir()
    for age, folder in enumerate((old, new, damaged, foreign)):
        os.utime(folder, (age, age))
    assert micro.find(tmp_path) == expected(new)
    (new / "initrd").unlink()
    assert micro.find(tmp_path) == expected(old)


def test_without_apt_the_host_is_told_to_be_no_debian(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refusal(tmp_path / "cache") == (
        "the micro image is made of Debian packages, and apt-get is not installed",
        "use a Debian-like host, or give the VMs an image or a kernel of your own",
    )
    assert not (tmp_path / "cache").exists()


def test_on_another_machine_it_says_so(tmp_path: Path) -> None:
    with builder(tmp_path / "cache", "setarch", "i686") as asked:
        assert asked.communicate(timeout=30)[0] == (
            "the micro image is made for amd64, this host is i686"
            " / give the VMs an image or a kernel of your own\n"
        )


@pytest.fixture
def apt_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration of apt for this test alone."""
    told = tmp_path / "apt.conf"
    monkeypatch.setenv("APT_CONFIG", str(told))
    return told


def test_without_package_lists_the_cure_is_an_update(tmp_path: Path, apt_says: Path) -> None:
    (tmp_path / "lists/partial").mkdir(parents=True)
    (tmp_path / "status").touch()
    apt_says.write_text(
        f'Dir::State::lists "{tmp_path}/lists";\nDir::State::status "{tmp_path}/status";\n'
    )
    assert refusal(tmp_path / "cache") == (
        "apt knows no package linux-image-cloud-amd64",
        "run apt-get update as root, then try again",
    )


def test_without_a_network_nothing_is_left_behind(tmp_path: Path, apt_says: Path) -> None:
    apt_says.write_text(
        'Acquire::http::Proxy "http://127.0.0.1:1";\nAcquire::https::Proxy "http://127.0.0.1:1";\n'
        'Acquire::Retries "0";\n'
    )
    what, fix = refusal(tmp_path / "cache")
    assert what.startswith("apt-get ")
    assert "127.0.0.1" in what
    assert fix is not None
    assert fix.startswith("check the network and the proxy of apt")
    assert [path.name for path in (tmp_path / "cache/images").iterdir()] == ["build-micro.lock"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_named_with_the_room_it_has(small_disk: Path) -> None:
    assert refusal(small_disk) == (
        f"the disk is full: {small_disk} (3 MiB free)",
        f"make room for 256 MiB in {small_disk}, or name another cache folder",
    )


def test_a_disk_without_room_for_one_more_file_is_full_too(small_disk: Path) -> None:
    remount = ["mount", "-o", "remount,nr_inodes=2", str(small_disk)]
    subprocess.run(remount, check=True)
    assert refusal(small_disk) == (
        f"the disk is full: {small_disk}/images/build-micro.lock (3 MiB free)",
        f"make room for 256 MiB in {small_disk}, or name another cache folder",
    )


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = tmp_path / "file" / "cache"
    assert refusal(cache) == (
        f"cannot write the cache: {cache}: Not a directory",
        f"make {cache} writable for you, or name another cache folder",
    )
