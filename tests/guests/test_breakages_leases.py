"""Guests with addresses from a LAN's DHCP server and router, which break or have rivals."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.framework import faults
from tests.framework.breakages import Breakage, Verdict, broken, healthy
from tests.framework.faults import Fault, Layer
from tests.framework.lab import Lab, call, until
from tests.framework.plan import SharedPlan
from tests.framework.stage import Stage
from tests.framework.wire import cabled_nic

PLAN = """\
networks:
  lan:
    uplink: {nic}
    subnet: [10.95.0.0/24, "fd95::/64"]
    addressing: dhcp
    gateway: [10.95.0.254, "fd95::254"]
vms: {{a: {{memory: 96M, nics: [lan]}}, b: {{memory: 96M, nics: [lan]}}}}
"""
SERVER = (
    *("dnsmasq", "-p", "0", "-C", "/dev/null", "--interface=sw", "--bind-dynamic"),
    *("--leasefile-ro", "--user=root", "--dhcp-range=10.95.0.10,10.95.0.99"),
    *("--enable-ra", "--dhcp-range=fd95::,ra-only"),
)
ASK_ANEW = "kill -USR2 $(pidof udhcpc); kill -USR1 $(pidof udhcpc)"  # after a release


@contextmanager
def opened(lab: Lab) -> Iterator[Stage]:
    """Bring two guests up that take their addresses from what is behind their NIC."""
    with cabled_nic(lab, "10.95.0.254/24", "fd95::254/64") as nic:
        plan = SharedPlan(lab, PLAN.format(nic=nic.name), "d")
        serve(lab, nic.lan)
        stage = Stage(plan.up(), {"lan": nic})
        stage.look()
        yield stage
        plan.end()
        os.kill(server(lab), signal.SIGKILL)


def serve(lab: Lab, lan: str) -> None:
    """Start the LAN's server."""
    call("ip", "netns", "exec", lan, *SERVER, f"--pid-file={lab.directory / 'lan.pid'}")


def server(lab: Lab) -> int:
    """Return the pid of the LAN's server."""
    return int((lab.directory / "lan.pid").read_text())


def has(stage: Stage, vm: str, part: str) -> None:
    """Wait until a guest has an address."""
    until(lambda: part in stage.inside(vm, "ip addr show dev eth0"), f"{vm} has {part}")


def server_dead() -> Fault:
    @contextmanager
    def breaking(stage: Stage) -> Iterator[None]:
        pid = server(stage.lab)
        os.kill(pid, signal.SIGKILL)
        until(lambda: not Path("/proc", str(pid)).exists(), "the server has ended")
        stage.inside("b", ASK_ANEW)
        yield
        serve(stage.lab, stage.wire.lan)
        stage.inside("b", ASK_ANEW)
        has(stage, "b", " 10.95.0.")

    return Fault("the LAN's DHCP server is dead, and b has lost its lease", Layer.LAN, breaking)


def rival_server() -> Fault:
    rival = faults.rogue_dnsmasq("", "--dhcp-range=10.90.0.210,10.90.0.220")

    @contextmanager
    def breaking(stage: Stage) -> Iterator[None]:
        with rival.breaking(stage):
            os.kill(server(stage.lab), signal.SIGSTOP)  # it is the slower one, once
            stage.inside("b", ASK_ANEW)
            has(stage, "b", " 10.90.0.")
            os.kill(server(stage.lab), signal.SIGCONT)
            yield
        stage.inside("b", ASK_ANEW)
        has(stage, "b", " 10.95.0.")

    return Fault("a rogue DHCP server gives b its lease", Layer.LAN, breaking)


def rival_router() -> Fault:
    words = ("--enable-ra", "--dhcp-range=fd90:bad::,ra-only", "--ra-param=st,1,1800")
    rival = faults.rogue_dnsmasq("", *words)

    @contextmanager
    def breaking(stage: Stage) -> Iterator[None]:
        knob = "/proc/sys/net/ipv6/conf/eth0/disable_ipv6"
        with rival.breaking(stage):
            for vm in ("a", "b"):
                has(stage, vm, " fd90:bad:")
            yield
        for vm in ("a", "b"):
            stage.inside(vm, f"echo 1 > {knob}; echo 0 > {knob}")
            has(stage, vm, " fd95:")

    return Fault("rogue router advertisements are heard", Layer.LAN, breaking)


TABLE = (
    Breakage(
        server_dead(),
        r"b has no DHCP lease; it should get one from the DHCP server behind nic",
    ),
    Breakage(
        rival_server(), r"b has the address 10\.90\.0\.\d+, which is outside the plan's subnet"
    ),
    Breakage(rival_router(), r"another router advertises itself on nic\w+: \S+ with fd90:bad::/64"),
)

STAGES = ((opened, TABLE),)


@pytest.fixture(scope="module")
def stage(shared_lab: Lab) -> Iterator[Stage]:
    with opened(shared_lab) as made:
        yield made
        healthy(made)  # what a row leaves behind would be told in the next one's place


@pytest.mark.parametrize("breakage", TABLE, ids=str)
def test_a_breakage_is_told_by_its_cause(stage: Stage, breakage: Breakage) -> None:
    outcome = broken(stage, breakage)
    assert outcome.verdict is Verdict.RIGHT, str(outcome)
