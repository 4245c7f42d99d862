"""A controller that is killed, or held, before or after one of the tasks that Ansible runs for it.

tasks = Tasks(tmp_path)
tasks.killed(fabric.control, "before 2", "up", plan)   # before hosts prepare anything
with tasks.held(fabric.control, "before 4", "up", plan) as up:
    ...                                                # hosts are ready, and nothing has started
up.finished()
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.framework.fabric.hosts import Host
from tests.framework.lab import until
from tests.framework.running import Running

_PLUGINS = Path(__file__).parent / "callbacks"


class Tasks:
    """Commands of controllers whose tasks are counted from 1, anew for each command."""

    def __init__(self, directory: Path) -> None:
        self.room = directory
        directory.mkdir(exist_ok=True)
        os.mkfifo(directory / "go")

    @property
    def asked(self) -> list[str]:
        """What hosts were asked for by the last command, a line for each task."""
        return (self.room / "tasks").read_text().splitlines()

    def killed(self, controller: Host, at: str, *words: str | Path) -> None:
        """Run a command that is killed at a task, and Ansible with it."""
        running = self.started(controller, f"kill {at}", *words)
        assert running.finished(None).status == -signal.SIGKILL, f"{at}: {self.asked}"

    @contextmanager
    def held(self, controller: Host, at: str, *words: str | Path) -> Iterator[Running]:
        """Run a command that waits at a task; it goes on at the end, and is not waited for."""
        running = self.started(controller, f"hold {at}", *words)
        waits = self.room / "waits"
        until(lambda: waits.exists() or running.has_ended, f"it waits {at}")
        assert not running.has_ended, f"{self.asked}: {running.finished(None)}"
        waits.unlink()
        try:
            yield running
        finally:
            (self.room / "go").write_text("go on")

    def started(self, controller: Host, what: str, *words: str | Path) -> Running:
        """Start a command to which `what` happens: "kill before 2", "hold after 1", or nothing."""
        (self.room / "tasks").write_text("")
        own = {
            "ANSIBLE_CALLBACK_PLUGINS": str(_PLUGINS),
            "AT_TASK_ROOM": str(self.room),
            "AT_TASK": what,
        }
        return controller.running(controller.argv(*words), controller.environment | own)
