"""Built images in the cache: hashed anew, they are what was built, or it is told."""

from pathlib import Path

import pytest

from provisioner.commands import image
from provisioner.errors import Exit, VmnetError
from provisioner.host.image import built, micro
from provisioner.host.image.built import BuiltImage


def test_one_bit_that_has_turned_is_found(tmp_path: Path) -> None:
    made, final = tmp_path / "made", tmp_path / "micro-1"
    made.mkdir()
    for name in ("vmlinuz", "initrd"):
        (made / name).write_bytes(name.encode())
    built.put_in_place(BuiltImage("vmlinuz", "initrd"), [], made, final)
    built.verify(final)
    (final / "initrd").write_bytes(b"initrE")
    with pytest.raises(VmnetError, match="initrd has changed: its SHA-256 is ") as caught:
        built.verify(final)
    assert caught.value.status is Exit.CHECK_FAILED
    assert f"rm -r {final}" in str(caught.value.fix)
    (final / "initrd").unlink()
    with pytest.raises(VmnetError, match="cannot be read: No such file"):
        built.verify(final)
    (final / "manifest.json").write_text("[]")
    with pytest.raises(VmnetError, match="is damaged"):
        built.verify(final)


@pytest.fixture
def handed_out(tmp_path: Path) -> Path:
    """Give the folder of a small image that another host has built and handed out."""
    there = tmp_path / "there"
    made, final = there / "made", there / built.folder_name("micro", "micro", [])
    made.mkdir(parents=True)
    for name in ("vmlinux", "initrd"):
        (made / name).write_bytes(name.encode())
    built.put_in_place(BuiltImage("vmlinux", "initrd", cmdline="quiet"), [], made, final)
    return image.hand_out(final, tmp_path / "stick")


def test_an_image_that_was_built_elsewhere_is_found_once_it_is_imported(
    handed_out: Path, tmp_path: Path
) -> None:
    cache, told = tmp_path / "cache", list[str]()
    assert micro.find(cache) is None
    taken = micro.take_in(handed_out, cache, told.append)
    assert micro.find(cache) == taken
    assert Path(taken.kernel).read_bytes() == b"vmlinux"
    assert taken.cmdline == "quiet"
    assert micro.take_in(handed_out, cache, told.append) == taken
    assert told == [f"the micro image is there already: {taken.folder}"]
    assert {path.name for path in (cache / "images").iterdir()} == {
        taken.folder.name,
        "build-micro.lock",
    }


def test_an_image_that_has_changed_on_its_way_is_not_taken(
    handed_out: Path, tmp_path: Path
) -> None:
    (handed_out / "initrd").write_bytes(b"initrE")
    with pytest.raises(VmnetError, match="initrd has changed"):
        micro.take_in(handed_out, tmp_path / "cache", print)
    assert micro.find(tmp_path / "cache") is None


def test_an_image_leads_to_no_other_file_of_the_host(handed_out: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"initrd")
    (handed_out / "initrd").unlink()
    (handed_out / "initrd").symlink_to(secret)
    with pytest.raises(VmnetError, match="initrd cannot be read"):
        micro.take_in(handed_out, tmp_path / "cache", print)
    manifest = handed_out / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"name": "initrd"', '"name": "../../secret"'))
    with pytest.raises(VmnetError, match=r"its manifest\.json is damaged"):
        micro.take_in(handed_out, tmp_path / "cache", print)
    assert micro.find(tmp_path / "cache") is None


def test_an_image_of_another_recipe_is_not_taken(handed_out: Path, tmp_path: Path) -> None:
    other = handed_out.rename(handed_out.with_name("micro-0123456789ab-0123456789ab"))
    with pytest.raises(VmnetError, match="that this version of vmnet builds") as caught:
        micro.take_in(other, tmp_path / "cache", print)
    assert caught.value.status is Exit.BAD_INPUT


def test_an_image_is_not_handed_out_over_what_is_there(handed_out: Path) -> None:
    with pytest.raises(VmnetError, match="is there already"):
        image.hand_out(handed_out, handed_out.parent)
