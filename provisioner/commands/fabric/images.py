"""Images go to the hosts that lack them, from this machine or from hosts that have them.

So each is fetched once: where neither this machine nor any host has it, by one of the hosts.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from provisioner.commands import image_pull
from provisioner.commands.image import stored
from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.fabric.facts import HostFacts, Silent
from provisioner.fabric.parts.part import part_of
from provisioner.fabric.placing import listed
from provisioner.fabric.remote.answers import Request
from provisioner.fabric.remote.shell import HostShell
from provisioner.guest.domain import MICRO
from provisioner.host.fabric import relay
from provisioner.host.fabric.relay import ImageHost
from provisioner.host.image.store import StoredImage
from provisioner.image import source as sources
from provisioner.image.digest import Digest
from provisioner.image.record import Stored
from provisioner.network.facts import Chosen
from provisioner.plan.vm_scalars import NO_IMAGE
from provisioner.text import one_line

if TYPE_CHECKING:
    from provisioner.commands.fabric.fleet import FleetSession
    from provisioner.fabric.parts.part import HostPart
    from provisioner.plan.vm import Vm

_MIB: Final = 1 << 20
_PULL: Final = ("image", "pull", "--file", "-")


@dataclass(frozen=True, slots=True)
class WantedImage:
    """An image by its name in stores: who wants it, and who has it.

    `vm` is one that boots from it, `pin` what the plan says of its digest. `kept` is that of this
    machine; `holders` are hosts that have one of this name, with the SHA-256 of each.
    """

    name: str
    vm: str
    pin: Digest | None
    hosts: tuple[str, ...]
    kept: StoredImage | None
    holders: Mapping[str, str]

    @property
    def lacking(self) -> list[str]:
        """The hosts that want it and have none."""
        return [host for host in self.hosts if host not in self.holders]

    @property
    def is_nowhere(self) -> bool:
        """Whether it has to be fetched for several hosts."""
        return not (self.kept or self.holders) and len(self.lacking) > 1

    @property
    def can_pass(self) -> bool:
        """Whether a host can get it from another machine."""
        return self.is_nowhere or bool(self.lacking and (self.kept or self.holders))

    def is_meant(self, digest: str) -> bool:
        """Return whether the plan does not say that its SHA-256 is another one."""
        return self.pin is None or self.pin == Digest("sha256", digest)


def passed(session: "FleetSession", parts: "Mapping[str, HostPart]") -> dict[str, Chosen]:
    """Give each host the images that its VMs want and it lacks; return what has gone where.

    An image that does not arrive is fetched by the host itself.
    """
    run, found = session.run, dict[str, Chosen]()
    every = list(_wanted(session, parts))
    for one in every:
        _tell_of_others(session, one)
    can_pass = [one for one in every if one.can_pass]
    if not (can_pass and run.shells):
        return found
    shells = run.shells(session.answering)
    fetched = _fetched(session, [one for one in can_pass if one.is_nowhere])
    for one in can_pass:
        at = fetched.get(one.name)
        try:
            found |= _given(session, one, shells, at)
        except VmnetError as error:
            run.tell(f"warning: {error.what}; each host fetches the image {one.name} by itself")
    return found


def _given(
    session: "FleetSession", one: WantedImage, shells: Mapping[str, HostShell], fetched: str | None
) -> dict[str, Chosen]:
    """Pass an image on to those who lack it, from one of those who have it after the other.

    Raises VmnetError when nobody hands it out.
    """
    run, found = session.run, dict[str, Chosen]()
    record, sources = _origin(one, shells, fetched)
    digest = f"sha256:{record.digest}"
    if fetched:
        found[f"image {one.name} on {fetched}"] = Chosen(digest, "it was fetched there for all")
    targets = {h: shells[h] for h in one.lacking if h in shells and h != fetched}
    for source in sources if targets else ():
        here = isinstance(source, StoredImage)
        at = "here" if isinstance(source, StoredImage) else source.host
        size = f"{record.size / _MIB:,.1f} MiB"
        run.tell(f"image {one.name} goes from {at} to {listed(targets)}: {size}")
        refused = relay.passed(record, source, targets)
        why = f"it came from {'the controller' if here else at}"
        for host in targets.keys() - refused.keys():
            found[f"image {one.name} on {host}"] = Chosen(digest, why)
        for host, error in refused.items():
            run.tell(f"warning: {host}: {error.what}")
        targets = {host: targets[host] for host in refused}
        if not targets:
            break
    for host in targets:
        run.tell(f"{host} fetches image {one.name} by itself")
    return found


def _origin(
    one: WantedImage, shells: Mapping[str, HostShell], fetched: str | None
) -> tuple[Stored, list[StoredImage | ImageHost]]:
    """Return what is passed on, and those who have it; of several contents the one of the most.

    Raises VmnetError when a host does not hand out what it has said that it has.
    """
    if one.kept:
        same = [h for h, digest in one.holders.items() if digest == one.kept.record.digest]
        return one.kept.record, [one.kept, *(ImageHost(h, shells[h]) for h in same if h in shells)]
    usual = _usual(one)
    hosts = [fetched] if fetched else [h for h, digest in one.holders.items() if digest == usual]
    sources = [ImageHost(host, shells[host]) for host in hosts if host in shells]
    if not sources:
        raise VmnetError(f"no host that has the image {one.name} is reached by ssh alone")
    record = relay.record(sources[0], one.name)
    if record.digest != (usual or record.digest) or not one.is_meant(record.digest):
        raise VmnetError(f"{hosts[0]} has another image {one.name} than is wanted")
    return record, [*sources]


def _usual(one: WantedImage) -> str:
    """Return the digest that most hosts have, "" where none has any."""
    most = Counter(one.holders.values()).most_common(1)
    return most[0][0] if most else ""


def _fetched(session: "FleetSession", nowhere: Collection[WantedImage]) -> dict[str, str]:
    """Let hosts fetch images that nobody has, each one host, all at once; return which did which.

    They do it as for a plan of their own, so that what a plan may name is the same.
    """
    target, run = session.target, session.run
    found: dict[str, str] = {}
    for one in nowhere:
        found[one.name] = min(one.lacking, key=[*found.values()].count)
        run.tell(f"image {one.name} is fetched by {found[one.name]}")
    calls = {}
    for host in dict.fromkeys(found.values()):
        homes = {one.vm: host for one in nowhere if found[one.name] == host}
        part = part_of(target.plan, target.positions, host, homes, session.nics)
        calls[host] = Request(_PULL, part.text)
    for host, answer in run.ask(calls).items() if calls else ():
        if isinstance(answer, Silent) or answer.status:
            said = answer.why if isinstance(answer, Silent) else answer.stderr.partition("\n")[0]
            run.tell(f"warning: {host}: {one_line(said)}")
    return found


def _wanted(session: "FleetSession", parts: "Mapping[str, HostPart]") -> "Iterator[WantedImage]":
    """Return the images that hosts have to have for the VMs that are meant."""
    only = session.run.only
    homes = {vm: host for host, part in parts.items() for vm in part.vms if not only or vm in only}
    there = {
        host: {image.name: image.digest for image in said.images}
        for host, said in session.fleet.items()
        if isinstance(said, HostFacts)
    }
    first: dict[str, Vm] = {}
    hosts: dict[str, dict[str, None]] = {}
    for vm in session.target.plan.vms:
        if vm.name in homes and vm.image not in {MICRO, NO_IMAGE}:
            name = image_pull.name_in_store(vm.image, vm.digest or "")
            first.setdefault(name, vm)
            hosts.setdefault(name, {})[homes[vm.name]] = None
    for name, vm in first.items():
        pin = sources.parse(vm.image, vm.digest or None).digest
        holders = {host: names[name] for host, names in there.items() if name in names}
        yield WantedImage(name, vm.name, pin, tuple(hosts[name]), _kept(session, name), holders)


def _tell_of_others(session: "FleetSession", one: WantedImage) -> None:
    """Tell which hosts keep another image of that name than this machine or most hosts have."""
    usual = one.kept.record.digest if one.kept else _usual(one)
    than = "this machine" if one.kept else "other hosts"
    for host in one.hosts:
        if (digest := one.holders.get(host, usual)) != usual:
            session.run.tell(
                f"warning: {host} has another image {one.name} than {than}, and keeps it: "
                f"sha256:{digest}"
            )


def _kept(session: "FleetSession", name: str) -> StoredImage | None:
    try:
        return stored(name)
    except VmnetError as error:
        session.run.tell(f"warning: {error.what}")
        return None
