"""NoCloud seed images: what cloud-init (and the micro image) reads its configuration from."""

import io
from collections.abc import Sequence
from pathlib import Path

from provisioner.guest import host_key
from provisioner.guest.domain import Seed
from provisioner.guest.host_key import HostKey
from provisioner.host.guest import host_keys
from provisioner.host.storage.files import FileDriver
from provisioner.host.system import file_errors, paths, whole_files
from provisioner.host.system.whole_files import Owner


def create(seed: Seed, *, owner: Owner | None = None, key: HostKey | None = None) -> None:
    """Write the image; its final name appears only when it is whole.

    Only `owner` can read it: it holds passwords' hashes, files, and the private key of the guest's
    ssh server. That key is put in here and nowhere else: the value of a seed is sent, compared and
    told. Raises VmnetError when the disk is full.
    """
    path = Path(seed.path)
    files = list(seed.files)
    if key and seed.host_key:
        files.append(("vendor-data", host_key.vendor_data(key, seed.host_key)))
    try:
        paths.make(path.parent)
        whole_files.write_secret(path, _iso(files), owner)
    except OSError as error:
        raise file_errors.converted(error, "cannot write the seed image", path) from error


class SeedDriver(FileDriver[Seed]):
    """The driver of seed images."""

    __slots__ = ()

    def found(self, plan: str) -> list[Seed]:
        """List the files in the plan's folder for seed images."""
        return observe(paths.seeds(plan))

    def make(self, file: Seed) -> None:
        """Make a seed, and before it the key that the guest's ssh server is known by."""
        key = None
        if file.host_key:
            key = host_keys.ensure(paths.keys(file.plan), file.vm)
            host_keys.publish(paths.keys(file.plan), file.plan)
        create(file, owner=self.owner, key=key)


def observe(directory: Path) -> list[Seed]:
    """List the seed images in a folder."""
    return [Seed(str(path)) for path in sorted(directory.glob("*.iso"))]


def _iso(files: Sequence[tuple[str, str]]) -> bytes:
    import pycdlib

    iso = pycdlib.PyCdlib()
    # Rock Ridge for Linux, Joliet for Windows: ISO 9660's own names are 8.3 and upper case.
    iso.new(interchange_level=3, vol_ident="cidata", joliet=3, rock_ridge="1.09")
    for n, (name, text) in enumerate(files):
        data = text.encode()
        iso.add_fp(
            io.BytesIO(data),
            len(data),
            f"/F{n}.;1",
            rr_name=name,
            joliet_path=f"/{name}",
            file_mode=0o100400,
        )
    out = io.BytesIO()
    iso.write_fp(out)
    iso.close()
    return out.getvalue()
