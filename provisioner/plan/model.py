"""The plan: what the user asked for, complete and checked when built.

These models are the one source of names, defaults and rules. What concerns several values at once
stands in planrules; building any of these raises pydantic's ValidationError.
"""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import (
    BeforeValidator,
    Field,
    PlainValidator,
    ValidationInfo,
    field_validator,
    model_validator,
)

from provisioner.plan import checks as checkwords
from provisioner.plan import hosts as machines
from provisioner.plan import ip, numbers, problem, scalars
from provisioner.plan.rules import checks as usercheck
from provisioner.plan.rules import network as network_rules
from provisioner.plan.rules import plan
from provisioner.plan.types import (
    Accel,
    Addresses,
    Addressing,
    Allow,
    AnyAccel,
    AnyAddressing,
    AnyGuard,
    AnyMode,
    AnyVhost,
    Flag,
    Interfaces,
    Many,
    Mode,
    Mtu,
    OneAddress,
    OneSubnet,
    Part,
    QueueLength,
    Queues,
    SpoofGuard,
    Vhost,
)
from provisioner.plan.vm import Nic, Vm

__all__ = [
    "Accel",
    "Addressing",
    "Mode",
    "Network",
    "Nic",
    "Plan",
    "SpoofGuard",
    "Switch",
    "Vhost",
    "Vm",
]


class Switch(Part):
    """An isolated uplink that vmnet makes: a veth pair whose far side is the host's.

    `host` are the far side's own addresses. With `hairpin` a bridge there sends frames back, with
    `nat` guests get out through the host, with `dhcp` a dnsmasq answers DHCP and DNS.
    """

    host: Interfaces = ()
    hairpin: Flag = False
    nat: Flag = False
    dhcp: Flag = False

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        if value is True or (isinstance(value, str) and value.lower() in {"true", "yes", "on"}):
            return {}
        if isinstance(value, dict | Switch):
            return value
        raise scalars.BadValue(
            f"{scalars.quoted(scalars.scalar(value))} is not a switch",
            "write switch: true, or switch: {host: 10.77.0.1/24}",
        )


def _usual_addressing(subnets: tuple[ip.Subnet, ...], switch: Switch | None) -> Addressing:
    dynamic = not subnets or (switch is not None and switch.dhcp)
    return Addressing.DHCP if dynamic else Addressing.STATIC


class Network(Part):
    """One wire that NICs are attached to: an uplink of the host, or a switch that vmnet makes."""

    name: Annotated[str, BeforeValidator(scalars.network_name)]
    uplink: Annotated[str, BeforeValidator(scalars.uplink)] | None = None
    subnet: Annotated[tuple[OneSubnet, ...], Many] = ()
    switch: Switch | None = None
    granted: Annotated[str, BeforeValidator(scalars.network_name)] | None = None
    mode: AnyMode = Mode.BRIDGE
    gateway: Addresses = ()
    pool: Annotated[tuple[OneAddress, OneAddress], BeforeValidator(ip.pool)] | None = None
    addressing: AnyAddressing = Field(
        default_factory=lambda known: _usual_addressing(known["subnet"], known["switch"])
    )
    slaac: Flag = Field(default_factory=lambda known: known["addressing"] in {"dhcp", "slaac"})
    mtu: Mtu | None = None
    dns: Addresses = ()
    promisc: Flag = True
    allow: Allow = ()
    take_over: Flag = False
    host_access: Annotated[tuple[OneAddress, ...] | None, PlainValidator(ip.host_access)] = None
    vlan: Annotated[int, BeforeValidator(numbers.vlan)] | None = None
    spoof_guard: AnyGuard = SpoofGuard.MAC
    queues: Queues = 1
    vhost: AnyVhost = Vhost.AUTO
    txqueuelen: QueueLength = 500

    @field_validator("switch")
    @classmethod
    def _with_host(cls, switch: Switch | None, info: ValidationInfo) -> Switch | None:
        """Give the far end the first usable address of each subnet, or the subnet's prefix."""
        subnets: tuple[ip.Subnet, ...] = info.data.get("subnet", ())
        if switch is None:
            return None
        host = ip.completed(switch.host, subnets)
        if not host:
            host = tuple(ip.first_usable(subnet) for subnet in subnets)
        return switch.model_copy(update={"host": host})

    @model_validator(mode="after")
    def _holds(self) -> Self:
        problem.refuse("network", network_rules.network_problems(self))
        return self


class Plan(Part):
    """The whole file, after every check that needs no machine."""

    name: Annotated[str, BeforeValidator(scalars.plan_name)]
    networks: tuple[Network, ...]
    vms: tuple[Vm, ...]
    hosts: Annotated[Mapping[str, machines.Machine], PlainValidator(machines.machines)] = Field(
        default_factory=dict
    )
    checks: Annotated[
        tuple[Annotated[checkwords.Check | str, PlainValidator(checkwords.line)], ...],
        BeforeValidator(scalars.many),
    ] = (checkwords.AUTO,)
    connection: Annotated[str, BeforeValidator(scalars.connection)] = "auto"
    accel: AnyAccel = Accel.AUTO

    @field_validator("vms")
    @classmethod
    def _with_prefixes(cls, vms: tuple[Vm, ...], info: ValidationInfo) -> tuple[Vm, ...]:
        """Let an address without a prefix take the one of its network's subnet."""
        known = {network.name: network.subnet for network in info.data.get("networks", ())}
        return tuple(_completed(vm, known) for vm in vms)

    @model_validator(mode="after")
    def _holds(self) -> Self:
        problem.refuse("plan", (*plan.plan_problems(self), *usercheck.complaints(self)))
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


def _completed(vm: Vm, subnets: dict[str, tuple[ip.Subnet, ...]]) -> Vm:
    if not any(nic.address for nic in vm.nics):
        return vm
    nics = tuple(
        nic.model_copy(update={"address": ip.completed(nic.address, subnets.get(nic.network, ()))})
        if nic.address
        else nic
        for nic in vm.nics
    )
    return vm.model_copy(update={"nics": nics})
