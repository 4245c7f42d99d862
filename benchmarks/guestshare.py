"""What each part of the micro guest's machine and kernel line costs until it answers.

Run it as root, with the Python that has vmnet's libraries: python benchmarks/guestshare.py
A guest is started as libvirt starts it for vmnet, but by hand, in turns with the same one in which
a single thing is different. Told are the medians of the differences between the two of a pair.
"""

import argparse
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parent.parent))  # an editable install has it, bare libraries do not

import harness  # noqa: E402
import rawqemu  # noqa: E402
import vmnetruns  # noqa: E402
from harness import HOUSE, INSIDE, FailedError, say  # noqa: E402
from rawqemu import Guest  # noqa: E402

_VMNET = (sys.executable, "-m", "provisioner")
_DEADLINE_S = 60.0
_ASK_S = 0.02
_PING = b'{"execute": "guest-ping"}\n'
_PORT = "pcie-root-port"
Argv = list[str]


@dataclass(frozen=True, slots=True)
class Boot:
    """Seconds from QEMU's start until the guest answers ARP, and until its agent answers."""

    arp_s: float
    agent_s: float


def _without(option: str, part: str) -> Callable[[Argv], Argv]:
    """Return what leaves out each `option` whose value has a part."""

    def changed(argv: Argv) -> Argv:
        found = [argv[0]]
        for word, value in rawqemu.options(argv):
            if word != option or part not in value:
                found += [word, value] if value else [word]
        return found

    return changed


def _replaced(old: str, new: str) -> Callable[[Argv], Argv]:
    return lambda argv: [word.replace(old, new) for word in argv]


def _both(*changes: Callable[[Argv], Argv]) -> Callable[[Argv], Argv]:
    def changed(argv: Argv) -> Argv:
        for change in changes:
            argv = change(argv)
        return argv

    return changed


def _on_the_root_bus(argv: Argv) -> Argv:
    """Put what is on root ports on the root bus itself: nothing can be plugged in later."""
    found = [argv[0]]
    slot = 1
    for word, value in rawqemu.options(argv):
        if _PORT in value:
            continue
        moved = value
        if word == "-device" and '"bus":"pci.' in value:
            slot += 1
            moved = json.dumps(json.loads(value) | {"bus": "pcie.0", "addr": hex(slot)})
        found += [word, moved] if moved else [word]
    return found


def _twice_the_memory(argv: Argv) -> Argv:
    at = argv.index("-m") + 1
    mib = int(argv[at])
    bigger = _replaced(f'"size":{mib << 20}', f'"size":{mib << 21}')
    return bigger([*argv[:at], str(2 * mib), *argv[at + 1 :]])


def _kernel_word(word: str) -> Callable[[Argv], Argv]:
    """Return what leaves out a word of the kernel's command line."""

    def changed(argv: Argv) -> Argv:
        at = argv.index("-append") + 1
        left = [each for each in argv[at].split() if not each.startswith(word)]
        return [*argv[:at], " ".join(left), *argv[at + 1 :]]

    return changed


_CHANGES: dict[str, Callable[[Argv], Argv]] = {
    "itself again (the noise)": list,
    "devices on the root bus, no root ports": _on_the_root_bus,
    "no serial line": _both(
        _without("-device", "isa-serial"),
        _without("-chardev", "charserial"),
        _kernel_word("console"),
    ),
    "no channel for an agent": _both(
        _without("-device", "virtserialport"),
        _without("-device", "virtio-serial"),
        _without("-chardev", "charchannel"),
    ),
    "no seccomp": _without("-sandbox", "on"),
    "room for one vCPU": _replaced("maxcpus=2,sockets=2", "maxcpus=1,sockets=1"),
    "-cpu max": _replaced("qemu64", "max"),
    "twice the memory": _twice_the_memory,
    "without quiet": _kernel_word("quiet"),
    "without cryptomgr.notests": _kernel_word("cryptomgr.notests"),
    "without noreplace-smp": _kernel_word("noreplace-smp"),
    "without initcall_blacklist": _kernel_word("initcall_blacklist"),
}
_MUTE = frozenset({"no channel for an agent"})


def main() -> int:
    """Measure, inside a network namespace that is gone afterwards; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--only", default="", help="changes whose name has this part")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    try:
        if INSIDE not in os.environ:
            return harness.in_namespace(HERE, [[*_VMNET, "image", "build", "micro"]])
        os.chdir(HOUSE)
        folder = Path(os.environ["VMNET_RUN_DIR"], "raw")
        folder.mkdir()
        say(f"load {os.getloadavg()[0]:.2f} on {os.cpu_count()} processors")
        plan = vmnetruns.write_plan(folder, 1, "tcg")
        (guest,) = vmnetruns.up_and_down(_VMNET, plan).guests
        chosen = {name: c for name, c in _CHANGES.items() if options.only in name}
        rows = {name: _pairs(guest, name, options.pairs, folder) for name in chosen}
    except (FailedError, OSError, subprocess.SubprocessError) as error:
        print(f"benchmarks/guestshare.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    _tell(rows, as_json=options.json)
    return 0


def _pairs(guest: Guest, name: str, pairs: int, folder: Path) -> list[tuple[Boot, Boot]]:
    other = replace(guest, argv=tuple(_CHANGES[name](list(guest.argv))))
    if other.argv == guest.argv and name != next(iter(_CHANGES)):
        raise FailedError(f"{name}: nothing is different")
    found = []
    for number in range(pairs):
        # Who goes first changes: a cache that is warm, or a host that is throttled, favours one.
        turns = [(guest, True), (other, name not in _MUTE)]
        boots = [_boot(*turn, folder) for turn in (turns if number % 2 else turns[::-1])]
        one, two = boots if number % 2 else boots[::-1]
        found.append((one, two))
        say(f"{name}: {one.arp_s:.2f} s, {two.arp_s:.2f} s")
    return found


def _boot(guest: Guest, has_agent: bool, folder: Path) -> Boot:  # noqa: FBT001
    with ExitStack() as stack:
        nic = stack.enter_context(harness.cabled_nic())
        index = 0x50000000 + os.getpid()
        batch = (
            f"link add link {nic} name tap0 index {index} address {guest.mac} "
            "type macvtap mode bridge\nlink set dev tap0 addrgenmode none\n"
            "link set dev tap0 allmulticast on arp off up\n"
        )
        subprocess.run(["ip", "-batch", "-"], input=batch.encode(), check=True)
        stack.callback(subprocess.run, ["ip", "link", "del", "tap0"], check=True)
        tap = rawqemu.opened("tap0", index, folder, stack)
        begun = time.monotonic()
        backend = rawqemu.Backend(f"tap,fd={tap}", (tap,))
        _, agent = rawqemu.launched(guest, backend, folder, stack)
        watch = [sys.executable, str(HERE.with_name("arpwatch.py")), "far", str(_DEADLINE_S)]
        with subprocess.Popen(
            ["ip", "netns", "exec", harness.LAN, *watch[:2], "sw", watch[3]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as asked:
            told, _ = asked.communicate(json.dumps({str(guest.address): guest.mac}), _DEADLINE_S)
        lines = told.splitlines()[1:]
        if not lines:
            raise FailedError(f"{guest.name} did not answer ARP within {_DEADLINE_S:g} s")
        arp_s = float(lines[0].split()[1]) - begun
        return Boot(arp_s, _agent_s(agent, begun) if has_agent else arp_s)


def _agent_s(agent: socket.socket, begun: float) -> float:
    """Ask the agent until it answers; what is sent before it listens is lost or kept."""
    agent.settimeout(0)
    end = begun + _DEADLINE_S
    while time.monotonic() < end:
        agent.send(_PING)
        if select.select([agent], [], [], _ASK_S)[0] and agent.recv(4096):
            return time.monotonic() - begun
    raise FailedError(f"the agent did not answer within {_DEADLINE_S:g} s")


def _tell(rows: dict[str, list[tuple[Boot, Boot]]], *, as_json: bool) -> None:
    shown = {
        name: {
            "arp_s": median(one.arp_s for one, _ in pairs),
            "arp_more_s": median(two.arp_s - one.arp_s for one, two in pairs),
            "agent_s": median(one.agent_s for one, _ in pairs),
            "agent_more_s": median(two.agent_s - one.agent_s for one, two in pairs),
        }
        for name, pairs in rows.items()
    }
    if as_json:
        print(json.dumps(shown, indent=2))
        return
    print("| what is different | ARP, as it is | ARP, more | agent, as it is | agent, more |")
    print("|---|---|---|---|---|")
    for name, row in shown.items():
        agent = "-" if name in _MUTE else f"{row['agent_more_s']:+.2f} s"
        print(
            f"| {name} | {row['arp_s']:.2f} s | {row['arp_more_s']:+.2f} s "
            f"| {row['agent_s']:.2f} s | {agent} |"
        )


if __name__ == "__main__":
    raise SystemExit(main())
