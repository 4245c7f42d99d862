"""The guests of a plan: their NICs, disks, what they boot from and what is put into them."""

from typing import Annotated

from pydantic import Field, PlainValidator, model_validator

from provisioner.plan import scalars, vm_scalars
from provisioner.plan.choices import (
    Cache,
    DiskFormat,
    Firmware,
    Graphics,
    LinkState,
    MachineType,
)
from provisioner.plan.mac import Mac
from provisioner.plan.types import (
    DEFAULTABLE,
    Allow,
    AnyGuard,
    AnyMode,
    AnyVhost,
    Command,
    EtherTypes,
    Flag,
    Interfaces,
    Many,
    Mtu,
    Part,
    Path,
    QueueLength,
    Queues,
    Read,
    word,
)


class Nic(Part):
    """One NIC of a guest, backed by one macvtap; None leaves a choice to the network.

    nics:
      - lan
      - {network: dmz, mode: passthru, address: [10.9.0.5/24, "fd09::5/64"], mtu: 9000}
    """

    network: Annotated[str, Read(scalars.network_name)] = Field(examples=["network: lan"])
    mode: AnyMode | None = None
    mac: Annotated[Mac, PlainValidator(scalars.mac)] | None = None
    address: Interfaces | None = None
    mtu: Mtu | None = None
    link: Annotated[LinkState, word(LinkState, "a state of a link")] = LinkState.UP
    promisc: Flag | None = None
    allow: Allow | None = None
    spoof_guard: AnyGuard | None = None
    ether_types: EtherTypes | None = None
    queues: Queues | None = None
    vhost: AnyVhost | None = None
    txqueuelen: QueueLength | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return {"network": value} if isinstance(value, str) else value


class Disk(Part):
    """A disk: an empty one that vmnet makes, a file below the plan's folder, or a block device.

    As a VM's `disk` it is the image's own, which may grow, never shrink.

    disk: 20G
    disks: [10G, {path: data.qcow2, format: qcow2}, {device: /dev/disk/by-id/…, readonly: true}]
    """

    size_mib: Annotated[int, Read(vm_scalars.size_mib)] | None = Field(None, alias="size")
    path: Path | None = None
    device: Annotated[str, Read(vm_scalars.device)] | None = None
    format: Annotated[DiskFormat, word(DiskFormat, "a format of a disk")] | None = None
    readonly: Flag = False
    cache: Annotated[Cache, word(Cache, "a way to cache")] | None = None
    discard: Flag = True
    keep: Flag | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return {"size": value} if isinstance(value, str) else value


class File(Part):
    """A file that is written inside the guest at its first boot: `content`, or a file's text.

    files:
      - {path: /etc/motd, content: hello}
      - {path: /usr/local/bin/x, source: ./x.sh, mode: "0755", owner: root:root}
    """

    path: Annotated[str, Read(vm_scalars.guest_path)] = Field(examples=["path: /etc/motd"])
    content: Annotated[str, Read(vm_scalars.content)] | None = None
    source: Path | None = None
    mode: Annotated[str, Read(vm_scalars.file_mode)] = "0644"
    owner: Annotated[str, Read(vm_scalars.owner)] = "root:root"


AnyFirmware = Annotated[Firmware, word(Firmware, "a way to boot")]
CpuModel = Annotated[str, Read(vm_scalars.cpu_model)]
Login = Annotated[str, Read(vm_scalars.login)]
Memory = Annotated[int, Read(scalars.memory_mib)]
Package = Annotated[str, Read(vm_scalars.package)]
PasswordHash = Annotated[str, Read(vm_scalars.password_hash)]
Ready = Annotated[str, Read(vm_scalars.ready)]
SshKey = Annotated[str, Read(scalars.ssh_key)]
XmlPath = Annotated[str, Read(vm_scalars.xml_path)]
_no_tpm = vm_scalars.unsupported("TPM", "leave tpm out: nothing here emulates one")
_no_secure_boot = vm_scalars.unsupported(
    "secure boot", "leave secure_boot out; boot: uefi boots without it"
)


class Vm(Part):
    """One guest; None leaves a choice to its image.

    vms:
      web: {image: debian-12, memory: 1G, cpus: 2, nics: [lan], run: [systemctl start nginx]}
      node: {count: 3, nics: [lan, {network: dmz, link: down}]}
      own: {image: none, kernel: ./bzImage, initrd: ./initrd, cmdline: quiet, nics: [lan]}
    """

    name: Annotated[str, Read(scalars.vm_name)]
    kernel: Path | None = None
    image: Annotated[str, Read(vm_scalars.image), DEFAULTABLE] = Field(
        default_factory=lambda known: vm_scalars.NO_IMAGE if known.get("kernel") else "micro"
    )
    digest: Annotated[str, Read(vm_scalars.digest)] | None = None
    memory_mib: Annotated[Memory | None, DEFAULTABLE] = Field(None, alias="memory")
    cpus: Annotated[int, Read(scalars.cpus), DEFAULTABLE] = 1
    cpu_model: Annotated[CpuModel | None, DEFAULTABLE] = None
    machine: Annotated[MachineType, word(MachineType, "a machine"), DEFAULTABLE] = MachineType.Q35
    boot: Annotated[AnyFirmware | None, DEFAULTABLE] = None
    initrd: Path | None = None
    cmdline: Command | None = None
    disk: Annotated[Disk | None, DEFAULTABLE] = None
    disks: Annotated[tuple[Disk, ...], Many] = ()
    keep: Annotated[Flag | None, DEFAULTABLE] = None
    graphics: Annotated[Graphics, word(Graphics, "a choice of graphics"), DEFAULTABLE] = (
        Graphics.NONE
    )
    template: Path | None = None
    allow_xml: Annotated[tuple[XmlPath, ...], Many] = ()
    nics: Annotated[tuple[Nic, ...], Many] = Field(examples=["nics: [lan]"])
    user: Annotated[Login | None, DEFAULTABLE] = None
    ssh_keys: Annotated[tuple[SshKey, ...], Many, DEFAULTABLE] = ()
    password_hash: Annotated[PasswordHash | None, DEFAULTABLE] = None
    password: Annotated[str, Read(vm_scalars.password)] | None = None
    packages: Annotated[tuple[Package, ...], Many, DEFAULTABLE] = ()
    run: Annotated[tuple[Command, ...], Many, DEFAULTABLE] = ()
    files: Annotated[tuple[File, ...], Many] = ()
    cloud_init: Annotated[Path | None, DEFAULTABLE] = None
    ignition: Path | None = None
    ready: Annotated[tuple[Ready, ...], Many, DEFAULTABLE] = ()
    tpm: Annotated[bool, Read(_no_tpm)] = False
    secure_boot: Annotated[bool, Read(_no_secure_boot)] = False
