"""The facts of a host as JSON: back what was written, and nothing that a host cannot be."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from provisioner.errors import Exit, VmnetError
from provisioner.fabric.document import MOST_LENGTH, answered, as_json, from_json
from provisioner.fabric.facts import HostFacts, ResidentVm, Silent, StoredName, UplinkTap
from tests.builders.fabric import host, nic

TAP = UplinkTap("mvt1", "bridge", "lab", "web")
FACTS = replace(
    host(100, nic("eno1", TAP), vms=(ResidentVm("lab", "web", "running", runs=True),)),
    images=(StoredName("debian-12", "0" * 64),),
)


def changed(change: Callable[[dict[str, Any]], object]) -> str:
    data = json.loads(as_json(FACTS))
    change(data)
    return json.dumps(data)


def why(text: str) -> str:
    with pytest.raises(VmnetError) as raised:
        from_json(text, "h1")
    assert raised.value.status is Exit.HOST_CANNOT
    assert raised.value.fix
    return raised.value.what.removeprefix("the answer of host h1 cannot be used: ")


def test_facts_come_back_as_they_were_written() -> None:
    assert from_json(as_json(FACTS), "h1") == FACTS
    assert json.loads(as_json(FACTS))["command"] == "host-facts"


def test_keys_of_a_newer_vmnet_are_passed_over() -> None:
    text = changed(lambda data: data.update(colour="red", uplinks=[]))
    assert from_json(text, "h1").uplinks == ()


WRONG: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a name": (lambda d: d.update(cores="4"), "cores: Input should be a valid integer"),
    "a flag for a number": (lambda d: d.update(cores=True), "cores: Input should be a valid"),
    "no cores": (lambda d: d.update(cores=0), "cores is 0, and not from 1 to 1048576"),
    "less than no memory": (
        lambda d: d.update(free_memory_mib=-1),
        "free_memory_mib is -1, and not from 0 to 8192",
    ),
    "more than all memory": (
        lambda d: d.update(free_memory_mib=9000),
        "free_memory_mib is 9000, and not from 0 to 8192",
    ),
    "a key left out": (lambda d: d.pop("memory_mib"), "memory_mib: Field required"),
    "a text for a list": (lambda d: d.update(features="kvm"), "features: Input should be a valid"),
    "a name of a NIC": (
        lambda d: d["uplinks"][0].update(name="e\x1b[31m"),
        r"e\x1b[31m cannot name a NIC",
    ),
    "a long name of a NIC": (
        lambda d: d["uplinks"][0].update(name="e" * 16),
        f"{'e' * 16} cannot name a NIC",
    ),
    "a MAC": (lambda d: d["uplinks"][0].update(mac="no\n"), r"the MAC of eno1 is no\n"),
    "an MTU": (lambda d: d["uplinks"][0].update(mtu=0), "the MTU of eno1 is 0"),
    "a mode": (
        lambda d: d["uplinks"][0]["taps"][0].update(mode="bridg"),
        "bridg is no mode of a macvtap on eno1",
    ),
    "a plan of a tap": (
        lambda d: d["uplinks"][0]["taps"][0].update(plan="../etc"),
        "a macvtap on eno1 is of web in ../etc",
    ),
    "a plan of a VM": (lambda d: d["vms"][0].update(plan="Lab"), "web of Lab is no VM's name"),
    "a VM": (lambda d: d["vms"][0].update(vm="-x"), "-x of lab is no VM's name"),
    "a VM twice": (
        lambda d: d["vms"].append(d["vms"][0]),
        "it has the VM web of plan lab twice",
    ),
    "a NIC twice": (lambda d: d["uplinks"].append(d["uplinks"][0]), "it has the NIC eno1 twice"),
    "an image": (lambda d: d["images"][0].update(name="../x"), "../x is no image with a digest"),
    "a digest": (lambda d: d["images"][0].update(digest="0" * 63), "debian-12 is no image with"),
    "an image twice": (
        lambda d: d["images"].append(d["images"][0]),
        "it has the image debian-12 twice",
    ),
    "too many features": (
        lambda d: d.update(features=["x"] * 101),
        "it lists 101 features, and at most 100 are read",
    ),
    "another command": (lambda d: d.update(command="ls"), "it is no document of vmnet host-facts"),
    "a lone surrogate": (lambda d: d.update(name="\ud800"), "Invalid JSON"),
}


@pytest.mark.parametrize(("change", "told"), WRONG.values(), ids=WRONG.keys())
def test_what_no_host_can_be_is_refused(
    change: Callable[[dict[str, Any]], object], told: str
) -> None:
    found = why(changed(change))
    assert told in found
    assert found.isprintable()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "it is not JSON"),
        ("Last login: yesterday\n{}", "it is not JSON"),
        ("[]", "it is no document"),
        ('{"command": "host-facts", "command": "host-facts"}', 'the key "command" is given twice'),
        ("[" * 100_000, "it is not JSON"),
        (" " * (MOST_LENGTH + 1), "it is longer than"),
        ('{"cores": 1e999}', "a number is too large"),
    ],
)
def test_what_is_no_answer_is_refused(text: str, told: str) -> None:
    assert told in why(text)


@pytest.mark.parametrize(
    ("protocol", "told"),
    [
        (2, "host h1 has vmnet 0.1.0, which speaks protocol 2; this one speaks protocol 1"),
        ("1", "host h1 has vmnet 0.1.0, which speaks no protocol; this one speaks protocol 1"),
    ],
)
def test_another_protocol_is_told_with_both_versions(protocol: object, told: str) -> None:
    assert why(changed(lambda data: data.update(protocol=protocol))) == told


def test_what_is_only_shown_is_made_harmless() -> None:
    def change(data: dict[str, Any]) -> None:
        data.update(name="h\x1b[2J", version="\n" * 99, troubles=["\x07"])
        data["vms"][0]["state"] = "\x9b1m" * 100

    found = from_json(changed(change), "h1")
    assert found.name == r"h\x1b[2J"
    assert found.troubles == (r"\x07",)
    assert all(text.isprintable() for text in (found.version, found.vms[0].state))
    assert len(found.vms[0].state) <= 60


def test_a_host_whose_answer_cannot_be_used_counts_as_silent() -> None:
    assert isinstance(answered(as_json(FACTS), "h1"), HostFacts)
    said = answered("bash: vmnet: command not found", "h1")
    assert isinstance(said, Silent)
    assert not said.is_dead
    assert "is not JSON" in said.why
