"""The guest's reader of cloud-init's files, run by the guest's own busybox, against PyYAML."""

import base64
import json
import subprocess
from collections.abc import Callable, Iterator
from ipaddress import ip_address, ip_interface
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.guest import cloudinit, host_key
from provisioner.guest.network_config import network_config
from provisioner.guest.userdata import Texts
from provisioner.host.guest import host_keys
from provisioner.host.image.micro import recipe
from provisioner.network.addressing import NicConfig
from provisioner.plan.mac import Mac
from provisioner.plan.vm import Vm
from tests.host_tools.micro_parts import files, image

AWK = recipe.rootfs()["etc/vmnet/cloud.awk"]


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], str]:
    """Run the reader on a text of a kind, meta, user or network."""
    folder = tmp_path_factory.mktemp("guest")
    busybox, script = folder / "busybox", folder / "cloud.awk"
    busybox.write_bytes(files(image().initrd)["bin/busybox"][1])
    busybox.chmod(0o755)
    script.write_bytes(AWK)

    def orders(kind: str, text: str) -> str:
        argv = [str(busybox), "awk", "-f", str(script), f"kind={kind}", "-"]
        ran = subprocess.run(argv, input=text.encode(), capture_output=True, check=True)
        assert ran.stderr == b""
        return ran.stdout.decode()

    return orders


four = st.ip_addresses(v=4).map(str)
six = st.ip_addresses(v=6).map(str)
either = four | six
prefixed = st.builds("{}/{}".format, four, st.integers(1, 32)) | st.builds(
    "{}/{}".format, six, st.integers(1, 128)
)
maybe = st.booleans()
macs = st.binary(min_size=6, max_size=6).map(lambda raw: raw.hex(":"))
words = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
routes = st.fixed_dictionaries(
    {"to": st.sampled_from(["default", "0.0.0.0/0", "::/0"]) | prefixed, "via": either},
    optional={"metric": st.integers(0, 9999), "on-link": maybe},
)
nics = st.fixed_dictionaries(
    {"match": st.fixed_dictionaries({"macaddress": macs | macs.map(str.upper)})},
    optional={
        "set-name": words,
        "mtu": st.integers(576, 9000),
        "dhcp4": maybe,
        "dhcp6": maybe,
        "accept-ra": maybe,
        "gateway4": four,
        "addresses": st.lists(prefixed, max_size=4, unique=True),
        "routes": st.lists(routes, max_size=3),
        "nameservers": st.fixed_dictionaries(
            {"addresses": st.lists(either, max_size=3)},
            optional={"search": st.lists(words, min_size=1, max_size=3)},
        ),
    },
)
networks = st.dictionaries(words, nics, max_size=3)


def expected(network: dict[str, dict[str, Any]]) -> str:
    return "".join(f"{order}\n" for nic in network.values() for order in nic_orders(nic))


def nic_orders(nic: dict[str, Any]) -> Iterator[str]:
    yield f"nic {nic['match']['macaddress'].lower()}"
    yield from (f"{word} {nic[key]}" for word, key in NAMED.items() if key in nic)
    if "accept-ra" in nic:
        yield f"ra {2 if nic['accept-ra'] else 0}"
    elif nic.get("dhcp6"):
        yield "ra 2"
    yield "up"
    yield from (f"address {address}" for address in nic.get("addresses", []))
    if nic.get("dhcp4"):
        yield "dhcp"
    if "gateway4" in nic:
        yield f"route default {nic['gateway4']} - -"
    yield from (route_order(route) for route in nic.get("routes", []))
    servers = nic.get("nameservers", {})
    yield from (f"dns {server}" for server in servers.get("addresses", []))
    if "search" in servers:
        yield "search " + " ".join(servers["search"])


NAMED = {"name": "set-name", "mtu": "mtu"}


def route_order(route: dict[str, Any]) -> str:
    to = "default" if route["to"] in {"0.0.0.0/0", "::/0"} else route["to"]
    onlink = "onlink" if route.get("on-link") else "-"
    return f"route {to} {route['via']} {route.get('metric', '-')} {onlink}"


class NoAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True


def block(told: object) -> str:
    return yaml.dump(told, Dumper=NoAliases, sort_keys=False)


def flow(told: object) -> str:
    return yaml.dump(told, Dumper=NoAliases, sort_keys=False, default_flow_style=True, width=60)


def mixed(told: object) -> str:
    return "# a comment\n---\n" + yaml.dump(
        told, Dumper=NoAliases, sort_keys=False, default_flow_style=None, indent=4
    ).replace("\n", "   # one more\n")


SPELLINGS: list[Callable[[object], str]] = [
    block,
    flow,
    mixed,
    json.dumps,
    lambda told: json.dumps(told, indent=2),
    lambda told: json.dumps(told, separators=(",", ":")),
    lambda told: block(told).replace("\n", "\r\n"),
]


@settings(max_examples=60, deadline=None)
@given(network=networks, spelling=st.sampled_from(SPELLINGS), wrapped=st.booleans())
def test_the_guest_reads_a_network_as_pyyaml_writes_it(
    read: Callable[[str, str], str],
    network: dict[str, dict[str, Any]],
    spelling: Callable[[object], str],
    wrapped: bool,  # noqa: FBT001
) -> None:
    told: dict[str, object] = {"version": 2, "ethernets": network}
    text = spelling({"network": told} if wrapped else told)
    assert read("network", text) == expected(network)


def test_people_write_yaml_in_more_ways(read: Callable[[str, str], str]) -> None:
    told = """
network:
  version: 2
  renderer: networkd
  ethernets:
    # the first
    lan:   # and its name
        match:
            macaddress:   52:54:00:ee:00:01
        addresses:
        - 10.0.0.1/24   # ours
        -   "fd00::1/64":
              label: front
              lifetime: 0
        routes: [{to: 0.0.0.0/0,
                  via: 10.0.0.254}]
    eth7: {dhcp4: yes, mtu: ~}
    any:
        match: {name: ens3}
  bonds: {bond0: {interfaces: [lan, eth7]}}
"""
    assert read("network", told) == (
        "bad bonds\n"
        "nic 52:54:00:ee:00:01\nup\naddress 10.0.0.1/24\naddress fd00::1/64\n"
        "route default 10.0.0.254 - -\n"
        "device eth7\nup\ndhcp\n"
        "device ens3\nup\n"
    )


HOSTILE = ["$(reboot)", "a;reboot", "`reboot`", "-x", "a b", "../../etc", "*", "a|b", '"', "é"]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_is_refused_and_not_repeated(
    read: Callable[[str, str], str], value: str
) -> None:
    nic = {
        "match": {"macaddress": "02:00:00:00:00:01"},
        "set-name": value,
        "mtu": value,
        "addresses": [value],
        "gateway4": value,
        "nameservers": {"addresses": [value]},
    }
    assert read("network", block({"version": 2, "ethernets": {"n": nic}})) == (
        "nic 02:00:00:00:00:01\nbad name of n\nbad mtu of n\nup\n"
        "bad address of n\nbad route of n\nbad dns of n\n"
    )


@pytest.mark.parametrize(
    ("nic_id", "match", "complaint"),
    [
        ("$(reboot)", {}, "bad device of ??reboot?"),
        ("a", {"name": "a b"}, "bad device of a"),
        ("a", {"macaddress": "; reboot"}, "bad nic of a"),
    ],
)
def test_what_is_told_of_an_unfit_nic_is_not_done_to_another(
    read: Callable[[str, str], str], nic_id: str, match: dict[str, str], complaint: str
) -> None:
    first = {"match": {"macaddress": "02:00:00:00:00:01"}}
    unfit = {"addresses": ["10.0.0.1/24"], "match": match}
    told = {"version": 2, "ethernets": {"first": first, nic_id: unfit}}
    assert read("network", block(told)) == f"nic 02:00:00:00:00:01\nup\n{complaint}\n"


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"


@pytest.mark.parametrize(
    ("kind", "text", "orders"),
    [
        ("meta", "instance-id: x\nlocal-hostname: web-1.lab\n", "hostname web-1.lab\n"),
        ("meta", 'hostname: "a"\nlocal-hostname: "b"\n', "hostname b\n"),
        ("meta", '{"local-hostname": "web", "instance-id": "x"}', "hostname web\n"),
        ("meta", "local-hostname: $(reboot)\n", "bad hostname of meta-data\n"),
        ("meta", f"public-keys:\n  mine: {KEY} me@home\n", f"key {KEY} me@home\n"),
        (
            "user",
            f"#cloud-config\nssh_authorized_keys:\n- {KEY} me\n- {KEY}\n",
            f"key {KEY} me\nkey {KEY}\n",
        ),
        ("user", f"ssh_authorized_keys: ['{KEY}', \"{KEY} me\"]", f"key {KEY}\nkey {KEY} me\n"),
        (
            "user",
            f"users:\n- name: root\n  ssh_authorized_keys:\n    - {KEY} me\n",
            f"key {KEY} me\n",
        ),
        (
            "user",
            f"a: |\n  ssh_authorized_keys:\n  - {KEY} text\nssh_authorized_keys: [{KEY}]\n",
            f"key {KEY}\n",
        ),
        ("user", f'ssh_authorized_keys: [\'command="reboot" {KEY}\', "; reboot"]\n', ""),
        ("user", "", ""),
    ],
)
def test_the_name_and_the_keys_are_found(
    read: Callable[[str, str], str], kind: str, text: str, orders: str
) -> None:
    assert read(kind, text) == orders


def told(**keys: object) -> str:
    """What vmnet tells a micro guest."""
    vm = Vm.model_validate({"name": "web", "nics": ["lan"]} | keys)
    return cloudinit.user_data(vm, "root", Texts())


# No lone surrogates: no plan can hold one.
anything = st.text(st.characters(exclude_categories=["Cs"]))
lines = st.lists(anything.filter(bool), max_size=3)


@settings(max_examples=80, deadline=None)
@given(contents=st.lists(anything, max_size=3), run=lines)
def test_the_guest_reads_files_and_lines_as_vmnet_tells_them(
    read: Callable[[str, str], str], contents: list[str], run: list[str]
) -> None:
    files = [
        {"path": f"/etc/{number}", "content": content, "mode": "0600"}
        for number, content in enumerate(contents)
    ]
    orders = read("user", told(files=files, run=run)).splitlines()
    found = [order.split(" ") for order in orders]
    assert [(word, mode, path) for word, mode, _, path, _ in found[: len(contents)]] == [
        ("file", "0600", f"/etc/{number}") for number in range(len(contents))
    ]
    assert [decoded(order[4]) for order in found[: len(contents)]] == contents
    if run:
        *_, script, ran = found
        assert (script[:4], decoded(script[4])) == (
            ["file", "0700", "root:root", "/run/vmnet.run"],
            "".join(f"{line}\n" for line in run),
        )
        assert ran == ["run", "/run/vmnet.run"]


def decoded(word: str) -> str:
    return "" if word == "-" else base64.b64decode(word).decode()


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_files_may_be_told_in_any_spelling(
    read: Callable[[str, str], str], spelling: Callable[[object], str]
) -> None:
    file = {"path": "/etc/a", "encoding": "b64", "content": "aGk=", "permissions": "0644"}
    text = spelling({"write_files": [file], "runcmd": ["sh /etc/a"]})
    assert read("user", text) == "file 0644 root:root /etc/a aGk=\nrun /etc/a\n"


GOOD = {"path": "/a", "encoding": "b64", "content": "aGk=", "permissions": "0644", "owner": "root"}


@pytest.mark.parametrize(
    "part",
    [
        *({"path": f"/{value}"} for value in HOSTILE if value != "-x"),
        *({"content": value} for value in [*HOSTILE, "aGk=\n", "=aGk"]),
        *({"owner": value} for value in HOSTILE if value != "-x"),
        *({"permissions": value} for value in [*HOSTILE, "999", "07777"]),
        {"encoding": "gzip"},
        {"path": "a"},
        {"path": "/../a"},
    ],
)
def test_a_hostile_file_is_not_written(
    read: Callable[[str, str], str], part: dict[str, str]
) -> None:
    text = json.dumps({"write_files": [GOOD | part]}, ensure_ascii=False)
    assert read("user", text) == "bad file of user-data\n"


@pytest.mark.parametrize("line", [*HOSTILE, "sh /a; reboot", "sh -c reboot", "sh /$(reboot)"])
def test_a_line_that_vmnet_did_not_write_is_not_run(
    read: Callable[[str, str], str], line: str
) -> None:
    assert read("user", json.dumps({"runcmd": [line]})) == "bad runcmd of user-data\n"


def test_the_guest_reads_its_host_key(read: Callable[[str, str], str], tmp_path: Path) -> None:
    key = host_keys.ensure(tmp_path / "keys", "web")
    (order,) = read("user", host_key.vendor_data(key, host_key.DROPBEAR)).splitlines()
    word, mode, owner, path, content = order.split(" ")
    assert (word, mode, owner, path) == ("file", "0600", "root:root", host_key.DROPBEAR_FILE)
    assert base64.b64decode(content) == host_key.dropbear(key.private)


def test_the_guest_reads_what_vmnet_tells_of_its_nics(read: Callable[[str, str], str]) -> None:
    nics = [
        NicConfig(
            mac=Mac("52:54:00:ee:00:01"),
            addresses=(ip_interface("10.0.0.2/24"), ip_interface("fd00::2/64")),
            gateways=(ip_address("10.0.0.1"), ip_address("fd00::1")),
            dns=(ip_address("10.0.0.53"),),
            mtu=1400,
            dhcp=False,
        ),
        NicConfig(Mac("52:54:00:ee:00:02"), (), (), (), None, dhcp=True, ra=True),
    ]
    assert read("network", network_config(nics)) == (
        "nic 52:54:00:ee:00:01\nmtu 1400\nra 0\nup\n"
        "address 10.0.0.2/24\naddress fd00::2/64\n"
        "route default 10.0.0.1 - -\nroute default fd00::1 - -\ndns 10.0.0.53\n"
        "nic 52:54:00:ee:00:02\nra 2\nup\ndhcp\n"
    )
