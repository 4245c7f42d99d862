"""What may become the disk of a guest, decided before any program opens the file.

Only qcow2 and raw disks may, and only such as depend on nothing else. Everything else is named and
refused: QEMU would follow what a header names, to files of the host and to the network.
"""

from typing import Literal

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError, bad_input
from provisioner.image import qcow2
from provisioner.image.disk_kind import RAW, end_of_raw, kind
from provisioner.image.qcow2 import FETCH_AGAIN
from provisioner.text import one_line

_SECTOR = 512
_OTHER_DISKS = {"VMDK": "vmdk", "VDI": "vdi", "VHD": "vpc", "VHDX": "vhdx", "QED": "qed"}
_OTHER_DISKS |= {"Parallels": "parallels", "Bochs": "bochs", "cloop": "cloop", "DMG": "dmg"}
_UNPACKERS = {"zstd": "zstd -d", "lz4": "lz4 -d", "zip": "unzip", "7-Zip": "7z x"}
_UNPACKERS |= {"gzip": "gunzip", "xz": "unxz", "bzip2": "bunzip2", "tar": "tar -xf"}
_NEVER_RAW = {*_OTHER_DISKS, *_UNPACKERS, "LUKS", "kernel", "ELF"}


@dataclass(frozen=True, slots=True)
class DiskHeader:
    """A file that may be a guest's disk: its format, what is in it, and the disk's size in bytes.

    `content` is "qcow2", what was recognised of a raw disk ("GPT", "ext4", …), or "" for a raw
    disk that only its owner knows.
    """

    format: Literal["qcow2", "raw"]
    content: str
    virtual_size: int


def inspect(
    head: bytes, size: int, tail: bytes = b"", *, raw: bool = False
) -> DiskHeader | list[VmnetError]:
    """Check a file of `size` bytes by its first HEAD bytes and its last TAIL bytes.

    `raw` says that its owner calls it a raw disk: then nothing has to be recognised, but what any
    tool could take for another format is refused all the same.
    """
    if not size:
        return [bad_input("it is empty", FETCH_AGAIN)]
    found = kind(head, tail)
    if found == "qcow2":
        return _qcow2(head, size, raw=raw)
    if found in RAW or (raw and found not in _NEVER_RAW):
        return _raw(head, size, found if found in RAW else "")
    return [_refusal(found)]


def _qcow2(head: bytes, size: int, *, raw: bool) -> DiskHeader | list[VmnetError]:
    if raw:
        return [
            bad_input(
                "it is called raw, but begins like a qcow2 image: some tool would open it as one",
                "if it is a qcow2 image, import it without --raw",
            )
        ]
    found = qcow2.complaints(head, size)
    header = qcow2.read(head)
    if found or header is None:
        return found
    return DiskHeader("qcow2", "qcow2", header.virtual_size)


def _raw(head: bytes, size: int, found: str) -> DiskHeader | list[VmnetError]:
    if size > qcow2.MOST_VIRTUAL:
        tib = size / (1 << 40)
        return [
            bad_input(f"it is {tib:,.1f} TiB large, vmnet takes up to 1 TiB", "make it smaller")
        ]
    if size % _SECTOR:
        return [
            bad_input(f"it is cut off: {size} bytes are not a whole number of sectors", FETCH_AGAIN)
        ]
    end = end_of_raw(head, found)
    if end > size:
        return [
            bad_input(f"it is cut off: its {found} says {end} bytes, it has {size}", FETCH_AGAIN)
        ]
    return DiskHeader("raw", found, size)


def _refusal(found: str) -> VmnetError:
    if found in _OTHER_DISKS:
        return bad_input(
            f"it is a {found} image: vmnet takes qcow2 and raw disks only",
            f"if you trust it: qemu-img convert -f {_OTHER_DISKS[found]} -O qcow2 IMAGE COPY.qcow2",
        )
    if found in _UNPACKERS:
        return bad_input(
            f"it is packed with {found}, which vmnet does not unpack here",
            f"unpack it, then import what was in it: {_UNPACKERS[found]} FILE",
        )
    if found == "LUKS":
        return bad_input("it is encrypted (LUKS), and vmnet keeps no keys", "import it decrypted")
    if found in {"kernel", "ELF"}:
        return bad_input(
            "it is a kernel or another program, not a disk",
            "give a VM of the plan its own kernel: kernel: FILE",
        )
    return bad_input(
        "it is not a disk image that vmnet knows: neither qcow2 nor a disk with partitions or a "
        "file system",
        "see that it is the right file; if it is a raw disk with something else: --raw",
    )


def about(shown: str, found: list[VmnetError]) -> list[VmnetError]:
    """Return the complaints with the name of the file that they are about."""
    name = one_line(shown, 120)
    return [VmnetError(f"{name}: {e.what}", fix=e.fix, status=e.status) for e in found]
