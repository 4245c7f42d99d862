"""What may become the disk of a guest, decided before any program opens the file.

Only qcow2 and raw disks may, and only such as lean on nothing else. Everything else is named and
refused: QEMU would follow what a header says, to files of the host and to the network.
"""

from dataclasses import dataclass
from typing import Literal

from provisioner.errors import Exit, VmnetError
from provisioner.image import qcow2
from provisioner.image.disk_kind import PACKED, RAW, end_of_raw, kind
from provisioner.text import one_line

_SECTOR = 512
_OTHER_DISKS = {"VMDK": "vmdk", "VDI": "vdi", "VHD": "vpc", "VHDX": "vhdx", "QED": "qed"}
_OTHER_DISKS |= {"Parallels": "parallels", "Bochs": "bochs", "cloop": "cloop", "DMG": "dmg"}
_UNPACKERS = {"zstd": "zstd -d", "lz4": "lz4 -d", "zip": "unzip", "7-Zip": "7z x"}
_UNPACKERS |= {"gzip": "gunzip", "xz": "unxz", "bzip2": "bunzip2", "tar": "tar -xf"}
_AGAIN = "fetch or copy it again, and compare its SHA-256 with the vendor's"


@dataclass(frozen=True, slots=True)
class Disk:
    """A file that may be a guest's disk: its format, what is in it, and the disk's size in bytes.

    `content` is "qcow2", what was recognised of a raw disk ("GPT", "ext4", …), or "" for a raw
    disk that only its owner knows.
    """

    format: Literal["qcow2", "raw"]
    content: str
    virtual_size: int


def is_packed(head: bytes) -> bool:
    """Tell whether a file has to be unpacked before it can be judged, in a way that vmnet knows."""
    return kind(head) in PACKED


def inspect(
    head: bytes, size: int, tail: bytes = b"", *, raw: bool = False
) -> Disk | list[VmnetError]:
    """Judge a file of `size` bytes by its first HEAD bytes and its last TAIL bytes.

    `raw` says that its owner calls it a raw disk: then nothing has to be recognised, but what any
    tool could take for another format is refused all the same.
    """
    if not size:
        return [_bad("it is empty", _AGAIN)]
    found = kind(head, tail)
    if found == "qcow2":
        return _qcow2(head, size, raw=raw)
    if found in RAW or (raw and not _is_other(found)):
        return _raw(head, size, found if found in RAW else "")
    return [_refusal(found)]


def _qcow2(head: bytes, size: int, *, raw: bool) -> Disk | list[VmnetError]:
    if raw:
        return [
            _bad(
                "it is called raw, but begins like a qcow2 image: some tool would open it as one",
                "if it is a qcow2 image, import it without --raw",
            )
        ]
    found = qcow2.complaints(head, size)
    header = qcow2.read(head)
    if found or header is None:
        return found
    return Disk("qcow2", "qcow2", header.virtual_size)


def _raw(head: bytes, size: int, found: str) -> Disk | list[VmnetError]:
    if size > qcow2.MOST_VIRTUAL:
        tib = size / (1 << 40)
        return [_bad(f"it is {tib:,.1f} TiB large, vmnet takes up to 1 TiB", "make it smaller")]
    if size % _SECTOR:
        return [_bad(f"it is cut off: {size} bytes are not a whole number of sectors", _AGAIN)]
    end = end_of_raw(head, found)
    if end > size:
        return [_bad(f"it is cut off: its {found} says {end} bytes, it has {size}", _AGAIN)]
    return Disk("raw", found, size)


def _is_other(found: str) -> bool:
    return found in _OTHER_DISKS or found in _UNPACKERS or found in {"LUKS", "kernel", "ELF"}


def _refusal(found: str) -> VmnetError:
    if found in _OTHER_DISKS:
        return _bad(
            f"it is a {found} image: vmnet takes qcow2 and raw disks only",
            f"if you trust it: qemu-img convert -f {_OTHER_DISKS[found]} -O qcow2 IMAGE COPY.qcow2",
        )
    if found in _UNPACKERS:
        return _bad(
            f"it is packed with {found}, which vmnet does not unpack here",
            f"unpack it, then import what was in it: {_UNPACKERS[found]} FILE",
        )
    if found == "LUKS":
        return _bad("it is encrypted (LUKS), and vmnet keeps no keys", "import it decrypted")
    if found in {"kernel", "ELF"}:
        return _bad(
            "it is a kernel or another program, not a disk",
            "give a VM of the plan its own kernel: kernel: FILE",
        )
    return _bad(
        "it is not a disk image that vmnet knows: neither qcow2 nor a disk with partitions or a "
        "file system",
        "see that it is the right file; if it is a raw disk with something else: --raw",
    )


def about(shown: str, found: list[VmnetError]) -> list[VmnetError]:
    """Say in each complaint which file it is about."""
    name = one_line(shown, 120)
    return [VmnetError(f"{name}: {e.what}", fix=e.fix, status=e.status) for e in found]


def _bad(what: str, fix: str) -> VmnetError:
    return VmnetError(what, fix=fix, status=Exit.BAD_INPUT)
