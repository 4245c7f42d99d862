"""Each reader of a plan's values, and what the JSON Schema says of them: one and the same verdict.

A number in JSON has lost how it was written, so of those only what a reader takes is held.
"""

import re
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from yaml import YAMLError

from provisioner.plan import checks, hosts, ip, scalars, vm_scalars
from provisioner.plan.choices import Accel, LinkState
from provisioner.plan.scalars import BadValue, Matching, Whole
from provisioner.plan.schema import forms
from provisioner.plan.schema.patterns import number
from provisioner.plan.types import OneWord, macvtap_mode
from tests.builders.yaml_core import typed

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"


def named(*modules: Any) -> dict[str, Any]:  # noqa: ANN401  (modules, which have no common type)
    """Give the readers of modules that say themselves what they take."""
    found = [pair for module in modules for pair in vars(module).items()]
    return {name: one for name, one in found if isinstance(one, Matching | Whole)}


READERS: dict[str, Callable[[object], object]] = {
    **named(scalars, vm_scalars),
    **{
        one.__name__: one
        for one in (
            *(scalars.flag, scalars.allowed, scalars.connection, scalars.ether_type, scalars.mac),
            *(scalars.host_service, scalars.memory_mib, scalars.share, vm_scalars.ssh_key),
            *(scalars.uplink, vm_scalars.file_mode, vm_scalars.ready, vm_scalars.size_mib),
            *(ip.address, ip.domain, ip.host_access, ip.interface, ip.pool, ip.subnet),
            *(macvtap_mode, checks.line),
        )
    },
    "accel": OneWord(Accel, "an accelerator"),
    "link": OneWord(LinkState, "a state of a link"),
}
FORMS = {
    name: Draft202012Validator(forms.of(reader) | {"$defs": forms.SHARED})
    for name, reader in READERS.items()
}

PARTS = st.sampled_from(["", "0", "1", "ff", "FFFF", "fe80", "0001", "12345", "10.0.0.1"])
OCTETS = st.sampled_from(
    ["0", "1", "10", "99", "126", "127", "128", "223", "224", "255", "256", "01"]
)
PREFIXES = st.sampled_from(
    ["", "/0", "/7", "/8", "/024", "/30", "/31", "/32", "/126", "/129", "/x"]
)
AMOUNTS = st.sampled_from(
    [
        "0",
        "1",
        "67",
        "68",
        "95",
        "96",
        "1024",
        "1025",
        "65535",
        "65536",
        "1048576",
        "16777217",
        "007",
    ]
)
UNITS = st.sampled_from(["", " ", "M", "MiB", " G", "Gi", "T", "K", "%", ".5%", "s"])
WORDS = [
    *("true", "True", "no", "OFF", "on", "maybe", "null", "1.5", "1e3", "0644", "999", "-1"),
    *("0x88cc", "0x0800", "0x86DD", "0x05ff", "lldp", "host", "vm:web1", "vm:Web", "dhcp"),
    *("bridge", "passthrough", "kvm", "up", "auto", "qemu:///system", "web-1", "a-", "a" * 41),
    *("a" * 16, "lo", "eno1.5", "a b", "file:x", "https://a/b", "a" * 64, "486", "/dev/a/../b"),
    *("/dev/sda", "/etc/motd", "/a/../b", "root:root", "$6$salt$" + "a" * 86, "devices/rng"),
    *(
        KEY,
        f"{KEY} me",
        KEY.replace("AAAAC", "AAAAD"),
        "tcp/22",
        "tcp/0",
        "command ls",
        "agent",
    ),
    *("a -> b", "-> 10.0.0.1 mtu 1500", "a -/> b tcp/22 or refused", "a -> b icmp", "a to b"),
    *("a -> dns x.org", "-> dns", "a->b latency <5ms", "http://a", "-> http://[fd00::1]:80/x"),
    *("home.example.org", "Home.Lan", "-a.b", "a..b", "xn--a", "10.0.0.1 - 10.0.0.9"),
]
TEXTS = (
    st.sampled_from(WORDS)
    | st.builds("{}{}".format, AMOUNTS, UNITS)
    | st.builds("{}{}".format, st.lists(OCTETS, min_size=3, max_size=5).map(".".join), PREFIXES)
    | st.builds("{}{}".format, st.lists(PARTS, min_size=2, max_size=9).map(":".join), PREFIXES)
    | st.lists(st.sampled_from(["00", "02", "03", "0A", "g0"]), min_size=5, max_size=7).map(
        "-".join
    )
    | st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=20)
)


def taken(reader: Callable[[object], object], text: str) -> bool:
    try:
        reader(text)
    except BadValue:
        return False
    return True


def as_typed(text: str) -> object:
    """Give the number or truth value that a text is in YAML without quotes, else the text."""
    try:
        found = typed(text)
    except YAMLError:
        return text
    return found if isinstance(found, int | float) else text


def is_no_network(name: str, text: str) -> bool:
    """Tell what no pattern can: that an address lies inside its subnet, or a range runs down."""
    if name == "pool":
        return True
    try:
        return name == "subnet" and str(ip_network(text, strict=False)) != text
    except ValueError:
        return False


@given(TEXTS)
@settings(max_examples=400, deadline=None)
def test_readers_and_forms_agree(text: str) -> None:
    value = as_typed(text)
    for name, reader in READERS.items():
        if taken(reader, text):
            assert FORMS[name].is_valid(text), (name, text)
            assert FORMS[name].is_valid(value), (name, text, value)
        elif not (is_no_network(name, text) or (name, text.isascii()) == ("xml_path", False)):
            assert not FORMS[name].is_valid(text), (name, text)


@pytest.mark.parametrize("text", [*WORDS, "10.0.0.1/24", "fd77::/64"])
def test_readers_and_forms_agree_about_known_words(text: str) -> None:
    for name, reader in READERS.items():
        if not is_no_network(name, text):
            assert FORMS[name].is_valid(text) == taken(reader, text), name


@given(st.integers(0, 70_000), st.integers(0, 70_000), st.integers(0, 80_000))
def test_a_pattern_of_numbers_matches_those_between_its_ends(a: int, b: int, n: int) -> None:
    low, high = sorted((a, b))
    form = re.compile(number(low, high))
    for each in (n, low, high, low - 1, high + 1):
        assert bool(form.fullmatch(str(each))) == (low <= each <= high)


@pytest.mark.parametrize(
    ("value", "holds"),
    [
        ("10.0.0.5", True),
        (["10.0.0.5", "fd00::5"], True),
        ({"address": "10.0.0.5", "ssh": "me@nas:22"}, True),
        ({"address": [], "ssh": "me@nas"}, False),
        ({"address": "10.0.0.5", "ssh": "me@nas:70000"}, False),
        ({"address": "10.0.0.5", "ssh": "-oProxyCommand=x@nas"}, False),
        ({"ssh": "me@nas"}, False),
        ({"address": "10.0.0.5", "uplinks": {"lan": "enp3s0", "wan": "eth1"}}, True),
        ({"address": "10.0.0.5", "uplinks": {}, "groups": ["rack", "big"]}, True),
        ({"address": "10.0.0.5", "uplinks": {"LAN": "enp3s0"}}, False),
        ({"address": "10.0.0.5", "uplinks": ["enp3s0"]}, False),
        ({"address": "10.0.0.5", "groups": "-rack"}, False),
    ],
)
def test_machines_have_their_form(value: object, holds: bool) -> None:  # noqa: FBT001
    form = Draft202012Validator(forms.of(hosts.machines) | {"$defs": forms.SHARED})
    assert form.is_valid({"nas": value}) == holds
    try:
        hosts.machines({"nas": value})
    except BadValue:
        assert not holds
    else:
        assert holds
