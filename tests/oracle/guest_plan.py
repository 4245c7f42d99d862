"""The guests that seeds break: a plan on a NIC, and the consoles on which the oracle types."""

import os
import re
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.framework.lab import Lab
from tests.framework.plan import SharedPlan
from tests.framework.stage import Stage
from tests.framework.wire import cabled_nic

_PLAN = """\
networks:
  lan:
    uplink: {uplink}
    subnet: [10.90.0.0/24, "fd90::/64"]
    pool: 10.90.0.10-10.90.0.99
    gateway: [10.90.0.254, "fd90::254"]
    spoof_guard: strict
vms:
  a: {{memory: 96M, nics: [lan]}}
  b: {{memory: 96M, nics: [lan]}}
  p: {{memory: 96M, nics: [{{network: lan, mode: private}}]}}
  v: {{memory: 96M, nics: [{{network: lan, mode: vepa}}]}}
"""
_DONE = re.compile(rb"oracle-(\d+)-done")
_ANSWERED = re.compile(rb"answered-(\d+)-([0-9a-f.:]+)")
_PINGS = """\
number=$1 byte=$2
shift 2
ip neigh flush dev eth0
for a; do
    case $a in *:*) v=-6 ;; *) v=-4 ;; esac
    for try in 1 2 3; do
        ping $v -n -c 1 -W 1 -p $byte $a > /dev/null 2>&1 && echo answered-$number-$a && break
    done &
done
wait
echo oracle-$number-'done'
"""


@contextmanager
def guests(lab: Lab) -> Iterator[Stage]:
    """Bring the plan up on a NIC of the lab's, with a gateway on the LAN behind it."""
    addresses = ("10.90.0.254/24", "fd90::254/64")
    with cabled_nic(lab, *addresses, host=("10.90.0.253/24", "fd90::253/64")) as lan:
        lan.outside("ip", "link", "set", "lo", "up")
        # As a managed NIC gets its addresses anew after it was down, this one keeps them.
        lab.run("sysctl", "-qw", f"net.ipv6.conf.{lan.name}.keep_addr_on_down=1")
        plan = SharedPlan(lab, _PLAN.format(uplink=lan.name))
        stage = Stage(plan.up(), {"lan": lan})
        stage.look()
        yield stage
        plan.end()


class Console:
    """A guest's serial console, opened where QEMU has it: what is typed there needs no agent."""

    def __init__(self, qemu: int) -> None:
        self._terminal = os.open(_terminal(qemu), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self._said = b""

    def close(self) -> None:
        """Hang up."""
        os.close(self._terminal)

    def types(self, line: str) -> None:
        """Type a line."""
        os.write(self._terminal, f"{line}\n".encode())

    def pinged(self, number: int, until: float) -> set[str] | None:
        """Return who has answered in a round; None when the guest does not end it in time."""
        while not any(int(x) == number for x in _DONE.findall(self._said)):
            left_s = max(0.0, until - time.monotonic())
            if not select.select([self._terminal], [], [], left_s)[0]:
                return None
            self._said += os.read(self._terminal, 1 << 16)
        said, self._said = self._said, b""
        return {a.decode() for n, a in _ANSWERED.findall(said) if int(n) == number}


def _terminal(qemu: int) -> str:
    """Return the terminal whose master a QEMU holds."""
    for entry in Path(f"/proc/{qemu}/fd").iterdir():
        if entry.readlink().name == "ptmx":
            words = Path(f"/proc/{qemu}/fdinfo/{entry.name}").read_text().split()
            return f"/dev/pts/{words[words.index('tty-index:') + 1]}"
    raise AssertionError("it has no console")


def script() -> str:
    """Return what writes the oracle's script into a guest."""
    return f"cat > /run/oracle.sh << 'END'\n{_PINGS}END\n"
