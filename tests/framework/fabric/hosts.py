"""Several hosts on one machine, the LAN that their NICs are on, and a controller to rule them.

Each host is a lab whose name, processes, /dev, /run, /var/lib/vmnet and libvirt's folders are its
own; the cache of images is shared. An sshd on it is reached by a network of its own, so that no ssh
needs a NIC that macvtaps are put on. Signals to a command that runs on a host reach nsenter: it
ends, and what it ran is killed.

    with Fabric(tmp_path, "h1", "h2").opened() as fabric:
        fabric.control.run("ssh", "h1", "hostname")
        fabric.host("h2").vmnet("host-facts")
        fabric.outside("ping", "-c1", "10.9.0.1")   # from the third machine on the LAN
        with fabric.host("h1").cut():               # it does not answer
            ...
        with libvirtd.running(fabric.host("h1")):   # tests.framework.libvirtd
            ...
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import NAMESPACE_DNS, uuid5

from tests.framework import forked
from tests.framework.fabric import mounts
from tests.framework.lab import REPOSITORY, Lab, call, until
from tests.framework.wire import CabledNic

CONTROL = "control"
MANAGEMENT = "mgmt0"
LAN_MACHINE = "10.9.0.254/24"
_NET = "10.98.0"  # of ssh
_PORT_OF_SSH = 22

_SERVER = """\
Port {port}
ListenAddress {address}
HostKey {keys}/host
AuthorizedKeysFile {keys}/user.pub
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PidFile none
MaxStartups 100
SetEnv PATH={programs}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin {environment}
"""
# How Python begins on a host that takes it to be a day and a half earlier.
_LATE = """\
import time

class Late:
    def __init__(self, real, by):
        self.real, self.by = real, by

    def __call__(self):
        return self.real() - self.by

time.time, time.time_ns = Late(time.time, 129600.0), Late(time.time_ns, 129600 * 10**9)
"""
_CLIENT = """\
Host *
    User root
    IdentityFile {keys}/user
    IdentitiesOnly yes
    UserKnownHostsFile {keys}/known_hosts
    GlobalKnownHostsFile none
    StrictHostKeyChecking yes
    ConnectTimeout 5
"""
_VMNET = """\
#!/bin/sh
PYTHONPATH={repository}${{PYTHONPATH:+:$PYTHONPATH}} exec {program} "$@"
"""


class Host(Lab):
    """One host: a lab whose name in a plan is `title`, its ssh at `address`."""

    def __init__(self, directory: Path, title: str, address: str) -> None:
        super().__init__(directory)
        self.title = title
        self.address = address
        self.programs = directory / "bin"  # first in PATH for whoever comes by ssh
        self.is_late = False  # for Python programs that come by ssh
        self.nics: dict[str, CabledNic] = {}

    def put_vmnet(self, script: str = "") -> None:
        """Make another program of `vmnet` for whoever comes by ssh; without one, that of here."""
        whole = (sys.executable, "-m", "provisioner")
        words = whole if self.is_late else forked.program()  # a fork has the clock of here
        own = _VMNET.format(repository=REPOSITORY, program=" ".join(words))
        program = self.programs / "vmnet"
        self.programs.mkdir(exist_ok=True)
        program.write_text(script or own)
        program.chmod(0o755)

    def has_no_visitors(self) -> bool:
        """Return whether nobody is logged in, as is so a moment after the last ssh has ended."""
        return sum(" sshd" in process for process in self.snapshot().processes) <= 1

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Let the host answer nobody; its guests and its NICs on the LAN go on."""
        wire = self.nics[MANAGEMENT]
        port = ("ip", "-n", wire.lan, "link", "set", wire.port)
        call(*port, "down")
        try:
            yield
        finally:
            call(*port, "up")
            until(lambda: "state UP" in self.ip("link", "show", MANAGEMENT), "it can be reached")


class Fabric:
    """Hosts by their titles, the controller, and the machine on the LAN.

    The clocks of hosts that are `late` are a day and a half behind.
    """

    def __init__(
        self,
        directory: Path,
        *titles: str,
        nics: tuple[str, ...] = ("lan0",),
        late: tuple[str, ...] = (),
    ) -> None:
        self.directory = directory
        self.hosts = {
            title: Host(directory / title, title, f"{_NET}.{number}")
            for number, title in enumerate(titles, 1)
        }
        for title in late:
            self.hosts[title].is_late = True
        self.control = Host(directory / CONTROL, CONTROL, f"{_NET}.200")
        self.nics = nics
        self.lan = f"{self.control.name}lan0"
        self._management = f"{self.control.name}lan1"

    @property
    def machines(self) -> list[Host]:
        """Return the controller and the hosts."""
        return [self.control, *self.hosts.values()]

    def host(self, title: str) -> Host:
        """Find a host."""
        return self.hosts[title]

    def outside(self, *argv: str) -> str:
        """Run a program on the third machine on the LAN, whose address is LAN_MACHINE."""
        return call("ip", "netns", "exec", self.lan, *argv)

    def plan(self, text: str, hosts: str = "") -> Path:
        """Write a plan for the controller; its hosts are all of these, unless `hosts` says which.

        What is left of it on any of them is an error at the end.
        """
        own = "".join(f"  {x.title}: {self.entry(x)}\n" for x in self.hosts.values())
        path = self.control.plan(f"hosts:\n{hosts or own}{text}")
        for host in self.hosts.values():
            host.plans |= self.control.plans
        return path

    def entry(self, host: Host) -> str:
        """Return what `hosts` of a plan has of a host, whose NICs have the names of uplinks."""
        return f"{{address: {host.address}, ssh: root@{host.title}, uplinks: {{}}}}"

    @contextmanager
    def opened(self) -> Iterator["Fabric"]:
        """Make all of them; afterwards prove on each that nothing is left."""
        keys = self.directory / "keys"
        keys.mkdir(parents=True)
        self._write_keys(keys)
        with ExitStack() as stack:
            for namespace in (self.lan, self._management):
                stack.enter_context(_switch(namespace))
            self.outside("ip", "addr", "add", LAN_MACHINE, "dev", "sw")
            for host in self.machines:
                self._write_files(host, keys)
                stack.enter_context(host.opened())
                stack.enter_context(self._cabled(host))
            for host in self.machines:
                stack.enter_context(self._mounted(host))
            for host in self.hosts.values():
                stack.enter_context(_served(host))
            for host in self.machines:
                stack.enter_context(host.settled())
                stack.callback(until, host.has_no_visitors, f"{host.title} is left by all")
            yield self

    def _write_keys(self, keys: Path) -> None:
        for name in ("host", "user"):
            call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys / name))
        kind, key, *_ = (keys / "host.pub").read_text().split()
        names = ",".join(name for x in self.hosts.values() for name in (x.title, x.address))
        (keys / "known_hosts").write_text(f"{names} {kind} {key}\n")

    def _write_files(self, host: Host, keys: Path) -> None:
        room = host.directory
        room.mkdir()
        every = "".join(f"{x.address} {x.title}\n" for x in self.machines)
        (room / "hosts").write_text(f"127.0.0.1 localhost\n{every}")
        (room / "client").write_text(_CLIENT.format(keys=keys))
        about = {"port": _PORT_OF_SSH, "address": host.address, "programs": host.programs}
        if host.is_late:
            (room / "clock").mkdir()
            (room / "clock/sitecustomize.py").write_text(_LATE)
        about["environment"] = f"PYTHONPATH={room}/clock" if host.is_late else ""
        (room / "server").write_text(_SERVER.format(keys=keys, **about))
        host.put_vmnet()

    @contextmanager
    def _cabled(self, host: Host) -> Iterator[None]:
        """Give a host its NICs; those of macvtaps only to hosts."""
        nics = () if host is self.control else self.nics
        for lan, nic in [(self._management, MANAGEMENT), *((self.lan, nic) for nic in nics)]:
            port = f"{host.title}-{nic}"
            host.ip("link", "add", nic, "type", "veth", "peer", "name", port, "netns", lan)
            call(*("ip", "-n", lan, "link", "set", port, "master", "sw", "up"))
            host.ip("link", "set", nic, "addrgenmode", "none")
            host.ip("link", "set", nic, "up")
            host.nics[nic] = CabledNic(host, nic, lan, port)
        host.ip("addr", "add", f"{host.address}/24", "dev", MANAGEMENT)
        up = len(host.nics)
        until(lambda: host.ip("link").count("state UP") == up, "its NICs have a carrier")
        try:
            yield
        finally:
            for nic in host.nics:
                host.ip("link", "del", nic)

    @contextmanager
    def _mounted(self, host: Host) -> Iterator[None]:
        uuid = uuid5(NAMESPACE_DNS, host.name)
        script = mounts.host(host.title, str(uuid), str(host.directory))
        with host.mounted(script, own_name=True, own_pids=host is not self.control):
            yield


@contextmanager
def _switch(namespace: str) -> Iterator[None]:
    """Make a bridge `sw` in a network namespace of its own."""
    call("ip", "netns", "add", namespace)
    try:
        ip = ("ip", "-n", namespace, "link")
        call(*ip, "add", "sw", "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
        call(*ip, "set", "sw", "addrgenmode", "none", "up")
        call(*ip, "set", "lo", "up")
        yield
    finally:
        call("ip", "netns", "del", namespace)


@contextmanager
def _served(host: Host) -> Iterator[None]:
    """Run a host's sshd."""
    log = host.directory / "sshd.log"
    argv = [*host.enter, "/usr/sbin/sshd", "-D", "-e", "-f", f"{host.directory}/server"]
    with log.open("w") as file:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=file)
    try:
        until(lambda: "Server listening" in log.read_text(), f"sshd of {host.title} listens", 20)
        yield
    finally:
        process.terminate()
        process.wait()
