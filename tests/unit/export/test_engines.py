"""Plans for KubeVirt and Incus, judged by what those projects publish of their own objects."""

import json
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from provisioner.commands.access.engines import EngineWish, for_incus, for_kubevirt
from provisioner.commands.target import PlanTarget
from provisioner.errors import Complaints, VmnetError
from provisioner.export.engines import carried, kubevirt
from provisioner.export.engines.names import label, labels
from provisioner.network.addressing import assign
from provisioner.plan.load.loader import load
from provisioner.plan.model import Network, Plan
from provisioner.plan.parts.placement import Placement
from provisioner.plan.vm import Disk, Nic, Vm

SCHEMAS = Path(__file__).parents[2] / "schemas"
KUBEVIRT = json.loads((SCHEMAS / "kubevirt.json").read_text())
INCUS = json.loads((SCHEMAS / "incus.json").read_text())["$defs"]
LABEL = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
"""A name of an object: RFC 1123."""

WORD = {"type": "string"}
DEVICES = {
    "type": "object",
    "additionalProperties": {
        "oneOf": [
            {
                "required": ["type", "path", "pool"],
                "properties": {
                    "type": {"const": "disk"},
                    "path": {"const": "/"},
                    "pool": WORD,
                    "size": {"type": "string", "pattern": "^[0-9]+MiB$"},
                },
                "additionalProperties": False,
            },
            {
                "required": ["type", "nictype", "parent"],
                "properties": {
                    "type": {"const": "nic"},
                    "nictype": {"const": "macvlan"},
                    "parent": WORD,
                    "mode": {"enum": ["bridge", "vepa", "passthru", "private"]},
                    "hwaddr": {"type": "string", "pattern": "^([0-9a-f]{2}:){5}[0-9a-f]{2}$"},
                    "mtu": {"type": "string", "pattern": "^[0-9]+$"},
                    "vlan": {"type": "string", "pattern": "^[0-9]+$"},
                    "connected": {"enum": ["true", "false"]},
                    "attached": {"enum": ["true", "false"]},
                },
                "additionalProperties": False,
            },
        ]
    },
}
"""A root disk and a NIC of type macvlan, by the options that Incus documents for them."""

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExample0 me@home"
ONE = f"""\
name: lab
networks:
  lan: {{uplink: nic0, mode: vepa, subnet: 10.0.0.0/24, gateway: 10.0.0.254, mtu: 1400,
        spoof_guard: off}}
  far_away: {{uplink: nic1, addressing: dhcp, spoof_guard: off}}
defaults: {{ssh_keys: "{KEY}"}}
vms:
  web:
    {{image: debian-12, disk: {{size: 20G, cache: none}}, memory: 1G, cpus: 2, packages: [nginx],
     nics: [lan, {{network: lan, mode: bridge, link: down}}, {{network: lan, mtu: 1300}}]}}
  db:
    {{image: "https://example.org/db.qcow2", disk: 5G, disks: [{{size: 1G, readonly: true}}],
     boot: uefi, cpu_model: host, graphics: vnc,
     nics: [{{network: far_away, mac: "02:00:00:00:00:07"}}]}}
"""
MANY = f"""\
name: lab
networks:
  lan: {{uplink: eno1, subnet: 10.0.0.0/24, spoof_guard: off}}
hosts:
  h1: {{address: 10.0.0.1, uplinks: {{lan: enp3s0}}, groups: rack}}
  h2: {{address: 10.0.0.2, uplinks: {{lan: enp4s0}}, groups: rack2}}
  h3: {{address: 10.0.0.3, uplinks: {{lan: enp4s0}}, groups: rack2}}
placement: {{apart: [b*]}}
defaults: {{ssh_keys: "{KEY}", image: debian-12, disk: 5G}}
vms:
  a: {{on: h1, nics: [lan]}}
  b: {{count: 2, on: rack2, nics: [lan]}}
"""


def target(text: str) -> PlanTarget:
    loaded = load(text, "plan.yaml")
    return PlanTarget(loaded.plan.name, loaded.plan, loaded.places)


def kubernetes(text: str, *without: str, images: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """Return the objects by kind and name, each judged by its form."""
    written = for_kubevirt(target(text), EngineWish(images, without))
    found = {}
    for one in yaml.safe_load_all(written):
        if one["kind"] == "VirtualMachine":
            Draft202012Validator(KUBEVIRT).validate(one)
        Draft202012Validator({"pattern": LABEL, **WORD}).validate(one["metadata"]["name"])
        found[f"{one['kind']}/{one['metadata']['name']}"] = one
    return found


def of_incus(text: str, *without: str, images: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """Return the documents by file, each judged by its form."""
    written = for_incus(target(text), EngineWish(images, without), "fast")
    found = {}
    for name, one in written.items():
        made = yaml.safe_load(one)
        form = INCUS["ProfilePut" if name == "vmnet.yaml" else "InstancePut"]
        Draft202012Validator(form).validate(made)
        Draft202012Validator(DEVICES).validate(made["devices"])
        Draft202012Validator({"additionalProperties": WORD}).validate(made["config"])
        found[name] = made
    return found


def complaints(text: str, engine: str = "kubevirt", *without: str) -> list[str]:
    """Return each complaint as line, what, fix."""
    wish = EngineWish((), without)
    with pytest.raises(Complaints) as raised:
        for_kubevirt(target(text), wish) if engine == "kubevirt" else for_incus(
            target(text), wish, "default"
        )
    return [
        f"{error.where.line if error.where else 0}: {error.what}; {error.fix}"
        for error in raised.value.errors
    ]


def test_a_vm_of_kubevirt_has_its_macs_its_addresses_and_what_cloud_init_is_told() -> None:
    made = kubernetes(ONE)
    plan = target(ONE).plan
    macs = [str(nic.mac) for key, nic in assign(plan).items() if key.vm == "web"]
    spec = made["VirtualMachine/web"]["spec"]["template"]["spec"]
    interfaces = spec["domain"]["devices"]["interfaces"]
    assert [one["macAddress"] for one in interfaces] == macs
    assert [one.get("state") for one in interfaces] == [None, "down", None]
    assert {one["binding"]["name"] for one in interfaces} == {"macvtap"}
    assert spec["domain"]["memory"] == {"guest": "1024Mi"}
    assert spec["domain"]["cpu"] == {"cores": 2}
    told = made["Secret/web-cloud-init"]["stringData"]
    assert "nginx" in told["userdata"]
    assert KEY in told["userdata"]
    seen = json.loads(told["networkdata"])["ethernets"]
    assert [one["match"]["macaddress"] for one in seen.values()] == macs
    assert ip_address(seen["nic0"]["addresses"][0].partition("/")[0]).is_private
    assert "affinity" not in spec


def test_networks_of_kubevirt_are_the_macvtaps_that_the_plan_has() -> None:
    text = for_kubevirt(target(ONE), EngineWish())
    offered = json.loads(next(x[2:] for x in text.splitlines() if x.startswith("# [{")))
    assert [(one["name"], one["lowerDevice"], one["mode"], one["capacity"]) for one in offered] == [
        ("lab-lan", "nic0", "vepa", 1),
        ("lab-lan-bridge", "nic0", "bridge", 1),
        ("lab-lan-mtu1300", "nic0", "vepa", 1),
        ("lab-far-away", "nic1", "bridge", 1),
    ]
    made = kubernetes(ONE)
    for one in offered:
        name = one["name"].removeprefix("lab-")
        nad = made[f"NetworkAttachmentDefinition/{name}"]
        resource = nad["metadata"]["annotations"]["k8s.v1.cni.cncf.io/resourceName"]
        assert resource == f"macvtap.network.kubevirt.io/{one['name']}"
        assert json.loads(nad["spec"]["config"])["type"] == "macvtap"
    assert (
        json.loads(made["NetworkAttachmentDefinition/lan-mtu1300"]["spec"]["config"])["mtu"] == 1300
    )


def test_disks_of_kubevirt_are_fetched_or_made_in_the_plans_sizes() -> None:
    made = kubernetes(ONE)["VirtualMachine/db"]["spec"]
    root, empty = made["dataVolumeTemplates"]
    assert root["spec"]["source"] == {"http": {"url": "https://example.org/db.qcow2"}}
    assert root["spec"]["storage"]["resources"]["requests"] == {"storage": "5120Mi"}
    assert empty["spec"]["source"] == {"blank": {}}
    domain = made["template"]["spec"]["domain"]
    assert domain["devices"]["disks"][1]["disk"]["readonly"] is True
    assert domain["devices"]["autoattachGraphicsDevice"] is True
    assert domain["cpu"]["model"] == "host-passthrough"
    assert domain["firmware"]["bootloader"] == {"efi": {"secureBoot": False}}


def test_an_image_of_the_callers_is_a_containers_disk() -> None:
    small = ONE.replace("disk: {size: 20G, cache: none}, ", "").replace("debian-12", "micro")
    small = small.replace("packages: [nginx],", "")
    images = ["micro=quay.example/micro:1"]
    made = kubernetes(small, images=images)["VirtualMachine/web"]["spec"]
    assert "dataVolumeTemplates" not in made
    volume = made["template"]["spec"]["volumes"][0]
    assert volume == {"name": "root", "containerDisk": {"image": "quay.example/micro:1"}}
    with pytest.raises(Complaints, match="the disk of VM web is a container's"):
        kubernetes(ONE, images=["debian-12=quay.example/debian:12"])


def test_vms_of_kubevirt_come_to_the_hosts_of_the_plan() -> None:
    made = kubernetes(MANY)
    one = made["VirtualMachine/a"]["spec"]["template"]["spec"]
    terms = one["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert terms["nodeSelectorTerms"][0]["matchExpressions"][0]["values"] == ["h1"]
    assert one["topologySpreadConstraints"][0]["maxSkew"] == 1
    other = made["VirtualMachine/b1"]["spec"]["template"]
    apart = other["spec"]["affinity"]["podAntiAffinity"]
    (rule,) = apart["requiredDuringSchedulingIgnoredDuringExecution"]
    labels_of_rule = rule["labelSelector"]["matchLabels"]
    assert labels_of_rule.items() <= other["metadata"]["labels"].items()
    assert (
        not labels_of_rule.items()
        <= made["VirtualMachine/a"]["spec"]["template"]["metadata"]["labels"].items()
    )
    networks = {
        made[f"VirtualMachine/{vm}"]["spec"]["template"]["spec"]["networks"][0]["multus"][
            "networkName"
        ]
        for vm in ("a", "b1", "b2")
    }
    assert networks == {"lan-enp3s0", "lan-enp4s0"}
    packed = kubernetes(MANY.replace("{apart: [b*]}", "pack"))["VirtualMachine/a"]
    affinity = packed["spec"]["template"]["spec"]["affinity"]
    assert affinity["podAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]


def test_a_vm_whose_nic_has_another_name_on_each_host_is_refused() -> None:
    found = complaints(MANY.replace("on: rack2, ", ""))
    assert any(
        "12: network lan of VM b1 stands on enp3s0 or enp4s0, by the host" in one for one in found
    )


def test_an_instance_of_incus_is_what_the_plan_says() -> None:
    plan = ONE.replace("disks: [{size: 1G, readonly: true}],", "").replace(", cache: none", "")
    plan = plan.replace("cpu_model: host, graphics: vnc,", "").replace(
        "addressing: dhcp,", "addressing: dhcp, vlan: 7, mode: private,"
    )
    images = ["debian-12=images:debian/12/cloud", "https://example.org/db.qcow2=local:db"]
    made = of_incus(plan, images=images)
    assert made["vmnet.yaml"]["devices"]["root"] == {"type": "disk", "path": "/", "pool": "fast"}
    web = made["vm-web.yaml"]
    assert web["profiles"] == ["vmnet"]
    assert web["config"]["limits.memory"] == "1024MiB"
    assert web["devices"]["root"]["size"] == "20480MiB"
    assert "nginx" in web["config"]["cloud-init.user-data"]
    addresses = json.loads(web["config"]["cloud-init.network-config"])["ethernets"]
    nics = [one for one in web["devices"].values() if one["type"] == "nic"]
    assert [one["hwaddr"] for one in nics] == [
        one["match"]["macaddress"] for one in addresses.values()
    ]
    assert [(one["mode"], one["mtu"], one.get("connected")) for one in nics] == [
        ("vepa", "1400", None),
        ("bridge", "1400", "false"),
        ("vepa", "1300", None),
    ]
    far = made["vm-db.yaml"]["devices"]["eth0"]
    assert (far["parent"], far["mode"], far["vlan"]) == ("nic1", "private", "7")
    text = for_incus(target(plan), EngineWish(images), "fast")
    create = "# incus --project lab create images:debian/12/cloud web --vm < THIS_FILE"
    assert create in text["vm-web.yaml"].splitlines()


def test_instances_of_incus_come_to_members_and_groups_of_the_cluster() -> None:
    plan = MANY.replace("placement: {apart: [b*]}\n", "").replace("enp4s0", "enp3s0")
    plan += "  c: {nics: [lan]}\n"
    images = ["debian-12=images:debian/12/cloud"]
    text = for_incus(target(plan), EngineWish(images), "default")
    wanted = {"a": "--target h1", "b1": "--target @rack2", "c": "--target @lab"}
    for vm, where in wanted.items():
        assert f"create images:debian/12/cloud {vm} --vm {where} <" in text[f"vm-{vm}.yaml"]
    assert "# incus cluster group add h3 rack2" in text["vmnet.yaml"].splitlines()
    assert "# incus cluster group add h1 lab" in text["vmnet.yaml"].splitlines()
    of_incus(plan, images=images)
    found = complaints(MANY, "incus")
    assert any('8: Incus has nothing for "apart" of the plan' in one for one in found)


def test_what_kubevirt_does_not_have_is_refused_by_name_where_it_stands() -> None:
    plan = f"""\
name: lab
networks:
  own: {{switch: true, subnet: 10.0.0.0/24, spoof_guard: off}}
  acl: {{uplink: nic1, mode: source, allow: [host], addressing: none, spoof_guard: off}}
  pt: {{uplink: nic2, mode: passthru, promisc: false, addressing: none, spoof_guard: off}}
  tag: {{uplink: nic3, vlan: 7, addressing: none, queues: 2}}
defaults: {{ssh_keys: "{KEY}", disk: 5G, image: debian-12}}
vms:
  a: {{nics: [own, acl, pt, tag, {{network: tag, spoof_guard: strict, vhost: off}}]}}
  b: {{nics: [tag], machine: pc, disks: [{{path: ./x, format: raw}}], after: a}}
  c: {{nics: [tag], kernel: ./k, image: none}}
checks: [auto]
"""
    waive = "vmnet export kubevirt --without {} leaves it out"
    found = complaints(plan)
    for wanted in (
        (
            "3: network own stands on an isolated uplink that vmnet makes on its host, and "
            "KubeVirt has no such thing; give the network an uplink"
        ),
        (
            "4: network acl has mode source, which KubeVirt does not have; KubeVirt has bridge, "
            "private, vepa"
        ),
        (
            "5: network pt has mode passthru, which KubeVirt does not have; KubeVirt has bridge, "
            "private, vepa"
        ),
        (
            "5: network pt leaves its uplink unpromiscuous, and KubeVirt cannot be told to; leave "
            "promisc out"
        ),
        (
            "6: network tag is a VLAN of the uplink, and KubeVirt has no such thing; make its "
            "device on each host, and name it as uplink"
        ),
        '6: KubeVirt has nothing for "queues" of network tag; ' + waive.format("queues"),
        "6: KubeVirt keeps no guest from forging MACs, and network tag is guarded "
        "(spoof_guard: mac); " + waive.format("spoof_guard"),
        "9: KubeVirt keeps no guest from forging MACs, and NIC 4 of VM a is guarded "
        "(spoof_guard: strict); " + waive.format("spoof_guard"),
        '9: KubeVirt has nothing for "vhost" of NIC 4 of VM a; ' + waive.format("vhost"),
        '10: KubeVirt has nothing for "machine" of VM b; ' + waive.format("machine"),
        (
            "10: disk 0 of VM b is a file on the host, and KubeVirt has no such thing; write a "
            "size for an empty disk"
        ),
        '10: KubeVirt has nothing for "after" of VM b; ' + waive.format("after"),
        (
            "11: VM c boots a kernel of the plan's, and KubeVirt has no such thing; give it an "
            "image with a kernel of its own"
        ),
    ):
        assert wanted in found, "\n".join([wanted, *found])


def test_what_is_given_up_is_left_out_and_said_so_and_nothing_else_is() -> None:
    plan = ONE.replace("mtu: 1400,\n        spoof_guard: off", "mtu: 1400, queues: 2")
    found = complaints(plan, "kubevirt", "queues")
    assert [one.partition(";")[0] for one in found] == [
        (
            "3: KubeVirt keeps no guest from forging MACs, and network lan is guarded "
            "(spoof_guard: mac)"
        )
    ]
    text = for_kubevirt(target(plan), EngineWish((), ("queues", "spoof_guard")))
    assert "# Given up, as the caller said: queues, spoof_guard" in text.splitlines()
    passthru = ONE.replace("addressing: dhcp", "addressing: dhcp, mode: passthru")
    passthru = passthru.replace(', mac: "02:00:00:00:00:07"', "")
    hard = complaints(passthru, "kubevirt", "mode")
    assert any('--without "mode": the plan has nothing of that name to give up' in x for x in hard)
    assert any(
        "network far_away has mode passthru, which KubeVirt does not have" in x for x in hard
    )


def test_guests_that_are_kept_apart_are_not_exported_to_where_they_would_meet() -> None:
    found = complaints(
        ONE.replace("mtu: 1400,", "mtu: 1400, isolate: plan, mode: vepa,")
        .replace("spoof_guard: off}\n  far", "spoof_guard: mac}\n  far")
        .replace("dhcp, spoof_guard: off", "dhcp")
        .replace("mode: vepa, subnet", "subnet"),
        "kubevirt",
        "isolate",
        "spoof_guard",
    )
    assert any(
        "network lan keeps its guests from others by their MACs, and KubeVirt" in x for x in found
    )
    assert any(
        '--without "isolate": the plan has nothing of that name to give up' in x for x in found
    )


def test_what_is_vmnets_own_business_is_told_with_its_line() -> None:
    text = for_kubevirt(target(f"{ONE}checks: [auto, web -> db]\n"), EngineWish())
    own = "# vmnet's own business, which is not carried over: checks (line 15)"
    assert own in text.splitlines()


def test_every_key_of_a_plan_is_carried_or_complained_of() -> None:
    """A key that an engine is said to carry is one that there is."""
    parts = {x.__name__: x for x in (Plan, Network, Placement, Vm, Nic, Disk)}
    for engine in (kubevirt.KUBEVIRT,):
        for part, keys in engine.carries.items():
            known = {field.alias or key for key, field in parts[part].model_fields.items()}
            assert keys <= known
    plan = target(ONE.replace("boot: uefi", "boot: bios, machine: pc")).plan
    lost = {said.key for said in carried.lost(plan, kubevirt.KUBEVIRT)}
    assert lost == {"machine"}


def test_passthru_at_incus_is_another_thing_than_the_plans() -> None:
    plan = ONE.replace(', mac: "02:00:00:00:00:07"', ", mode: passthru")
    found = complaints(plan, "incus")
    wanted = (
        "14: NIC 0 of VM db has mode passthru, and at Incus such a guest has another MAC than its "
        "uplink; Incus has bridge, private, vepa"
    )
    assert wanted in found


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (("debian-12", "file:./x.qcow2"), "the image file:./x.qcow2 is on this host alone"),
        (
            ("https://example.org/", "https://me:pass@example.org/"),
            "the address of the image https://example.org/db.qcow2 has a password or a query",
        ),
        (("disk: {size: 20G, cache: none}, ", ""), "makes the disk of VM web before its image"),
        (
            ("db.qcow2", f"db.qcow2@sha256:{'a' * 64}"),
            "is proved by a digest, which the engine never asks",
        ),
    ],
)
def test_an_image_that_kubevirt_cannot_get_is_refused(change: tuple[str, str], what: str) -> None:
    found = complaints(ONE.replace(*change))
    assert any(what in one for one in found), found
    assert not any("pass@" in one for one in found)


def test_images_of_incus_are_named_by_the_caller() -> None:
    found = complaints(ONE, "incus")
    assert any("nobody says which image of the engine's stands for debian-12" in x for x in found)
    for bad in ("debian-12", "=x", "debian-12=a b", "debian-12=\x1b[31m"):
        with pytest.raises(Complaints, match="names no image for an image of the plan"):
            for_incus(target(ONE), EngineWish([bad]), "default")
    with pytest.raises(Complaints, match="no VM of the plan has that image"):
        for_incus(target(ONE), EngineWish(["fedora=images:fedora/43/cloud"]), "default")
    with pytest.raises(VmnetError, match="--pool names no storage pool"):
        for_incus(target(ONE), EngineWish(), "x\nname: y")


def test_names_are_labels_that_are_never_alike() -> None:
    assert label("a_b", "", "Enp3s0.7") == "a-b-enp3s0-7"
    long = label("x" * 40, "y" * 40)
    assert len(long) <= 63
    assert long != label("x" * 40, "y" * 41)
    found = labels({1: ("a_b",), 2: ("a-b",), 3: ("c",)})
    assert found[1] == "a-b"
    assert len(set(found.values())) == 3
