"""All kinds of resources together, and what is read from a host at one moment."""

from dataclasses import dataclass, field, replace

from provisioner import naming
from provisioner.guest.domain import Domain, GuestResource
from provisioner.network.facts import Facts, Link, Route
from provisioner.network.nft_ruleset import Listing
from provisioner.network.resources import NetworkResource
from provisioner.resource import Resources

AnyResource = NetworkResource | GuestResource
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
        """The links that bear all marks of the plan; the alias is told without its expiry.

        An alias is missing only when vmnet was killed between two messages of one call.
        """
        return tuple(
            replace(x, alias=naming.alias_and_expiry(x.alias)[0])
            for x in self.links
            if x.group == naming.group(self.plan)
            and naming.are_ours(x.name, x.kind)
            and (not x.alias or x.alias.startswith(f"vmnet:{self.plan}/"))
        )

    def name_of(self, index: int) -> str:
        """Return the name of the link with an ifindex, "" when there is none."""
        return next((x.name for x in self.links if x.index == index), "")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The host at one moment: what vmnet made there for the plan, and the rest as facts."""

    facts: Facts
    resources: Resources
