"""vmnet support: versions, facts, the plan and logs in one file, and no secret in it.

What may be broken is asked by a vmnet of its own, each with a deadline: whatever comes of it, its
output and its status are a part of the bundle.
"""

import io
import os
import platform
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Final

from provisioner import __version__, event_log, redaction
from provisioner.commands.target import Tell
from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.host.guest import console_log
from provisioner.host.system import paths, programs, whole_files
from provisioner.text import one_line, sanitize

_EACH_S: Final = 90.0
_VERSION_S: Final = 10.0
_MOST: Final = 1 << 20  # bytes of a member
_LINES: Final = 400  # of a log
_PROGRAMS: Final = (
    ("qemu-system-x86_64", "--version"),
    ("libvirtd", "--version"),
    ("dnsmasq", "--version"),
    ("nft", "--version"),
    ("ip", "-V"),
    ("ssh", "-V"),
    ("systemctl", "--version"),
)
_LIBRARIES: Final = ("libvirt-python", "pyroute2", "pydantic", "typer", "rich", "jinja2", "PyYAML")


@dataclass(frozen=True, slots=True)
class SupportWish:
    """What the bundle is about: a plan by its text, its name and the words that name it."""

    texts: Sequence[tuple[str, str]] = ()  # file, text
    name: str = ""
    words: Sequence[str] = ()
    consoles: bool = False  # with what guests have written to them


def write(path: Path, wish: SupportWish, tell: Tell) -> list[str]:
    """Write the bundle; return the names in it. Raises VmnetError when it cannot be written."""
    members = list(_members(wish, tell))
    folder = path.name.removesuffix(".tar.gz")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, text in members:
            data = text.encode("utf-8", "replace")[-_MOST:]
            about = tarfile.TarInfo(f"{folder}/{name}")
            about.size, about.mtime, about.mode = len(data), int(time.time()), 0o600
            tar.addfile(about, io.BytesIO(data))
    whole_files.write_bundle(path, packed.getvalue())
    return [name for name, _ in members]


def _members(wish: SupportWish, tell: Tell) -> Iterator[tuple[str, str]]:
    yield "versions.txt", _versions()
    yield "environment.txt", _environment()
    for number, (_, text) in enumerate(wish.texts):
        yield f"plan{number or ''}.yaml", redaction.masked_text(text)
    for command in ("doctor", *(["validate", "plan", "status"] if wish.words else [])):
        tell(f"asking vmnet {command}")
        yield from _asked(command, wish)
    if wish.name:
        yield from _logs(wish)
    if (file := os.environ.get(event_log.VARIABLE, "")) not in ("", *event_log.LEVELS):
        yield "vmnet.log", _masked(console_log.last_lines(Path(file), _LINES))


def _versions() -> str:
    lines = [f"vmnet {__version__}", f"python {sys.version}", f"kernel {' '.join(os.uname())}"]
    with suppress(OSError):
        lines.append(f"system {platform.freedesktop_os_release().get('PRETTY_NAME', '')}")
    for library in _LIBRARIES:
        try:
            lines.append(f"{library} {metadata.version(library)}")
        except metadata.PackageNotFoundError:
            lines.append(f"{library} not there")
    for argv in _PROGRAMS:
        try:
            ran = programs.run(argv, timeout_s=_VERSION_S, check=False)
            said = (ran.stdout or ran.stderr).strip().partition("\n")[0]
        except VmnetError as error:
            said = error.what
        lines.append(f"{argv[0]}: {one_line(said, 200)}")
    return "".join(f"{sanitize(line)}\n" for line in lines)


def _environment() -> str:
    """Return what the environment changes about vmnet; the rest of it is nobody's business."""
    wanted = {"PATH", "LANG", "TERM", "NO_COLOR", "SUDO_UID", "CI", "XDG_CONFIG_HOME"}
    known = sorted(key for key in os.environ if key in wanted or key.startswith("VMNET_"))
    return "".join(f"{_masked(f'{key}={os.environ[key]}')}\n" for key in known)


def _asked(command: str, wish: SupportWish) -> Iterator[tuple[str, str]]:
    own = [] if command == "doctor" else list(wish.words)
    argv = [sys.executable, "-m", "provisioner", command, *own, "--json", "--no-progress"]
    try:
        ran = programs.run(argv, timeout_s=_EACH_S, env={"VMNET_LOG": ""}, check=False)
    except VmnetError as error:
        yield f"{command}.err", _masked(error.what)
        return
    yield f"{command}.json", _masked(ran.stdout)
    yield f"{command}.err", _masked(f"{ran.stderr}exit status {ran.returncode}\n")


def _logs(wish: SupportWish) -> Iterator[tuple[str, str]]:
    folders = {"qemu": paths.libvirt_root(wish.name) / "log" / "qemu"}
    if wish.consoles:
        folders["console"] = paths.folder(wish.name, "console")
    for kind, folder in folders.items():
        for log in sorted(folder.glob("[!.]*.log")):
            name = "".join(x if x.isalnum() or x in "-." else "_" for x in log.name)
            with suppress(OSError):  # it has just gone, or is somebody else's
                yield f"{kind}-{name}", _masked(console_log.last_lines(log, _LINES))


def _masked(text: str) -> str:
    return "\n".join(map(redaction.masked_line, text.split("\n")))
