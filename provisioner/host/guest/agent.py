"""The guest agent of one domain: a command and its answer, which is hostile."""

import re
from collections.abc import Mapping
from typing import Any, Final

from provisioner.errors import VmnetError
from provisioner.guest import agent_info
from provisioner.host.libvirt.domains import Domains

CALL_S: Final = 5
"""Seconds for one command; libvirt itself waits as long to synchronise with the agent."""

_REFUSED: Final = re.compile(r"(?:command )?(guest-[a-z-]+) has been disabled", re.IGNORECASE)


class Agent:
    """The agent of one guest of the plan, by the name of its domain."""

    def __init__(self, domains: Domains, domain: str) -> None:
        self._domains = domains
        self._domain = domain

    def ask(self, command: str, arguments: Mapping[str, object], timeout_s: int = CALL_S) -> Any:  # noqa: ANN401  (JSON)
        """Send a command and return its result.

        Raises VmnetError when there is no answer, when it is not valid, or when the guest's
        administrator does not allow the command.
        """
        import json

        text = json.dumps({"execute": command, "arguments": arguments})
        try:
            answer = self._domains.agent(self._domain, text, timeout_s)
        except VmnetError as error:
            if refused := _REFUSED.search(error.what):
                raise VmnetError(
                    f"the guest agent of {self._domain} does not allow {refused[1]}, as in RHEL",
                    fix="use vmnet ssh and vmnet cp; or allow it inside: /etc/sysconfig/qemu-ga",
                ) from error
            raise
        try:
            return agent_info.returned(answer)
        except ValueError as error:
            raise self._invalid(command) from error

    def _invalid(self, command: str) -> VmnetError:
        return VmnetError(
            f"the guest agent of {self._domain} gave an invalid answer to {command}",
            fix="restart the VM: something else speaks on its agent port",
        )
