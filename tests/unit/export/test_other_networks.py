"""A plan's networks for Docker, Kubernetes and libvirt, judged by the form that each has."""

import json
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml
from jsonschema import Draft202012Validator

from provisioner.errors import VmnetError
from provisioner.export.containers import attachment, docker_macvlan
from provisioner.export.free_range import free_ranges, network_named, refuse_exclusive
from provisioner.export.libvirt_network import libvirt_network
from provisioner.network.addressing import assign
from provisioner.plan.load.loader import load

PLAN = load(
    """\
name: lab
networks:
  lan: {uplink: nic0, vlan: 7, mode: vepa, subnet: [10.0.0.0/24, "fd00:1::/64"],
        gateway: 10.0.0.254, pool: 10.0.0.100-10.0.0.120, mtu: 1400}
  dyn: {uplink: nic1, addressing: dhcp}
  own: {uplink: nic2, mode: passthru, addressing: none}
  acl: {uplink: nic3, mode: source, addressing: none}
  nets: {granted: desk}
vms: {a: {nics: [lan, dyn, own, acl, nets]}}
""",
    "p",
).plan
LAN, DYN = PLAN.network("lan"), PLAN.network("dyn")
RANGES = free_ranges(PLAN, assign(PLAN), LAN, ())
WORD = {"type": "string"}


def closed(required: list[str], **properties: object) -> dict[str, object]:
    return {
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": False,
    }


COMPOSE = closed(
    ["networks"],
    networks={
        "type": "object",
        "additionalProperties": closed(
            ["name", "driver", "driver_opts"],
            name=WORD,
            driver={"const": "macvlan"},
            driver_opts={"type": "object", "additionalProperties": WORD},
            enable_ipv6={"type": "boolean"},
            ipam=closed(
                ["config"],
                config={
                    "type": "array",
                    "items": closed(["subnet"], subnet=WORD, ip_range=WORD, gateway=WORD),
                },
            ),
        ),
    },
)
"""The form of a network in the Compose Specification, as far as macvlans have it."""
NAD = closed(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "k8s.cni.cncf.io/v1"},
    kind={"const": "NetworkAttachmentDefinition"},
    metadata=closed(
        ["name"], name={"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"}
    ),
    spec=closed([], config=WORD),
)
"""The form of the custom resource: its specification is a text, the plugin's own JSON."""
CNI_MACVLAN = closed(
    ["cniVersion", "name", "type", "master", "mode", "ipam"],
    cniVersion=WORD,
    name=WORD,
    type={"const": "macvlan"},
    master=WORD,
    mode={"enum": ["bridge", "private", "vepa", "passthru"]},
    mtu={"type": "integer"},
    ipam={"type": "object", "required": ["type"]},
)
"""What CNI's macvlan plugin reads."""


def held(value: Any, form: dict[str, object]) -> Any:  # noqa: ANN401  (JSON)
    Draft202012Validator(form).validate(value)
    return value


def test_containers_of_docker_are_on_the_same_wire_with_addresses_of_their_own() -> None:
    made = held(yaml.safe_load(docker_macvlan(PLAN, LAN, RANGES)), COMPOSE)["networks"]["lan"]
    assert made["driver_opts"]["macvlan_mode"] == "vepa"
    assert made["driver_opts"]["parent"].startswith("mvv")  # vmnet's own device of VLAN 7
    assert made["enable_ipv6"] is True
    assert made["ipam"]["config"] == [
        {"subnet": "10.0.0.0/24", "ip_range": "10.0.0.128/26", "gateway": "10.0.0.254"},
        {"subnet": "fd00:1::/64", "ip_range": "fd00:1:0:0:8000::/66"},
    ]


def test_pods_of_kubernetes_are_there_too() -> None:
    made = held(yaml.safe_load(attachment(PLAN, LAN, RANGES)), NAD)
    plugin = held(json.loads(made["spec"]["config"]), CNI_MACVLAN)
    assert (plugin["mode"], plugin["mtu"]) == ("vepa", 1400)
    assert plugin["ipam"]["ranges"][0] == [
        {
            "subnet": "10.0.0.0/24",
            "rangeStart": "10.0.0.128",
            "rangeEnd": "10.0.0.191",
            "gateway": "10.0.0.254",
        }
    ]
    dynamic = held(yaml.safe_load(attachment(PLAN, DYN, [])), NAD)
    assert json.loads(dynamic["spec"]["config"])["ipam"] == {"type": "dhcp"}


@pytest.mark.parametrize(
    ("name", "mode"), [("lan", "vepa"), ("dyn", "bridge"), ("own", "passthrough")]
)
def test_libvirt_judges_its_network_to_be_one(name: str, mode: str, tmp_path: Path) -> None:
    path = tmp_path / "network.xml"
    path.write_text(libvirt_network(PLAN, PLAN.network(name)))
    argv = ["virt-xml-validate", str(path), "network"]
    ran = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    forward = ET.parse(path).find("forward")  # noqa: S314  (our own)
    assert forward is not None
    assert forward.get("mode") == mode


def test_modes_that_the_others_do_not_have_are_refused() -> None:
    with pytest.raises(VmnetError, match="acl has mode source, which no network of libvirt's"):
        libvirt_network(PLAN, PLAN.network("acl"))
    with pytest.raises(VmnetError, match="nets has devices of vmnet net, which no network of"):
        libvirt_network(PLAN, PLAN.network("nets"))
    with pytest.raises(VmnetError, match="nets is made of devices of vmnet net"):
        refuse_exclusive(PLAN.network("nets"), "a container")
    for name in ("own", "acl"):
        with pytest.raises(VmnetError, match="beside which a container can have no macvlan"):
            refuse_exclusive(PLAN.network(name), "a container")


def test_the_network_is_to_be_named_where_there_are_several() -> None:
    assert network_named(PLAN, "dyn") is DYN
    for name, what in (("", "which network is meant"), ("x", 'the plan has no network "x"')):
        with pytest.raises(VmnetError, match=what):
            network_named(PLAN, name)
