"""Run a command of vmnet on many hosts at once, by Ansible: the one door to it.

    answers = run_on({"h1": Request(("host-facts", "--json"), login=login)}, each=told)

It takes about two seconds more than the slowest host. A host that does not answer is Silent, with
the reason: never an error, and never a host on which nothing runs.
"""

import json
import os
import queue
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from provisioner.errors import VmnetError, bad_input
from provisioner.fabric.facts import Silent
from provisioner.fabric.remote.answers import HostAnswer, Request, answered, unreachable
from provisioner.host.system import processes
from provisioner.plan.hosts import Login
from provisioner.text import one_line

Each = Callable[[str, HostAnswer | Silent], None]

_CONNECT_S: Final = 10
_SPARE_S: Final = 60.0  # beyond the commands' own time: Ansible's start, ways to the hosts, its end
_MOST_FORKS: Final = 50
_NO_MASTER: Final = "-o ControlMaster=no -o ControlPath=none"
_OF_USERS: Final = ("ANSIBLE_PYTHON_INTERPRETER", "ANSIBLE_SSH_ARGS", "ANSIBLE_TIMEOUT")
_POLL_S: Final = 0.1  # how soon its end is seen
_PLAYBOOK: Final = "vmnet.fabric.run"
_ENDED: Final = ("runner_on_ok", "runner_on_failed")
_UNREACHABLE: Final = "runner_on_unreachable"


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
    _wanted(inventory)
    with ExitStack() as stack:
        room = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vmnet-hosts-")))
        secrets = {
            host: stack.enter_context(_secret(one, within_s)) for host, one in requests.items()
        }
        every = stack.enter_context(_secret(request, within_s)) if request else ""
        words: dict[str, Any] = {
            "private_data_dir": str(room),
            "playbook": _PLAYBOOK,
            "inventory": str(inventory.absolute()) if inventory else _inventory(requests),
            "limit": ",".join(requests) if requests and inventory else None,
            "extravars": {"vmnet_requests": secrets, "vmnet_request": every},
            "envvars": _environment(room, inventory, len(requests) or _MOST_FORKS),
            "settings": {"job_timeout": int(within_s + _SPARE_S), "pexpect_timeout": 1},
            "quiet": True,
        }
        return _collected(words, within_s, each)


def _wanted(inventory: Path | None) -> None:
    """Raise VmnetError where Ansible is not there, or the inventory is not."""
    if find_spec("ansible_runner") is None or find_spec("ansible") is None:
        raise VmnetError(
            "other hosts are reached by Ansible, which is not installed beside this vmnet",
            fix='install vmnet with what it needs: pip install "vmnet-provisioner[hosts]"',
        )
    if inventory and not inventory.exists():
        raise bad_input(f"there is no inventory {inventory}", "name one that is there: -i FILE")


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


def _inventory(requests: Mapping[str, Request]) -> dict[str, object]:
    hosts = {host: _variables(request.login) for host, request in requests.items()}
    return {"all": {"hosts": hosts}}


def _variables(login: Login | None) -> dict[str, object]:
    """Return how Ansible logs in; nothing in a login can be taken for a template."""
    if login is None:
        return {}
    found: dict[str, object] = {"ansible_host": login.host}
    if login.user:
        found["ansible_user"] = login.user
    if login.port:
        found["ansible_port"] = login.port
    return found


def _environment(room: Path, inventory: Path | None, forks: int) -> dict[str, str]:
    """Return what makes Ansible quick, and independent of settings that were not meant for this.

    No connection outlives the command. An inventory comes with the user's own settings.
    """
    collections = files("provisioner").joinpath("templates")
    own = {
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",  # looking for another takes its time
        "ANSIBLE_SSH_ARGS": _NO_MASTER,
        "ANSIBLE_COLLECTIONS_PATH": str(collections),
        "ANSIBLE_FORKS": str(min(forks, _MOST_FORKS)),
        "ANSIBLE_GATHERING": "explicit",
        "ANSIBLE_HOME": str(room / "home"),
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_RETRY_FILES_ENABLED": "0",
        "ANSIBLE_TIMEOUT": str(_CONNECT_S),
        "LC_ALL": "C.UTF-8",
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
    }
    if inventory:
        own |= {key: os.environ[key] for key in _OF_USERS if key in os.environ}
    if inventory is None:
        empty = room / "ansible.cfg"
        empty.touch()
        own |= {
            "ANSIBLE_CONFIG": str(empty),
            "ANSIBLE_SSH_ARGS": f"{_NO_MASTER} -o BatchMode=yes",
        }
    return own


def _collected(
    words: Mapping[str, Any], within_s: float, each: Each
) -> dict[str, HostAnswer | Silent]:
    """Let Ansible run; take what it tells of hosts as it comes, in this thread."""
    from ansible_runner.interface import run_async

    stopped = threading.Event()
    events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def take(event: dict[str, Any]) -> bool:
        events.put(event)
        return False  # into no file

    start: Any = run_async  # which has no types
    thread, runner = start(
        **words,
        event_handler=take,
        cancel_callback=stopped.is_set,
    )
    found: dict[str, HostAnswer | Silent] = {}
    end = time.monotonic() + within_s + 2 * _SPARE_S
    try:
        for host, said in _said(events, thread, end):
            found[host] = said
            each(host, said)
    except BaseException:
        _end(stopped)
        raise
    finally:
        thread.join(_SPARE_S)
    # What is run is ansible-playbook, whose status alone says that it has begun nothing.
    if not found and runner.rc:
        raise _not_started(runner)
    return found


def _said(
    events: "queue.SimpleQueue[dict[str, Any]]", thread: threading.Thread, end: float
) -> Iterator[tuple[str, HostAnswer | Silent]]:
    """Return what hosts have answered, until Ansible has ended, or it is too late."""
    began = time.time()
    while time.monotonic() < end:
        ends = not thread.is_alive()
        try:
            event = events.get(timeout=0 if ends else _POLL_S)
        except queue.Empty:
            if ends:
                return
            continue
        kind, about = event.get("event"), event.get("event_data", {})
        if kind in _ENDED:
            yield str(about.get("host")), answered(about.get("res"), began, time.time())
        elif kind == _UNREACHABLE:
            yield str(about.get("host")), unreachable(about.get("res"))


def _end(stopped: threading.Event) -> None:
    """End Ansible and its connections, each of which is in a session of its own."""
    stopped.set()
    for child in filter(_is_of_ansible, processes.pids_of(os.getpid())):
        for pid in [child, *_below(child)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _below(pid: int) -> Iterator[int]:
    for child in processes.pids_of(pid):
        yield from _below(child)
        yield child


def _is_of_ansible(pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False  # it has ended meanwhile
    return b"ansible" in words


def _not_started(runner: Any) -> VmnetError:  # noqa: ANN401  (ansible-runner has no types)
    output = Path(runner.config.artifact_dir, "stdout")
    lines = [line for line in output.read_text(errors="replace").splitlines() if line.strip()]
    why = next((x for x in lines if "ERROR" in x), lines[-1] if lines else "it says nothing")
    return VmnetError(
        f"Ansible has reached no host: {one_line(why, 300)}",
        fix="look at the inventory: ansible-inventory --list -i FILE",
    )
