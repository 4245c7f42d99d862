"""A network namespace of a test's own, vmnet run in it, and the proof that nothing is left behind.

Everything is observed without vmnet's own code: with ip and nft, in /proc and on the disk.
"""

import itertools
import json
import os
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

from tests.framework import forked
from tests.framework.forked import Fork
from tests.framework.running import PATIENCE_S, Ran, Running

REPOSITORY = Path(__file__).parents[2]
PAIR = """\
networks: {lan: {switch: true, subnet: [10.77.0.0/24, "fd77::/64"]}}
vms: {a: {nics: [lan]}, b: {nics: [lan]}}
"""
ONE = """\
networks: {lan: {switch: true, subnet: 10.77.0.0/24}}
vms: {a: {nics: [lan]}}
"""

_PLACES = ("run/vmnet", "var/lib/vmnet")
_COMMANDS_KEPT = 20  # of vmnet, whose messages are evidence
_OWN_PIDS = ("-p", "--fork", "--kill-child", "--mount-proc")
_REAPER_S = 5.0
_REAPS = "sleep infinity & wait"  # the first process also has those that have lost their parent
_numbers = itertools.count()
T = TypeVar("T")


def until(found: Callable[[], T], what: str, within_s: float = PATIENCE_S) -> T:
    """Ask again and again until the answer is true; AssertionError after the deadline."""
    end = time.monotonic() + within_s
    while not (answer := found()):
        assert time.monotonic() < end, f"not within {within_s:g} s: {what}"
        select.select([], [], [], 0.02)
    return answer


def call(*argv: str, statuses: tuple[int, ...] = (0,)) -> str:
    """Run a program of the host; return its standard output."""
    ran = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode in statuses, f"{argv}: {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a vmnet could leave behind in a lab."""

    links: tuple[str, ...]
    addresses: tuple[str, ...]
    routes: tuple[str, ...]
    firewall: str
    processes: tuple[str, ...]  # in the lab's network namespace
    files: tuple[str, ...]
    taps: tuple[str, ...]  # nodes of macvtaps that this lab has seen


class Lab:
    """One network namespace, and the vmnet that is run in it."""

    known: ClassVar[list["Lab"]] = []  # those whose evidence a failing test is told with

    def __init__(self, directory: Path) -> None:
        self.name = f"t{os.getpid()}x{next(_numbers):03}"
        self.directory = directory
        self.root = Path("/")
        self.enter: tuple[str, ...] = ("ip", "netns", "exec", self.name)
        self.plans: set[str] = set()
        self.before: Snapshot | None = None
        self.is_open = False
        self.evidence: dict[str, str] = {}  # collected before a failure was cleaned up after
        self._seen: set[int] = set()
        self._namespace = 0
        self._commands: deque[Running] = deque(maxlen=_COMMANDS_KEPT)

    @contextmanager
    def opened(self) -> Iterator["Lab"]:
        """Make the namespace; afterwards take the plans down and prove that nothing is left."""
        call("ip", "netns", "add", self.name)
        self.known.append(self)
        self.is_open = True
        try:
            self._namespace = Path("/run/netns", self.name).stat().st_ino
            self.ip("link", "set", "lo", "up")
            # A namespace begins with what its host forwards (devconf_inherit_init_net).
            self.run(
                "sysctl", "-q", "-w", "net.ipv4.ip_forward=0", "net.ipv6.conf.all.forwarding=0"
            )
            with self.settled():
                yield self
        finally:
            self.is_open = False
            for command in self._commands:
                command.end()
            call("ip", "netns", "del", self.name)

    @contextmanager
    def settled(self) -> Iterator[None]:
        """Take what is here now for the lab's own; afterwards prove that all else has gone."""
        outside, self.before = self.before, self.snapshot()
        try:
            yield
        except BaseException:
            self.evidence = self.seen()
            raise
        finally:
            if self.snapshot() != self.before:
                for plan in sorted(self.plans):
                    self.start("down", "--name", plan, "--disks", "--yes").finished(None)
            left, before, self.before = self.snapshot(), self.before, outside
            if left != before:
                self.evidence = self.seen()
        assert left == before

    def seen(self) -> dict[str, str]:
        """Return what helps to find out why a test fails, by file name: as it is, or was then."""
        if self.evidence or not self.is_open:
            return self.evidence
        said = (f"$ {shlex.join(ran.argv)}\n{ran.stderr}" for ran in self._commands)
        logs = {  # of consoles and of QEMU
            f"{plan}/{log.parent.name}-{log.name}": _read(log).decode(errors="replace")
            for plan in sorted(self.plans)
            for place in _PLACES
            for log in (self.root / place / plan).rglob("[!.]*.log*")
        }
        return logs | {
            "vmnet.stderr": "\n".join(said),
            "nft.txt": self._shown("nft", "list", "ruleset"),
            "links.txt": self._shown("ip", "-d", "addr"),
        }

    def _shown(self, *argv: str) -> str:
        ran = subprocess.run(
            [*self.enter, *argv],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
        return ran.stdout + ran.stderr

    @contextmanager
    def mounted(
        self, script: str, *, own_name: bool = False, own_pids: bool = False
    ) -> Iterator[None]:
        """Run everything from now on in a mount namespace that a shell script has prepared.

        With a host name of its own if wanted, and with processes that see no others.
        """
        name = ("-u",) if own_name else ()
        pids = _OWN_PIDS if own_pids else ()
        argv = ["ip", "netns", "exec", self.name, "unshare", "-m", *name, *pids, "sh", "-ec"]
        holder = subprocess.Popen(
            [*argv, f"{script}\necho ready\n{_REAPS if own_pids else 'exec sleep infinity'}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert holder.stdout
        enter = self.enter
        try:
            assert holder.stdout.readline() == "ready\n"
            self.root = Path(f"/proc/{holder.pid}/root")
            self.enter = ("nsenter", "-t", str(holder.pid), "-m", "-n", *name)
            if own_pids:  # nsenter stays, as the parent of what it runs, which ends with it
                inside = f"--pid=/proc/{holder.pid}/ns/pid_for_children"
                self.enter += (inside, "setpriv", "--pdeathsig", "KILL")
            with self.settled():
                yield
        finally:
            self.root, self.enter = Path("/"), enter
            holder.kill()
            holder.wait()
            holder.stdout.close()

    def plan(self, text: str, part: str = "") -> Path:
        """Write a plan; its name is the lab's, with `part` when there are several.

        Its guests get no keys to log in with, unless it says something of keys or of defaults: a
        seed disk would make each start slower by a sixth.
        """
        name = f"{self.name}{part}"
        self.plans.add(name)
        path = self.directory / f"{name}.yaml"
        if not re.search("ssh_keys|^defaults:", text, re.MULTILINE):
            text = f"{text.rstrip()}\ndefaults: {{ssh_keys: none}}\n"
        path.write_text(f"name: {name}\n{text}")
        return path

    def argv(self, *words: str | Path) -> list[str]:
        """Return the command line of a vmnet command."""
        vmnet = [sys.executable, "-m", "provisioner", *map(str, words)]
        # nsenter goes to /; env(1) goes on from where the test is.
        return [*self.enter, "env", "--default-signal=INT", f"--chdir={self.directory}", *vmnet]

    @property
    def environment(self) -> dict[str, str]:
        """Return vmnet's environment: its default places, and the code of this repository."""
        own = {k: v for k, v in os.environ.items() if not k.startswith("VMNET_")}
        return own | {"PYTHONPATH": str(REPOSITORY)}

    def start(self, *words: str | Path) -> Running:
        """Start a vmnet command: as a fork, without its imports, unless it is entered otherwise."""
        return self._begun(self.argv(*words), self.environment, self._fork(*map(str, words)))

    def _fork(self, *words: str) -> Fork | None:
        match self.enter:
            case ("ip", "netns", "exec", name):
                return Fork(words, netns=name)
            case ("nsenter", "-t", holder, "-m", "-n", *name) if name in ([], ["-u"]):
                return Fork(words, holder=int(holder))
        return None

    def running(self, argv: Sequence[str], environment: dict[str, str]) -> Running:
        """Start a command line of `argv`, which may have been changed, in an environment."""
        return self._begun(argv, environment, None)

    def _begun(
        self, argv: Sequence[str], environment: dict[str, str], fork: Fork | None
    ) -> Running:
        running = Running(argv, self.directory, environment, fork)
        self._commands.append(running)
        return running

    def vmnet(
        self, *words: str | Path, status: int | None = 0, within_s: float = PATIENCE_S
    ) -> Ran:
        """Run a vmnet command to its end, which must have that status."""
        ran = self.start(*words).finished(status, within_s)
        self.macvtaps()
        return ran

    def run(self, *argv: str, statuses: tuple[int, ...] = (0,)) -> str:
        """Run another program where vmnet runs, and return its standard output."""
        return call(*self.enter, *argv, statuses=statuses)

    def ip(self, *words: str) -> str:
        """Run iproute2 on the namespace."""
        return call("ip", "-n", self.name, *words)

    def macvtaps(self) -> dict[str, int]:
        """Return the macvtaps that are there: name to ifindex."""
        found = json.loads(self.ip("-json", "-details", "link", "show") or "[]")
        macvtaps = {
            link["ifname"]: int(link["ifindex"])
            for link in found
            if link.get("linkinfo", {}).get("info_kind") == "macvtap"
        }
        self._seen |= set(macvtaps.values())
        return macvtaps

    def modes(self) -> set[str]:
        """Return the modes of the macvtaps that are there."""
        return set(re.findall(r"macvtap mode (\w+)", self.ip("-details", "link", "show")))

    def qemus(self) -> dict[str, int]:
        """Return the QEMUs of the lab's plans: domain to pid."""
        found = (
            (re.search(rb"guest=([^,\0]+)", _read(Path(f"/proc/{pid}/cmdline"))), pid)
            for pid in self.pids()
        )
        return {name[1].decode(): pid for name, pid in found if name}

    def snapshot(self) -> Snapshot:
        """Look at everything that vmnet makes."""
        for pid in self.pids():
            _let_end(pid)
        self.macvtaps()
        return Snapshot(
            links=tuple(self.ip("-o", "-d", "link").splitlines()),
            addresses=tuple(self.ip("-o", "addr").replace(" tentative", "").splitlines()),
            routes=tuple(sorted(self.ip("route", "show", "table", "all").splitlines())),
            firewall=self.run("nft", "list", "ruleset"),
            processes=tuple(
                f"{pid} {_read(Path(f'/proc/{pid}/comm')).decode().strip()}" for pid in self.pids()
            ),
            files=tuple(self._files()),
            taps=tuple(f"tap{i}" for i in sorted(self._seen) if self.node(i).exists()),
        )

    def node(self, index: int) -> Path:
        """Return the path of the node of the macvtap with that ifindex."""
        return self.root / f"dev/tap{index}"

    def _files(self) -> Iterator[str]:
        for place in _PLACES:
            for plan in sorted({self.name, *self.plans}):
                for top in sorted((self.root / place).glob(f"{plan}*")):
                    yield f"/{place}/{top.name}"

    def pids(self) -> Iterator[int]:
        """Return the pids of the processes in the lab's network namespace.

        The server of `forked` and its keepers, which end after their commands, are not the lab's.
        """
        return (pid for pid in pids_in(self._namespace) if not forked.serves(pid))


def sweep() -> None:
    """Take away the labs of test processes that were killed, as xdist's are on an interrupt."""
    for entry in Path("/run/netns").glob("t*x*"):
        name = re.fullmatch(r"(t(\d+)x\d{3})(lan\d+)?", entry.name)
        if name and not Path("/proc", name[2]).exists():
            with suppress(FileNotFoundError):  # somebody else has swept it meanwhile
                _swept(entry, name[1])


def _swept(namespace: Path, lab: str) -> None:
    enter = ("ip", "netns", "exec", namespace.name)
    plans = {
        path.name.partition(".")[0]
        for place in _PLACES
        for path in Path("/", place).glob(f"{lab}*")
    }
    for plan in sorted(plans):
        words = ("down", "--name", plan, "--disks", "--yes")
        argv = [*enter, sys.executable, "-m", "provisioner", *words]
        subprocess.run(argv, cwd=REPOSITORY, capture_output=True, check=False, timeout=PATIENCE_S)
    for pid in pids_in(namespace.stat().st_ino):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    subprocess.run(["ip", "netns", "del", namespace.name], check=False, capture_output=True)


def pids_in(namespace: int) -> Iterator[int]:
    """Return the pids of the processes in a network namespace, of that inode."""
    for entry in sorted(Path("/proc").iterdir()):
        if entry.name.isdigit() and _inode(entry / "ns/net") == namespace:
            yield int(entry.name)


def _let_end(pid: int) -> None:
    """Wait for a reaper whose vmnet and guests have ended: it may be finding out how init reaps.

    vmnet does not wait for that (processes.stay_for_children), so it has ended up to 2 s before.
    """
    name, _, parent, _, session, *_ = _stat(pid) or [""] * 5
    if not name.startswith("python") or session != str(pid) or _is_python(parent):
        return
    children = _read(Path(f"/proc/{pid}/task/{pid}/children")).decode().split()
    if any(_stat(child)[1:2] not in ([], ["Z"]) and not _is_python(child) for child in children):
        return  # it stays for them
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        select.select([handle], [], [], _REAPER_S)
        os.close(handle)


def _is_python(pid: int | str) -> bool:
    return "".join(_stat(pid)[:1]).startswith("python")


def _stat(pid: int | str) -> list[str]:
    """Return a process's name, state, parent, group, session; [] when it has gone."""
    head, _, rest = _read(Path(f"/proc/{pid}/stat")).decode().rpartition(") ")
    return [head.partition("(")[2], *rest.split()] if rest else []


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0  # it has ended meanwhile


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # it has ended meanwhile
