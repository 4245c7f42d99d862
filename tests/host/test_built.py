"""Built images in the cache: hashed anew, they are what was built, or it is told."""

from pathlib import Path

import pytest

from provisioner.errors import Exit, VmnetError
from provisioner.host.image import built
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
