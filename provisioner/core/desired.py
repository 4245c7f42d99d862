"""What must exist on the host for a plan to be up."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2s
from typing import TYPE_CHECKING

from provisioner.core import names
from provisioner.core.facts import Chosen, Facts, Image
from provisioner.core.resources import Domain, DomainNic, Macvtap, Resource, Seed, Switch, by_key

if TYPE_CHECKING:
    from provisioner.core.addresses import NicConfig
    from provisioner.core.model import Network, Plan, Vm
    from provisioner.core.resources import Key

_DEFAULT_MTU = 1500
# x86's COMMAND_LINE_SIZE is 2048 bytes (arch/x86/include/asm/setup.h), with the closing NUL.
_MAX_CMDLINE = 2047

Nics = Mapping[tuple[str, int], "NicConfig"]


@dataclass(frozen=True, slots=True)
class New:
    """What new guests get, and the domains that keep what they were started with."""

    image: Image
    accel: Chosen
    kept: Mapping[str, Domain] = field(default_factory=dict)

    def image_of(self, vm: str) -> Image:
        """Give the image that a VM boots, or has booted, from."""
        if not (old := self.kept.get(vm)):
            return self.image
        return Image(old.kernel, old.initrd, old.image_cmdline, 0)

    def accel_of(self, vm: str, wish: str) -> str:
        """Give the accelerator that a VM gets, or has got and the plan does not want otherwise."""
        if not (old := self.kept.get(vm)):
            return self.accel.what
        return old.accel if wish == "auto" else wish


def desired(plan: "Plan", nics: Nics, facts: Facts, new: New) -> "dict[Key, Resource]":
    """List everything that must exist for `plan` to be up."""
    resources: list[Resource] = [_switch(plan.name, n) for n in plan.networks if n.switch]
    for vm in plan.vms:
        taps = [_macvtap(plan, vm, i, nics[vm.name, i], facts) for i in range(len(vm.nics))]
        resources += taps
        resources += _guest(plan, vm, taps, nics, facts, new)
    return by_key(resources)


def uplink_of(plan: str, network: "Network") -> str:
    """Name the device that a network's macvtaps are put on."""
    return network.uplink or names.switch_ends(plan, network.name)[0]


def _switch(plan: str, network: "Network") -> Switch:
    lower, far = names.switch_ends(plan, network.name)
    assert network.switch  # noqa: S101  (desired() asked; for the type checker)
    return Switch(
        name=lower,
        far=far,
        addresses=tuple(sorted(str(a) for a in network.switch.host)),
        mtu=network.mtu or _DEFAULT_MTU,
        group=names.group(plan),
        alias=f"vmnet:{plan}/{network.name}",
    )


def _macvtap(plan: "Plan", vm: "Vm", i: int, config: "NicConfig", facts: Facts) -> Macvtap:
    nic = vm.nics[i]
    network = plan.network(nic.network)
    uplink = facts.link(uplink_of(plan.name, network))
    mtu = config.mtu or network.mtu or (uplink.mtu if uplink else _DEFAULT_MTU)
    return Macvtap(
        name=names.macvtap(plan.name, vm.name, i),
        uplink=uplink_of(plan.name, network),
        mode=str(nic.mode or network.mode),
        mac=config.mac,
        mtu=mtu,
        group=names.group(plan.name),
        alias=names.alias(plan.name, vm.name, i),
        altname=names.altname(plan.name, vm.name, i),
    )


def _guest(
    plan: "Plan",
    vm: "Vm",
    taps: list[Macvtap],
    nics: Nics,
    facts: Facts,
    new: New,
) -> list[Resource]:
    from provisioner.core.addresses import network_config

    image = new.image_of(vm.name)
    network = network_config([nics[vm.name, i] for i in range(len(vm.nics))])
    base = f"{image.cmdline} vmnet.hostname={vm.name}"
    inline = f"{base} network-config={base64.b64encode(network.encode()).decode()}"
    seed = None
    if vm.ssh_keys or len(inline) > _MAX_CMDLINE:
        # The command line saves the guest a disk to look for and to mount; what does not fit
        # there, or is more than a network, goes the way every cloud image understands.
        inline = base
        seed = _seed(plan.name, vm, network, facts)
    domain = Domain(
        name=names.domain(plan.name, vm.name),
        uuid=names.domain_uuid(plan.name, vm.name),
        plan=plan.name,
        vm=vm.name,
        memory_mib=vm.memory_mib,
        cpus=vm.cpus,
        accel=new.accel_of(vm.name, str(plan.accel)),
        kernel=image.kernel,
        initrd=image.initrd,
        cmdline=inline,
        image_cmdline=image.cmdline,
        console=f"{facts.home}/console/{vm.name}.log",
        nics=tuple(DomainNic(t.name, t.mac, t.mtu) for t in taps),
        seed=seed.path if seed else None,
    )
    return [seed, domain] if seed else [domain]


def _seed(plan: str, vm: "Vm", network: str, facts: Facts) -> Seed:
    import json

    user = {"ssh_authorized_keys": list(vm.ssh_keys)}
    body = (
        ("user-data", f"#cloud-config\n{json.dumps(user)}\n"),
        ("network-config", network),
    )
    # cloud-init runs its once-only parts again when the instance-id changes.
    digest = blake2s(repr(body).encode(), digest_size=6).hexdigest()
    meta = f"instance-id: {plan}-{vm.name}-{digest}\nlocal-hostname: {vm.name}\n"
    return Seed(f"{facts.home}/seed/{vm.name}-{digest}.iso", (("meta-data", meta), *body))
