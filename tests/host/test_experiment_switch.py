"""A switch is asked what it does: one that reflects, one that does not, one with port security."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from provisioner.errors import Exit, VmnetError
from provisioner.host.lab import switch_probe
from provisioner.plan.mac import Mac
from provisioner.reachability.switch_probe import SwitchAnswer, SwitchProbe
from tests.host_tools.namespace import Namespace, far_namespace, ip
from tests.host_tools.veth_peer import FAR, NEAR, reacting, reply

GATEWAY = IPv4Address("10.0.0.2")
HOUSE = Path(__file__).parents[2]


@pytest.fixture
def switch(namespace: Namespace) -> Iterator[Namespace]:  # noqa: ARG001  (the test is in it)
    """A wire from `nic0`, where the test is, to a switch that has the gateway's addresses."""
    with far_namespace() as there:
        ip(
            f"link add nic0 address {NEAR} type veth peer name port0 netns {there.path}",
            "addr add 10.0.0.1/24 dev nic0",
        )
        with there.entered():
            ip(
                f"link add switch0 address {FAR} type bridge mcast_snooping 0",
                "link set dev port0 master switch0",
                f"addr add {GATEWAY}/24 dev switch0",
                "addr add fd00::2/64 dev switch0 nodad",
                "link set dev port0 up",
                "link set dev switch0 up",
            )
        ip("link set dev nic0 up", f"route add default via {GATEWAY}")
        yield there


def hairpin(switch: Namespace) -> None:
    with switch.entered():
        ip("link set dev port0 type bridge_slave hairpin on")


def port_security(switch: Namespace) -> None:
    rules = f"""
table bridge security {{
  chain port {{
    type filter hook prerouting priority 0
    iifname "port0" ether saddr != {NEAR} drop
  }}
}}
"""
    with switch.entered():
        subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)


def found(peer: str = "") -> SwitchAnswer:
    return switch_probe.ask(switch_probe.prepare("nic0", peer))


def test_the_default_gateway_is_the_peer_if_none_is_named(switch: Namespace) -> None:
    asked = switch_probe.prepare("nic0", "")
    assert asked == SwitchProbe("nic0", Mac(NEAR), asked.foreign_mac, GATEWAY, peer_is_gateway=True)
    assert asked.foreign_mac not in {NEAR, FAR}
    assert switch.descriptor > 0


@pytest.mark.usefixtures("switch")
def test_a_usual_switch_reflects_nothing_and_lets_foreign_macs_pass() -> None:
    told = found()
    assert (told.reflects, told.passes_foreign, told.status) == (False, True, Exit.DONE)


def test_a_switch_that_reflects_is_recognised(switch: Namespace) -> None:
    hairpin(switch)
    told = found("fd00::2")
    assert (told.reflects, told.passes_foreign) == (True, True)


def test_port_security_is_told_from_a_silent_peer(switch: Namespace) -> None:
    hairpin(switch)
    port_security(switch)
    told = found()
    assert (told.reflects, told.passes_foreign, told.status) == (True, False, Exit.DONE)
    silent = found("10.0.0.77")
    assert (silent.passes_foreign, silent.status) == (None, Exit.HOST_CANNOT)
    assert silent.untestable.startswith("10.0.0.77 does not answer the uplink's own MAC either")


def test_nothing_is_left_on_the_uplink(switch: Namespace) -> None:
    hairpin(switch)
    found()
    # passthru beside any other device of the uplink would be refused
    ip("link add alone link nic0 type macvlan mode passthru")


@pytest.mark.parametrize(
    ("commands", "why"),
    [
        (
            ["link add pt0 link nic0 type macvtap mode passthru"],
            (
                '"nic0" is used exclusively by the passthru "pt0" (use another uplink, or '
                "take that device away: ip link del dev pt0)"
            ),
        ),
        (
            ["link add br0 type bridge", "link set dev nic0 master br0"],
            (
                '"nic0" is a port of "br0": the kernel puts no macvtap on a port '
                "(use br0 as the uplink)"
            ),
        ),
        (
            ["route del default"],
            "nic0 leads to no default gateway: name a machine behind it with --peer ADDRESS",
        ),
    ],
)
def test_what_cannot_be_tested_is_told_and_the_rest_is_asked(
    switch: Namespace, commands: list[str], why: str
) -> None:
    hairpin(switch)
    ip(*commands)
    told = found()
    assert (told.reflects, told.passes_foreign, told.untestable) == (True, None, why)


def test_a_passthru_device_of_another_namespace_is_in_the_way(switch: Namespace) -> None:
    hairpin(switch)
    with far_namespace() as elsewhere:
        ip(f"link add pt0 link nic0 netns {elsewhere.path} type macvtap mode passthru")
        told = found()
    assert (told.reflects, told.passes_foreign) == (True, None)
    assert told.untestable.startswith("making a macvlan on nic0: the kernel says Invalid argument")


@pytest.mark.usefixtures("switch")
@pytest.mark.parametrize(
    ("uplink", "peer", "what"),
    [
        ("nope", "", "there is no device nope"),
        ("lo", "", '"lo" is a loopback device: no frame leaves it'),
        ("down0", "", "down0 is down, or went down meanwhile"),
        (
            "vlan0",
            "",
            '"vlan0" is a macvlan itself: the kernel would silently use what is below',
        ),
        ("open0", "", "open0 has no carrier: there is no switch to be asked"),
        ("nic0", "gateway", '--peer: "gateway" is not the address of another machine'),
        ("nic0", "10.0.0.1", '--peer: "10.0.0.1" is not the address of another machine'),
        ("nic0", "ff02::1", '--peer: "ff02::1" is not the address of another machine'),
    ],
)
def test_what_is_no_question_is_refused(uplink: str, peer: str, what: str) -> None:
    ip(
        "link add down0 type bridge",
        "link add vlan0 link nic0 type macvlan mode bridge",
        "link set dev vlan0 up",
        "link add open0 type veth peer name open1",
        "link set dev open0 up",
    )
    with pytest.raises(VmnetError) as raised:
        switch_probe.prepare(uplink, peer)
    assert raised.value.what == what
    assert raised.value.fix


def test_a_killed_vmnet_leaves_nothing_on_the_uplink(far: Namespace) -> None:
    foreign = threading.Event()

    def secure(request: bytes) -> list[bytes]:
        """Answer the NIC's own MAC alone, so that the other one is there for seconds."""
        own = request[6:12].hex(":") == NEAR
        if not own:
            foreign.set()
        return [reply(FAR)] if own else []

    with reacting(far, secure):
        words = ["modes", "--uplink", "near", "--peer", "10.0.0.2", "--yes"]
        vmnet = subprocess.Popen(
            [sys.executable, "-m", "provisioner", *words],
            cwd=HOUSE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert foreign.wait(30)
        vmnet.kill()
        vmnet.wait()
    assert _becomes_free("near")


def _becomes_free(uplink: str) -> bool:
    """Wait until the uplink can be taken whole: the kernel clears a namespace in its own time."""
    command = ["ip", "link", "add", "alone", "link", uplink, "type", "macvlan", "mode", "passthru"]
    pause = threading.Event()
    for _ in range(200):
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return True
        pause.wait(0.05)
    return False
