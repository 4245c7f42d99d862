"""A plan for Incus: a project with a profile, and VMs whose NICs are macvlans (macvtaps)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from provisioner.export.engines.carried import Engine
from provisioner.guest.userdata import cloud_config
from provisioner.plan.choices import LinkState, Mode
from provisioner.plan.nic_id import NicId, numbered
from provisioner.plan.placing.carriers import carriers, groups
from provisioner.text import one_line

if TYPE_CHECKING:
    from provisioner.export.engines.guests import Guest
    from provisioner.export.engines.wires import NicWire
    from provisioner.plan.model import Plan
    from provisioner.plan.vm import Vm

INCUS: Final = Engine(
    "Incus",
    "incus",
    {
        "Plan": frozenset({"name", "networks", "vms", "hosts", "placement"}),
        "Network": frozenset(
            ("name", "uplink", "subnet", "gateway", "pool", "addressing", "slaac", "dns", "vlan")
        ),
        "Vm": frozenset(
            {"name", "image", "memory", "cpus", "disk", "boot", "nics", "on", "cloud_init"}
            | {"user", "ssh_keys", "password_hash", "password", "packages", "run", "files"}
        ),
        "Nic": frozenset({"network", "mac", "address", "link"}),
        "Disk": frozenset({"size"}),
    },
    frozenset({Mode.BRIDGE, Mode.PRIVATE, Mode.VEPA}),
    {"boot": frozenset({"bios"})},
    {"passthru": "and at Incus such a guest has another MAC than its uplink"},
)
"""What Incus has words for: modes of a macvlan NIC, UEFI alone, no disks but the image's own. It
places instances evenly by itself."""

_PROFILE: Final = "vmnet"


def files(
    plan: "Plan",
    guests: "Sequence[Guest]",
    wires: "Mapping[NicId, NicWire]",
    pool: str,
    notes: Sequence[str],
) -> dict[str, str]:
    """Return a file for the profile and one for each VM, by name; each says how it is used.

    `pool` is the storage pool of the disks, `notes` are further lines of comments.
    """
    in_project = f"incus --project {plan.name}"
    about = [
        f"Made by vmnet export incus, of {plan.name}. First:",
        f"incus project create {plan.name} -c features.images=false",
        *_groups(plan),
        f"{in_project} profile create {_PROFILE} < THIS_FILE",
        *notes,
    ]
    found = {f"{_PROFILE}.yaml": _text(about, _profile(plan, pool))}
    for guest in guests:
        vm = guest.vm
        target = f" --target {_target(plan, vm)}" if carriers(plan) else ""
        about = [
            f"{in_project} create {guest.picture.reference} {vm.name} --vm{target} < THIS_FILE",
            f"{in_project} start {vm.name}",
        ]
        own = [wires[key] for key, _ in numbered(vm.name, vm.nics)]
        found[f"vm-{vm.name}.yaml"] = _text(about, _instance(guest, own, pool))
    return found


def _text(about: Sequence[str], document: dict[str, Any]) -> str:
    import yaml

    head = "".join(f"# {one_line(line, 4096)}\n" for line in about)
    return head + yaml.safe_dump(document, sort_keys=False, width=1000)


def _groups(plan: "Plan") -> Iterator[str]:
    """Return the commands that tell a cluster the plan's groups, one of all its hosts with them."""
    there = carriers(plan)
    if not there:
        return
    for group, hosts in {_everywhere(plan): there, **groups(plan)}.items():
        yield f"incus cluster group create {group}"
        yield from (f"incus cluster group add {host} {group}" for host in hosts)


def _target(plan: "Plan", vm: "Vm") -> str:
    """Return the member of the cluster, or with @ the group of members, that a VM is placed on."""
    if vm.on in carriers(plan):
        return str(vm.on)
    return f"@{vm.on or _everywhere(plan)}"


def _everywhere(plan: "Plan") -> str:
    """Return the group of all hosts of the plan, which none of its own groups has the name of."""
    return f"{plan.name}-hosts" if plan.name in groups(plan) else plan.name


def _profile(plan: "Plan", pool: str) -> dict[str, Any]:
    return {
        "description": f"VMs of the vmnet plan {plan.name}",
        "config": {"security.secureboot": "false"},
        "devices": {"root": _root(pool)},
    }


def _root(pool: str, size_mib: int = 0) -> dict[str, str]:
    root = {"type": "disk", "path": "/", "pool": pool}
    return root | ({"size": f"{size_mib}MiB"} if size_mib else {})


def _instance(guest: "Guest", wires: "Sequence[NicWire]", pool: str) -> dict[str, Any]:
    vm = guest.vm
    devices: dict[str, dict[str, str]] = {}
    if vm.disk and vm.disk.size_mib:
        devices["root"] = _root(pool, vm.disk.size_mib)
    for at, (nic, wire) in enumerate(zip(guest.nics, wires, strict=True)):
        devices[f"eth{at}"] = {
            "type": "nic",
            "nictype": "macvlan",
            "parent": wire.uplink,
            "mode": str(wire.mode),
            **({"vlan": str(wire.vlan)} if wire.vlan else {}),
            **({"mtu": str(wire.mtu)} if wire.mtu else {}),
            "hwaddr": str(nic.mac),
            **({"connected": "false"} if vm.nics[at].link == LinkState.DOWN else {}),
        }
    return {
        "config": {
            "limits.cpu": str(vm.cpus),
            "limits.memory": f"{guest.memory_mib}MiB",
            "cloud-init.user-data": guest.user_data or cloud_config({}),
            "cloud-init.network-config": guest.network_config,
        },
        "devices": devices,
        "profiles": [_PROFILE],
    }
