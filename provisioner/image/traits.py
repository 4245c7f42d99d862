"""What is known of an image's guests, whoever says it: a catalogue, a recipe, a user."""

from dataclasses import dataclass
from typing import Literal

FirmwareName = Literal["bios", "uefi"]


@dataclass(frozen=True, slots=True)
class ImageTraits:
    """What a guest of the image needs and offers; `kernel` boots without a firmware's help."""

    kernel: str = ""
    initrd: str = ""
    cmdline: str = ""  # what the kernel is given at least
    min_memory_mib: int = 256
    boot: tuple[FirmwareName, ...] = ("bios",)  # how it boots from its disk
    user: str = "root"  # who logs in
    min_cpu: str = ""  # "x86-64-v2", say; "" for any
    agent: bool = False  # the guest agent runs inside
    cloud_init: bool = True  # it reads a NoCloud seed
