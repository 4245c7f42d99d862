"""Hosts are asked what they have, and Ansible how it logs in to them, in one run."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from provisioner.dataclass import dataclass
from provisioner.fabric.facts import Silent
from provisioner.fabric.remote.answers import HostAnswer, answered, unreachable
from provisioner.host.fabric import play
from provisioner.plan.hosts import Login

_PLAYBOOK: Final = "vmnet.fabric.where"
_LOGIN: Final = "Say how it is logged in to"
_WITHIN_S: Final = 90.0


@dataclass(frozen=True, slots=True)
class SoughtHost:
    """What a host has answered, and how Ansible logs in to it: see fabric/remote/shell.py."""

    said: HostAnswer | Silent
    login: Mapping[str, Any]


def seek(logins: Mapping[str, Login], inventory: Path | None) -> dict[str, SoughtHost]:
    """Ask hosts for their facts; each that was asked is in the answer.

    Raises VmnetError as `run_on` does.
    """
    ways: dict[str, Mapping[str, Any]] = {}
    said: dict[str, HostAnswer | Silent] = {}
    began = time.time()
    run = play.Play(_PLAYBOOK, logins, inventory, within_s=_WITHIN_S)
    with play.playing(run) as events:
        for kind, host, about in play.of_hosts(events):
            result = about.get("res")
            if kind == play.UNREACHABLE:
                said[host] = unreachable(result)
            elif kind == play.OK and about.get("task") == _LOGIN:
                ways[host] = _login(result)
            else:
                said[host] = answered(result, began, time.time())
    reason = Silent("the inventory does not have it" if inventory else "it has not answered")
    return {host: SoughtHost(said.get(host, reason), ways.get(host, {})) for host in logins}


def _login(result: object) -> Mapping[str, Any]:
    found = result.get("msg") if isinstance(result, Mapping) else None
    return found if isinstance(found, Mapping) else {}
