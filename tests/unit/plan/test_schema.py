"""The JSON Schema of plans: what the loader takes it takes, and it knows what the models know."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import Field, create_model

from provisioner.cli.plan_file.documents import schema
from provisioner.errors import Complaints
from provisioner.plan.load.loader import load, load_merged
from provisioner.plan.model import Plan, Vm
from provisioner.plan.schema.generate import as_text, plan_schema
from provisioner.plan.types import Flag, Read
from tests.builders.plan import with_name, with_network, with_nic, with_vm
from tests.builders.yaml_core import typed

HOUSE = Path(__file__).parents[3]
PAGES = [HOUSE / "README.md", *sorted((HOUSE / "docs").rglob("*.md"))]
EXAMPLES = sorted((HOUSE / "examples").glob("*.yaml"))
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@home"
SCHEMA = plan_schema()
JUDGE = Draft202012Validator(SCHEMA)


CUT_SHORT = {r'"?ssh-ed25519 AAAA…[^"\]\n]*"?': f'"{KEY}"', r"\$6\$…": "$6$salt$" + "a" * 86}
"""What the docs write for a key and a hash, and a whole one."""


def blocks() -> Iterator[tuple[str, str]]:
    """Give each block of the docs that has networks or VMs, by its page and its number there."""
    for page in PAGES:
        codes = re.findall(r"^```[a-z]*\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
        for number, code in enumerate(codes):
            text = code
            for short, whole in CUT_SHORT.items():
                text = re.sub(short, whole, text)
            if re.search(r"^(networks|vms):", code, re.MULTILINE):
                yield f"{page.stem}-{number}", text


BLOCKS = dict(blocks())


def is_whole(code: str) -> bool:
    return all(re.search(rf"^{key}:", code, re.MULTILINE) for key in ("name", "networks", "vms"))


def complaints(plan: Any) -> list[str]:  # noqa: ANN401  (what YAML gives)
    return [f"{error.json_path}: {error.message}" for error in JUDGE.iter_errors(plan)]


def is_loaded(text: str) -> bool:
    try:
        load_merged([("p", text)], (), {"WEB_PASSWORD": "$6$salt$" + "a" * 86})
    except Complaints:
        return False
    return True


def test_it_is_a_schema_of_draft_2020_12() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    assert re.fullmatch(r"urn:[a-z]+:[a-z:]+", SCHEMA["$id"])
    assert "Rules among keys are not judged here" in SCHEMA["description"]


def test_the_file_in_the_docs_is_the_schema_of_these_models() -> None:
    written = (HOUSE / "docs" / "plan.schema.json").read_text()
    assert written == as_text(SCHEMA), "write it anew: make schema"


def test_the_command_prints_the_schema_of_plans_and_those_of_documents() -> None:
    asked = {
        "plan": as_text(SCHEMA),
        "report": as_text(schema("report")),
        "net ls": as_text(schema("net ls")),
    }
    for what, text in asked.items():
        argv = [sys.executable, "-m", "provisioner", "schema", *what.split()]
        ran = subprocess.run(argv, cwd=HOUSE, capture_output=True, text=True, check=True)
        assert ran.stdout == text


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_holds_and_names_the_schema(path: Path) -> None:
    text = path.read_text()
    first = text.partition("\n")[0]
    assert complaints(typed(text)) == []
    place = first.removeprefix("# yaml-language-server: $schema=")
    assert (path.parent / place).resolve() == HOUSE / "docs" / "plan.schema.json"


@pytest.mark.parametrize("code", BLOCKS.values(), ids=BLOCKS.keys())
def test_every_plan_in_the_docs_holds(code: str) -> None:
    rest = {"name": "lab", "networks": {"lan": {"uplink": "eno1"}}, "vms": {"web": {"nics": "lan"}}}
    assert complaints(rest | typed(code)) == []
    assert is_loaded(code) or not is_whole(code)


def test_the_docs_have_whole_plans_and_parts_of_plans() -> None:
    assert {is_whole(code) for code in BLOCKS.values()} == {True, False}


GOOD = {
    "short forms": with_network(
        "switch: true, subnet: [10.77.0.0/24, 'fd77::/64'], dns: 10.77.0.9"
    ),
    "one NIC without a list": "name: a\nnetworks: {lan: {uplink: eno1}}\nvms: {w: {nics: lan}}\n",
    "flags as words": with_network("uplink: eno1, mode: passthru, promisc: OFF, take_over: Yes"),
    "EtherTypes as numbers": with_network(
        "uplink: eno1, spoof_guard: strict, ether_types: [0x88cc, ptp]"
    ),
    "amounts": with_vm("image: debian-12, memory: 512 MiB, disk: 20G, disks: [1T, {size: 512Mi}]"),
    "amounts without units": with_vm("memory: 256, cpus: '2', count: 3"),
    "values that look like others": with_vm(
        "image: debian-12, password: 123456, packages: [389-ds, 7]"
    ),
    "words that are truth values": with_vm(
        "image: debian-12, run: [true], cpu_model: 486, user: true"
    ),
    "a file with nothing in it": with_vm(
        "image: debian-12, files: [{path: /a, content: , mode: 644}]"
    ),
    "an address or a flag": with_network(
        "uplink: eno1, subnet: 10.7.0.0/24, host_access: 10.7.0.9, pool: 10.7.0.9 - 10.7.0.20"
    ),
    "checks": with_name("lab")
    + "hosts: {nas: 10.0.0.5, pi: {address: ['fd00::1'], ssh: 'me@[fd00::1]:22'}}\n"
    + "checks: [auto, web -> nas tcp/22, 'web -> pi latency < 5ms', -> http://a/x status 200]\n",
    "hosts that run VMs": with_name("lab").replace("[lan]", "[lan], on: rack, count: 2")
    + "hosts: {h1: {address: 10.0.0.5, uplinks: {lan: enp3s0}, groups: rack},"
    + " h2: {address: 10.0.0.6, uplinks: {}, groups: [rack, 'big']}}\n"
    + "placement: {strategy: pack, apart: [web1, web2]}\n",
    "a placement in a word": with_name("lab")
    + "hosts: {h1: {address: 10.0.0.5, uplinks: {}}}\nplacement: spread\n"
    + "defaults: {on: h1}\n",
    "defaults": with_name("lab")
    + "defaults: {disk: 20G, image: debian-12, accel: tcg, keep: no}\n",
    "no tpm": with_vm("tpm: no, secure_boot: false, ready: [agent, tcp/22, command test -e /x]"),
    "a MAC in dashes": with_nic("mac: 02-00-00-00-00-0A, mtu: 1400, link: down"),
}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD.keys())
def test_what_the_loader_takes_the_schema_takes(text: str) -> None:
    load(text, "p")
    assert complaints(typed(text)) == []


LAN = "uplink: eno1"
BROKEN = {
    "an unknown key of the plan": with_name("lab") + "colour: red\n",
    "an unknown key of a network": with_network(f"{LAN}, colour: red"),
    "an unknown key of a switch": with_network("subnet: 10.7.0.0/24, switch: {colour: red}"),
    "an unknown key of a VM": with_vm("colour: red"),
    "an unknown key of a NIC": with_nic("colour: red"),
    "an unknown key of a disk": with_vm("image: debian-12, disks: [{size: 1G, colour: red}]"),
    "an unknown key of a file": with_vm("files: [{path: /a, content: a, colour: red}]"),
    "an unknown key of defaults": with_name("lab") + "defaults: {mode: vepa}\n",
    "an unknown key of a host": with_name("lab") + "hosts: {nas: {address: 10.0.0.5, port: 22}}\n",
    "a field's name for its key": with_vm("memory_mib: 512"),
    "a name inside an entry": with_vm("name: web"),
    "no name": with_name("lab").partition("\n")[2],
    "no networks": "name: lab\nvms: {web: {nics: [lan]}}\n",
    "a VM without NICs": "name: lab\nnetworks: {lan: {uplink: eno1}}\nvms: {web: {cpus: 2}}\n",
    "an empty list of NICs": "name: lab\nnetworks: {lan: {uplink: eno1}}\nvms: {web: {nics: []}}\n",
    "a NIC without a network": with_vm("nics: [{mtu: 1400}]").replace("nics: [lan], ", ""),
    "a list of VMs": "name: lab\nnetworks: {lan: {uplink: eno1}}\nvms: [web]\n",
    "a list for a single value": with_vm("cpus: [1, 2]"),
    "keys for a single value": with_vm("image: {name: micro}"),
    "nothing for a value": with_vm("image: "),
    "no mode": with_network(f"{LAN}, mode: bridg"),
    "no accelerator": with_name("lab") + "accel: hvf\n",
    "no choice of vhost": with_network(f"{LAN}, vhost: true"),
    "neither true nor false": with_network(f"{LAN}, promisc: maybe"),
    "a switch that is not": with_network("switch: false"),
    "a TPM": with_vm("tpm: true"),
    "a connection to another host": with_name("lab") + "connection: qemu+ssh://a/system\n",
    "an upper-case plan": with_name("Lab"),
    "a VM's name with a dot": with_name("lab").replace("web", "web.lan"),
    "an uplink that is too long": with_network("uplink: a-name-of-16-char"),
    "the loopback as an uplink": with_network("uplink: lo"),
    "a subnet that is none": with_network(f"{LAN}, subnet: 10.77.0.0"),
    "a subnet that is too small": with_network(f"{LAN}, subnet: 10.77.0.0/31"),
    "a gateway above 255": with_network(f"{LAN}, subnet: 10.77.0.0/24, gateway: 10.77.0.256"),
    "a pool without an end": with_network(f"{LAN}, subnet: 10.77.0.0/24, pool: 10.77.0.9"),
    "a multicast address": with_nic("address: 224.0.0.1/24"),
    "a link-local address": with_nic("address: 'fe80::1/64'"),
    "an IPv6 address of nine parts": with_nic("address: '1:2:3:4:5:6:7:8:9'"),
    "a short MAC": with_nic("mac: '02:00:00:00:01'"),
    "a multicast MAC": with_nic("mac: '03:00:00:00:00:01'"),
    "a MAC in a list of sources that is none": with_network(f"{LAN}, mode: source, allow: [web]"),
    "an MTU below 68": with_network(f"{LAN}, mtu: 67"),
    "an MTU in words": with_network(f"{LAN}, mtu: '65536'"),
    "a VLAN above 4094": with_network(f"{LAN}, vlan: 4095"),
    "no CPUs": with_vm("cpus: 0"),
    "half a CPU": with_vm("cpus: 1.5"),
    "too little memory": with_vm("memory: 95M"),
    "memory in an unknown unit": with_vm("memory: 1T"),
    "a disk without a unit": with_vm("image: debian-12, disk: 20"),
    "a disk in a list of one key": with_vm("image: debian-12, disks: [{cache: fast, size: 1G}]"),
    "keys for the disk of defaults": with_name("lab") + "defaults: {disk: {size: 20G}}\n",
    "a loss without a sign": with_network(f"{LAN}, max_loss: 5"),
    "an EtherType that is open": with_network(f"{LAN}, spoof_guard: strict, ether_types: [0x0800]"),
    "a private key": with_vm("ssh_keys: ['-----BEGIN PRIVATE KEY-----']"),
    "a short digest": with_vm("image: 'file:a', digest: abc"),
    "a file of the guest that is relative": with_vm("files: [{path: a, content: a}]"),
    "permissions that are none": with_vm("files: [{path: /a, content: a, mode: rwx}]"),
    "a sign of readiness that is none": with_vm("ready: soon"),
    "a check without an arrow": with_name("lab") + "checks: [web to web]\n",
    "a check of an unknown kind": with_name("lab") + "checks: [web -> host icmp]\n",
    "NICs of a host that are no names": with_name("lab")
    + "hosts: {h1: {address: 10.0.0.5, uplinks: {lan: lo}}}\n",
    "a group of hosts that is none": with_name("lab")
    + "hosts: {h1: {address: 10.0.0.5, uplinks: {}, groups: [Rack]}}\n",
    "no strategy": with_name("lab") + "placement: {strategy: random}\n",
    "lists and VMs that are apart": with_name("lab") + "placement: {apart: [web, [a, b]]}\n",
    "an unknown key of placement": with_name("lab") + "placement: {together: [a, b]}\n",
    "a host that is no name": with_vm("on: H1"),
    "a host without an address": with_name("lab") + "hosts: {nas: {ssh: me@nas}}\n",
    "a count of none": with_vm("count: 0"),
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_wrong_in_one_value_both_refuse(text: str) -> None:
    assert complaints(typed(text)) != []
    with pytest.raises(Complaints):
        load(text, "p")


@pytest.mark.parametrize(
    ("with_variable", "without"),
    [
        ("memory: '${MEM:-256M}'", "memory: MEM"),
        ("cpus: '${CPUS:-2}'", "cpus: CPUS"),
        ("keep: '${KEEP:-false}'", "keep: KEEP"),
        ("ready: ['${SIGN:-agent}']", "ready: [SIGN]"),
    ],
)
def test_any_value_may_be_a_variable(with_variable: str, without: str) -> None:
    assert complaints(yaml.safe_load(with_vm(with_variable))) == []
    assert is_loaded(with_vm(with_variable))
    assert complaints(yaml.safe_load(with_vm(without)))
    assert not is_loaded(with_vm(without))


def test_rules_among_keys_are_the_loaders_alone() -> None:
    for text in (with_name("lab").replace("[lan]", "[wan]"), with_nic("address: 192.168.1.5/24")):
        assert complaints(typed(text)) == []
        assert not is_loaded(text)


def described(form: Any, path: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401  (JSON)
    """Give every key of a schema, and what is said of it."""
    if isinstance(form, list):
        for at, one in enumerate(form):
            yield from described(one, f"{path}/{at}")
    elif isinstance(form, dict):
        for key, value in form.get("properties", {}).items():
            yield f"{path}/{key}", value.get("description", "")
        for key, value in form.items():
            yield from described(value, f"{path}/{key}")


def test_every_key_has_a_description() -> None:
    found = dict(described(SCHEMA))
    assert len(found) > 100
    assert [
        path for path, text in found.items() if not re.fullmatch(r"[A-Z0-9].{8,90}\.", text)
    ] == []


def test_every_default_holds_by_the_form_of_its_key() -> None:
    found = 0
    for part in (SCHEMA, *SCHEMA["$defs"].values()):
        for form in (part, *part.get("anyOf", ())):
            for key in form.get("properties", {}).values():
                if "default" in key:
                    found += 1
                    Draft202012Validator(key | {"$defs": SCHEMA["$defs"]}).validate(key["default"])
    assert found > 20


def more(key: str, kind: Any) -> dict[str, Any]:  # noqa: ANN401  (a type as a model has it)
    """Give the schema of plans whose VMs have one key more."""
    about = Field(None, description="A key that is new.")
    fields: dict[str, Any] = {key: (kind, about)}
    vm = create_model("Vm", __base__=Vm, **fields)
    vms = Field(description="The guests, by name.")
    return plan_schema(create_model("Plan", __base__=Plan, vms=(tuple[vm, ...], vms)))


def test_a_key_that_is_added_to_a_model_is_in_the_schema() -> None:
    found = more("colour", Flag | None)
    assert found["$defs"]["vm"]["properties"]["colour"] == {
        "description": "A key that is new.",
        "anyOf": [{"$ref": "#/$defs/flag"}, {"$ref": "#/$defs/variable"}],
    }
    text = yaml.safe_load(with_vm("colour: true"))
    assert Draft202012Validator(found).is_valid(text)
    assert not JUDGE.is_valid(text)


@pytest.mark.parametrize("kind", [Annotated[str, Read(str.strip)], str, list[int]])
def test_a_key_whose_values_have_no_form_is_an_error(kind: Any) -> None:  # noqa: ANN401
    with pytest.raises(TypeError, match="form in a JSON Schema"):
        more("colour", kind)


def test_the_schema_is_json_that_any_encoding_carries() -> None:
    assert json.loads(as_text(SCHEMA)) == SCHEMA
    assert as_text(SCHEMA).isascii()
