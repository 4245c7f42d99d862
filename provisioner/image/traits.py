"""What is known of an image's guests, by a catalogue, a recipe or a user."""

from typing import Literal

from provisioner.dataclass import dataclass

FirmwareName = Literal["bios", "uefi"]


@dataclass(frozen=True, slots=True)
class ImageTraits:
    """What a guest of the image needs and offers; `kernel` boots without a firmware's help."""

    kernel: str = ""
    initrd: str = ""
    cmdline: str = ""  # the least that the kernel gets
    min_memory_mib: int = 256
    boot: tuple[FirmwareName, ...] = ("bios",)  # how it boots from its disk
    user: str = "root"  # who logs in
    min_cpu: str = ""  # such as "x86-64-v2"; "" for any
    agent: bool = False  # the guest agent runs inside
    cloud_init: bool = True  # it reads a NoCloud seed
