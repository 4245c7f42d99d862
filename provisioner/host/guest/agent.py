"""The guest agent of one domain: its answers are hostile until they have been checked.

Files are read and written piece by piece.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from provisioner.errors import VmnetError
from provisioner.guest import agent_info
from provisioner.host.libvirt.domains import Domains
from provisioner.pattern import pattern

CALL_S: Final = 5
"""Seconds for one command; libvirt itself waits as long to synchronise with the agent."""

READ: Final = 512 << 10
"""Bytes of a piece that is read: in base64 it fits into a message of libvirt's (4 MiB)."""

WRITTEN: Final = 48 << 10
"""Bytes of a piece that is written. In base64 it fits into the buffer of a Unix socket, which
holds some 200 KiB: what does not, libvirt 9.0 sends again from its start, and the agent never
answers (qemuAgentIOWrite: safewrite forgets what it has written when it meets EAGAIN)."""

_PIECE_S: Final = 30  # an emulated guest on a busy host needs seconds to decode a piece

_REFUSED: Final = pattern(r"(?:command )?(guest-[a-z-]+) has been disabled", re.IGNORECASE)


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

    def silence(self, within_s: float) -> str:
        """Ask for a sign of life, now; return why there is none, "" when there is.

        libvirt's word that an agent is connected is none: it is about the guest's port, which stays
        open when the guest is frozen or its kernel has panicked.
        """
        whole_s = max(1, round(within_s))
        try:
            self._domains.limit_agent(self._domain, whole_s)
            self.ask("guest-ping", {}, whole_s)
        except VmnetError as error:
            return error.what
        else:
            return ""
        finally:
            with suppress(VmnetError):  # it has ended
                self._domains.limit_agent(self._domain, CALL_S)

    def file_open(self, path: str, mode: str) -> int:
        """Open a file as fopen(3) does. Raises VmnetError when the guest cannot."""
        try:
            handle = self.ask("guest-file-open", {"path": path, "mode": mode})
        except VmnetError as error:
            raise VmnetError(error.what, fix=error.fix or "look at the path") from error
        if not isinstance(handle, int) or isinstance(handle, bool):
            raise self._invalid("guest-file-open")
        return handle

    def file_read(self, handle: int) -> tuple[bytes, bool]:
        """Read the next piece of at most READ bytes; True with it when it was the last."""
        arguments = {"handle": handle, "count": READ}
        answer = self.ask("guest-file-read", arguments, _PIECE_S)
        try:
            data = base64.b64decode(answer["buf-b64"], validate=True)
            last = answer["eof"] is True
        except (TypeError, KeyError, ValueError, binascii.Error) as error:
            raise self._invalid("guest-file-read") from error
        if len(data) > READ or (not data and not last):
            raise self._invalid("guest-file-read")
        return data, last

    def file_write(self, handle: int, data: bytes) -> None:
        """Write all of `data`. Raises VmnetError when the guest cannot: its disk may be full."""
        while data:
            piece = data[:WRITTEN]
            coded = base64.b64encode(piece).decode()
            answer = self.ask("guest-file-write", {"handle": handle, "buf-b64": coded}, _PIECE_S)
            count = answer.get("count") if isinstance(answer, dict) else None
            if not isinstance(count, int) or not 0 < count <= len(piece):
                raise self._invalid("guest-file-write")
            data = data[count:]

    def file_close(self, handle: int) -> None:
        """Close a file; what was written is on its way to the guest's disk then."""
        self.ask("guest-file-close", {"handle": handle}, _PIECE_S)

    def _invalid(self, command: str) -> VmnetError:
        return VmnetError(
            f"the guest agent of {self._domain} gave an invalid answer to {command}",
            fix="restart the VM: something else speaks on its agent port",
        )
