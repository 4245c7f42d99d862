"""`vmnet net` as its user meets it: devices made, looked at, changed, removed; no plan."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.builders.documents import valid
from tests.cli.test_answers import HOUSE
from tests.cli.test_colours import VMNET


@dataclass(frozen=True)
class Room:
    """A network namespace with a card `nic0`."""

    name: str

    def net(self, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        ran = self.run(*VMNET, "net", *words, status=status)
        assert "Traceback" not in ran.stderr
        return ran

    def listed(self) -> Any:  # noqa: ANN401  (JSON)
        return valid(json.loads(self.net("ls", "--json").stdout), "net ls")["devices"]

    def run(self, *argv: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        ran = subprocess.run(
            ["ip", "netns", "exec", self.name, *argv],
            cwd=HOUSE,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert ran.returncode == status, (argv, ran.stdout, ran.stderr)
        return ran


@pytest.fixture
def room() -> Iterator[Room]:
    made = Room(f"n{os.getpid()}")
    subprocess.run(["ip", "netns", "add", made.name], check=True)
    try:
        made.run("ip", "link", "add", "nic0", "type", "veth", "peer", "name", "far0")
        made.run("ip", "link", "set", "nic0", "up")
        made.run("ip", "link", "set", "far0", "up")
        yield made
        made.net("rm", "--all")
        left = json.loads(made.run("ip", "-json", "link").stdout)
        assert {link["ifname"] for link in left} - {"lo", "nic0", "far0"} == set()
    finally:
        subprocess.run(["ip", "netns", "del", made.name], check=True)


def test_two_hundred_devices_are_made_read_back_changed_and_removed(room: Room) -> None:
    room.net("create", "--uplink", "nic0", "--mode", "private", "--count", "200")
    first = room.listed()
    names = [one["name"] for one in first]
    assert (len(set(names)), len({one["mac"] for one in first})) == (200, 200)
    assert {(one["mode"], one["uplink"], one["node_state"]) for one in first} == {
        ("private", "nic0", "right")
    }
    assert all(Path(one["node"]).is_char_device() for one in first)
    room.net("set", *names, "--mode", "bridge", "--mtu", "1400")
    changed = room.listed()
    assert {(one["mode"], one["mtu"]) for one in changed} == {("bridge", 1400)}
    assert [one["node"] for one in changed] == [one["node"] for one in first]
    room.net("rm", *names)
    assert room.listed() == []
    assert [one["node"] for one in first if Path(one["node"]).exists()] == []


def test_what_is_made_shown_and_changed_comes_as_json_too(room: Room) -> None:
    words = ("create", "--uplink", "nic0", "--mode", "source", "--allow", "02:00:00:00:00:07")
    (made,) = valid(json.loads(room.net(*words, "--json").stdout), "net create")["devices"]
    for verb, more in (("show", ()), ("set", ("--mtu", "1400"))):
        told = json.loads(room.net(verb, made["name"], *more, "--json").stdout)
        (device,) = valid(told, f"net {verb}")["devices"]
        assert (device["name"], device["sources"]) == (made["name"], ["02:00:00:00:00:07"])


def test_an_owner_and_nobody_else_may_open_the_node(room: Room) -> None:
    room.net("create", "--uplink", "nic0", "--mode", "bridge", "--owner", "nobody")
    (device,) = room.listed()
    found = Path(device["node"]).stat()
    assert (found.st_uid, found.st_mode & 0o777) == (65534, 0o600)


def test_a_device_comes_with_the_words_for_libvirt_and_qemu(room: Room) -> None:
    room.net("create", "--uplink", "nic0", "--mode", "bridge", "--queues", "2")
    (device,) = room.listed()
    xml = ET.fromstring(room.net("show", "--libvirt", device["name"]).stdout)  # noqa: S314  (ours)
    target = xml.find("target")
    assert target is not None
    assert (xml.get("type"), target.attrib) == (
        "ethernet",
        {"dev": device["name"], "managed": "no"},
    )
    line = room.net("show", "--qemu", device["name"]).stdout
    assert device["node"] in line
    assert f"mac={device['mac']}" in line


def test_a_device_that_somebody_holds_stays(room: Room) -> None:
    room.net("create", "--uplink", "nic0", "--mode", "bridge")
    (device,) = room.listed()
    with suppress(BlockingIOError), Path(device["node"]).open("rb+", buffering=0):
        refused = room.net("rm", device["name"], status=3)
        assert f"{os.getpid()}" in refused.stderr
        assert "fix:" in refused.stderr
    assert [one["name"] for one in room.listed()] == [device["name"]]


@pytest.mark.parametrize(
    ("words", "status", "what"),
    [
        (("--uplink", "nope", "--mode", "bridge"), 2, 'no network device "nope"'),
        (("--uplink", "lo", "--mode", "bridge"), 2, "cannot carry macvtaps"),
        (("--uplink", "nic0", "--mode", "bridge", "--mtu", "9000"), 2, "above the uplink's"),
        (("--uplink", "nic0", "--mode", "passthru", "--count", "2"), 2, "alone on its uplink"),
        (("--uplink", "nic0", "--mode", "bridge", "--no-promisc"), 2, "--no-promisc means"),
    ],
)
def test_what_cannot_be_is_said_with_its_mend(
    room: Room, words: tuple[str, ...], status: int, what: str
) -> None:
    refused = room.net("create", *words, status=status)
    assert what in refused.stderr
    assert "fix:" in refused.stderr


def test_what_vmnet_net_did_not_make_is_never_removed(room: Room) -> None:
    words = ("link", "nic0", "name", "mvn7", "type", "macvtap", "mode", "bridge")
    room.run("ip", "link", "add", *words)
    refused = room.net("rm", "mvn7", status=3)
    assert "fix:" in refused.stderr
    room.net("rm", "--all")
    assert "mvn7" in room.run("ip", "link", "show", "mvn7").stdout
    room.run("ip", "link", "del", "mvn7")
