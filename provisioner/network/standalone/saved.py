"""Devices of `vmnet net` as they are written down, to be made again after a boot of the host."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from provisioner.errors import Exit, bad_input
from provisioner.json_document import json_document
from provisioner.naming import NET_GROUP
from provisioner.network.resources import Macvtap
from provisioner.network.standalone.device import Mark, kernel_name
from provisioner.network.standalone.output import NetDevice
from provisioner.plan.choices import Mode

COMMAND = "net boot"
"""What the document says that it is of."""

_KEPT = (
    "name",
    "uplink",
    "mode",
    "mac",
    "mtu",
    "uid",
    "label",
    "nopromisc",
    "sources",
    "guard",
    "born_mac",
)
_NUMBERS = ("queues", "txqueuelen")


def as_json(devices: Sequence[NetDevice]) -> str:
    """Write down what devices have to be made of."""
    kept = [
        {name: value for name, value in asdict(one).items() if name in {*_KEPT, *_NUMBERS, "up"}}
        for one in devices
    ]
    return json_document(COMMAND, Exit.DONE, {"warnings": [], "devices": kept})


def from_json(text: str, path: str) -> list[Macvtap]:
    """Read such a document. Raises VmnetError for one that vmnet has not written."""
    try:
        document = json.loads(text)
        return [_macvtap(**one) for one in document["devices"] if document["command"] == COMMAND]
    except (ValueError, TypeError, KeyError) as error:
        raise bad_input(
            f"{path} is not what vmnet boot install --net writes",
            "write it anew, with the devices that there are: vmnet boot install --net",
        ) from error


def _macvtap(  # noqa: PLR0913  (the keys of one device)
    *,
    name: str,
    uplink: str,
    mode: str,
    mac: str,
    mtu: int,
    uid: int,
    label: str,
    nopromisc: bool,
    sources: list[str],
    queues: int,
    txqueuelen: int,
    up: bool,
    guard: str = "",
    born_mac: str = "",
) -> Macvtap:
    if kernel_name(name) != name:
        raise ValueError(name)
    return Macvtap(
        name=name,
        uplink=uplink,
        mode=Mode(mode),
        mac=born_mac or mac,
        mtu=mtu,
        group=NET_GROUP,
        alias=Mark(uplink, uid, label, guard, born_mac).alias,
        altname="",
        nopromisc=nopromisc,
        sources=tuple(sources),
        queues=queues,
        txqueuelen=txqueuelen,
        up=up,
    )
