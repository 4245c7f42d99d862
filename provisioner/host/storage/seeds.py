"""NoCloud seed images: what cloud-init (and the micro image) reads its configuration from."""

import io
from collections.abc import Sequence
from pathlib import Path

from provisioner.guest import host_key
from provisioner.guest.domain import Seed
from provisioner.host.guest import host_keys
from provisioner.host.storage.files import FileDriver
from provisioner.host.system import paths, whole_files


class SeedDriver(FileDriver[Seed]):
    """The driver of seed images."""

    __slots__ = ()

    DOING = "cannot write the seed image"

    def found(self, plan: str) -> list[Seed]:
        """List the files in the plan's folder for seed images."""
        return [Seed(str(path)) for path in sorted(paths.folder(plan, "seed").glob("*.iso"))]

    def make(self, file: Seed) -> None:
        """Make a seed, and before it the key that the guest's ssh server is known by.

        Only the owner can read it: it holds passwords' hashes, files, and that private key, which
        is put in here and nowhere else: the value of a seed is sent, compared and shown.
        """
        files = list(file.files)
        if file.host_key:
            key = host_keys.ensure(paths.folder(file.plan, "keys"), file.vm)
            host_keys.publish(paths.folder(file.plan, "keys"), file.plan)
            files.append(("vendor-data", host_key.vendor_data(key, file.host_key)))
        path = Path(file.path)
        paths.make(path.parent)
        whole_files.write_secret(path, iso(files))


def iso(files: Sequence[tuple[str, str]]) -> bytes:
    """Return an image with these files, name and text."""
    import pycdlib

    image = pycdlib.PyCdlib()
    # Rock Ridge for Linux, Joliet for Windows: ISO 9660's own names are 8.3 and upper case.
    image.new(interchange_level=3, vol_ident="cidata", joliet=3, rock_ridge="1.09")
    for n, (name, text) in enumerate(files):
        data = text.encode()
        image.add_fp(
            io.BytesIO(data),
            len(data),
            f"/F{n}.;1",
            rr_name=name,
            joliet_path=f"/{name}",
            file_mode=0o100400,
        )
    out = io.BytesIO()
    image.write_fp(out)
    image.close()
    return out.getvalue()
