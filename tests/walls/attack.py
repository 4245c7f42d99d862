"""Plans whose first guest has taken over its QEMU, and what that finds out about the others."""

import itertools
import json
import os
import subprocess
from pathlib import Path

from tests.framework.lab import Lab

ATTACKER = Path(__file__).with_name("attacker.py")
_VM = "disks: [16M], files: [{path: /etc/secret, content: of its own}]"
OWN = f"""\
accel: tcg
networks: {{lan: {{switch: true, subnet: 10.77.0.0/24}}}}
vms:
  a: {{nics: [lan], {_VM}}}
  b: {{nics: [lan], graphics: vnc, {_VM}}}
"""
OTHER = f"""\
accel: tcg
networks: {{lan: {{switch: true, subnet: 10.78.0.0/24}}}}
vms:
  c: {{nics: [lan], {_VM}}}
"""
IDS = ("Uid", "Gid", "Groups", "CapEff", "CapPrm", "CapAmb", "NoNewPrivs", "Seccomp")


class Attack:
    """Two plans that are up: a and b of one, c of the other; a's QEMU is the attacker's."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.own, self.other = lab.plan(OWN, "x"), lab.plan(OTHER, "y")
        for plan in (self.own, self.other):
            lab.vmnet("up", plan)

    def status(self, pid: int) -> dict[str, list[str]]:
        """Return who a process is, and what it may do."""
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        found = {name: words.split() for name, _, words in (x.partition(":") for x in lines)}
        return {name: found[name] for name in IDS}

    @property
    def attackers(self) -> dict[str, list[str]]:
        """Return who a's QEMU is."""
        return self.status(self.lab.qemus()[f"{self.own.stem}-a"])

    def attacked(self) -> tuple[list[str], int]:
        """Return what gets through of all that a's QEMU can try, and how much that is."""
        who = self.attackers
        assert who["CapEff"] == who["CapPrm"] == ["0000000000000000"]
        assert who["NoNewPrivs"] == ["1"]
        groups = ",".join(who["Groups"])
        ids = [f"--reuid={who['Uid'][0]}", f"--regid={who['Gid'][0]}", f"--groups={groups}"]
        with ATTACKER.open("rb") as script:  # its folder may be for root alone
            number = script.fileno()
            argv = [*self.lab.enter, "setpriv", *ids, "--no-new-privs", "--"]
            ran = subprocess.run(
                [*argv, "/usr/bin/python3", "-I", f"/proc/self/fd/{number}"],
                input=json.dumps(self.victims()),
                pass_fds=[number],
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
                cwd="/",
            )
        assert ran.returncode == 0, ran.stderr
        done, count = json.loads(ran.stdout)
        self.remove_links()
        return done, count

    def victims(self) -> list[dict[str, str]]:
        """Return all that is not the attacker's own."""
        guests = [self.guest(self.own.stem, "b"), self.guest(self.other.stem, "c")]
        plans = [self.plan(self.own.stem), self.plan(self.other.stem)]
        return [*guests, *plans, self.host()]

    def guest(self, plan: str, vm: str) -> dict[str, str]:
        """Return what there is of a guest on the host."""
        name, home, root = f"{plan}-{vm}", Path("/var/lib/vmnet", plan), Path("/run/vmnet", plan)
        pid = self.lab.qemus()[name]
        (domain,) = (root / "lib" / "qemu").glob(f"domain-*-{name[:20]}*")
        opened = [os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()]  # noqa: PTH115
        (tap,) = (path for path in opened if path.startswith("/dev/tap"))
        (device,) = (x for x in self.lab.macvtaps() if f"/dev/tap{self.lab.macvtaps()[x]}" == tap)
        (seed,) = (home / "seed").glob(f"{vm}-*.iso")
        channel = root / "lib" / "qemu" / "channel" / "target" / domain.name
        log = (root / "log" / "qemu" / f"{name}.log").resolve()
        record = root / "run" / "qemu" / f"{name}.xml"
        terminals = self.lab.run("grep", "-o", "/dev/pts/[0-9]*", str(record)).split()
        return {
            "kind": "guest",
            "name": vm,
            "pid": str(pid),
            "device": device,
            "tap": tap,
            "seed": str(seed),
            "disk": str(home / "disk" / f"{vm}.1.qcow2"),
            "serial": terminals[0],
            "console": str(home / "console" / f"{vm}.log"),
            "log": str(log),
            "record": str(record),
            "pid_file": str(record.with_suffix(".pid")),
            "keys": str(home / "keys" / vm),
            "key": str(home / "keys" / vm / "key"),
            "domain": str(domain),
            "channel": str(channel),
            "monitor": str(domain / "monitor.sock"),
            "agent": str(channel / "org.qemu.guest_agent.0"),
            "screen": str(domain / "vnc.sock"),
        }

    def plan(self, plan: str) -> dict[str, str]:
        """Return the folders of a plan."""
        home, root = Path("/var/lib/vmnet", plan), Path("/run/vmnet", plan)
        lib = root / "lib" / "qemu"
        numbers = [int(x.name.split("-")[1]) for x in lib.glob("domain-*")]
        vm = "b" if plan == self.own.stem else "c"
        folders = {"lib": lib, "target": lib / "channel" / "target", "save": lib / "save"}
        folders |= {"run": root / "run" / "qemu", "etc": root / "etc", "root": root, "home": home}
        folders |= {name: home / name[:4] for name in ("disks", "seeds", "boot")}
        return {
            "kind": "plan",
            "name": plan[-1],
            "next": f"domain-{max(numbers) + 1}-{plan}-{vm}",
            "lock": str(root.with_name(f"{plan}.lock")),
            **{name: str(path) for name, path in folders.items()},
        }

    def host(self) -> dict[str, str]:
        """Return what there is of the host's."""
        (kernel,) = itertools.islice(Path("/var/cache/vmnet/images").glob("micro-*/vmlinux"), 1)
        return {
            "kind": "host",
            "name": "host",
            "kernel": str(kernel),
            "images": "/var/cache/vmnet/images",
            "store": "/var/lib/vmnet/.images",
            "cache": "/var/cache/vmnet",
            "state": "/var/lib/vmnet",
            "run": "/run/vmnet",
            "config": "/etc",
            "shared_user": "64055",
            "shared_group": "0",
        }

    def remove_links(self) -> None:
        """Remove what the attacker has planted."""
        for place in ("/run/vmnet", "/var/lib/vmnet", "/var/cache/vmnet"):
            for path in Path(place).rglob("planted"):
                path.unlink()
