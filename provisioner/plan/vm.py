"""The guests of a plan: their NICs, disks, what they boot from and what is put into them."""

from typing import Annotated, ClassVar

from pydantic import Field, PlainValidator, model_validator

from provisioner.plan import hosts, scalars, vm_scalars
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
    Isolate,
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

    SHORT: ClassVar[str] = "network"

    network: Annotated[str, Read(scalars.network_name)] = Field(
        examples=["network: lan"], description="The network's name."
    )
    mode: AnyMode | None = Field(None, description="The macvtap mode, instead of the network's.")
    mac: Annotated[Mac, PlainValidator(scalars.mac)] | None = Field(
        None, description="A unicast MAC; derived from plan, VM and NIC when left out."
    )
    address: Interfaces | None = Field(
        None, description="ADDRESS or ADDRESS/PREFIX, one or a list; derived when left out."
    )
    mtu: Mtu | None = Field(None, description="The MTU in bytes, not above the network's.")
    link: Annotated[LinkState, word(LinkState, "a state of a link")] = Field(
        LinkState.UP, description="Whether the cable is plugged in."
    )
    promisc: Flag | None = Field(
        None, description="With mode passthru: instead of the network's promisc."
    )
    allow: Allow | None = Field(None, description="With mode source: instead of the network's.")
    spoof_guard: AnyGuard | None = Field(
        None, description="What the guest cannot forge, instead of the network's."
    )
    ether_types: EtherTypes | None = Field(
        None, description="With spoof_guard strict: instead of the network's."
    )
    isolate: Isolate | None = Field(
        None, description="Whose frames the guest never gets, instead of the network's."
    )
    queues: Queues | None = Field(None, description="Queues, instead of the network's.")
    vhost: AnyVhost | None = Field(
        None, description="Whether the kernel moves the frames, instead of the network's."
    )
    txqueuelen: QueueLength | None = Field(
        None, description="Frames that wait for the guest, instead of the network's."
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return {cls.SHORT: value} if isinstance(value, str) else value


class Disk(Part):
    """A disk: an empty one that vmnet makes, a file below the plan's folder, or a block device.

    As a VM's `disk` it is the image's own, which may grow, never shrink.

    disk: 20G
    disks: [10G, {path: data.qcow2, format: qcow2}, {device: /dev/disk/by-id/…, readonly: true}]
    """

    SHORT: ClassVar[str] = "size"

    size_mib: Annotated[int, Read(vm_scalars.size_mib)] | None = Field(
        None, alias="size", description="Its size with a unit, as 20G or 512M."
    )
    path: Path | None = Field(
        None, description="A file below the plan's folder; format has to be given."
    )
    device: Annotated[str, Read(vm_scalars.device)] | None = Field(
        None, description="A block device of the host, by its path under /dev."
    )
    format: Annotated[DiskFormat, word(DiskFormat, "a format of a disk")] | None = Field(
        None, description="How its bytes are laid out; never guessed."
    )
    readonly: Flag = Field(default=False, description="Whether the guest cannot write.")
    cache: Annotated[Cache, word(Cache, "a way to cache")] | None = Field(
        None, description="How the host caches what the guest writes; QEMU's way when left out."
    )
    discard: Flag = Field(default=True, description="Whether what the guest trims is given back.")
    keep: Flag | None = Field(
        None, description="Whether it outlives vmnet down, instead of the VM's keep."
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return {cls.SHORT: value} if isinstance(value, str) else value


class File(Part):
    """A file that is written inside the guest at its first boot: `content`, or a file's text.

    files:
      - {path: /etc/motd, content: hello}
      - {path: /usr/local/bin/x, source: ./x.sh, mode: "0755", owner: root:root}
    """

    path: Annotated[str, Read(vm_scalars.guest_path)] = Field(
        examples=["path: /etc/motd"], description="Where in the guest, absolute."
    )
    content: Annotated[str, Read(vm_scalars.content)] | None = Field(
        None, description="Its text, 64 KiB at most; or source."
    )
    source: Path | None = Field(
        None, description="A file below the plan's folder that holds its text; or content."
    )
    mode: Annotated[str, Read(vm_scalars.file_mode)] = Field(
        "0644", description="Its permissions in octal."
    )
    owner: Annotated[str, Read(vm_scalars.owner)] = Field(
        "root:root", description="USER or USER:GROUP."
    )


AnyFirmware = Annotated[Firmware, word(Firmware, "a way to boot")]
CpuModel = Annotated[str, Read(vm_scalars.cpu_model)]
HostOrGroup = Annotated[str, Read(hosts.place)]
Login = Annotated[str, Read(vm_scalars.login)]
Memory = Annotated[int, Read(scalars.memory_mib)]
Package = Annotated[str, Read(vm_scalars.package)]
PasswordHash = Annotated[str, Read(vm_scalars.password_hash)]
Ready = Annotated[str, Read(vm_scalars.ready)]
OtherVm = Annotated[str, Read(scalars.vm_name)]
SshKey = Annotated[str, Read(vm_scalars.ssh_key)]
XmlPath = Annotated[str, Read(vm_scalars.xml_path)]
_no_tpm = vm_scalars.Unsupported("TPM", "leave tpm out: nothing here emulates one")
_no_secure_boot = vm_scalars.Unsupported(
    "secure boot", "leave secure_boot out; boot: uefi boots without it"
)


class Vm(Part):
    """One guest; None leaves a choice to its image.

    vms:
      web: {image: debian-12, memory: 1G, cpus: 2, nics: [lan], run: [systemctl start nginx]}
      node: {count: 3, nics: [lan, {network: dmz, link: down}]}
      own: {image: none, kernel: ./bzImage, initrd: ./initrd, cmdline: quiet, nics: [lan]}
    """

    name: Annotated[str, Read(scalars.vm_name)] = Field(description="The VM's name.")
    kernel: Path | None = Field(None, description="A kernel to be booted directly.")
    image: Annotated[str, Read(vm_scalars.image), DEFAULTABLE] = Field(
        default_factory=lambda known: vm_scalars.NO_IMAGE if known.get("kernel") else "micro",
        description="What it boots: a name, file:PATH, https://..., or none with a kernel.",
    )
    digest: Annotated[str, Read(vm_scalars.digest)] | None = Field(
        None, description="SHA-256 or SHA-512 of an image given by path or address."
    )
    memory_mib: Annotated[Memory | None, DEFAULTABLE] = Field(
        None, alias="memory", description="128M, 1G; a bare number is MiB."
    )
    cpus: Annotated[int, Read(scalars.cpus), DEFAULTABLE] = Field(
        1, description="How many processors it has."
    )
    cpu_model: Annotated[CpuModel | None, DEFAULTABLE] = Field(
        None, description="A CPU model of QEMU's, host or max."
    )
    machine: Annotated[MachineType, word(MachineType, "a machine"), DEFAULTABLE] = Field(
        MachineType.Q35, description="The machine that QEMU emulates."
    )
    boot: Annotated[AnyFirmware | None, DEFAULTABLE] = Field(
        None, description="What starts the image: BIOS or UEFI."
    )
    initrd: Path | None = Field(None, description="The initrd of the kernel.")
    cmdline: Command | None = Field(None, description="The kernel's words.")
    disk: Annotated[Disk | None, DEFAULTABLE] = Field(
        None, description="The size that the image's own disk grows to, or its keys."
    )
    disks: Annotated[tuple[Disk, ...], Many] = Field(
        (), description="More disks: sizes, or their keys."
    )
    keep: Annotated[Flag | None, DEFAULTABLE] = Field(
        None, description="Whether its disks outlive vmnet down."
    )
    graphics: Annotated[Graphics, word(Graphics, "a choice of graphics"), DEFAULTABLE] = Field(
        Graphics.NONE, description="Whether it has a screen, shown by VNC."
    )
    template: Path | None = Field(None, description="A template of your own for the libvirt XML.")
    allow_xml: Annotated[tuple[XmlPath, ...], Many] = Field(
        (), description="Elements that its XML may have besides."
    )
    nics: Annotated[tuple[Nic, ...], Many] = Field(
        examples=["nics: [lan]"], description="Its NICs: names of networks, or their keys."
    )
    on: Annotated[HostOrGroup | None, DEFAULTABLE] = Field(
        None, description="The host or the group of hosts that it is placed on."
    )
    user: Annotated[Login | None, DEFAULTABLE] = Field(
        None, description="The login that gets the keys; the image's own when left out."
    )
    ssh_keys: Annotated[tuple[SshKey, ...], Many, Read(vm_scalars.key_list), DEFAULTABLE] = Field(
        (vm_scalars.AUTO_KEYS,),
        description="Public keys of OpenSSH for that user; auto: the caller's own; or none.",
    )
    password_hash: Annotated[PasswordHash | None, DEFAULTABLE] = Field(
        None, description="Its password, as openssl passwd -6 prints it."
    )
    password: Annotated[str, Read(vm_scalars.password)] | None = Field(
        None, description="Its password in the clear."
    )
    packages: Annotated[tuple[Package, ...], Many, DEFAULTABLE] = Field(
        (), description="Packages to install at its first boot."
    )
    run: Annotated[tuple[Command, ...], Many, DEFAULTABLE] = Field(
        (), description="Lines for its shell, at its first boot."
    )
    files: Annotated[tuple[File, ...], Many] = Field(
        (), description="Files to write at its first boot."
    )
    cloud_init: Annotated[Path | None, DEFAULTABLE] = Field(
        None, description="A file of user-data of your own."
    )
    ignition: Path | None = Field(None, description="An Ignition file, instead of cloud-init.")
    ready: Annotated[tuple[Ready, ...], Many, DEFAULTABLE] = Field(
        (), description="What shows that it is up: agent, ssh, tcp/PORT, command PROGRAM ..."
    )
    after: Annotated[tuple[OtherVm, ...], Many] = Field(
        (), description="VMs that have to be ready before this one is started."
    )
    tpm: Annotated[bool, Read(_no_tpm)] = Field(
        default=False, description="Only false: there is none."
    )
    secure_boot: Annotated[bool, Read(_no_secure_boot)] = Field(
        default=False, description="Only false: there is none."
    )
