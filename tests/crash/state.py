"""All that a run of vmnet could make or leave in a lab, by names that do not differ run by run."""

import os
import re
import select
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.framework.lab import Lab

_DECIDED_S = 5.0
_SYSCTLS = ("forwarding", "accept_ra", "disable_ipv6", "arp_ignore")
_TIMERS = re.compile(r"\w+_timer +[\d.]+|(?<=qlen 1000)\\")  # of bridges: they count
_WORDS_OF_QEMU = re.compile(r"guest=([^,]+)")


def seen(lab: Lab) -> dict[str, str]:
    """Return what is there: one line a thing, by what it is."""
    out: dict[str, str] = {}
    for kind, lines in (
        ("link", _TIMERS.sub("", lab.ip("-o", "-d", "link")).splitlines()),
        ("address", lab.ip("-o", "addr").replace(" tentative", "").splitlines()),
        ("route", sorted(lab.ip("route", "show", "table", "all").splitlines())),
        ("route6", sorted(lab.ip("-6", "route", "show", "table", "all").splitlines())),
        ("rule", lab.run("nft", "-s", "list", "ruleset").splitlines()),
        ("sysctl", _sysctls(lab)),
        ("file", sorted(_files(lab))),
        ("process", sorted(_processes(lab))),
    ):
        out |= {f"{kind} {at:03}": line for at, line in enumerate(map(str.strip, lines))}
    return out


def differences(found: dict[str, str], wanted: dict[str, str]) -> list[str]:
    """Return what one has and the other has not."""
    have, want = (sorted({f"{k.split()[0]}: {x}" for k, x in y.items()}) for y in (found, wanted))
    more = [f"+ {x}" for x in have if x not in want]
    return [*more, *(f"- {x}" for x in want if x not in have)]


def _sysctls(lab: Lab) -> list[str]:
    names = " ".join(f"/proc/sys/net/ipv[46]/conf/*/{name}" for name in _SYSCTLS)
    return lab.run("sh", "-c", f"grep -H . {names} /proc/sys/net/ipv4/ip_forward").splitlines()


def _files(lab: Lab) -> Iterator[str]:
    alike = Counter[str]()
    for place in ("run/vmnet", "var/lib/vmnet"):
        for plan in sorted({lab.name, *lab.plans}):
            for top in sorted((lab.root / place).glob(f"*{plan}*")):
                for path in (top, *top.rglob("*")):
                    name = re.sub(r"(?<=domain-)\d+(?=-)", "N", str(path))
                    # The login key of a plan, which is in its seeds, is another one each time.
                    name = re.sub(r"-[0-9a-f]{12}(?=\.iso)", "-N", name)
                    alike[name] += 1
                    name += f" ({alike[name]})" * (alike[name] > 1)
                    if "/snapshot" in name:
                        continue  # whole, or a draft that the next run takes away
                    # Of dnsmasq's and libvirt's own making, when they come to it.
                    if not name.endswith((".pid", ".leases")) and "/capabilities/" not in name:
                        about = path.lstat()
                        yield f"{name} {about.st_mode:o} of {about.st_uid}:{about.st_gid}"


def _processes(lab: Lab) -> Iterator[str]:
    """Tell the processes; whether one waits for guests depends on init and on who was killed.

    Until it knows of init, it is called as the command that has left it.
    """
    end = time.monotonic() + _DECIDED_S
    commands = re.compile(r" -m (provisioner|tests\.framework\.forks) ")
    while time.monotonic() < end and any(map(commands.search, _told(lab))):
        select.select([], [], [], 0.05)
    yield from (x for x in _told(lab) if "vmnet: waits for guests" not in x)


def _told(lab: Lab) -> Iterator[str]:
    for pid in lab.pids():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
            fds = [os.readlink(x) for x in Path(f"/proc/{pid}/fd").iterdir()]  # noqa: PTH115
        except OSError:
            continue
        if found := _WORDS_OF_QEMU.search(words):
            # By their names: libvirt may have opened them in a mount namespace of its own.
            taps = sorted(n for x in fds if re.fullmatch(r"tap\d+", n := x.rpartition("/")[2]))
            yield f"QEMU {found[1]} {' '.join(taps)} {len(fds)} descriptors"
        else:
            yield words.replace("\0", " ").strip()
