"""The guests of a plan: their cards, disks, what they boot from and what is put into them."""

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from provisioner.plan import numbers, problem, scalars, vm_scalars
from provisioner.plan.rules import vm
from provisioner.plan.types import (
    Allow,
    AnyGuard,
    AnyMode,
    AnyVhost,
    Cache,
    DiskFormat,
    Firmware,
    Flag,
    Graphics,
    Interfaces,
    LinkState,
    MachineType,
    Many,
    Mtu,
    Part,
    QueueLength,
    Queues,
    word,
)


class Nic(Part):
    """One network card of a guest, backed by one macvtap; None leaves a choice to the network."""

    network: Annotated[str, BeforeValidator(scalars.network_name)]
    mode: AnyMode | None = None
    mac: Annotated[str, BeforeValidator(scalars.mac)] | None = None
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
    """A file that is written inside the guest at its first boot: `content`, or a file's text."""

    path: Annotated[str, BeforeValidator(vm_scalars.guest_path)]
    content: Annotated[str, BeforeValidator(vm_scalars.content)] | None = None
    source: Annotated[str, BeforeValidator(vm_scalars.path)] | None = None
    mode: Annotated[str, BeforeValidator(vm_scalars.file_mode)] = "0644"
    owner: Annotated[str, BeforeValidator(vm_scalars.owner)] = "root:root"


_Path = Annotated[str, BeforeValidator(vm_scalars.path)]
_Words = Annotated[tuple[Annotated[str, BeforeValidator(vm_scalars.command)], ...], Many]


class Vm(Part):
    """One guest; None leaves a choice to its image."""

    name: Annotated[str, BeforeValidator(scalars.vm_name)]
    kernel: _Path | None = None
    image: Annotated[str, BeforeValidator(vm_scalars.image)] = Field(
        default_factory=lambda known: vm_scalars.NO_IMAGE if known.get("kernel") else "micro"
    )
    digest: Annotated[str, BeforeValidator(vm_scalars.digest)] | None = None
    memory_mib: Annotated[int, BeforeValidator(numbers.memory_mib)] | None = Field(
        None, alias="memory"
    )
    cpus: Annotated[int, BeforeValidator(numbers.cpus)] = 1
    cpu_model: Annotated[str, BeforeValidator(vm_scalars.cpu_model)] | None = None
    machine: Annotated[MachineType, word(MachineType, "a machine")] = MachineType.Q35
    boot: Annotated[Firmware, word(Firmware, "a way to boot")] | None = None
    initrd: _Path | None = None
    cmdline: Annotated[str, BeforeValidator(vm_scalars.command)] | None = None
    disk: Disk | None = None
    disks: Annotated[tuple[Disk, ...], Many] = ()
    graphics: Annotated[Graphics, word(Graphics, "a choice of graphics")] = Graphics.NONE
    template: _Path | None = None
    allow_xml: Annotated[
        tuple[Annotated[str, BeforeValidator(vm_scalars.xml_path)], ...], Many
    ] = ()
    nics: Annotated[tuple[Nic, ...], Many]
    user: Annotated[str, BeforeValidator(vm_scalars.login)] | None = None
    ssh_keys: Annotated[tuple[Annotated[str, BeforeValidator(scalars.ssh_key)], ...], Many] = ()
    password_hash: Annotated[str, BeforeValidator(vm_scalars.password_hash)] | None = None
    password: Annotated[str, BeforeValidator(vm_scalars.password)] | None = None
    packages: Annotated[tuple[Annotated[str, BeforeValidator(vm_scalars.package)], ...], Many] = ()
    run: _Words = ()
    files: Annotated[tuple[File, ...], Many] = ()
    cloud_init: _Path | None = None
    ignition: _Path | None = None
    ready: Annotated[tuple[Annotated[str, BeforeValidator(vm_scalars.ready)], ...], Many] = ()
    tpm: Annotated[
        bool,
        BeforeValidator(vm_scalars.unsupported("TPM", "leave tpm out: nothing here emulates one")),
    ] = False
    secure_boot: Annotated[
        bool,
        BeforeValidator(
            vm_scalars.unsupported(
                "secure boot", "leave secure_boot out; boot: uefi boots without it"
            )
        ),
    ] = False

    @model_validator(mode="after")
    def _holds(self) -> Self:
        problem.refuse("vm", vm.vm_problems(self))
        return self
