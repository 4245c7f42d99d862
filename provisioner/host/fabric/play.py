"""One run of a playbook of vmnet's collection on hosts: what Ansible tells of them, as it comes.

with playing(Play("vmnet.fabric.run", {"h1": login})) as events:
    for event in events:
        ...
"""

import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import field
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError, bad_input
from provisioner.host.fabric import run_folder
from provisioner.host.system import processes
from provisioner.plan.hosts import Login
from provisioner.text import one_line

_CONNECT_S: Final = 10
_SPARE_S: Final = 60.0  # beyond the commands' own time: Ansible's start, ways to the hosts, its end
_MOST_FORKS: Final = 50
_NO_MASTER: Final = "-o ControlMaster=no -o ControlPath=none"
# A host that is lost while it works is silent within 15 s, not when the command's time is over.
_KEEP_ALIVE: Final = "-o ServerAliveInterval=5 -o ServerAliveCountMax=2"
_SSH: Final = f"{_NO_MASTER} {_KEEP_ALIVE}"
_OF_USERS: Final = ("ANSIBLE_PYTHON_INTERPRETER", "ANSIBLE_SSH_ARGS", "ANSIBLE_TIMEOUT")
OK: Final = "runner_on_ok"
FAILED: Final = "runner_on_failed"
UNREACHABLE: Final = "runner_on_unreachable"
OF_HOSTS: Final = frozenset((OK, FAILED, UNREACHABLE))
_POLL_S: Final = 0.1  # how soon its end is seen

Event = Mapping[str, Any]
"""What ansible-runner tells: its kind in `event`, the host and the result in `event_data`."""


@dataclass(frozen=True, slots=True)
class Play:
    """A playbook, and the hosts that it is for: all of the inventory where none are named.

    A host without a login is logged in to as the inventory says. `flags` are options of
    ansible-playbook. After `within_s` seconds the run is ended.
    """

    playbook: str
    logins: Mapping[str, Login | None]
    inventory: Path | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    flags: str = ""
    within_s: float = 600.0


@contextmanager
def playing(play: Play) -> Iterator[Iterator[Event]]:
    """Let Ansible run; yield what it tells, in this thread, until it has ended.

    Raises VmnetError, status HOST_CANNOT, where Ansible is not installed or has reached no host;
    an interrupt ends it and its connections.
    """
    _wanted(play.inventory)
    with run_folder.held() as folder:
        inventory = play.inventory
        words: dict[str, Any] = {
            "private_data_dir": str(folder),
            "playbook": play.playbook,
            "inventory": str(inventory.absolute()) if inventory else _inventory(play.logins),
            "limit": ",".join(play.logins) if play.logins and inventory else None,
            "extravars": dict(play.variables),
            "envvars": _environment(folder, inventory, len(play.logins) or _MOST_FORKS),
            "settings": {"job_timeout": int(play.within_s + _SPARE_S), "pexpect_timeout": 1},
            "cmdline": play.flags or None,
            "quiet": True,
        }
        with _started(words, play.within_s) as events:
            yield events


def of_hosts(events: Iterator[Event]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Return the results of tasks as they come: their kind, the host, and what is told of it."""
    for event in events:
        kind, about = str(event.get("event")), event.get("event_data", {})
        if kind in OF_HOSTS:
            yield kind, str(about.get("host")), about


def _wanted(inventory: Path | None) -> None:
    """Raise VmnetError where Ansible is not there, or the inventory is not."""
    if find_spec("ansible_runner") is None or find_spec("ansible") is None:
        raise VmnetError(
            "other hosts are reached by Ansible, which is not installed beside this vmnet",
            fix='install vmnet with what it needs: pip install "vmnet-provisioner[hosts]"',
        )
    if inventory and not inventory.exists():
        raise bad_input(f"there is no inventory {inventory}", "name one that is there: -i FILE")


def _inventory(logins: Mapping[str, Login | None]) -> dict[str, object]:
    hosts = {host: _variables(login) for host, login in logins.items()}
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
        "ANSIBLE_SSH_ARGS": _SSH,
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
            "ANSIBLE_SSH_ARGS": f"{_SSH} -o BatchMode=yes",
        }
    return own


@contextmanager
def _started(words: Mapping[str, Any], within_s: float) -> Iterator[Iterator[Event]]:
    """Run Ansible in another thread."""
    from ansible_runner.interface import run_async

    stopped = threading.Event()
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def take(event: Event) -> bool:
        events.put(event)
        return False  # into no file

    start: Any = run_async  # which has no types
    thread, runner = start(
        **words,
        event_handler=take,
        cancel_callback=stopped.is_set,
    )
    told = _Told(events, thread, time.monotonic() + within_s + 2 * _SPARE_S)
    try:
        yield iter(told)
    except BaseException:
        _end(stopped)
        raise
    finally:
        thread.join(_SPARE_S)
    # What is run is ansible-playbook, whose status alone says that it has begun nothing.
    if not told.of_hosts and runner.rc:
        raise _not_started(runner)


class _Told:
    """What Ansible tells, until it has ended, or it is too late."""

    def __init__(
        self, events: "queue.SimpleQueue[Event]", thread: threading.Thread, end: float
    ) -> None:
        self._events = events
        self._thread = thread
        self._end = end
        self.of_hosts = False  # something of any host

    def __iter__(self) -> Iterator[Event]:
        while time.monotonic() < self._end:
            ends = not self._thread.is_alive()
            try:
                event = self._events.get(timeout=0 if ends else _POLL_S)
            except queue.Empty:
                if ends:
                    return
                continue
            self.of_hosts |= str(event.get("event")) in OF_HOSTS
            yield event


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
