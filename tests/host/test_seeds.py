"""Seed images, read back with the library's own reader."""

import io
import os
import stat
from pathlib import Path

import pycdlib
import pytest

from provisioner.core.resources import Seed
from provisioner.errors import VmnetError
from provisioner.host import seeds

FILES = (
    ("meta-data", "local-hostname: web\n"),
    ("user-data", "#cloud-config\n{}\n"),
    ("network-config", '{"version": 2}'),
)


def content(path: Path, name: str, by: str) -> str:
    iso = pycdlib.PyCdlib()
    iso.open(str(path))
    out = io.BytesIO()
    iso.get_file_from_iso_fp(out, **{by: f"/{name}"})
    assert iso.pvd.volume_identifier.decode().strip() == "cidata"
    iso.close()
    return out.getvalue().decode()


@pytest.mark.parametrize("by", ["rr_path", "joliet_path"])
def test_a_seed_holds_its_files_under_their_full_names(tmp_path: Path, by: str) -> None:
    path = tmp_path / "seed" / "web-1.iso"
    seeds.create(Seed(str(path), FILES))
    assert [(name, content(path, name, by)) for name, _ in FILES] == list(FILES)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_seeds_are_listed_and_the_drafts_of_a_killed_run_cleared_away(tmp_path: Path) -> None:
    seeds.create(Seed(str(tmp_path / "web-1.iso"), FILES))
    (tmp_path / ".db-2.iso.part").write_bytes(b"half")
    assert seeds.observe(tmp_path) == [Seed(str(tmp_path / "web-1.iso"))]
    assert [p.name for p in tmp_path.iterdir()] == ["web-1.iso"]


def test_a_seed_is_deleted_once_and_again(tmp_path: Path) -> None:
    seed = Seed(str(tmp_path / "web-1.iso"), FILES)
    seeds.create(seed)
    seeds.delete(seed)
    seeds.delete(seed)
    assert seeds.observe(tmp_path) == []


def test_a_full_disk_is_named_and_leaves_no_half_seed() -> None:
    # /proc/self/fd is a folder in which nothing can be made, for root neither.
    with pytest.raises(VmnetError) as caught:
        seeds.create(Seed(f"/proc/{os.getpid()}/fd/web-1.iso", FILES))
    assert "cannot write the seed image" in caught.value.what
