"""What lies where on the disk, and what its two boot loaders read; nothing is written here."""

import uuid

from provisioner.dataclass import dataclass

MIB = 1 << 20
_SECTOR = 512
_SPACE = uuid.UUID("3b8f6f1c-5a0c-4c39-9d0e-6f0f2b1a7d52")  # of names that this builder derives
_ESP = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
_ROOT_X86_64 = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"


@dataclass(frozen=True, slots=True)
class Layout:
    """An EFI system partition, then /, which is last so that it can grow.

    Everything that identifies the disk follows from `seed`: the same seed, the same disk.
    """

    size_mib: int
    esp_mib: int
    seed: str

    @property
    def esp_offset(self) -> int:
        """Where the EFI system partition starts, in bytes."""
        return MIB

    @property
    def root_offset(self) -> int:
        """Where / starts, in bytes."""
        return (1 + self.esp_mib) * MIB

    @property
    def root_kib(self) -> int:
        """How large / is; the last MiB of the disk is for the copy of the table."""
        return (self.size_mib - 2 - self.esp_mib) * 1024

    def uuid(self, what: str) -> str:
        """Return the UUID of a part of this disk."""
        return str(uuid.uuid5(_SPACE, f"{self.seed} {what}"))

    @property
    def table(self) -> str:
        """The partition table, as sfdisk reads it. BIOS finds its partition by the attribute."""
        esp = f"start={self.esp_offset // _SECTOR}, size={self.esp_mib * MIB // _SECTOR}"
        root = f"start={self.root_offset // _SECTOR}, size={self.root_kib * 2}"
        return (
            f"label: gpt\nlabel-id: {self.uuid('disk')}\nunit: sectors\n"
            f'{esp}, type={_ESP}, uuid={self.uuid("esp part")}, name="ESP",'
            " attrs=LegacyBIOSBootable\n"
            f'{root}, type={_ROOT_X86_64}, uuid={self.uuid("root part")}, name="root"\n'
        )


def loader_files(title: str, arguments: str) -> dict[str, str]:
    """Return the configuration of systemd-boot (UEFI) and of syslinux (BIOS) by path in the ESP.

    Kernel and initrd have fixed names there: a newer kernel takes their place, and the one before
    is the second entry.
    """
    entry = f"linux /vmlinuz{{old}}\ninitrd /initrd{{old}}\noptions {arguments}\n"
    label = f"LINUX /vmlinuz{{old}}\nINITRD /initrd{{old}}\nAPPEND {arguments}\n"
    new, before = {"old": ""}, {"old": ".old"}
    return {
        "loader/loader.conf": "default debian.conf\ntimeout 0\n",
        "loader/entries/debian.conf": f"title {title}\n{entry.format(**new)}",
        "loader/entries/previous.conf": f"title {title}, kernel before\n{entry.format(**before)}",
        "syslinux/syslinux.cfg": (
            f"DEFAULT debian\nPROMPT 0\nLABEL debian\n{label.format(**new)}"
            f"LABEL previous\n{label.format(**before)}"
        ),
    }
