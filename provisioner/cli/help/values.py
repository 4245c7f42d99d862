"""What --help calls the value of an option or argument that does not say it itself."""

from typing import Final

_KINDS: Final = {
    "SECONDS": "timeout lock_timeout every grace duration",
    "KEY=VALUE": "sets",
    "NIC": "uplink",
    "N": "count queues lines",
    "FILE": "junit html write identity source destination",
    "PATH": "allow_file",
    "ADDRESS": "peer",
    "VM": "jump",
    "TIME": "delay jitter",
    "PERCENT": "loss",
    "BYTES": "mtu snaplen",
    "FRAMES": "txqueuelen",
    "DIGEST": "sha256",
    "FIRMWARE": "boot",
    "MAC": "allow",
    "FILTER": "filters",
    "all|sample": "pairs",
    "auto|ssh|agent": "way",
    "KEY": "escape",
    "VM.NIC": "nic",
}
_CALLED: Final = {name: kind for kind, names in _KINDS.items() for name in names.split()}


def called(name: str) -> str:
    """Return what the value of a parameter is called, by the name of that parameter."""
    return _CALLED.get(name, name.upper().replace("_", "-"))
