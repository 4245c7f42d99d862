"""Looks at NICs and at the programs that look after links, for vmnet doctor; nothing is changed."""

import os
from configparser import ConfigParser, Error
from contextlib import suppress
from pathlib import Path
from typing import Final

from provisioner.doctor.network import UNMANAGED, Others, SysfsNic
from provisioner.host.system import processes

_DMI: Final = ("sys_vendor", "product_name", "board_vendor", "bios_vendor", "chassis_asset_tag")
_LOOKING: Final = frozenset({"NetworkManager", "systemd-network", "dhcpcd", "connmand"})
# The later ones win over files of the same name (systemd.network(5), NetworkManager.conf(5)).
_NETWORKD: Final = ("/usr/lib/systemd/network", "/run/systemd/network", "/etc/systemd/network")
_NM: Final = ("/usr/lib/NetworkManager", "/run/NetworkManager", "/etc/NetworkManager")
_TRUE: Final = frozenset({"yes", "true", "on", "1"})
_MOST_BYTES: Final = 1 << 20


def nics(names: list[tuple[str, int]]) -> dict[str, SysfsNic]:
    """Read driver and speed of NICs (name and ifindex) from sysfs, where it shows these."""
    return {name: _nic(Path("/sys/class/net", name), index) for name, index in names}


def dmi() -> tuple[str, ...]:
    """Read the firmware's strings about this machine; many virtual ones have none."""
    return tuple(filter(None, (_text(Path("/sys/class/dmi/id", name)).strip() for name in _DMI)))


def bridge_filter() -> bool:
    """Return whether bridged frames go through the firewall (br_netfilter)."""
    return _text(Path("/proc/sys/net/bridge/bridge-nf-call-iptables")).strip() == "1"


def others() -> Others:
    """Look for programs of this network namespace that take care of links."""
    return Others(
        running=_running(),
        networkd=_networkd(),
        unmanaged=_unmanaged(),
        dhcpcd=_denied(Path("/etc/dhcpcd.conf")),
    )


def _nic(place: Path, index: int) -> SysfsNic:
    # /sys may show another namespace's devices: the same name, another ifindex.
    if _text(place / "ifindex").strip() != str(index):
        return SysfsNic()
    driver = ""
    with suppress(OSError):
        driver = (place / "device" / "driver").readlink().name
    speed = _text(place / "speed").strip()
    return SysfsNic(driver, int(speed) if speed.isdecimal() else 0)


def _running() -> frozenset[str]:
    here = processes.network_namespace()
    found: set[str] = set()
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        name = _text(Path(entry.path, "comm")).strip()
        if name in _LOOKING:
            with suppress(OSError):
                if processes.network_namespace(entry.name) == here:
                    found.add(name)
    return frozenset(found)


def _networkd() -> dict[str, dict[str, str]]:
    files = {f.name: f for folder in _NETWORKD for f in sorted(Path(folder).glob("*.network"))}
    found: dict[str, dict[str, str]] = {}
    for name in sorted(files):
        sections = _ini(files[name])
        if sections.has_section("Match"):
            found[str(files[name])] = dict(sections["Match"])
            if sections.get("Link", "Unmanaged", fallback="").lower() in _TRUE:
                found[str(files[name])][UNMANAGED] = "yes"
    return found


def _unmanaged() -> str:
    files = {f.name: f for folder in _NM for f in sorted(Path(folder).glob("conf.d/*.conf"))} | {
        "~": Path("/etc/NetworkManager/NetworkManager.conf")
    }
    values = (_ini(f).get("keyfile", "unmanaged-devices", fallback="") for f in files.values())
    return ";".join(filter(None, values))


def _denied(file: Path) -> str:
    words = (line.split() for line in _text(file).splitlines())
    return " ".join(" ".join(w[1:]) for w in words if w[:1] == ["denyinterfaces"])


def _ini(file: Path) -> ConfigParser:
    found = ConfigParser(strict=False, interpolation=None, delimiters="=", allow_no_value=True)
    with suppress(Error):
        found.read_string(_text(file))
    return found


def _text(file: Path) -> str:
    try:
        with file.open(encoding="utf-8", errors="replace") as opened:
            return opened.read(_MOST_BYTES)
    except OSError:
        return ""
