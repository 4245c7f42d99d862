"""vmnet boot install, remove and status: units of systemd for plans, and libvirt's hook."""

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict

from provisioner.autostart import units
from provisioner.autostart.units import MARK, NET_UNIT, TEMPLATE_UNIT, WATCH_TEMPLATE, Start
from provisioner.commands.target import PlanTarget, Tell
from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.host.system import locks, paths, processes, systemd

_LOCK = ".boot"  # no plan can have this name
_LOCK_S = 30.0
_PLACES = ("VMNET_STATE_DIR", "VMNET_RUN_DIR", "VMNET_CACHE_DIR")
_LIBVIRT = Path("/etc/libvirt")
_OTHERS = 0o022  # the rights of group and others to write


@dataclass(frozen=True, slots=True)
class BootPlan:
    """A plan that is stored for the boot, as things stand."""

    name: str
    unit: str
    enabled: bool
    state: str  # what systemd says of the unit; "" where it does not run
    source: str  # the file that it was stored from
    stored: str
    changed: bool  # that file says something else by now, or is gone
    watch: str = ""  # what systemd says of the unit that keeps its guards


class BootDocument(TypedDict):
    """The plans that are brought up at boot."""

    plans: Sequence[BootPlan]


def install(
    target: PlanTarget,
    text: str,
    source: Path,
    options: Sequence[str],
    tell: Tell,
    sets: Sequence[str] = (),
) -> BootPlan:
    """Store a plan, and have systemd bring it up at each boot; doing it twice changes nothing.

    `text` is the plan as it was written, `options` are those of `vmnet up` that it is to be brought
    up with, `sets` those of them that change the plan. Raises VmnetError when it cannot be; what
    has no mark of vmnet's stays as it is.
    """
    with _alone("boot install", tell):
        vmnet = processes.vmnet()
        for path in _others_may_change(Path(vmnet[0]), Path(__file__)):
            tell(f"warning: the unit runs {path} as root, and others than root may change it")
        where = _stored(target.name)
        uri = ("--connection", target.uri) if target.uri else ()
        places = (vmnet[0], Path(__file__).parents[2], target.folder, paths.state(), paths.cache())
        start = Start(
            vmnet,
            str(where),
            str(target.folder),
            tuple(dict.fromkeys(map(str, places))),
            options,
            uri,
            _environment(),
            sets,
        )
        unit = units.unit_of(target.name)
        written = [
            (where, units.stored(text, str(source)), 0o600),
            (_part(target.name), units.plan_part(target.plan, start), 0o600),
            (systemd.UNITS / TEMPLATE_UNIT, units.template_unit(), 0o644),
            (
                _watch_part(target.name),
                units.watch_part(
                    target.name, start, *map(str, (paths.run().parent, paths.state()))
                ),
                0o600,
            ),
            (systemd.UNITS / WATCH_TEMPLATE, units.watch_template(), 0o644),
        ]
        if _LIBVIRT.is_dir():
            written.append((systemd.HOOK, units.hook(shlex.join(vmnet)), 0o755))
        # The plan first, the link that starts it last: a boot in between finds nothing half made.
        new = [p for p, content, mode in written if systemd.write(p, content, MARK, mode=mode)]
        if systemd.HOOK in new:
            tell(
                f"{systemd.HOOK}: a libvirt daemon that runs without any hook must be started "
                "anew to see it (systemctl try-restart libvirtd virtqemud)"
            )
        systemd.reload()
        systemd.enable(unit)
        tell(f"{unit} brings the plan up at boot: {where}")
        return _boot_plan(target.name)


def remove(plan: str, tell: Tell) -> bool:
    """Take away what `install` has made for a plan; return whether there was anything.

    The plan stays as it is, up or down. With the last plan the common unit and the hook go.
    """
    with _alone("boot remove", tell):
        known = (_stored(plan), _part(plan))
        if not any(MARK in (systemd.read(path) or "") for path in known):
            return False
        systemd.disable(units.unit_of(plan))
        systemd.stop(units.watch_of(plan))
        for path in (_part(plan), _watch_part(plan), _stored(plan)):
            systemd.remove(path, MARK)
        if not systemd.plans():
            systemd.remove(systemd.UNITS / TEMPLATE_UNIT, MARK)
            systemd.remove(systemd.UNITS / WATCH_TEMPLATE, MARK)
            systemd.remove(systemd.HOOK, MARK)
        systemd.reload()
        return True


def install_net(saved: str, uplinks: Sequence[str], tell: Tell) -> None:
    """Have systemd make devices of `vmnet net` again at each boot; `saved` is their JSON."""
    with _alone("boot install", tell):
        unit = units.net_unit(processes.vmnet(), str(systemd.NET_DEVICES), uplinks)
        systemd.write(systemd.NET_DEVICES, saved, '"net boot"', mode=0o600)
        systemd.write(systemd.UNITS / NET_UNIT, unit, MARK)
        systemd.reload()
        systemd.enable(NET_UNIT)
        tell(f"{NET_UNIT} makes them at boot: {systemd.NET_DEVICES}")


def remove_net(tell: Tell) -> bool:
    """Take away what `install_net` has made; the devices stay."""
    with _alone("boot remove", tell):
        if MARK not in (systemd.read(systemd.UNITS / NET_UNIT) or ""):
            return False
        systemd.disable(NET_UNIT)
        systemd.remove(systemd.UNITS / NET_UNIT, MARK)
        systemd.remove(systemd.NET_DEVICES, '"net boot"')
        systemd.reload()
        return True


def start(plan: str) -> None:
    """Start the unit of a plan now. Raises VmnetError where systemd does not run."""
    if not systemd.is_running():
        raise VmnetError(
            "systemd does not run here, so nothing can be started by it",
            fix="bring the plan up yourself: vmnet up",
        )
    systemd.start(units.unit_of(plan))
    systemd.start(units.watch_of(plan))  # one that was active before wants it from now on


def status() -> list[BootPlan]:
    """Return the plans that are brought up at boot."""
    return [_boot_plan(name) for name in systemd.plans()]


def _boot_plan(name: str) -> BootPlan:
    unit = units.unit_of(name)
    text, source = units.original(systemd.read(_stored(name)) or "")
    now = systemd.read(Path(source)) if source else None
    return BootPlan(
        name,
        unit,
        systemd.is_enabled(unit),
        systemd.state(unit),
        source,
        str(_stored(name)),
        changed=now is None or now.rstrip() != text.rstrip(),
        watch=systemd.state(units.watch_of(name)),
    )


def _stored(plan: str) -> Path:
    return systemd.PLANS / f"{plan}.yaml"


def _part(plan: str) -> Path:
    return systemd.UNITS / f"{units.unit_of(plan)}.d" / "plan.conf"


def _watch_part(plan: str) -> Path:
    return systemd.UNITS / f"{units.watch_of(plan)}.d" / "plan.conf"


@contextmanager
def _alone(doing: str, tell: Tell) -> Iterator[None]:
    systemd.require()
    with locks.held(paths.lock_file(_LOCK), doing, timeout_s=_LOCK_S, notify=tell):
        yield


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in _PLACES if name in os.environ}


def _others_may_change(*files: Path) -> Iterator[Path]:
    """Return those that somebody else than root may exchange for another program."""
    for file in files:
        for path in (file, *file.parents):
            found = path.stat()
            if found.st_uid or (found.st_mode & _OTHERS and not found.st_mode & 0o1000):
                yield path
                break
