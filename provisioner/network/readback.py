"""A macvtap as it was asked for against the device that is there."""

from collections.abc import Iterator, Sequence

from provisioner.dataclass import dataclass
from provisioner.network.facts import Link
from provisioner.network.resources import Macvtap
from provisioner.text import one_line


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that the kernel has made otherwise, as text."""

    field: str
    asked: str
    there: str

    def __str__(self) -> str:
        """Return the clause that an error is made of."""
        return f"{self.field}: asked for {self.asked}, there is {self.there}"


CARRIER = "carrier"


def differences(
    tap: Macvtap, have: Link, uplink: Link | None, unset: Sequence[str] = ()
) -> tuple[Difference, ...]:
    """List what differs; `unset` is what still lets the host send through the device."""
    found = [
        Difference(name, _plain(asked), _plain(there))
        for name, asked, there in _compared(tap, have, uplink)
        if asked != there
    ]
    return (*found, *(Difference(name, "set", "not set") for name in unset))


def _compared(
    tap: Macvtap, have: Link, uplink: Link | None
) -> Iterator[tuple[str, object, object]]:
    yield "name", tap.name, have.name
    yield "kind", "macvtap", have.kind
    yield "mode", tap.mode, have.mode
    yield "nopromisc", tap.nopromisc, have.nopromisc
    yield "source list", tap.sources if tap.mode.has_source_list else (), have.sources
    yield "MTU", tap.mtu, have.mtu
    yield "group", tap.group, have.group
    yield "alias", tap.alias, have.alias
    yield "altname", tap.altname, have.altname
    yield "queues", tap.queues, have.queues
    yield "txqueuelen", tap.txqueuelen, have.txqueuelen
    yield "up", tap.up, have.up
    if not tap.mode.takes_uplink_mac:
        yield "MAC", tap.mac, have.mac
    if uplink:
        yield "uplink", tap.uplink, uplink.name
        if tap.mode.takes_uplink_mac:
            yield "MAC", uplink.mac, have.mac
        if tap.up and uplink.carrier:
            yield CARRIER, True, have.carrier


def _plain(value: object) -> str:
    match value:
        case True:
            return "yes"
        case False:
            return "no"
        case tuple():
            return " ".join(map(str, value)) or "none"
        case _:
            return one_line(str(value)) or "none"
