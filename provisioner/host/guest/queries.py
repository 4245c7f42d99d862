"""Asks a guest for its own words, each question with a time limit: it may never answer."""

import time
from typing import Final

from provisioner.errors import VmnetError
from provisioner.guest import agent_info
from provisioner.guest.agent_info import GuestInfo
from provisioner.host.guest.commands import Guests

_EACH_S: Final = 2
_QUESTIONS: Final = (
    "guest-get-host-name",
    "guest-get-osinfo",
    "guest-network-get-interfaces",
    "guest-get-fsinfo",
    "guest-get-users",
)


def words(guest: Guests) -> GuestInfo:
    """Ask for everything; whoever does not answer one question in time is not asked the next."""
    answers: dict[str, object] = {}
    problem, loadavg = "", ""
    for question in _QUESTIONS:
        began = time.monotonic()
        try:
            answers[question] = guest.ask(question, {}, _EACH_S)
        except VmnetError as error:
            problem = problem or error.what
            if time.monotonic() - began >= _EACH_S:
                return agent_info.read(answers, problem=problem)
    try:
        ran = guest.run(["/bin/cat", "/proc/loadavg"], _EACH_S, call_s=_EACH_S)
        loadavg = ran.stdout.decode("ascii", "replace")
    except VmnetError as error:
        problem = problem or error.what
    return agent_info.read(answers, loadavg, problem)
