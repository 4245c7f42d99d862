"""Networks of containers on the same wire as a plan's guests, whose addresses do not meet."""

import json
from typing import TYPE_CHECKING

from provisioner.network.devices import uplink_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provisioner.export.free_range import FreeRange
    from provisioner.plan.model import Network, Plan

_IPV6 = 6


def docker_macvlan(plan: "Plan", network: "Network", ranges: "Sequence[FreeRange]") -> str:
    """Write a file of Compose with the network alone: containers on it are beside the guests."""
    import yaml

    made: dict[str, object] = {
        "name": f"{plan.name}-{network.name}",
        "driver": "macvlan",
        "driver_opts": {
            "parent": uplink_of(plan.name, network),
            "macvlan_mode": str(network.mode),
        },
    }
    if any(one.subnet.version == _IPV6 for one in ranges):
        made["enable_ipv6"] = True
    if ranges:
        made["ipam"] = {"config": [_docker_pool(one) for one in ranges]}
    about = (
        f"# Made by vmnet export docker-macvlan: beside the guests on {network.name}.\n"
        "# Merge it with the services: docker compose -f THIS_FILE -f compose.yaml up\n"
    )
    return about + yaml.safe_dump({"networks": {network.name: made}}, sort_keys=False)


def _docker_pool(one: "FreeRange") -> dict[str, str]:
    pool = {"subnet": str(one.subnet), "ip_range": str(one.range)}
    return pool | ({"gateway": str(one.gateway)} if one.gateway else {})


def attachment(plan: "Plan", network: "Network", ranges: "Sequence[FreeRange]") -> str:
    """Write a NetworkAttachmentDefinition: Multus gives pods a NIC beside the guests by it."""
    import yaml

    name = f"{plan.name}-{network.name}".replace("_", "-")
    plugin: dict[str, object] = {
        "cniVersion": "0.3.1",
        "name": name,
        "type": "macvlan",
        "master": uplink_of(plan.name, network),
        "mode": str(network.mode),
    }
    if network.mtu:
        plugin["mtu"] = network.mtu
    plugin["ipam"] = (
        {
            "type": "host-local",
            "ranges": [[_pod_pool(one)] for one in ranges],
        }
        if ranges
        else {"type": "dhcp"}
    )
    document = {
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": name},
        "spec": {"config": json.dumps(plugin)},
    }
    return f"# Made by vmnet export nad, of {plan.name}\n" + yaml.safe_dump(
        document, sort_keys=False
    )


def _pod_pool(one: "FreeRange") -> dict[str, str]:
    first, last = one.ends
    pool = {"subnet": str(one.subnet), "rangeStart": str(first), "rangeEnd": str(last)}
    return pool | ({"gateway": str(one.gateway)} if one.gateway else {})
