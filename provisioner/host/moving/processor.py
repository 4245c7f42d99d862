"""What this host's processor can do: a guest under KVM has seen it when it booted."""

from pathlib import Path
from typing import Final

_CPUINFO: Final = Path("/proc/cpuinfo")


def flags() -> frozenset[str]:
    """Return the flags of the first processor as proc(5) lists them; empty when it lists none."""
    for line in _CPUINFO.read_text(encoding="ascii", errors="replace").splitlines():
        name, _, words = line.partition(":")
        if name.strip() in {"flags", "Features"}:
            return frozenset(words.split())
    return frozenset()
