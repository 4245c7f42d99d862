"""The plan: what the user asked for, complete and checked when built.

These models are the one source of names, defaults and rules. What concerns several values at once
stands in planrules; building any of these raises pydantic's ValidationError.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationInfo,
    field_validator,
    model_validator,
)

from provisioner.core import (
    checkwords,
    machines,
    netrules,
    netvalues,
    numbers,
    planrules,
    problems,
    usercheck,
    values,
)


class Mode(StrEnum):
    """How the kernel switches frames among macvtaps on one uplink (Linux: if_link.h)."""

    PRIVATE = "private"
    VEPA = "vepa"
    BRIDGE = "bridge"
    PASSTHRU = "passthru"
    SOURCE = "source"


class Accel(StrEnum):
    """Who executes the guest's instructions; auto takes KVM where it works, else TCG."""

    AUTO = "auto"
    KVM = "kvm"
    TCG = "tcg"


class Addressing(StrEnum):
    """Where addresses come from: the plan, DHCP, router advertisements only, or nowhere."""

    STATIC = "static"
    DHCP = "dhcp"
    SLAAC = "slaac"
    NONE = "none"


class SpoofGuard(StrEnum):
    """What a guest is kept from forging: nothing, source MACs, or ARP, IP, DHCP and RA as well."""

    OFF = "off"
    MAC = "mac"
    STRICT = "strict"


class Vhost(StrEnum):
    """Whether the kernel moves a NIC's frames (vhost-net) instead of QEMU; auto: where it can."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


class LinkState(StrEnum):
    """Whether a NIC's cable is plugged in."""

    UP = "up"
    DOWN = "down"


def _mode(value: object) -> str:
    return "passthru" if value == "passthrough" else values.one_of(value, Mode, "a macvtap mode")


def _word(words: type[StrEnum], kind: str) -> BeforeValidator:
    return BeforeValidator(lambda value: values.one_of(value, words, kind))


def _accel(value: object) -> str:
    return values.one_of(value, Accel, "an accelerator")


def _addressing(value: object) -> str:
    return values.one_of(value, Addressing, "a way of addressing")


_Many = BeforeValidator(values.many)
_Mode = Annotated[Mode, BeforeValidator(_mode)]
_Flag = Annotated[bool, BeforeValidator(values.flag)]
_Allow = Annotated[tuple[Annotated[str, BeforeValidator(values.allowed)], ...], _Many]
_Queues = Annotated[int, BeforeValidator(numbers.queues)]
_QueueLength = Annotated[int, BeforeValidator(numbers.txqueuelen)]
_Guard = Annotated[SpoofGuard, _word(SpoofGuard, "a guard")]
_Vhost = Annotated[Vhost, _word(Vhost, "a choice of vhost")]
_Mtu = Annotated[int, BeforeValidator(numbers.mtu)]
_Address = Annotated[netvalues.Address, PlainValidator(netvalues.address)]
_Interface = Annotated[netvalues.Interface, PlainValidator(netvalues.interface)]
_Subnet = Annotated[netvalues.Subnet, PlainValidator(netvalues.subnet)]
_Addresses = Annotated[tuple[_Address, ...], _Many]
_Interfaces = Annotated[tuple[_Interface, ...], _Many]


class _Part(BaseModel):
    # validators are compiled once, inside the plan's, instead of once more per class
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, populate_by_name=True)


class Switch(_Part):
    """An isolated uplink that vmnet makes: a veth pair whose far side is the host's.

    `host` are the far side's own addresses. With `hairpin` a bridge there sends frames back, with
    `nat` guests get out through the host, with `dhcp` a dnsmasq answers DHCP and DNS.
    """

    host: _Interfaces = ()
    hairpin: _Flag = False
    nat: _Flag = False
    dhcp: _Flag = False

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        if value is True or (isinstance(value, str) and value.lower() in {"true", "yes", "on"}):
            return {}
        if isinstance(value, dict | Switch):
            return value
        raise values.BadValue(
            f"{values.quoted(values.scalar(value))} is not a switch",
            "write switch: true, or switch: {host: 10.77.0.1/24}",
        )


def _usual_addressing(subnets: tuple[netvalues.Subnet, ...], switch: Switch | None) -> Addressing:
    dynamic = not subnets or (switch is not None and switch.dhcp)
    return Addressing.DHCP if dynamic else Addressing.STATIC


class Network(_Part):
    """One wire that NICs are attached to: an uplink of the host, or a switch that vmnet makes."""

    name: Annotated[str, BeforeValidator(values.network_name)]
    uplink: Annotated[str, BeforeValidator(values.uplink)] | None = None
    subnet: Annotated[tuple[_Subnet, ...], _Many] = ()
    switch: Switch | None = None
    granted: Annotated[str, BeforeValidator(values.network_name)] | None = None
    mode: _Mode = Mode.BRIDGE
    gateway: _Addresses = ()
    pool: Annotated[tuple[_Address, _Address], BeforeValidator(netvalues.pool)] | None = None
    addressing: Annotated[Addressing, BeforeValidator(_addressing)] = Field(
        default_factory=lambda known: _usual_addressing(known["subnet"], known["switch"])
    )
    slaac: _Flag = Field(default_factory=lambda known: known["addressing"] in {"dhcp", "slaac"})
    mtu: _Mtu | None = None
    dns: _Addresses = ()
    promisc: _Flag = True
    allow: _Allow = ()
    take_over: _Flag = False
    host_access: Annotated[tuple[_Address, ...] | None, PlainValidator(netvalues.host_access)] = (
        None
    )
    vlan: Annotated[int, BeforeValidator(numbers.vlan)] | None = None
    spoof_guard: _Guard = SpoofGuard.MAC
    queues: _Queues = 1
    vhost: _Vhost = Vhost.AUTO
    txqueuelen: _QueueLength = 500

    @field_validator("switch")
    @classmethod
    def _with_host(cls, switch: Switch | None, info: ValidationInfo) -> Switch | None:
        """Give the far end the first usable address of each subnet, or the subnet's prefix."""
        subnets: tuple[netvalues.Subnet, ...] = info.data.get("subnet", ())
        if switch is None:
            return None
        host = netvalues.completed(switch.host, subnets)
        if not host:
            host = tuple(netvalues.first_usable(subnet) for subnet in subnets)
        return switch.model_copy(update={"host": host})

    @model_validator(mode="after")
    def _holds(self) -> Self:
        problems.refuse("network", netrules.network_problems(self))
        return self


class Nic(_Part):
    """One network card of a guest, backed by one macvtap; None leaves a choice to the network."""

    network: Annotated[str, BeforeValidator(values.network_name)]
    mode: _Mode | None = None
    mac: Annotated[str, BeforeValidator(values.mac)] | None = None
    address: _Interfaces | None = None
    mtu: _Mtu | None = None
    link: Annotated[LinkState, _word(LinkState, "a state of a link")] = LinkState.UP
    promisc: _Flag | None = None
    allow: _Allow | None = None
    spoof_guard: _Guard | None = None
    queues: _Queues | None = None
    vhost: _Vhost | None = None
    txqueuelen: _QueueLength | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return {"network": value} if isinstance(value, str) else value


class Vm(_Part):
    """One guest."""

    name: Annotated[str, BeforeValidator(values.vm_name)]
    image: Annotated[str, BeforeValidator(values.image)] = "micro"
    memory_mib: Annotated[int, BeforeValidator(numbers.memory_mib)] = Field(128, alias="memory")
    cpus: Annotated[int, BeforeValidator(numbers.cpus)] = 1
    nics: Annotated[tuple[Nic, ...], _Many]
    ssh_keys: Annotated[tuple[Annotated[str, BeforeValidator(values.ssh_key)], ...], _Many] = ()


class Plan(_Part):
    """The whole file, after every check that needs no machine."""

    name: Annotated[str, BeforeValidator(values.plan_name)]
    networks: tuple[Network, ...]
    vms: tuple[Vm, ...]
    hosts: Annotated[Mapping[str, machines.Machine], PlainValidator(machines.machines)] = Field(
        default_factory=dict
    )
    checks: Annotated[
        tuple[Annotated[checkwords.Check | str, PlainValidator(checkwords.line)], ...],
        BeforeValidator(values.many),
    ] = (checkwords.AUTO,)
    connection: Annotated[str, BeforeValidator(values.connection)] = "auto"
    accel: Annotated[Accel, BeforeValidator(_accel)] = Accel.AUTO

    @field_validator("vms")
    @classmethod
    def _with_prefixes(cls, vms: tuple[Vm, ...], info: ValidationInfo) -> tuple[Vm, ...]:
        """Let an address without a prefix take the one of its network's subnet."""
        known = {network.name: network.subnet for network in info.data.get("networks", ())}
        return tuple(_completed(vm, known) for vm in vms)

    @model_validator(mode="after")
    def _holds(self) -> Self:
        problems.refuse("plan", (*planrules.plan_problems(self), *usercheck.complaints(self)))
        return self

    def network(self, name: str) -> Network:
        """Give the network of that name; KeyError if there is none."""
        for network in self.networks:
            if network.name == name:
                return network
        raise KeyError(name)

    def vm(self, name: str) -> Vm:
        """Give the VM of that name; KeyError if there is none."""
        for vm in self.vms:
            if vm.name == name:
                return vm
        raise KeyError(name)


def _completed(vm: Vm, subnets: dict[str, tuple[netvalues.Subnet, ...]]) -> Vm:
    if not any(nic.address for nic in vm.nics):
        return vm
    nics = tuple(
        nic.model_copy(
            update={"address": netvalues.completed(nic.address, subnets.get(nic.network, ()))}
        )
        if nic.address
        else nic
        for nic in vm.nics
    )
    return vm.model_copy(update={"nics": nics})
