"""A callback plugin of Ansible: kills the controller before or after one of its tasks, or waits.

`tests.framework.fabric.tasks` puts it into the environment of a controller. It notes which commands
hosts are asked for, since each of them is one task of a run of Ansible of its own.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):  # type: ignore[misc]  # ansible-core has no types
    """Follows one run of Ansible."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "at_task"

    def __init__(self) -> None:
        super().__init__()
        self.room = Path(os.environ["AT_TASK_ROOM"])
        self.number = 0
        self.controller = 0

    def v2_playbook_on_play_start(self, play: Any) -> None:  # noqa: ANN401
        """Note what the hosts are asked for; the request is in a file of the controller."""
        requests = play.get_variable_manager().extra_vars["vmnet_requests"]
        request = Path(next(iter(requests.values())))
        self.controller = int(request.parts[2])  # /proc/PID/fd/NUMBER
        asked = json.loads(request.read_text())
        told = [asked["verb"], *(x for x in asked["words"] if x in {"--prepare", "--no-check"})]
        with (self.room / "tasks").open("a") as tasks:
            tasks.write(" ".join(told) + "\n")
        self.number = len((self.room / "tasks").read_text().splitlines())

    def v2_playbook_on_task_start(self, *_task: object, **_words: object) -> None:
        """No host has been asked yet."""
        self._act("before")

    def v2_playbook_on_stats(self, _stats: object) -> None:
        """All hosts have answered; the controller may not know it yet."""
        self._act("after")

    def _act(self, when: str) -> None:
        if os.environ["AT_TASK"] == f"kill {when} {self.number}":
            os.kill(self.controller, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        if os.environ["AT_TASK"] == f"hold {when} {self.number}":
            (self.room / "waits").touch()
            (self.room / "go").read_text()  # a FIFO
