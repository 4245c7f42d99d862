"""The question to a LAN whether somebody has the addresses of guests already."""

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from provisioner import naming
from provisioner.commands.session import Session
from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError, refuse
from provisioner.host.probe import address_claims
from provisioner.preflight import conflicts

if TYPE_CHECKING:
    from provisioner.host.system.worker import Call
    from provisioner.plan.ip import Address
    from provisioner.plan.model import Network
    from provisioner.plan.nic_id import NicId

_ASK_S: Final = 0.8  # of asking a LAN who has an address; RFC 5227 waits for seconds, LANs take ms


@dataclass(frozen=True, slots=True)
class Asked:
    """The addresses that guests will take on one network, and the question who has them."""

    network: "Network"
    keys: "Mapping[Address, NicId]"
    pending: "Call[address_claims.Claims]"


class AddressQuestion:
    """Asks LANs who has the addresses of the VMs in `fresh`; it is asked from now on.

    `fresh` are those that will be started, get new addresses, or have been silent until now: all
    others have theirs.
    """

    def __init__(self, session: Session, fresh: Collection[str]) -> None:
        self._session = session
        self._hosted = session.hosted()
        self._asked = list(self._ask(fresh))
        self._own = conflicts.own_macs(session.snapshot.resources, session.nics, fresh)

    @property
    def keys(self) -> "frozenset[NicId]":
        """The NICs that will have the addresses."""
        return frozenset(key for asked in self._asked for key in asked.keys.values())

    @property
    def links(self) -> set[str]:
        """The macvtaps of these NICs."""
        return {naming.macvtap(self._session.target.name, *key) for key in self.keys}

    def refuse(self) -> None:
        """Wait for the answers. Raises Complaints when a machine on a LAN has an address."""
        found: list[VmnetError] = []
        for asked in self._asked:
            claims = asked.pending.result()
            if claims.unreached:
                where = f"other plans' guests on {asked.network.uplink}"
                self._session.tell(f"{where} not asked: {claims.unreached}")
            others = claims.others(dict.fromkeys(asked.keys, self._own))
            found += conflicts.owned_elsewhere(self._hosted, asked.network, others)
        refuse(found)

    def _ask(self, fresh: Collection[str]) -> Iterator[Asked]:
        nics, worker = self._session.nics, self._session.worker
        for network in self._session.target.plan.networks:
            link = self._hosted.device_of(network)
            if not network.uplink or link is None or not (link.up and link.carrier):
                continue
            static = self._hosted.static_addresses(network)
            if keys := {address: key for address, key in static.items() if key.vm in fresh}:
                wanted = {address: nics[key].mac for address, key in keys.items()}
                call = worker.call(address_claims.claims, link.name, wanted, _ASK_S)
                yield Asked(network, keys, call)
