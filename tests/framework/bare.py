"""A guest under a bare QEMU (TCG) without any network: asked by its agent, heard on its console."""

import base64
import json
import select
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.framework import evidence


@dataclass
class Guest:
    """A running guest: its agent's socket, its console and its QEMU."""

    agent: socket.socket
    console: Path
    monitor: Path
    qemu: subprocess.Popen[bytes]
    timeout_s: float

    def call(self, command: str, **arguments: object) -> Any:  # noqa: ANN401  (JSON)
        request = {"execute": command, "arguments": arguments}
        self.agent.sendall(json.dumps(request).encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            answer += self.agent.recv(1 << 16)
        return json.loads(answer)["return"]

    def run(self, script: str) -> str:
        started = self.call(
            "guest-exec", path="/bin/sh", arg=["-c", script], **{"capture-output": True}
        )
        deadline = time.monotonic() + self.timeout_s
        while time.monotonic() < deadline:
            state = self.call("guest-exec-status", pid=started["pid"])
            if state["exited"]:
                return base64.b64decode(state.get("out-data", "")).decode()
            select.select([], [], [], 0.05)
        pytest.fail(f"{script} is not done")

    def said(self) -> list[str]:
        return self.console.read_text(errors="replace").splitlines()

    def says(self, text: str) -> str:
        """Wait for a line on the console with this text in it, and return it."""
        deadline = time.monotonic() + self.timeout_s
        while time.monotonic() < deadline and self.qemu.poll() is None:
            for line in self.said():
                if text in line:
                    return line
            select.select([], [], [], 0.05)
        pytest.fail(f"it never said {text!r} but\n" + "\n".join(self.said()[-30:]))


@contextmanager
def booted(
    folder: Path, memory_mib: int, devices: Sequence[str], *, timeout_s: float
) -> Iterator[Guest]:
    """Start QEMU with these devices; the guest is given once its agent answers."""
    agent, monitor, console = folder / "agent", folder / "monitor", folder / "console"
    evidence.FILES["console.log"] = console
    argv = [
        *("unshare", "--net"),  # whatever the guest sends stays here
        *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none"),
        *("-M", "q35", "-accel", "tcg", "-cpu", "qemu64", "-m", str(memory_mib)),
        *("-serial", f"file:{console}", "-monitor", f"unix:{monitor},server=on,wait=off"),
        *("-device", "virtio-serial-pci"),
        *("-chardev", f"socket,id=agent,path={agent},server=on,wait=off"),
        *("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"),
        *devices,
    ]
    with subprocess.Popen(argv) as qemu:
        try:
            with _connected(agent, qemu, timeout_s) as line:
                guest = Guest(line, console, monitor, qemu, timeout_s)
                guest.call("guest-ping")
                yield guest
        finally:
            qemu.kill()


def _connected(path: Path, qemu: subprocess.Popen[bytes], timeout_s: float) -> socket.socket:
    line = socket.socket(socket.AF_UNIX)
    line.settimeout(timeout_s)
    while qemu.poll() is None:
        try:
            line.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            select.select([], [], [], 0.02)
        else:
            return line
    pytest.fail(f"QEMU ended with {qemu.returncode}")
