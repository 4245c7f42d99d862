"""The guard of a device of `vmnet net`: by the MAC that root made it with, and no other."""

import os
import subprocess
from collections.abc import Iterator
from socket import AF_PACKET, SOCK_RAW, socket

import pytest

from provisioner.errors import VmnetError
from provisioner.host.netlink import links
from provisioner.host.network import net_guards
from provisioner.network.resources import Guard
from provisioner.network.standalone import device
from provisioner.network.standalone.device import Mark
from tests.host_tools.namespace import ip
from tests.host_tools.tap_peer import opened

pytestmark = pytest.mark.usefixtures("namespace")
MADE, FORGED = "02:00:00:00:00:70", "02:00:00:00:00:99"


@pytest.fixture
def guard() -> Guard:
    ip(
        "link add low0 type veth peer name far0",
        f"link add link low0 name mvn0 address {MADE} type macvtap mode bridge",
        *(f"link set {x} addrgenmode none" for x in ("low0", "far0", "mvn0")),
        *(f"link set {x} up" for x in ("low0", "far0", "mvn0")),
    )
    found = device.guard_of("mvn0", Mark("low0", 1000, "lan", "mac", MADE).alias)
    assert found
    return found


@pytest.fixture
def wire(guard: Guard) -> Iterator[socket]:  # noqa: ARG001  (it makes the wire)
    with socket(AF_PACKET, SOCK_RAW, 0x0300) as heard:
        heard.bind(("far0", 3))
        heard.settimeout(5)
        yield heard


def sent(*sources: str) -> None:
    index = next(x.index for x in links.every() if x.name == "mvn0")
    with os.fdopen(opened("mvn0", index), "r+b", 0) as tap:
        for source in sources:
            frame = b"\xff" * 6 + bytes.fromhex(source.replace(":", "")) + b"\x88\xb5" + bytes(60)
            tap.write(bytes(10) + frame)


def heard(wire: socket) -> str:
    return wire.recv(100)[6:12].hex(":")


def test_a_user_who_changes_the_mac_sends_with_neither_that_nor_another(
    guard: Guard, wire: socket
) -> None:
    sent(FORGED)
    assert heard(wire) == FORGED  # the control: without a guard it passes
    net_guards.put([guard])
    ip(f"link set mvn0 address {FORGED}")
    sent(FORGED, MADE)
    assert heard(wire) == MADE


def test_a_guard_that_was_taken_away_or_emptied_is_told_and_put_back(guard: Guard) -> None:
    net_guards.put([guard])
    assert net_guards.gone([guard]) == set()
    for words in (["flush", "ruleset"], ["flush", "table", "netdev", guard.name]):
        subprocess.run(["nft", *words], check=True)
        assert net_guards.gone([guard]) == {"mvn0"}
        net_guards.put([guard])
        assert net_guards.gone([guard]) == set()
    net_guards.remove(["mvn0", "mvn1"])
    assert net_guards.gone([guard]) == {"mvn0"}


def test_a_table_of_others_with_its_name_is_left_alone(guard: Guard) -> None:
    subprocess.run(["nft", "add", "table", "netdev", guard.name], check=True)
    with pytest.raises(VmnetError):
        net_guards.put([guard])
    net_guards.remove(["mvn0"])
    listed = subprocess.run(["nft", "list", "tables"], check=True, capture_output=True, text=True)
    assert guard.name in listed.stdout
