"""Run a command of vmnet on many hosts at once, by Ansible: the one door to it.

    answers = run_on({"h1": Request(("host-facts", "--json"), login=login)}, each=told)

It takes about two seconds more than the slowest host. A host that does not answer is Silent, with
the reason: never an error, and never a host on which nothing runs.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from provisioner.fabric.facts import Silent
from provisioner.fabric.remote.answers import HostAnswer, Request, answered, unreachable
from provisioner.host.fabric import play

Each = Callable[[str, HostAnswer | Silent], None]

_PLAYBOOK: Final = "vmnet.fabric.run"


def run_on(
    requests: Mapping[str, Request],
    *,
    inventory: Path | None = None,
    within_s: float = 600.0,
    each: Each = lambda _host, _said: None,
) -> dict[str, HostAnswer | Silent]:
    """Run a command on each host, all at once; return what each has answered, in the same order.

    Hosts are named as in the plan, and in `inventory`, which Ansible reads where it is given: it
    then decides how each is logged in to. `each` is called as soon as a host has answered. After
    `within_s` seconds the commands are interrupted, and hosts that have not answered are silent.
    Raises VmnetError, status HOST_CANNOT, where Ansible is not installed or does not start; an
    interrupt ends the connections, while hosts end what they have begun.
    """
    said = _run(requests, None, inventory, within_s, each)
    reason = "the inventory does not have it" if inventory else "it has not answered"
    return {host: said.get(host, Silent(reason)) for host in requests}


def run_everywhere(
    request: Request,
    inventory: Path,
    *,
    within_s: float = 600.0,
    each: Each = lambda _host, _said: None,
) -> dict[str, HostAnswer | Silent]:
    """Run one command on every host of an inventory, as `run_on` does."""
    said = _run({}, request, inventory, within_s, each)
    return dict(sorted(said.items()))


def _run(
    requests: Mapping[str, Request],
    request: Request | None,
    inventory: Path | None,
    within_s: float,
    each: Each,
) -> dict[str, HostAnswer | Silent]:
    if not requests and request is None:
        return {}
    with ExitStack() as stack:
        secrets = {
            host: stack.enter_context(_secret(one, within_s)) for host, one in requests.items()
        }
        every = stack.enter_context(_secret(request, within_s)) if request else ""
        run = play.Play(
            _PLAYBOOK,
            {host: one.login for host, one in requests.items()},
            inventory,
            {"vmnet_requests": secrets, "vmnet_request": every},
            within_s=within_s,
        )
        return _collected(run, each)


@contextmanager
def _secret(request: Request, within_s: float) -> Iterator[str]:
    """Keep a request in memory alone; the path is one that only programs of this user can read."""
    fd = os.memfd_create("vmnet-request")
    try:
        verb, *words = request.words
        known = {"verb": verb, "words": words, "plan": request.plan, "seconds": int(within_s) or 1}
        with open(fd, "w", encoding="utf-8", closefd=False) as file:
            file.write(json.dumps(known))
        yield f"/proc/{os.getpid()}/fd/{fd}"
    finally:
        os.close(fd)


def _collected(run: play.Play, each: Each) -> dict[str, HostAnswer | Silent]:
    """Take what Ansible tells of hosts as it comes, in this thread."""
    found: dict[str, HostAnswer | Silent] = {}
    began = time.time()
    with play.playing(run) as events:
        for kind, host, about in play.of_hosts(events):
            result, is_lost = about.get("res"), kind == play.UNREACHABLE
            said = unreachable(result) if is_lost else answered(result, began, time.time())
            found[host] = said
            each(host, said)
    return found
