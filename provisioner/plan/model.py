"""The plan: what the user asked for, complete, with every default.

These models are the one source of keys, types and defaults; whether a plan holds is judged by
plan.rules. Building one from a value that cannot be read raises pydantic's ValidationError.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated

from pydantic import (
    Field,
    PlainValidator,
    ValidationInfo,
    field_validator,
    model_validator,
)

from provisioner.plan import checks as user_checks
from provisioner.plan import hosts as machines
from provisioner.plan import ip, scalars
from provisioner.plan.choices import Accel, Addressing, Mode, SpoofGuard, Vhost
from provisioner.plan.nic_id import NicId, numbered
from provisioner.plan.parts.placement import Placement
from provisioner.plan.types import (
    DEFAULTABLE,
    LAYOUT,
    Addresses,
    Allow,
    AnyAccel,
    AnyAddressing,
    AnyGuard,
    AnyMode,
    AnyVhost,
    EtherTypes,
    Flag,
    Interfaces,
    Isolate,
    Many,
    Mtu,
    OneAddress,
    OneSubnet,
    Part,
    QueueLength,
    Queues,
    Read,
)
from provisioner.plan.vm import Nic, Vm

__all__ = ["Network", "Nic", "Plan", "Switch", "Vm"]


Services = Annotated[tuple[Annotated[str, Read(scalars.host_service)], ...], Many]
Domains = Annotated[tuple[Annotated[str, Read(ip.domain)], ...], Many]


class Switch(Part):
    """An isolated uplink that vmnet makes: a veth pair whose far side is the host's.

    `host` are the far side's own addresses. With `hairpin` a bridge there sends frames back, with
    `nat` guests get out through the host, with `dhcp` a dnsmasq answers DHCP and DNS; with
    `host_services` they get nothing else from the host. Names of `rebind_domains` may be answered
    from outside with private addresses.

    switch: {host: 10.77.0.1/24, hairpin: true, nat: true, dhcp: true}
    """

    host: Interfaces = Field(
        (), description="The host's addresses on it: ADDRESS/PREFIX, one or a list."
    )
    hairpin: Flag = Field(
        default=False,
        description="Whether a bridge at the far end sends frames back, as vepa wants it.",
    )
    nat: Flag = Field(default=False, description="Whether guests get out through the host.")
    dhcp: Flag = Field(
        default=False,
        description="Whether a dnsmasq gives leases, router advertisements and names.",
    )
    host_services: Services | None = Field(
        None, description="What guests get from this host; all that listens when left out."
    )
    rebind_domains: Domains = Field(
        (), description="Domains whose names may have private addresses in answers from outside."
    )

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


NetworkName = Annotated[str, Read(scalars.network_name)]
UplinkName = Annotated[str, Read(scalars.uplink)]
Vlan = Annotated[int, Read(scalars.vlan)]


class Network(Part):
    """One wire that NICs are attached to: an uplink of the host, or a switch that vmnet makes.

    networks:
      lan: {uplink: eno1, mode: bridge, subnet: 192.168.1.0/24, gateway: 192.168.1.1,
            pool: 192.168.1.200-192.168.1.220, host_access: true}
      lab: {switch: {nat: true, dhcp: true}, subnet: [10.77.0.0/24, "fd77::/64"]}
    """

    name: NetworkName = Field(description="The network's name.")
    uplink: Annotated[UplinkName | None, LAYOUT] = Field(
        None, description="A NIC of the host that it stands on; instead of switch or granted."
    )
    subnet: Annotated[tuple[OneSubnet, ...], Many, LAYOUT] = Field(
        (), description="One IPv4 and/or one IPv6 subnet, as 10.77.0.0/24."
    )
    switch: Annotated[Switch | None, LAYOUT] = Field(
        None, description="An isolated uplink that vmnet makes: true, or its keys."
    )
    granted: Annotated[NetworkName | None, LAYOUT] = Field(
        None, description="The label of devices that root has made with vmnet net create."
    )
    mode: AnyMode = Field(Mode.BRIDGE, description="Who reaches whom: the macvtap mode of NICs.")
    gateway: Addresses = Field((), description="The guests' gateway, one per IP version.")
    pool: Annotated[tuple[OneAddress, OneAddress], Read(ip.pool)] | None = Field(
        None, description="FIRST-LAST: the addresses that guests' own are derived from."
    )
    addressing: Annotated[AnyAddressing, LAYOUT] = Field(
        default_factory=lambda known: _usual_addressing(known["subnet"], known["switch"]),
        description="Where guests' addresses come from.",
    )
    slaac: Flag = Field(
        default_factory=lambda known: known["addressing"] in {"dhcp", "slaac"},
        description="Whether guests make themselves IPv6 addresses from router advertisements.",
    )
    mtu: Mtu | None = Field(None, description="The MTU in bytes; the uplink's when left out.")
    max_loss: Annotated[float, Read(scalars.share)] = Field(
        0.05, description="The share of pings that may be lost, 0% to 100%; 5% when left out."
    )
    dns: Addresses = Field((), description="The guests' DNS servers.")
    promisc: Flag = Field(
        default=True, description="With mode passthru: whether the uplink becomes promiscuous."
    )
    allow: Allow = Field(
        (), description="With mode source: whom guests hear: MACs, vm:NAME and host."
    )
    take_over: Flag = Field(
        default=False, description="With mode passthru: whether it may be the host's own way out."
    )
    host_access: Annotated[
        tuple[OneAddress, ...] | None, PlainValidator(ip.host_access), LAYOUT
    ] = Field(None, description="A way between host and bridge guests: true, or an address.")
    vlan: Annotated[Vlan | None, LAYOUT] = Field(
        None, description="The VLAN of the uplink that guests are in, 1 to 4094."
    )
    spoof_guard: AnyGuard = Field(SpoofGuard.MAC, description="What guests cannot forge.")
    ether_types: EtherTypes = Field(
        (), description="With spoof_guard strict: EtherTypes that pass besides."
    )
    isolate: Isolate = Field(
        (), description="Whose frames guests never get: plan (its other guests), and MACs."
    )
    queues: Queues = Field(1, description="Queues of each NIC.")
    vhost: AnyVhost = Field(
        Vhost.AUTO, description="Whether the kernel moves the frames instead of QEMU."
    )
    txqueuelen: QueueLength = Field(500, description="Frames that wait for the guest to read them.")

    @property
    def switch_addresses(self) -> tuple[ip.Address, ...]:
        """The host's own addresses on the switch that vmnet makes; none on an uplink."""
        return tuple(host.ip for host in self.switch.host) if self.switch else ()

    @property
    def does_nat(self) -> bool:
        """Whether guests get out through the host."""
        return self.switch is not None and self.switch.nat

    @property
    def serves_dhcp(self) -> bool:
        """Whether a dnsmasq of vmnet's answers DHCP and DNS."""
        return self.switch is not None and self.switch.dhcp

    @property
    def wants_advertisements(self) -> bool:
        """Whether the plan asks for router advertisements, beyond what DHCP implies."""
        dhcp = self.addressing is Addressing.DHCP
        return self.addressing is Addressing.SLAAC or (self.slaac and not dhcp)

    def subnet_of(self, version: int) -> ip.Subnet | None:
        """Return the subnet of an IP version, if there is one."""
        return next((subnet for subnet in self.subnet if subnet.version == version), None)

    @field_validator("switch")
    @classmethod
    def _with_host(cls, switch: Switch | None, info: ValidationInfo) -> Switch | None:
        """Add the first usable address of each subnet, or the subnet's prefix."""
        subnets: tuple[ip.Subnet, ...] = info.data.get("subnet", ())
        if switch is None:
            return None
        host = ip.completed(switch.host, subnets)
        if not host:
            host = tuple(ip.first_usable(subnet) for subnet in subnets)
        return switch.model_copy(update={"host": host})


class Plan(Part):
    """The whole file.

    name: lab
    networks: {lan: {switch: true, subnet: 10.77.0.0/24}}
    vms: {web: {nics: [lan]}, db: {nics: [lan]}}
    checks: [auto, web -> db tcp/5432]
    """

    name: Annotated[str, Read(scalars.plan_name)] = Field(
        examples=["name: lab"],
        description="The plan's name, which marks everything that vmnet makes.",
    )
    networks: tuple[Network, ...] = Field(
        examples=["networks: {lan: {switch: true, subnet: 10.77.0.0/24}}"],
        description="What the VMs are attached to, by name.",
    )
    vms: tuple[Vm, ...] = Field(
        examples=["vms: {web: {nics: [lan]}}"], description="The guests, by name."
    )
    hosts: Annotated[Mapping[str, machines.ExternalHost], PlainValidator(machines.machines)] = (
        Field(
            default_factory=dict,
            description="Other machines: checks may name them, VMs be placed on them.",
        )
    )
    placement: Placement | None = Field(
        None, description="How VMs are placed on the hosts, where there are several."
    )
    checks: Annotated[
        tuple[Annotated[user_checks.Check | str, PlainValidator(user_checks.line)], ...],
        Read(scalars.many),
    ] = Field(
        (user_checks.AUTO,),
        description="What is measured: auto for all that the modes imply, and lines of your own.",
    )
    connection: Annotated[str, Read(scalars.connection), DEFAULTABLE] = Field(
        "auto", description="Where libvirt is."
    )
    accel: Annotated[AnyAccel, DEFAULTABLE] = Field(
        Accel.AUTO, description="Who executes the guests' instructions: KVM or TCG."
    )
    hosts_file: Flag = Field(
        default=False, description="Whether /etc/hosts has the guests' names while the plan is up."
    )
    overcommit: Flag = Field(
        default=False,
        description="Whether guests start though the host has too little memory for them.",
    )

    @field_validator("vms")
    @classmethod
    def _with_prefixes(cls, vms: tuple[Vm, ...], info: ValidationInfo) -> tuple[Vm, ...]:
        """Complete each address without a prefix by the one of its network's subnet."""
        known = {network.name: network.subnet for network in info.data.get("networks", ())}
        return tuple(_completed(vm, known) for vm in vms)

    def network(self, name: str) -> Network:
        """Return the network of that name; KeyError if there is none."""
        return self._networks[name]

    def vm(self, name: str) -> Vm:
        """Return the VM of that name; KeyError if there is none."""
        return self._vms[name]

    def nic(self, key: NicId) -> Nic:
        """Return one NIC; KeyError or IndexError if there is none."""
        return self._vms[key.vm].nics[key.number]

    def network_of(self, key: NicId) -> Network:
        """Return the network that a NIC is on; KeyError if the plan has no such network."""
        return self._networks[self.nic(key).network]

    def nic_name(self, key: NicId) -> str:
        """Return what people call a NIC: VM.NETWORK, or VM.NUMBER where two are on that network."""
        network = self.nic(key).network
        alone = [nic.network for nic in self._vms[key.vm].nics].count(network) == 1
        return f"{key.vm}.{network}" if alone else str(key)

    def nics(self) -> Iterator[tuple[NicId, Nic]]:
        """Return every NIC with its identity, in the order of the file."""
        for vm in self.vms:
            yield from numbered(vm.name, vm.nics)

    def nics_on(self, network: Network) -> Iterator[tuple[NicId, Nic]]:
        """Return the NICs of a network with their identities, in the order of the file."""
        return iter(self._on.get(network.name, ()))

    @cached_property
    def _networks(self) -> dict[str, Network]:
        return {network.name: network for network in self.networks}

    @cached_property
    def _on(self) -> dict[str, list[tuple[NicId, Nic]]]:
        found: dict[str, list[tuple[NicId, Nic]]] = {}
        for key, nic in self.nics():
            found.setdefault(nic.network, []).append((key, nic))
        return found

    @cached_property
    def _vms(self) -> dict[str, Vm]:
        return {vm.name: vm for vm in self.vms}


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
