"""How long tools take to bring guests up on a NIC, and away; performance.md says more.

Run it as root, with the Python that has vmnet's libraries: python benchmarks/peers.py
What is not installed is named and left out: virtinst, vagrant-libvirt (Debian), kcli (Python).
"""

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import monotonic

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parent.parent))  # an editable install has it, bare libraries do not

import contenders  # noqa: E402
import harness  # noqa: E402
import vmnetruns  # noqa: E402
from contenders import SYSTEM, Contender  # noqa: E402
from harness import INSIDE, LAN, NIC, FailedError, Goal, say  # noqa: E402
from rawqemu import Guest  # noqa: E402

from tests.framework.libvirtd import PRIVATE  # noqa: E402

_APART = "VMNET_BENCH_APART"  # in a mount namespace, too
_VMNET = (sys.executable, "-m", "provisioner")
_DEADLINE_S = 120
_PLAN = """\
name: peers{count}
networks: {{lan: {{uplink: {nic}, mode: bridge, subnet: 10.90.0.0/24, gateway: {gateway}}}}}
vms: {{g: {{count: {count}, nics: [lan]}}}}
defaults: {{ssh_keys: none}}  # a seed of keys would go with vmnet, and the others give none
"""
_MOST_REMOVAL_S = {1: 0.28, 4: 0.30, 10: 0.38}
_MOST_VERDICT_S = {1: 0.5, 10: 1.0}


@dataclass(frozen=True, slots=True)
class Round:
    """Seconds from a tool's start to the first and the last guest's ARP, to its end; of removal."""

    first_s: float
    last_s: float
    ended_s: float
    removal_s: float


@dataclass(frozen=True, slots=True)
class Row:
    """The medians of a tool with so many guests; `ratio` is of the last ARP to the floor's."""

    tool: str
    guests: int
    first_s: float
    last_s: float
    ratio: float
    verdict_s: float  # from the last ARP to the tool's end
    removal_s: float


def main() -> int:
    """Measure, in namespaces that are gone afterwards; return the exit status."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--guests", type=lambda x: [*map(int, x.split(","))], default=(1, 4, 10))
    parser.add_argument("--rounds", type=int, default=3, help="of each, taking turns")
    parser.add_argument("--tools", help="only those, besides the floor: vmnet,kcli")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    try:
        if INSIDE not in os.environ:
            return harness.in_namespace(HERE, [[*_VMNET, "image", "build", "micro"]])
        if _APART not in os.environ:
            _apart()
        rows = [*_rows(options)]
    except (FailedError, OSError, subprocess.SubprocessError) as error:
        print(f"benchmarks/peers.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    goals = [*_goals(rows)]
    if options.json:
        print(json.dumps({"peers": [*map(asdict, rows)], "goals": [*map(asdict, goals)]}, indent=2))
    else:
        _write_table(rows, goals)
    return 0


def _apart() -> None:
    """Run this program again where libvirt's folders are its own."""
    script = f'{PRIVATE}\nmkdir -p "$VMNET_RUN_DIR"\nexec "$@"'
    argv = ["unshare", "-m", "sh", "-ec", script, "sh", sys.executable, str(HERE), *sys.argv[1:]]
    os.execvpe(argv[0], argv, os.environ | {_APART: "1"})  # noqa: S606


def _rows(options: argparse.Namespace) -> Iterator[Row]:
    say(f"load {os.getloadavg()[0]:.2f} on {os.cpu_count()} processors")
    folder = Path(os.environ["VMNET_RUN_DIR"], "peers")
    folder.mkdir()
    folder.chmod(0o755)
    with harness.cabled_nic(), _libvirtd(folder):
        wanted = options.tools.split(",") if options.tools else None
        for count in options.guests:
            (place := folder / str(count)).mkdir()
            guests, tools = _prepared(place, count, wanted)
            yield from _measured(guests, tools, options.rounds)


def _prepared(
    folder: Path, count: int, wanted: Sequence[str] | None
) -> tuple[Sequence[Guest], list[Contender]]:
    """Return the guests as vmnet starts them, and the tools that can be run here."""
    plan = folder / "peers.yaml"
    plan.write_text(_PLAN.format(count=count, nic=NIC, gateway=harness.STATION))
    with contenders.without_daemon():
        guests = vmnetruns.up_and_down(_VMNET, plan).guests
    tools: list[Contender] = [
        contenders.Raw(folder),
        contenders.Vmnet(folder, _VMNET, plan),
        contenders.VmnetDaemon(folder, _VMNET, plan),
        contenders.Virsh(folder),
        contenders.VirtInstall(folder),
        contenders.Kcli(folder),
        contenders.Vagrant(folder),
    ]
    here = []
    for tool in tools:
        if wanted is not None and tool.name not in wanted and not isinstance(tool, contenders.Raw):
            continue
        why = tool.absent()
        say(f"{count} guests: {tool.name}: {f'absent: {why}' if why else tool.how}")
        if not why:
            tool.prepare(guests)
            here.append(tool)
    return guests, here


def _measured(guests: Sequence[Guest], tools: Sequence[Contender], rounds: int) -> Iterator[Row]:
    took: dict[str, list[Round]] = {tool.name: [] for tool in tools}
    for number in range(1 + rounds):  # the first warms the caches
        for tool in tools:
            if tool.name not in took:
                continue
            try:
                each = _round(tool, guests)
            except FailedError as error:
                if isinstance(tool, contenders.Raw | contenders.Vmnet):
                    raise
                say(f"{len(guests)} guests: {tool.name} has failed, and is left out: {error}")
                del took[tool.name]
                continue
            took[tool.name].append(each)
            say(
                f"{len(guests)} guests, round {number}: {tool.name}: ARP of the first after "
                f"{each.first_s:.2f} s, of the last {each.last_s:.2f} s; ended after "
                f"{each.ended_s:.2f} s, removed in {each.removal_s:.2f} s"
            )
    floor = median(x.last_s for x in took[tools[0].name][1:])
    for name, every in took.items():
        warm = every[1:]
        last = median(x.last_s for x in warm)
        yield Row(
            name,
            len(guests),
            median(x.first_s for x in warm),
            last,
            last / floor,
            median(x.ended_s - x.last_s for x in warm),
            median(x.removal_s for x in warm),
        )


def _round(tool: Contender, guests: Sequence[Guest]) -> Round:
    argv = ["ip", "netns", "exec", LAN, sys.executable, str(HERE.with_name("arpwatch.py"))]
    with subprocess.Popen(
        [*argv, "sw", str(_DEADLINE_S)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as watch:
        assert watch.stdin  # noqa: S101  (for the type checker)
        assert watch.stdout  # noqa: S101
        json.dump({str(guest.address): guest.mac for guest in guests}, watch.stdin)
        watch.stdin.close()
        if watch.stdout.readline() != "ready\n":
            raise FailedError("nobody watches for ARP")
        try:
            begun = monotonic()
            tool.up(guests)
            ended = monotonic()
            answers = _answers(watch.stdout, tool, guests)
        except BaseException:
            watch.kill()
            with suppress(FailedError):
                tool.down(guests)
            raise
        removal = monotonic()
        tool.down(guests)
        removed = monotonic()
    _nothing_is_left(tool.name)
    return Round(answers[0] - begun, answers[-1] - begun, ended - begun, removed - removal)


def _answers(said: Iterable[str], tool: Contender, guests: Sequence[Guest]) -> list[float]:
    """Return when each guest answered ARP for the first time, the earliest first."""
    answers = [float(line.split()[1]) for line in said]
    if len(answers) != len(guests):
        raise FailedError(f"{tool.name}: {len(answers)} of {len(guests)} guests answered ARP")
    return answers


def _nothing_is_left(tool: str) -> None:
    links = json.loads(_asked("ip", "-j", "-d", "link"))
    macvtaps = [x["ifname"] for x in links if x.get("linkinfo", {}).get("info_kind") == "macvtap"]
    if macvtaps:
        raise FailedError(f"{tool} has left {macvtaps}")


def _asked(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


@contextmanager
def _libvirtd(folder: Path) -> Iterator[None]:
    """Run a libvirt daemon with the storage pool that kcli and vagrant look for."""
    with ExitStack() as stack:
        for name in ("virtlogd", "libvirtd"):
            said = stack.enter_context((folder / f"{name}.log").open("wb"))
            daemon = stack.enter_context(subprocess.Popen([name], stdout=said, stderr=said))
            stack.callback(daemon.terminate)
        end = monotonic() + _DEADLINE_S
        virsh = ["virsh", "-q", "-c", SYSTEM]
        while subprocess.run([*virsh, "list"], capture_output=True, check=False).returncode:
            if monotonic() > end:
                raise FailedError(
                    f"libvirtd does not answer:\n{(folder / 'libvirtd.log').read_text()}"
                )
        pool = folder / "pool"
        pool.mkdir()
        subprocess.run(
            [*virsh, "pool-create-as", "default", "dir", "--target", str(pool)], check=True
        )
        yield


def _goals(rows: Sequence[Row]) -> Iterator[Goal]:
    for count in dict.fromkeys(row.guests for row in rows):
        here = {row.tool: row for row in rows if row.guests == count}
        floor, ours = here["raw QEMU"], here.get("vmnet")
        if ours is None:
            continue
        if count == 1:
            yield Goal("last ARP at 1, s above the floor", ours.last_s - floor.last_s, 0.35)
        else:
            yield Goal(f"last ARP at {count}, floors", ours.ratio, 1.15)
        others = [x.last_s for name, x in here.items() if "vmnet" not in name and x is not floor]
        if others:
            yield Goal(f"last ARP at {count}, s, the quickest peer's", ours.last_s, min(others))
        if count in _MOST_VERDICT_S:
            yield Goal(f"verdict at {count}, s", ours.verdict_s, _MOST_VERDICT_S[count])
        if count in _MOST_REMOVAL_S:
            yield Goal(f"removal at {count}, s", ours.removal_s, _MOST_REMOVAL_S[count])
    first = {row.guests: row.first_s for row in rows if row.tool == "vmnet"}
    if {1, 10} <= first.keys():
        yield Goal("first guest of 10, times a lone one's", first[10] / first[1], 1.5)


def _write_table(rows: Sequence[Row], goals: Sequence[Goal]) -> None:
    print("| guests | tool | first ARP | last ARP | of the floor | verdict after it | removal |")
    print("|---|---|---|---|---|---|---|")
    for x in rows:
        verdict = f"{x.verdict_s:.2f} s" if "vmnet" in x.tool else "never"
        print(
            f"| {x.guests} | {x.tool} | {x.first_s:.2f} s | {x.last_s:.2f} s | {x.ratio:.2f} "
            f"| {verdict} | {x.removal_s:.2f} s |"
        )
    print("goals: " + "; ".join(map(str, goals)))


if __name__ == "__main__":
    raise SystemExit(main())
