"""A NIC of a lab, and what is behind it: a switch that may reflect, a machine on the LAN.

The switch is a bridge in a network namespace of its own; its own addresses are the machine's.
"""

import itertools
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.framework.lab import Lab, call, until

_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class CabledNic:
    """A NIC named `name` in a lab, and the namespace `lan` that it is cabled to, at a port."""

    lab: Lab
    name: str
    lan: str
    port: str = "far"

    def outside(self, *argv: str) -> str:
        """Run a program on the machine on the LAN."""
        return call("ip", "netns", "exec", self.lan, *argv)

    def mac(self) -> str:
        """Return the MAC of the machine on the LAN."""
        return self.outside("cat", "/sys/class/net/sw/address").strip()

    def reflects(self, hairpin: bool) -> None:  # noqa: FBT001
        """Let the switch send frames back to where they came from, or not."""
        state = "on" if hairpin else "off"
        self.outside("ip", "link", "set", self.port, "type", "bridge_slave", "hairpin", state)


@contextmanager
def cabled_nic(lab: Lab, *addresses: str, host: tuple[str, ...] = ()) -> Iterator[CabledNic]:
    """Cable a NIC into the lab: `addresses` are the LAN machine's, `host` those of the lab's."""
    number = next(_numbers)
    made = CabledNic(lab, f"nic{number}{lab.name[-8:]}", f"{lab.name}lan{number}")
    call("ip", "netns", "add", made.lan)
    try:
        lab.ip("link", "add", made.name, "type", "veth", "peer", "name", "far", "netns", made.lan)
        made.outside("ip", "link", "add", "sw", "type", "bridge", "forward_delay", "0")
        made.outside("ip", "link", "set", "sw", "type", "bridge", "mcast_snooping", "0")
        made.outside("ip", "link", "set", "far", "master", "sw", "up", "addrgenmode", "none")
        made.outside("ip", "link", "set", "sw", "up")
        lab.ip("link", "set", made.name, "addrgenmode", "none")
        lab.ip("link", "set", made.name, "up")
        for address in addresses:
            made.outside("ip", "addr", "add", address, "dev", "sw", "nodad")
        for address in host:
            lab.ip("addr", "add", address, "dev", made.name, "nodad")
        until(lambda: "state UP" in lab.ip("link", "show", made.name), "the NIC has a carrier")
        yield made
        lab.ip("link", "del", made.name)
    finally:
        call("ip", "netns", "del", made.lan)


@contextmanager
def heard(behind: CabledNic, *macs: str) -> Iterator[list[str]]:
    """Listen on the LAN to all frames from these MACs; afterwards the list holds them."""
    sources = " or ".join(f"ether src {mac}" for mac in macs)
    argv = ["ip", "netns", "exec", behind.lan, "tcpdump", "-Z", "root", "-lenni", "sw", sources]
    frames: list[str] = []
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    ) as dump:
        assert dump.stderr
        while "listening on" not in (line := dump.stderr.readline()):
            assert line, "tcpdump has ended"
        yield frames
        dump.send_signal(signal.SIGINT)
        frames += filter(None, dump.communicate(timeout=30)[0].splitlines())
