"""All kinds of resources together, and what is read from a host at one moment."""

from dataclasses import field, replace

from provisioner import naming
from provisioner.dataclass import dataclass
from provisioner.guest.domain import Domain, GuestResource
from provisioner.guest.hosts_block import HostsBlock
from provisioner.network.facts import Facts, Link, Route
from provisioner.network.nft_ruleset import Listing
from provisioner.network.resources import NetworkResource
from provisioner.resource import Resources

AnyResource = NetworkResource | GuestResource | HostsBlock
"""Every kind; host/drivers.py has a driver for each."""


@dataclass(frozen=True, slots=True)
class Look:
    """What drivers find a plan's resources in: one reading of the host for all of them."""

    plan: str
    links: tuple[Link, ...] = ()
    routes: tuple[Route, ...] = ()
    tables: Listing = field(default_factory=Listing)
    domains: tuple[Domain, ...] = ()
    has_home: bool = True  # the folder of the plan's files is there, and vmnet's

    @property
    def ours(self) -> tuple[Link, ...]:
        """The links that bear all marks of the plan; a macvtap is proved without its name too.

        Their aliases are told without their expiry.

        An alias is missing only when vmnet was killed between two messages of one call.
        """
        return tuple(
            replace(x, alias=naming.alias_and_expiry(x.alias)[0])
            for x in self.links
            if x.group == naming.group(self.plan)
            and (
                (
                    naming.are_ours(x.name, x.kind)
                    and (not x.alias or x.alias.startswith(f"vmnet:{self.plan}/"))
                )
                or self._is_renamed(x)
            )
        )

    def _is_renamed(self, link: Link) -> bool:
        prefix, _, number = naming.alias_and_expiry(link.alias)[0].rpartition("/")
        vm = prefix.removeprefix(f"vmnet:{self.plan}/")
        return (
            link.kind == naming.KINDS[naming.TAP]
            and vm != prefix
            and number.isdecimal()
            and link.altname == naming.altname(self.plan, vm, int(number))
        )

    def name_of(self, index: int) -> str:
        """Return the name of the link with an ifindex, "" when there is none."""
        return next((x.name for x in self.links if x.index == index), "")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The host at one moment: what vmnet made there for the plan, and the rest as facts."""

    facts: Facts
    resources: Resources
