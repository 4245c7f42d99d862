"""Put back what a reload of the firewall takes away, as soon as the kernel tells: vmnet watch.

It asks no libvirt and holds the plan's lock only while something is missing: what `up` and `down`
take apart and put together is none of its business. Console logs are kept short, too.
"""

import select
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from provisioner.commands import net
from provisioner.commands.boot import devices
from provisioner.commands.guards import kept
from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError, collected
from provisioner.host.guest import console_log
from provisioner.host.libvirt import privileges
from provisioner.host.netlink import links
from provisioner.host.netlink.link_events import RuleEvents
from provisioner.host.network import macvtap, nftables, switch
from provisioner.host.system import locks, paths
from provisioner.network.facts import Facts
from provisioner.network.resources import Guard, Nat
from provisioner.reconcile.diff import Verb
from provisioner.resource import by_key
from provisioner.signals import deferred

if TYPE_CHECKING:
    from provisioner.commands.target import PlanTarget

_LOCK_S: Final = 600.0  # that another command may take; then it is tried again
_ANYWAY_S: Final = 60.0  # after which it is looked without an event
_LOGS_S: Final = 5.0  # a log that has grown too long has no event: each byte has one
_LEAST_S: Final = 0.2
_MOST_S: Final = 30.0
_CALM_S: Final = 60.0
_TELL_S: Final = 2.0  # a longer pause is told


@dataclass(frozen=True, slots=True)
class WatchPace:
    """How fast it is put back: each time within a minute of the last one, half as fast."""

    pause_s: float = _LEAST_S
    last: float | None = None

    def after(self, now: float) -> "WatchPace":
        """Return the pace when something has been put back at the monotonic time `now`."""
        soon = self.last is not None and now - self.last - self.pause_s < _CALM_S
        return WatchPace(min(2 * self.pause_s, _MOST_S) if soon else _LEAST_S, now)


def watch(load: Callable[[], "PlanTarget"], files: Sequence[Path]) -> Iterator[str]:
    """Put back the guards, NAT and isolations of a plan that go; yield a line about each.

    `load` reads the plan, again whenever one of its files has changed. It goes on until an
    interrupt. Raises VmnetError when rights are missing, or the plan cannot be used at first.
    """
    privileges.require_for_devices()
    privileges.require_own_folders(paths.run())
    target, seen, pace = load(), _signatures(files), WatchPace()
    with RuleEvents() as events:
        poll = select.poll()
        poll.register(events.fileno(), select.POLLIN)
        while True:
            events.happened()  # what has come so far, the look that follows sees
            told: list[str] = []
            errors: list[VmnetError] = []
            with collected(errors):
                now = _signatures(files)
                if () not in now and now != seen:
                    seen = now
                    target = load()
            with collected(errors):
                done = put_back(target, errors)
                told += (f"{name} was gone, and is put back" for name in done)
            told += (f"not put back: {error.what}" for error in errors)
            if told:
                pace = pace.after(time.monotonic())
                if pace.pause_s > _TELL_S:
                    told.append(f"again and again: nothing is put back for {pace.pause_s:.0f} s")
            yield from (f"{time.strftime('%H:%M:%S')} {line}" for line in told)
            select.select([], [], [], pace.pause_s if told else _LEAST_S)
            left_s = 0 if errors else _ANYWAY_S
            cut_logs(target.name)
            while left_s > 0 and not poll.poll(_LOGS_S * 1000):
                left_s -= _LOGS_S
                cut_logs(target.name)


def put_back(target: "PlanTarget", errors: list[VmnetError]) -> list[str]:
    """Put back what is gone of a plan's rules; return what people call it.

    What could not be is added to `errors`. Raises VmnetError when another command works on the plan
    for long.
    """
    done: list[str] = []
    if any(network.granted for network in target.plan.networks):
        with collected(errors):
            names = kept.granted_gone(target.plan, Facts(links=links.every()))
            if names:
                done += (f"guard of {x}" for x in net.keep_guards(names, lambda _: None))
    if not _gone(target):
        return done
    lock, doing = paths.lock_file(target.name), f"watch {target.name}"
    with locks.held(lock, doing, timeout_s=_LOCK_S, notify=lambda _: None), deferred():
        # An `up` may have put it back meanwhile, or a `down` taken away what it is about.
        for name, verb, rules in _gone(target):
            with collected(errors):
                (nftables.create if verb is Verb.CREATE else nftables.update)(rules)
                done.append(name)
    return done


def cut_logs(name: str) -> None:
    """Cut the console logs of a plan short that are too long, unless another command has its lock.

    That one may just be removing them.
    """
    folder = paths.folder(name, "console")
    if any(console_log.too_long(folder)):
        lock, doing = paths.lock_file(name), f"watch {name}"
        with suppress(VmnetError), locks.held(lock, doing, timeout_s=0, notify=lambda _: None):
            console_log.cap(folder)


def _gone(target: "PlanTarget") -> list[tuple[str, Verb, Guard | Nat]]:
    """Return the rules to put back, with what people call them, and how."""
    want, look = devices.network_look(target)
    taps, switches = macvtap.observe(look), switch.observe(look)
    about = {x.name for x in taps} | {x.host_side for x in switches}
    have = by_key([*taps, *nftables.observe(look)])
    return [
        (step.resource.called({**have, **want}), step.verb, step.resource)
        for step in kept.missing(want, have, about)
        if isinstance(step.resource, Guard | Nat)
    ]


def _signatures(files: Sequence[Path]) -> list[tuple[int, ...]]:
    return [_signature(path) for path in files]


def _signature(path: Path) -> tuple[int, ...]:
    """Return what changes with a file; () when there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
