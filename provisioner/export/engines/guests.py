"""A VM as an engine gets it: what it boots, its memory, and what its cloud-init is told."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Final

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError, bad_input
from provisioner.guest import cloudinit
from provisioner.guest.network_config import network_config
from provisioner.guest.qemu.memory import USUAL_MIB
from provisioner.image import catalogue, source
from provisioner.plan.nic_id import numbered
from provisioner.plan.scalars import quoted
from provisioner.plan.vm_scalars import AUTO_KEYS
from provisioner.text import hides, one_line

if TYPE_CHECKING:
    from provisioner.guest.userdata import Texts
    from provisioner.network.addressing import NicConfig, Nics
    from provisioner.plan.load.positions import Places
    from provisioner.plan.model import Plan
    from provisioner.plan.vm import Vm

_MOST_REFERENCE: Final = 255
_CLOUD_MIB: Final = 512
"""The memory of a guest whose image says nothing of it: enough for a cloud image."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What a VM boots: an image of the engine's own that the caller named, or an address.

    `firmware` is "" where only the image knows it, `user` is the image's own user, if known.
    """

    reference: str = ""
    url: str = ""
    firmware: str = ""
    user: str | None = None
    memory_mib: int = _CLOUD_MIB


@dataclass(frozen=True, slots=True)
class Guest:
    """One VM, with all that its engine is told."""

    vm: "Vm"
    picture: Picture
    nics: "tuple[NicConfig, ...]"
    user_data: str = field(repr=False)

    @property
    def network_config(self) -> str:
        """The addresses of its NICs, by their MACs, as cloud-init reads them."""
        return network_config(self.nics)

    @property
    def memory_mib(self) -> int:
        """Its memory: the plan's, else what the image asks for."""
        return self.vm.memory_mib or max(USUAL_MIB, self.picture.memory_mib)


def references(given: Iterable[str]) -> dict[str, str]:
    """Parse IMAGE=REFERENCE: which image of the engine's stands for an image of the plan.

    Raises VmnetError for another form.
    """
    found = {}
    for text in given:
        image, _, reference = text.partition("=")
        unfit = any(hides(one) or one.isspace() for one in reference)
        if not (image and reference) or unfit or len(reference) > _MOST_REFERENCE:
            raise bad_input(
                f"--image {quoted(text)} names no image for an image of the plan",
                "write IMAGE=REFERENCE, as in --image debian-12=images:debian/12/cloud",
            )
        found[image] = reference
    return found


def pictures(
    plan: "Plan", places: "Places", named: Mapping[str, str], *, by_address: bool
) -> tuple[dict[str, Picture], list[VmnetError]]:
    """Return what each VM boots, and complaints about images that the engine cannot get.

    `named` are the engine's own images by the plan's; `by_address` is whether it fetches what the
    catalogue or the plan has an address of.
    """
    found, errors = {}, [*_unused(plan, named)]
    for vm in plan.vms:
        try:
            found[vm.name] = _picture(vm, named.get(vm.image, ""), by_address=by_address)
        except VmnetError as error:
            errors.append(error.at(places.where("vms", vm.name, "image")))
    return found, errors


def guests(
    plan: "Plan", nics: "Nics", shown: Mapping[str, Picture], texts: "Texts", keys: tuple[str, ...]
) -> list[Guest]:
    """Return the guests of a plan; `keys` are what `ssh_keys: auto` stands for."""
    made = []
    for vm in plan.vms:
        picture = shown[vm.name]
        # Not micro's reader, but cloud-init reads it: whatever is booted there, micro it is not.
        booted = vm.model_copy(update={"image": picture.reference or vm.image})
        told = cloudinit.user_data(cloudinit.with_keys(booted, keys), picture.user, texts)
        own = tuple(nics[key] for key, _ in numbered(vm.name, vm.nics))
        made.append(Guest(vm, picture, own, told))
    return made


def keyless(plan: "Plan", places: "Places") -> Iterator[VmnetError]:
    """Return the VMs that nobody could log in to: they want the keys of a caller who has none."""
    for vm in plan.vms:
        if vm.ssh_keys == (AUTO_KEYS,) and not (vm.password or vm.password_hash or vm.cloud_init):
            yield bad_input(
                f"VM {vm.name} takes the ssh keys of whoever runs vmnet, who has none",
                "make one with ssh-keygen, or write ssh_keys: none",
            ).at(places.where("vms", vm.name, "ssh_keys"))


def _unused(plan: "Plan", named: Mapping[str, str]) -> Iterator[VmnetError]:
    images = {vm.image for vm in plan.vms}
    for image in named:
        if image not in images:
            yield bad_input(
                f"--image {one_line(image, 80)}: no VM of the plan has that image",
                f"images of this plan: {', '.join(sorted(map(source.shown, images)))}",
            )


def _picture(vm: "Vm", reference: str, *, by_address: bool) -> Picture:
    found = source.parse(vm.image)
    entry = catalogue.find(found.name) if isinstance(found, source.Named) else None
    memory = entry.min_memory_mib if entry else _CLOUD_MIB
    if reference:
        return Picture(reference, memory_mib=memory)
    name = source.shown(vm.image)
    wish = f"name one that it has: --image {name}=REFERENCE"
    if not by_address:
        raise bad_input(f"nobody says which image of the engine's stands for {name}", wish)
    if found.digest:
        raise bad_input(
            f"the image {name} is proved by a digest, which the engine never asks", wish
        )
    if entry:
        firmware = str(vm.boot or entry.boot[0])
        return Picture("", str(entry.urls[0]), firmware, entry.user, memory)
    if not isinstance(found, source.Remote):
        raise bad_input(f"the image {name} is on this host alone", wish)
    url = found.urls[0]
    if url.secret != str(url):
        raise bad_input(f"the address of the image {name} has a password or a query", wish)
    return Picture("", url.secret, str(vm.boot or ""), None, memory)
