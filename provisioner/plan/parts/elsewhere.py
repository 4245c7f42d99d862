"""NICs of guests that another host runs: what has to be known of them to promise who meets them."""

from collections.abc import Iterable

from provisioner.dataclass import dataclass
from provisioner.plan import scalars
from provisioner.plan.choices import LinkState, Mode
from provisioner.plan.ip import Address, address
from provisioner.plan.scalars import BadValue, many, meant, quoted
from provisioner.plan.types import macvtap_mode

KEYS = ("network", "address", "mode", "mac", "allow", "isolate", "link")


@dataclass(frozen=True, slots=True)
class RemoteNic:
    """A NIC of a guest on another host; `allow` has the MACs that mode source receives from.

    `isolate` is whose frames it never gets, as the plan says it for its host.
    """

    network: str
    addresses: tuple[Address, ...]
    mode: Mode = Mode.BRIDGE
    mac: str = ""
    allow: tuple[str, ...] = ()
    link: LinkState = LinkState.UP
    isolate: tuple[str, ...] = ()

    def hears(self, mac: str) -> bool:
        """Return whether it receives what has the MAC of another guest as its source."""
        listed = not self.mode.has_source_list or mac in self.allow
        return listed and not {scalars.ISOLATE_PLAN, mac} & {*self.isolate}


def remote_nics(name: str, value: object) -> tuple[RemoteNic, ...]:
    """Parse the NICs of a machine that is a guest of another host. Raises BadValue."""
    given = many(value)
    if not given:
        raise BadValue(
            f"host {quoted(name)} has no NIC among its nics",
            "write nics: [{network: lan, address: 10.0.0.5}], or leave nics out",
        )
    return tuple(_nic(name, one) for one in given)


def _nic(name: str, given: object) -> RemoteNic:
    if not isinstance(given, dict) or not {"network", "address"} <= given.keys():
        raise BadValue(
            f"a NIC of host {quoted(name)} says no network and address",
            "write nics: [{network: lan, address: 10.0.0.5}]",
        )
    for key in given:
        if key not in KEYS:
            raise BadValue(
                f"unknown key {quoted(key)} in nics of host {quoted(name)}",
                f"{meant(str(key), KEYS)}known keys: {', '.join(KEYS)}",
            )
    return RemoteNic(
        scalars.network_name(given["network"]),
        _addresses(many(given["address"])),
        Mode(macvtap_mode(given.get("mode", Mode.BRIDGE))),
        scalars.mac(given["mac"]) if "mac" in given else "",
        tuple(scalars.mac(one) for one in many(given.get("allow", ()))),
        LinkState(scalars.one_of(given.get("link", "up"), LinkState, "a state of a link")),
        tuple(scalars.isolated(one) for one in many(given.get("isolate", ()))),
    )


def _addresses(given: Iterable[object]) -> tuple[Address, ...]:
    return tuple(address(one) for one in given)
