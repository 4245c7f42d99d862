"""The guests of a plan: their NICs, disks, what they boot from and what is put into them."""

from typing import Annotated

from pydantic import BeforeValidator, Field, PlainValidator, model_validator

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
    Flag,
    Interfaces,
    Many,
    Mtu,
    Part,
    QueueLength,
    Queues,
    word,
)


class Nic(Part):
    """One NIC of a guest, backed by one macvtap; None leaves a choice to the network.

    nics:
      - lan
      - {network: dmz, mode: passthru, address: [10.9.0.5/24, "fd09::5/64"], mtu: 9000}
    """

    network: Annotated[str, BeforeValidator(scalars.network_name)] = Field(
        examples=["network: lan"]
    )
    mode: AnyMode | None = None
    mac: Annotated[Mac, PlainValidator(scalars.mac)] | None = None
    address: Interfaces | None = None
    mtu: Mtu | None = None
    link: Annotated[LinkState, word(LinkState, "a state of a link")] = LinkState.UP
    promisc: Flag | None = None
    allow: Allow | None = None
    spoof_guard: AnyGuard | None = None
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

    size_mib: Annotated[int, BeforeValidator(vm_scalars.size_mib)] | None = Field(
        None, alias="size"
    )
    path: Annotated[str, BeforeValidator(vm_scalars.path)] | None = None
    device: Annotated[str, BeforeValidator(vm_scalars.device)] | None = None
    format: Annotated[DiskFormat, word(DiskFormat, "a format of a disk")] | None = None
    readonly: Flag = False
    cache: Annotated[Cache, word(Cache, "a way to cache")] | None = None
    discard: Flag = True

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

    path: Annotated[str, BeforeValidator(vm_scalars.guest_path)] = Field(
        examples=["path: /etc/motd"]
    )
    content: Annotated[str, BeforeValidator(vm_scalars.content)] | None = None
    source: Annotated[str, BeforeValidator(vm_scalars.path)] | None = None
    mode: Annotated[str, BeforeValidator(vm_scalars.file_mode)] = "0644"
    owner: Annotated[str, BeforeValidator(vm_scalars.owner)] = "root:root"


_Path = Annotated[str, BeforeValidator(vm_scalars.path)]
_Commands = Annotated[tuple[Annotated[str, BeforeValidator(vm_scalars.command)], ...], Many]
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

    name: Annotated[str, BeforeValidator(scalars.vm_name)]
    kernel: _Path | None = None
    image: Annotated[str, BeforeValidator(vm_scalars.image)] = Field(
        default_factory=lambda known: vm_scalars.NO_IMAGE if known.get("kernel") else "micro",
        json_schema_extra=DEFAULTABLE,
    )
    digest: Annotated[str, BeforeValidator(vm_scalars.digest)] | None = None
    memory_mib: Annotated[int, BeforeValidator(scalars.memory_mib)] | None = Field(
        None, alias="memory", json_schema_extra=DEFAULTABLE
    )
    cpus: Annotated[int, BeforeValidator(scalars.cpus)] = Field(1, json_schema_extra=DEFAULTABLE)
    cpu_model: Annotated[str, BeforeValidator(vm_scalars.cpu_model)] | None = Field(
        None, json_schema_extra=DEFAULTABLE
    )
    machine: Annotated[MachineType, word(MachineType, "a machine")] = Field(
        MachineType.Q35, json_schema_extra=DEFAULTABLE
    )
    boot: Annotated[Firmware, word(Firmware, "a way to boot")] | None = Field(
        None, json_schema_extra=DEFAULTABLE
    )
    initrd: _Path | None = None
    cmdline: Annotated[str, BeforeValidator(vm_scalars.command)] | None = None
    disk: Disk | None = Field(None, json_schema_extra=DEFAULTABLE)
    disks: Annotated[tuple[Disk, ...], Many] = ()
    graphics: Annotated[Graphics, word(Graphics, "a choice of graphics")] = Field(
        Graphics.NONE, json_schema_extra=DEFAULTABLE
    )
    template: _Path | None = None
    allow_xml: Annotated[
        tuple[Annotated[str, BeforeValidator(vm_scalars.xml_path)], ...], Many
    ] = ()
    nics: Annotated[tuple[Nic, ...], Many] = Field(examples=["nics: [lan]"])
    user: Annotated[str, BeforeValidator(vm_scalars.login)] | None = Field(
        None, json_schema_extra=DEFAULTABLE
    )
    ssh_keys: Annotated[tuple[Annotated[str, BeforeValidator(scalars.ssh_key)], ...], Many] = Field(
        (), json_schema_extra=DEFAULTABLE
    )
    password_hash: Annotated[str, BeforeValidator(vm_scalars.password_hash)] | None = Field(
        None, json_schema_extra=DEFAULTABLE
    )
    password: Annotated[str, BeforeValidator(vm_scalars.password)] | None = None
    packages: Annotated[tuple[Annotated[str, BeforeValidator(vm_scalars.package)], ...], Many] = (
        Field((), json_schema_extra=DEFAULTABLE)
    )
    run: _Commands = Field((), json_schema_extra=DEFAULTABLE)
    files: Annotated[tuple[File, ...], Many] = ()
    cloud_init: _Path | None = Field(None, json_schema_extra=DEFAULTABLE)
    ignition: _Path | None = None
    ready: Annotated[tuple[Annotated[str, BeforeValidator(vm_scalars.ready)], ...], Many] = Field(
        (), json_schema_extra=DEFAULTABLE
    )
    tpm: Annotated[bool, BeforeValidator(_no_tpm)] = False
    secure_boot: Annotated[bool, BeforeValidator(_no_secure_boot)] = False
