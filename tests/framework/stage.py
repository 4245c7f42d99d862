"""Where a fault is made: a plan that is up, its host, the LAN behind its NIC, its guests."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.framework.lab import Lab, call
from tests.framework.plan import PlanUp
from tests.framework.terminal import typed
from tests.framework.wire import CabledNic

# A guest forgets IPv6 addresses and routes with its link: they are kept, and given back.
KEEP = """\
ip -4 route show > /run/r4; ip -6 addr show dev eth0 scope global > /run/a6
echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad
"""
GIVE_BACK = """\
ip link set dev eth0 up
while read -r route; do ip route replace $route 2> /dev/null; done < /run/r4
while read -r route; do ip route replace $route; done < /run/r4
awk '/inet6/ && !/dynamic/ { print $2 }' /run/a6 | while read -r address; do
ip -6 addr add $address dev eth0 2> /dev/null; done
true
"""
_DEVICES = {"mvb": "bridge", "mvh": "port", "mvl": "lower", "mva": "access"}


@dataclass(frozen=True, slots=True)
class Stage:
    """A plan that is up, and what is around it.

    Scripts name what is there by words in angle brackets: <tap b> the macvtap of b's first NIC,
    <tap b 1> of its second, <mac b>, <ip b>, <ip6 b>; <nic> the uplink and <nic back> the one of
    another network; <bridge>, <port> and <lower> vmnet's own switch; <plan>; <lan mac>.
    """

    plan: PlanUp
    wires: Mapping[str, CabledNic]  # by network, and "world" for the host's way out
    known: dict[str, str] = field(default_factory=dict)  # what words in angle brackets stand for

    @property
    def lab(self) -> Lab:
        """Return the lab, whose namespace is the host's."""
        return self.plan.lab

    @property
    def wire(self) -> CabledNic:
        """Return the first NIC."""
        return next(iter(self.wires.values()))

    def look(self) -> None:
        """Find out anew what the words in angle brackets stand for; all has to be well."""
        found = {"plan": self.plan.path.stem, "lan mac": self.wire.mac(), "nic": self.wire.name}
        found |= {f"nic {network}": wire.name for network, wire in self.wires.items()}
        for link in json.loads(self.lab.ip("-json", "-details", "link", "show")):
            found |= self._link(link["ifname"], link["address"], link.get("ifalias", ""))
        for result in self.plan.report["results"]:
            kind = "ip6" if ":" in result["address"] else "ip"
            found.setdefault(f"{kind} {result['to']}", result["address"])
        for vm in self.plan.report["vms"]:
            found |= _addresses(vm["name"], vm["addresses"])
        self.known.update(found)

    def _link(self, name: str, mac: str, alias: str) -> dict[str, str]:
        if match := re.fullmatch(r"vmnet:[^/]+/([^/]+)/(\d+)", alias):
            nic = _numbered(match[1], int(match[2]))
            return {f"tap {nic}": name, f"mac {nic}": mac}
        if name[:3] in _DEVICES:
            return {_DEVICES[name[:3]]: name}
        return {"nic mac": mac} if name == self.wire.name else {}

    def text(self, template: str) -> str:
        """Return a text with what its words in angle brackets stand for."""
        return re.sub(r"<([a-z]+6?(?: \w+)*)>", lambda match: self.known[match[1]], template)

    def host(self, script: str) -> str:
        """Run a shell script on the host."""
        return self.lab.run("sh", "-ec", self.text(script))

    def lan(self, script: str, network: str = "") -> str:
        """Run a shell script on the machine on the LAN, which is its switch too."""
        wire = self.wires[network] if network else self.wire
        return call("ip", "netns", "exec", wire.lan, "sh", "-ec", self.text(script))

    def inside(self, vm: str, script: str) -> str:
        """Run a shell script in a guest, by its agent."""
        return self.plan.inside(vm, self.text(script))

    def typed(self, vm: str, script: str) -> None:
        """Type a shell script on a guest's console."""
        typed(self.lab, self.plan.path, vm, self.text(script))

    def qemu(self, vm: str) -> int:
        """Return the pid of a guest's QEMU."""
        return self.lab.qemus()[f"{self.plan.path.stem}-{vm}"]

    def dnsmasq(self) -> int:
        """Return the pid of the plan's dnsmasq."""
        argvs = ((pid, Path(f"/proc/{pid}/cmdline").read_bytes()) for pid in self.lab.pids())
        home = str(self.plan.home).encode()
        return next(pid for pid, argv in argvs if b"dnsmasq" in argv and home in argv)

    def again(self) -> None:
        """Bring the plan up again, which starts what has ended."""
        self.plan.up()
        self.look()


def _addresses(vm: str, addresses: Iterable[str]) -> dict[str, str]:
    """Return a guest's addresses; no NIC of these plans is without one, but for the last ones."""
    own = [address.partition("/")[0] for address in addresses]
    versions = {"ip": [x for x in own if ":" not in x], "ip6": [x for x in own if ":" in x]}
    return {
        f"{kind} {_numbered(vm, number)}": address
        for kind, found in versions.items()
        for number, address in enumerate(found)
    }


def _numbered(vm: str, nic: int) -> str:
    return f"{vm} {nic}" if nic else vm
