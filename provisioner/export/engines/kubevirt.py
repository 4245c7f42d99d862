"""A plan for KubeVirt: VirtualMachines on macvtaps by Multus, their disks by CDI.

KubeVirt's binding plugin macvtap and macvtap-cni put a guest on a macvtap of a NIC of its node,
which is what a plan does. Their settings are the cluster's, not an object of the plan's: they
stand in comments.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from provisioner.export.engines.carried import Engine
from provisioner.export.engines.names import label, labels
from provisioner.guest.userdata import cloud_config
from provisioner.plan.choices import Graphics, LinkState, Mode, Strategy
from provisioner.plan.nic_id import NicId, numbered
from provisioner.plan.placing.carriers import apart_groups, candidates
from provisioner.text import one_line

if TYPE_CHECKING:
    from provisioner.errors import VmnetError
    from provisioner.export.engines.guests import Guest
    from provisioner.export.engines.wires import NicWire
    from provisioner.plan.load.positions import Places
    from provisioner.plan.model import Plan
    from provisioner.plan.vm import Disk, Vm

KUBEVIRT: Final = Engine(
    "KubeVirt",
    "kubevirt",
    {
        "Plan": frozenset({"name", "networks", "vms", "hosts", "placement"}),
        "Network": frozenset(
            ("name", "uplink", "subnet", "gateway", "pool", "addressing", "slaac", "dns")
        ),
        "Placement": frozenset({"strategy", "apart"}),
        "Vm": frozenset(
            {"name", "image", "memory", "cpus", "disk", "boot", "nics", "on", "cloud_init"}
            | {"user", "ssh_keys", "password_hash", "password", "packages", "run", "files"}
            | {"cpu_model", "disks", "graphics"}
        ),
        "Nic": frozenset({"network", "mac", "address", "link"}),
        "Disk": frozenset({"size", "readonly", "cache"}),
    },
    frozenset({Mode.BRIDGE, Mode.PRIVATE, Mode.VEPA}),
    {"cpu_model": frozenset({"max"}), "cache": frozenset({"unsafe"})},
)
"""What KubeVirt has words for, of macvtap-cni those that its device plugin knows."""

_HOSTNAME: Final = "kubernetes.io/hostname"
_PLAN, _VM, _APART = "vmnet/plan", "vmnet/vm", "vmnet/apart"
_RESOURCES: Final = "macvtap.network.kubevirt.io"


def disk_complaints(guests: "Iterable[Guest]", places: "Places") -> "Iterator[VmnetError]":
    """Return the guests whose own disk has no size, or one that it cannot have."""
    from provisioner.errors import bad_input

    for guest in guests:
        vm = guest.vm
        size = vm.disk.size_mib if vm.disk else None
        if guest.picture.url and not size:
            yield bad_input(
                f"KubeVirt makes the disk of VM {vm.name} before its image is there, and the plan "
                "has no size for it",
                "write one that the image fits in, such as disk: 20G",
            ).at(places.where("vms", vm.name, "image"))
        elif guest.picture.reference and vm.disk:
            yield bad_input(
                f"the disk of VM {vm.name} is a container's, which has its own size and way",
                "leave disk out, or leave out --image for that image",
            ).at(places.where("vms", vm.name, "disk"))


def manifests(
    plan: "Plan", guests: "Sequence[Guest]", wires: "Mapping[NicId, NicWire]", notes: Sequence[str]
) -> str:
    """Write a plan as objects of Kubernetes, for kubectl apply; `notes` are lines of comments."""
    import yaml

    attached = _attachment_names(plan, wires.values())
    documents = [_attachment(plan, wire, name) for wire, name in attached.items()]
    for guest in guests:
        documents.append(_secret(guest))
        nics = [attached[wires[key]] for key, _ in numbered(guest.vm.name, guest.vm.nics)]
        documents.append(_machine(plan, guest, nics))
    offered = json.dumps(
        [
            {
                "name": label(plan.name, name),
                "lowerDevice": wire.uplink,
                "mode": str(wire.mode),
                "capacity": sum(one == wire for one in wires.values()),
            }
            for wire, name in attached.items()
        ]
    )
    about = [
        f"Made by vmnet export kubevirt, of {plan.name}.",
        "The cluster needs KubeVirt with the binding plugin macvtap, CDI, Multus and macvtap-cni.",
        "The device plugin of macvtap-cni has to offer these (DP_MACVTAP_CONF):",
        offered,
        f"Then: kubectl create namespace {plan.name}; kubectl -n {plan.name} apply -f THIS_FILE",
        *notes,
    ]
    head = "".join(f"# {one_line(line, 4096)}\n" for line in about)
    return head + yaml.safe_dump_all(documents, sort_keys=False, width=1000)


def _attachment_names(plan: "Plan", wires: "Iterable[NicWire]") -> "dict[NicWire, str]":
    """Return the name of each wire: its network's, with what it has otherwise than others there."""
    distinct = list(dict.fromkeys(wires))
    parts = {}
    for wire in distinct:
        network = plan.network(wire.network)
        mode = "" if wire.mode == network.mode else str(wire.mode)
        mtu = "" if wire.mtu == (network.mtu or 0) else f"mtu{wire.mtu}"
        several = len({one.uplink for one in distinct if one.network == wire.network}) > 1
        parts[wire] = (wire.network, mode, mtu, wire.uplink if several else "")
    return labels(parts)


def _attachment(plan: "Plan", wire: "NicWire", name: str) -> dict[str, Any]:
    plugin: dict[str, object] = {"cniVersion": "0.3.1", "name": name, "type": "macvtap"}
    if wire.mtu:
        plugin["mtu"] = wire.mtu
    resource = f"{_RESOURCES}/{label(plan.name, name)}"
    return {
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": {
            "name": name,
            "labels": {_PLAN: plan.name},
            "annotations": {"k8s.v1.cni.cncf.io/resourceName": resource},
        },
        "spec": {"config": json.dumps(plugin)},
    }


def _secret(guest: "Guest") -> dict[str, Any]:
    """Return what cloud-init reads: keys, passwords and the content of files may be in it."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"{guest.vm.name}-cloud-init"},
        "type": "Opaque",
        "stringData": {
            "userdata": guest.user_data or cloud_config({}),
            "networkdata": guest.network_config,
        },
    }


def _machine(plan: "Plan", guest: "Guest", attached: Sequence[str]) -> dict[str, Any]:
    vm = guest.vm
    labels = {_PLAN: plan.name, _VM: vm.name}
    labels |= {
        f"{_APART}-{at}": "" for at, group in enumerate(apart_groups(plan)) if vm.name in group
    }
    templates = [*_data_volumes(guest)]
    spec: dict[str, Any] = {"runStrategy": "Always"}
    if templates:
        spec["dataVolumeTemplates"] = templates
    spec["template"] = {
        "metadata": {"labels": labels},
        "spec": {
            "domain": _domain(guest),
            "networks": [
                {"name": f"nic{at}", "multus": {"networkName": name}}
                for at, name in enumerate(attached)
            ],
            "volumes": _volumes(guest),
            **_placed(plan, vm),
        },
    }
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": {"name": vm.name, "labels": {_PLAN: plan.name}},
        "spec": spec,
    }


def _domain(guest: "Guest") -> dict[str, Any]:
    vm = guest.vm
    cpu: dict[str, Any] = {"cores": vm.cpus}
    if vm.cpu_model:
        cpu["model"] = "host-passthrough" if vm.cpu_model == "host" else vm.cpu_model
    domain: dict[str, Any] = {
        "cpu": cpu,
        "memory": {"guest": f"{guest.memory_mib}Mi"},
        "machine": {"type": str(vm.machine)},
    }
    if firmware := str(vm.boot or guest.picture.firmware):
        loader = {"efi": {"secureBoot": False}} if firmware == "uefi" else {"bios": {}}
        domain["firmware"] = {"bootloader": loader}
    disks = [_disk("root", vm.disk)]
    disks += [_disk(f"disk{at}", disk) for at, disk in enumerate(vm.disks)]
    domain["devices"] = {
        "autoattachPodInterface": False,
        "autoattachGraphicsDevice": vm.graphics == Graphics.VNC,
        "disks": [*disks, _disk("cloud-init", None)],
        "interfaces": [
            {
                "name": f"nic{at}",
                "binding": {"name": "macvtap"},
                "macAddress": str(nic.mac),
                **({"state": "down"} if vm.nics[at].link == LinkState.DOWN else {}),
            }
            for at, nic in enumerate(guest.nics)
        ],
    }
    return domain


def _disk(name: str, disk: "Disk | None") -> dict[str, Any]:
    target: dict[str, Any] = {"bus": "virtio"}
    if disk and disk.readonly:
        target["readonly"] = True
    made: dict[str, Any] = {"name": name, "disk": target}
    return made | ({"cache": str(disk.cache)} if disk and disk.cache else {})


def _data_volumes(guest: "Guest") -> Iterator[dict[str, Any]]:
    vm = guest.vm
    if guest.picture.url and vm.disk and vm.disk.size_mib:
        source = {"http": {"url": guest.picture.url}}
        yield _data_volume(f"{vm.name}-root", source, vm.disk.size_mib)
    for at, disk in enumerate(vm.disks):
        yield _data_volume(f"{vm.name}-disk{at}", {"blank": {}}, disk.size_mib or 0)


def _data_volume(name: str, source: dict[str, Any], size_mib: int) -> dict[str, Any]:
    storage = {"resources": {"requests": {"storage": f"{size_mib}Mi"}}}
    return {"metadata": {"name": name}, "spec": {"source": source, "storage": storage}}


def _volumes(guest: "Guest") -> list[dict[str, Any]]:
    vm, picture = guest.vm, guest.picture
    root: dict[str, Any] = {"name": "root"}
    if picture.reference:
        root["containerDisk"] = {"image": picture.reference}
    else:
        root["dataVolume"] = {"name": f"{vm.name}-root"}
    more = [
        {"name": f"disk{at}", "dataVolume": {"name": f"{vm.name}-disk{at}"}}
        for at, _ in enumerate(vm.disks)
    ]
    told = {"name": f"{vm.name}-cloud-init"}
    seed = {"secretRef": told, "networkDataSecretRef": told.copy()}
    return [root, *more, {"name": "cloud-init", "cloudInitNoCloud": seed}]


def _placed(plan: "Plan", vm: "Vm") -> dict[str, Any]:
    """Return on which nodes a VM may be: nothing, for a plan that says nothing of hosts."""
    hosts = list(candidates(plan, vm))
    if not hosts:
        return {}
    here = {"key": _HOSTNAME, "operator": "In", "values": hosts}
    required = {"nodeSelectorTerms": [{"matchExpressions": [here]}]}
    affinity: dict[str, Any] = {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}
    }
    apart = [
        {"labelSelector": {"matchLabels": {f"{_APART}-{at}": ""}}, "topologyKey": _HOSTNAME}
        for at, group in enumerate(apart_groups(plan))
        if vm.name in group
    ]
    if apart:
        rule = {"requiredDuringSchedulingIgnoredDuringExecution": apart}
        affinity["podAntiAffinity"] = rule
    ours = {"matchLabels": {_PLAN: plan.name}}
    if plan.placement and plan.placement.strategy == Strategy.PACK:
        term = {"labelSelector": ours, "topologyKey": _HOSTNAME}
        rules = [{"weight": 100, "podAffinityTerm": term}]
        affinity["podAffinity"] = {"preferredDuringSchedulingIgnoredDuringExecution": rules}
        return {"affinity": affinity}
    spread = {
        "maxSkew": 1,
        "topologyKey": _HOSTNAME,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": ours,
    }
    return {"affinity": affinity, "topologySpreadConstraints": [spread]}
