"""Install the vmnet that runs here on other hosts, by the role of its collection."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from provisioner.fabric.facts import Silent
from provisioner.fabric.remote import installed
from provisioner.fabric.remote.answers import unreachable
from provisioner.fabric.remote.installed import InstalledHost
from provisioner.host.fabric import play, run_folder, wheel
from provisioner.plan.hosts import Login

_PLAYBOOK: Final = "vmnet.fabric.bootstrap"
_WITHIN_S: Final = 3600.0  # packages are fetched, and one of them is compiled
_OVER: Final = "playbook_on_stats"

Changed = Callable[[str, str], None]
"""Takes a host, and what has been changed there."""


def install(
    logins: Mapping[str, Login],
    inventory: Path | None,
    changed: Changed,
    *,
    is_check: bool,
    is_diff: bool = False,
) -> list[InstalledHost]:
    """Install vmnet on hosts, all at once; on all of an inventory where none are named.

    With `is_check` nothing is changed, and what would be is told; with `is_diff` each line that
    differs, too. Raises VmnetError as `playing`.
    """
    heard = _Heard(changed, is_diff=is_diff)
    with run_folder.held() as folder:
        made = wheel.made(folder)
        run = play.Play(
            _PLAYBOOK,
            logins,
            inventory,
            {"vmnet_wheel": str(made.path), "vmnet_digest": made.digest},
            flags=" ".join(["--check"] * is_check + ["--diff"] * is_diff),
            within_s=_WITHIN_S,
        )
        with play.playing(run) as events:
            for event in events:
                heard.take(str(event.get("event")), event.get("event_data", {}))
    for host in logins:
        if host not in heard.changes:
            heard.changes[host] = []
            heard.lost[host] = Silent("the inventory does not have it")
    return [
        installed.ended(
            host, told, heard.lost.get(host), heard.diffs.get(host, ()), is_over=heard.is_over
        )
        for host, told in sorted(heard.changes.items())
    ]


class _Heard:
    """What Ansible has told of hosts so far."""

    def __init__(self, changed: Changed, *, is_diff: bool) -> None:
        self.changes: dict[str, list[str]] = {}
        self.diffs: dict[str, list[str]] = {}
        self._is_diff = is_diff
        self.lost: dict[str, Silent] = {}
        self.is_over = False
        self._changed = changed

    def take(self, kind: str, about: Mapping[str, Any]) -> None:
        self.is_over |= kind == _OVER
        if kind not in play.OF_HOSTS:
            return
        host = str(about.get("host"))
        self.changes.setdefault(host, [])
        if kind == play.UNREACHABLE:
            self.lost[host] = unreachable(about.get("res"))
        elif kind == play.FAILED:
            self.lost[host] = Silent(installed.failure(about))
        else:
            self._take_change(host, installed.change(about), about)

    def _take_change(self, host: str, what: str, about: Mapping[str, Any]) -> None:
        if not what:
            return
        self.changes[host].append(what)
        lines = [f"  {line}" for line in installed.differences(about)] if self._is_diff else []
        if self._is_diff:
            self.diffs.setdefault(host, []).extend([what, *lines])
        for line in (what, *lines):
            self._changed(host, line)
