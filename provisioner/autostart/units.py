"""The units of systemd, and the hook of libvirt, that bring plans back after a boot of the host."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from provisioner.dataclass import dataclass
from provisioner.pattern import pattern
from provisioner.template_files import template

if TYPE_CHECKING:
    from provisioner.plan.model import Plan

STOP_S: Final = 90
"""Seconds that guests have at shutdown before they are ended."""

MARK: Final = "# Made by vmnet boot install"
"""How every file begins that `vmnet boot` has made; what does not is somebody else's."""

NET_UNIT: Final = "vmnet-net.service"
TEMPLATE_UNIT: Final = "vmnet@.service"
WATCH_TEMPLATE: Final = "vmnet-watch@.service"

_UNIT_STOP_S = STOP_S + 30  # vmnet's own time besides: its start, libvirt's, the last QEMU's end
_PLAIN = pattern(r"[A-Za-z0-9:_.]")
_SOURCE = pattern(rf"^{MARK} from (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Start:
    """How a plan is started at boot."""

    vmnet: Sequence[str]  # the words that run vmnet
    stored: str  # path of the plan as it was installed
    folder: str  # where the files that it names are looked for
    places: Sequence[str] = ()  # of vmnet itself and of its files: their file systems are needed
    options: Sequence[str] = ()  # of `vmnet up`, as they were given at the installation
    connection: Sequence[str] = ()  # where libvirt is, of all commands
    environment: Mapping[str, str] | None = None  # where vmnet's files are, if not where usual
    sets: Sequence[str] = ()  # those of the options that change what the plan says


def unit_of(plan: str) -> str:
    """Return the unit of a plan; what a plan may be called, an instance may be called too."""
    return f"vmnet@{plan}.service"


def watch_of(plan: str) -> str:
    """Return the unit that puts back what a reload of the firewall takes from a plan."""
    return f"vmnet-watch@{plan}.service"


def template_unit() -> str:
    """Return the text of the unit that all plans share."""
    return (
        template("boot/vmnet@.service")
        .replace("@STOP_S@", str(STOP_S))
        .replace("@UNIT_STOP_S@", str(_UNIT_STOP_S))
    )


def watch_template() -> str:
    """Return the text of the unit that keeps the guards of a plan, of all plans."""
    return template("boot/vmnet-watch@.service")


def watch_part(plan: str, start: Start, *writable: str) -> str:
    """Return what that unit has besides for one plan; `writable` are folders, of its lock first."""
    watch = ("watch", start.stored, *start.sets)
    lines = [f"{MARK} for the plan {plan}", "[Service]", *_environment(start)]
    # With "-" systemd passes over a folder that is not there.
    lines += [f"ReadWritePaths={quoted(f'-{folder}')}" for folder in writable]
    lines += [f"ExecStart={command(*start.vmnet, *watch)}"]
    return "\n".join(lines) + "\n"


def plan_part(plan: "Plan", start: Start) -> str:
    """Return what the unit of one plan has besides: its NICs, and the commands that it runs."""
    devices = " ".join(device_units(n.uplink for n in plan.networks if n.uplink))
    up = ("up", start.stored, "--folder", start.folder, *start.options, *start.connection)
    stop = ("stop", "--name", plan.name, "--grace", str(STOP_S), *start.connection)
    lines = [f"{MARK} for the plan {plan.name}", "[Unit]", f"Wants={watch_of(plan.name)}"]
    if devices:
        lines += [f"Wants={devices}", f"After={devices}"]
    # At shutdown, too, a file system is not unmounted before what needs it has been stopped.
    if start.places:
        lines.append(f"RequiresMountsFor={' '.join(map(quoted, start.places))}")
    lines += ["[Service]", *_environment(start)]
    lines += [
        f"ExecStart={command(*start.vmnet, *up)}",
        f"ExecReload={command(*start.vmnet, *up)}",
        f"ExecStop={command(*start.vmnet, *stop)}",
    ]
    return "\n".join(lines) + "\n"


def _environment(start: Start) -> list[str]:
    found = sorted((start.environment or {}).items())
    return [f"Environment={quoted(f'{name}={value}')}" for name, value in found]


def net_unit(vmnet: Sequence[str], saved: str, uplinks: Iterable[str]) -> str:
    """Return the text of the unit that makes the devices of `vmnet net` again."""
    devices = " ".join(device_units(uplinks))
    return (
        template("boot/vmnet-net.service")
        .replace("@UPLINKS@", f"Wants={devices}\nAfter={devices}\n" if devices else "")
        .replace("@RESTORE@", command(*vmnet, "net", "restore", saved))
    )


def hook(vmnet_in_shell: str) -> str:
    """Return the text of libvirt's hook; `vmnet_in_shell` are the words that run vmnet, quoted."""
    return template("boot/libvirt-hook.sh").replace("@DEVICES@", f"{vmnet_in_shell} boot devices")


def device_units(uplinks: Iterable[str]) -> list[str]:
    """Return the units that are active once udev has settled these NICs (systemd.device(5))."""
    return [f"sys-subsystem-net-devices-{escaped(uplink)}.device" for uplink in sorted({*uplinks})]


def escaped(name: str) -> str:
    r"""Return a name as a part of a unit's name: a dash is "\x2d" (systemd.unit(5))."""
    return "".join(
        one if _PLAIN.fullmatch(one) else "".join(rf"\x{byte:02x}" for byte in one.encode())
        for one in name
    )


def command(*words: str) -> str:
    """Return a command line of a unit: words that systemd neither splits nor expands."""
    return " ".join(quoted(word).replace("$", "$$") for word in words)


def quoted(word: str) -> str:
    """Return a word as systemd reads it back (systemd.syntax(7), "Quoting")."""
    escapes = {"\\": r"\\", '"': r"\"", "%": "%%", "\n": r"\n", "\t": r"\t"}
    return '"' + "".join(escapes.get(one, one) for one in word) + '"'


def stored(text: str, source: str) -> str:
    """Return a plan as it is stored: whole, with a last line about where it is from."""
    return f"{text.rstrip()}\n{MARK} from {source}\n"


def original(text: str) -> tuple[str, str]:
    """Return the plan in a stored one, and where it was from; ("", "") of somebody else's file."""
    found = _SOURCE.search(text)
    return (text[: found.start()], found[1]) if found else ("", "")
