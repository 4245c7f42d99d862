"""Seed images, read back with the library's own reader."""

import io
import os
import pickle
import stat
from contextlib import closing
from pathlib import Path

import pycdlib
import pytest
import yaml

from provisioner.errors import VmnetError
from provisioner.guest.domain import Seed
from provisioner.host.guest import host_keys
from provisioner.host.storage.seeds import SeedDriver
from provisioner.host.system import paths
from provisioner.reconcile.resources import Look

FILES = (
    ("meta-data", "local-hostname: web\n"),
    ("user-data", "#cloud-config\n{}\n"),
    ("network-config", '{"version": 2}'),
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VMNET_STATE_DIR", str(tmp_path))
    return paths.home("lab")


def content(path: Path, name: str, by: str) -> str:
    iso = pycdlib.PyCdlib()
    iso.open(str(path))
    with closing(iso):
        out = io.BytesIO()
        iso.get_file_from_iso_fp(out, **{by: f"/{name}"})
        assert iso.pvd.volume_identifier.decode().strip() == "cidata"
    return out.getvalue().decode()


@pytest.mark.parametrize("by", ["rr_path", "joliet_path"])
def test_a_seed_holds_its_files_under_their_full_names(tmp_path: Path, by: str) -> None:
    path = tmp_path / "seed" / "web-1.iso"
    SeedDriver().create(Seed(str(path), FILES))
    assert [(name, content(path, name, by)) for name, _ in FILES] == list(FILES)
    assert sorted(p.name for p in path.parent.iterdir()) == [".web-1.iso.own", "web-1.iso"]


def owned(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)


def test_nobody_but_its_owner_can_read_a_seed(tmp_path: Path) -> None:
    path = tmp_path / "web-1.iso"
    SeedDriver().create(Seed(str(path), FILES))
    assert owned(path) == (os.geteuid(), os.getegid(), 0o600)


def test_nobody_but_its_owner_can_read_it_whatever_the_umask_and_the_folder_say(
    tmp_path: Path,
) -> None:
    # The umask lets everything through, and what stands in the draft's place is not followed.
    before = os.umask(0)
    try:
        (tmp_path / ".web-1.iso.part").symlink_to(tmp_path / "elsewhere")
        SeedDriver().create(Seed(str(tmp_path / "web-1.iso"), FILES))
    finally:
        os.umask(before)
    assert owned(tmp_path / "web-1.iso")[2] == 0o600
    assert not (tmp_path / "elsewhere").exists()


def test_the_host_key_is_put_into_the_seed_and_nowhere_else(home: Path) -> None:
    seed = Seed(str(home / "seed" / "web-1.iso"), FILES, "lab", "web", host_key="cloud-init")
    SeedDriver().create(seed)
    key = host_keys.ensure(paths.folder("lab", "keys"), "web")
    told = content(Path(seed.path), "vendor-data", "rr_path")
    assert yaml.safe_load(told)["ssh_keys"]["ed25519_private"] == key.private
    assert "PRIVATE KEY" not in repr(seed) + repr(seed.files) + repr(key)
    # A pickle is what crosses to the worker.
    assert b"PRIVATE KEY" not in pickle.dumps(seed)


def test_a_seed_that_wants_no_host_key_has_none(tmp_path: Path) -> None:
    path = tmp_path / "web-1.iso"
    SeedDriver().create(Seed(str(path), FILES, "lab", "web"))
    with pytest.raises(pycdlib.pycdlibexception.PyCdlibInvalidInput):
        content(path, "vendor-data", "rr_path")


def test_seeds_are_listed_and_no_draft_of_a_killed_run_is_taken_for_one(home: Path) -> None:
    seed = Seed(str(home / "seed" / "web-1.iso"), FILES)
    SeedDriver().create(seed)
    (home / "seed" / ".db-2.iso.part").write_bytes(b"half")
    assert SeedDriver().observe(Look("lab")) == [seed]


def test_a_seed_is_deleted_once_and_again(home: Path) -> None:
    seed = Seed(str(home / "seed" / "web-1.iso"), FILES)
    SeedDriver().create(seed)
    SeedDriver().delete(seed)
    SeedDriver().delete(seed)
    assert SeedDriver().observe(Look("lab")) == []


def test_a_full_disk_is_named_and_leaves_no_half_seed() -> None:
    # /proc/self/fd is a folder in which nothing can be made, for root neither.
    with pytest.raises(VmnetError) as caught:
        SeedDriver().create(Seed(f"/proc/{os.getpid()}/fd/web-1.iso", FILES))
    assert "cannot write the seed image" in caught.value.what
