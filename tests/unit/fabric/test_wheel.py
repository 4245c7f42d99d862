"""The wheel of this vmnet, which other hosts get."""

import base64
import csv
import hashlib
from pathlib import Path
from zipfile import ZipFile

from provisioner import __version__
from provisioner.host.fabric import wheel


def test_it_has_every_file_of_vmnet_and_a_record_of_each(tmp_path: Path) -> None:
    made = wheel.made(tmp_path)
    assert made.path.name == f"vmnet_provisioner-{__version__}-py3-none-any.whl"
    assert made.digest == hashlib.sha256(made.path.read_bytes()).hexdigest()
    about = f"vmnet_provisioner-{__version__}.dist-info"
    with ZipFile(made.path) as archive:
        names = archive.namelist()
        rows = list(csv.reader(archive.read(f"{about}/RECORD").decode().splitlines()))
        for name, digest, size in rows[:-1]:
            content = archive.read(name)
            known = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode()
            assert (digest, size) == (f"sha256={known.rstrip('=')}", str(len(content)))
        assert (
            "vmnet = provisioner.__main__:main"
            in archive.read(f"{about}/entry_points.txt").decode()
        )
    assert [row[0] for row in rows] == names
    assert {
        "provisioner/__main__.py",
        "provisioner/templates/ansible_collections/vmnet/fabric/roles/bootstrap/tasks/main.yml",
        "provisioner/templates/platforms.txt",
        "provisioner/images/catalogue.yaml",
        f"{about}/METADATA",
    } <= set(names)
    assert [name for name in names if "__pycache__" in name] == []


def test_the_same_files_make_the_same_wheel(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    assert wheel.made(first).digest == wheel.made(second).digest
