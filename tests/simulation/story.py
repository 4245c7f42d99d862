"""What a seed stands for: plans that follow each other, and what is done to vmnet meanwhile.

    story := (act{0..2} command)+ withdrawal laws

The laws hold at any time (nothing foreign is touched, nothing written is lost: world.py), at the
end of each command (what it says is so) and at the end: two runs that nobody disturbs bring the
plan up as on a fresh host, and `down` leaves what was there before.
"""

import random
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from functools import lru_cache
from typing import Any

from provisioner.guest.domain import LeftDraft
from provisioner.network.facts import Link
from provisioner.network.impairment import PREFIX
from provisioner.network.nftables import RECORD
from provisioner.reconcile.diff import Verb, diff
from tests.simulation import strangers
from tests.simulation.command import Command
from tests.simulation.plans import plan
from tests.simulation.world import RUN, STATE, UPLINK, Broken, World

MOST_PARTS = 5000
UP0 = Link(UPLINK, 2, "", "02:00:00:00:00:02", 1500, True, True, True)  # noqa: FBT003
Tell = Callable[[str], None]


def fresh(*, devtmpfs: bool) -> World:
    """Return a host with a NIC."""
    world = World(devtmpfs=devtmpfs)
    world.add_link(UP0)
    return world


def tell_story(seed: int, tell: Tell = lambda _: None) -> None:
    """Live through the story of a seed. Raises Broken when a law does not hold."""
    luck = random.Random(seed)  # noqa: S311  (a story, not a secret)
    world = fresh(devtmpfs=luck.random() < 0.7)
    harm = luck.choice((0.0, 0.02, 0.05, 0.1))
    texts: dict[str, str] = {}
    last = "lab"
    for _ in range(luck.choice((1, 2, 2, 3, 4))):
        for _ in range(luck.choice((0, 0, 1, 2))):
            _act(world, luck, tell)
        last = luck.choice(("lab", "lab", "lab", "lob"))
        if last not in texts or luck.random() < 0.6:
            texts[last] = plan(luck, last)
        text = texts[last] if luck.random() < 0.8 else ""
        recreate = bool(text) and luck.random() < 0.15
        command = Command(world, luck, last, text, recreate, not text and luck.random() < 0.3)
        tell(f"{command}\n{text}" if text else str(command))
        _disturbed(command, luck, harm, tell)
    for _ in range(luck.choice((0, 1, 2))):
        _act(world, luck, tell)
    strangers.withdraw(world)
    tell("strangers withdraw")
    other = "lob" if last == "lab" else "lab"
    _goes_down(world, luck, other, tell)
    _comes_up(world, luck, last, texts[last], tell)
    _goes_down(world, luck, last, tell)
    _nothing_is_left(world)
    for name in (last, other):
        _goes_down(world, luck, name, tell, disks=True)
    _nothing_is_left(world, disks=True)


def _act(world: World, luck: random.Random, tell: Tell, *, meanwhile: bool = False) -> str:
    if luck.random() < 0.3:
        world.guests_write()
    if done := strangers.act(world, luck, meanwhile=meanwhile):
        tell(f"  a stranger {done}")
    return done


def _disturbed(command: Command, luck: random.Random, harm: float, tell: Tell) -> None:
    """Run a command to its end, or to the end that somebody makes of it."""
    for _ in range(MOST_PARTS):
        part = command.advance()
        if part is None:
            _is_true(command)
            tell(f"  {command} ends: {_said(command)}")
            return
        tell(f"  {part}")
        if luck.random() < harm:
            match luck.randrange(4):
                case 0:
                    tell("  vmnet is killed")
                    return
                case 1:
                    command.fails = True
                    tell("  the next part fails")
                case _:
                    if _act(command.world, luck, tell, meanwhile=True) == strangers.REBOOTED:
                        return
    raise Broken("a command does not end")


def _undisturbed(command: Command, tell: Tell) -> None:
    tell(str(command))
    for _ in range(MOST_PARTS):
        part = command.advance()
        if part is None:
            _is_true(command)
            tell(f"  {command} ends: {_said(command)}")
            return
        tell(f"  {part}")
    raise Broken("a command does not end")


def _said(command: Command) -> str:
    report = command.report
    assert report
    return (
        "; ".join(
            [
                *(f"refused: {x.what}" for x in report.refused),
                *(f"failed: {step}: {error.what}" for step, error in report.outcome.failed),
                *(f"left: {step}" for step in report.left),
            ]
        )
        or "done"
    )


def _is_true(command: Command) -> None:  # noqa: C901  (one law after the other)
    """What a report says is done, is; what is not is listed."""
    report = command.report
    assert report
    left = {s.resource.key for s in report.left}
    left |= {r.key for s in report.left for r in s.together}
    failed = {step.resource.key for step, _ in report.outcome.failed}
    if command.was_undisturbed and not report.refused:
        there = command.look().resources
        redone = {s.id for s in report.outcome.done}
        for step in report.outcome.done:
            for resource in (step.resource, *step.together):
                if step.verb is Verb.DELETE:
                    again = (Verb.CREATE, resource.key) in redone
                    again |= isinstance(resource, LeftDraft)  # the same file was begun anew
                    # A guest has written to a disk since: it stays, as the report tells.
                    again |= resource.key in there and there[resource.key].stays
                    if resource.key in there and not again and resource.key not in failed:
                        raise Broken(f"done, and still there: {step}")
                elif resource.key not in left and there.get(resource.key) != resource:
                    raise Broken(f"done, and not so: {step}: {there.get(resource.key)}")
        if not failed and report.left:
            raise Broken(f"nothing failed, and left: {report.left[0]}")
    if not report.refused and not report.left:
        return
    if report.is_done:
        raise Broken("it says that all is done")


def _comes_up(world: World, luck: random.Random, name: str, text: str, tell: Tell) -> None:
    """Two runs that nobody disturbs lead where one on a fresh host does."""
    command = Command(world, luck, name, text)
    _undisturbed(command, tell)
    assert command.report
    recreate = bool(command.report.refused)
    if any("shrink" in x.what or "made anew" in x.what for x in command.report.refused):
        _goes_down(world, luck, name, tell, disks=True)  # as it was told to
    if not command.report.is_done or recreate:
        command = Command(world, luck, name, text, recreate=recreate)
        _undisturbed(command, tell)
        assert command.report
        if not command.report.is_done:
            raise Broken(f"two runs do not converge: {_said(command)}")
    command = Command(world, luck, name, text)
    _undisturbed(command, tell)
    assert command.report
    if not command.report.is_done or command.report.outcome.done:
        raise Broken(
            f"a run more has something to do: {_said(command)}"
            f" {list(map(str, command.report.outcome.done))}"
        )
    clean = clean_run(text, name, world.devtmpfs, world.existing(UPLINK).mac)
    now = _state(world, name)
    for key in sorted(clean.keys() | now.keys()):
        if key.startswith("file ") and _is_kept(world, key.removeprefix("file ")):
            continue
        if (wanted := clean.get(key)) != (found := now.get(key)):
            raise Broken(f"not as in a clean run: {key}: {_apart(found, wanted)}")
    world.guests_write()


def _goes_down(
    world: World, luck: random.Random, name: str, tell: Tell, *, disks: bool = False
) -> None:
    command = Command(world, luck, name, disks=disks)
    _undisturbed(command, tell)
    assert command.report
    if not command.report.is_done:
        raise Broken(f"down does not take all away: {_said(command)}")
    if found := diff({}, command.look().resources):
        raise Broken(f"down left {found[0]}")


@lru_cache(512)
def clean_run(text: str, name: str, devtmpfs: bool, mac: str) -> dict[str, Any]:  # noqa: FBT001
    """Return what one run makes of a fresh host."""
    world = fresh(devtmpfs=devtmpfs)
    world.links[UP0.index] = replace(UP0, mac=mac)
    command = Command(world, random.Random(0), name, text)  # noqa: S311
    while command.advance() is not None:
        pass
    assert command.report
    if not command.report.is_done:
        raise Broken(f"a clean run does not come up: {_said(command)}")
    return _state(world, name)


def _state(world: World, plan: str) -> dict[str, Any]:
    """Return what vmnet has made, by name: numbers differ from run to run."""
    names = {x.index: x.name for x in world.links.values()}
    by_minor = {minor: names[index] for index, minor in world.minors.items()}
    out: dict[str, Any] = {}
    for x in world.links.values():
        if x.name != UPLINK:
            around = names.get(x.lower, ""), names.get(x.master, "")
            node = world.node_of(x) if x.kind == "macvtap" else ""
            ignored = x.index in world.arp_ignored
            out[f"link {x.name}"] = replace(x, index=0, lower=0, master=0), around, node, ignored
    out |= {
        f"table {' '.join(k)}": replace(
            table, chains=tuple(c for c in table.chains if c.name != RECORD)
        )
        for k, table in world.tables.items()
        if ("table", k) not in world.foreign and not k[1].startswith(PREFIX)
    }
    out |= {f"route {x.network} {x.device}": x for x in world.routes}
    out |= {
        f"file {path}": _settled(path, text)
        for path, text in world.files.items()
        if ("file", path) not in world.foreign
        and path.startswith((f"{STATE}/{plan}/", f"{RUN}/{plan}/", f"{STATE}/.", f"{RUN}/."))
        and "/console/" not in path
        and not path.endswith((".leases", ".pid"))
        # What a guest booted with stays, and what its network left behind is of other content.
        and "/seed/" not in path
        and "/keys/" not in path
        and "known_hosts" not in path
        and "/node/" not in path
    }
    for one in world.processes.values():
        taps = frozenset(by_minor.get(x, "?") for x in one.taps)
        out[f"process {one.kind} {one.name}"] = (taps, one.disks, one.stopped)
    for name, record in world.records.items():
        nics = tuple(replace(nic, mtu=0) for nic in record.domain.nics)
        mark = replace(record.domain, nics=nics, seed=None)
        out[f"domain {name}"] = mark, frozenset(record.nics), record.starting
    return out


def _is_kept(world: World, path: str) -> bool:
    """Return whether it is a disk that somebody has written to, or its mark."""
    folder, name = path.rsplit("/", 1)
    of = f"{folder}/{name.removeprefix('.').removesuffix('.own')}"
    return of in world.written or path in world.written


def _apart(found: object, wanted: object) -> str:
    """Return where two values differ."""
    if isinstance(found, tuple) and isinstance(wanted, tuple):
        pairs = zip(found, wanted, strict=False)
        return "; ".join(_apart(a, b) for a, b in pairs if a != b)
    if is_dataclass(found) and is_dataclass(wanted):
        each = [(f.name, getattr(found, f.name), getattr(wanted, f.name)) for f in fields(found)]
        return ", ".join(f"{name} {a!r}, not {b!r}" for name, a, b in each if a != b)
    return f"{found!r}, not {wanted!r}"


def _settled(path: str, text: str) -> str:
    return "" if path.endswith((".pid", ".leases", ".log")) else text


def _nothing_is_left(  # noqa: C901, PLR0912  (one kind of thing after the other)
    world: World, *, disks: bool = False
) -> None:
    """What is there is what was there before vmnet, and what guests have written."""
    written = (
        set()
        if disks
        else {
            f"{path.rsplit('/', 1)[0]}/{name}"
            for path in world.written
            for name in (path.rsplit("/", 1)[1], f".{path.rsplit('/', 1)[1]}.own")
        }
    )
    if not disks:
        written |= {
            f"{path.rsplit('/disk/', 1)[0]}/{name}"
            for path in world.written
            for name in (".vmnet", "known_hosts")
        }
    for x in world.links.values():
        if ("link", x.index) not in world.foreign:
            raise Broken(f"down left the link {x.name}")
    for key in world.tables:
        if ("table", key) not in world.foreign:
            raise Broken(f"down left the table {' '.join(key)}")
    for path in world.files:
        kept = path.endswith("/.vmnet") and any(
            p.startswith(path.removesuffix(".vmnet")) for k, p in world.foreign if k == "file"
        )
        if ("file", path) not in world.foreign and not kept and path not in written:
            raise Broken(
                f"down left the file {path} {world.below(path.rsplit('/', 1)[0])} {world.written}"
            )
    for kind, found in (("process", world.processes), ("record", world.records)):
        if found:
            raise Broken(f"down left a {kind}: {next(iter(found.values()))}")
    for index in world.nodes:
        if ("node", index) not in world.foreign:
            raise Broken(f"down left /dev/tap{index}")
    if any(world.forwarding.values()):
        raise Broken(f"down left forwarding as {world.forwarding}")
    if world.routes:
        raise Broken(f"down left a route: {world.routes[0]}")


__all__ = ["RUN", "STATE", "Broken", "fresh", "tell_story"]
