"""Images that this machine has go to the hosts that lack them, so that they are fetched once."""

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from provisioner.commands import image_pull
from provisioner.commands.image import stored
from provisioner.errors import VmnetError
from provisioner.fabric.facts import HostFacts
from provisioner.guest.domain import MICRO
from provisioner.network.facts import Chosen
from provisioner.plan.vm_scalars import NO_IMAGE

if TYPE_CHECKING:
    from provisioner.commands.fabric.fleet import FleetSession
    from provisioner.fabric.parts.part import HostPart
    from provisioner.host.image.store import StoredImage

_MIB: Final = 1 << 20


def passed(session: "FleetSession", parts: "Mapping[str, HostPart]") -> dict[str, Chosen]:
    """Give each host the images that its VMs want and it lacks; return what has gone where.

    An image that this machine does not have, and one that does not arrive, is fetched by the host
    itself, as ever.
    """
    run, found = session.run, dict[str, Chosen]()
    for host, part in parts.items() if run.pass_image else ():
        vms = frozenset(part.vms) & run.only if run.only else part.vms
        for image in _lacking(session, host, vms):
            name, size = image.record.name, image.record.size
            run.tell(f"image {name} goes from here to {host}: {size / _MIB:,.1f} MiB")
            try:
                assert run.pass_image  # noqa: S101  (mypy)
                run.pass_image(host, image)
            except VmnetError as error:
                run.tell(f"warning: {host}: {error.what}; {host} fetches it by itself")
                continue
            digest = f"sha256:{image.record.digest}"
            found[f"image {name} on {host}"] = Chosen(digest, "it came from the controller")
    return found


def _lacking(session: "FleetSession", host: str, vms: Collection[str]) -> "Iterator[StoredImage]":
    """Return the images of this machine that a host has not, for these VMs."""
    facts = session.fleet[host]
    there = {x.name: x.digest for x in facts.images} if isinstance(facts, HostFacts) else {}
    for name in dict.fromkeys(_names(session, vms)):
        kept = _kept(session, name)
        if kept and name not in there:
            yield kept
        elif kept and there[name] != kept.record.digest:
            session.run.tell(
                f"warning: {host} has another image {name} than this machine, and keeps it: "
                f"sha256:{there[name]}"
            )


def _names(session: "FleetSession", vms: Collection[str]) -> Iterator[str]:
    for vm in session.target.plan.vms:
        if vm.name in vms and vm.image not in {MICRO, NO_IMAGE}:
            yield image_pull.name_in_store(vm.image, vm.digest or "")


def _kept(session: "FleetSession", name: str) -> "StoredImage | None":
    try:
        return stored(name)
    except VmnetError as error:
        session.run.tell(f"warning: {error.what}")
        return None
