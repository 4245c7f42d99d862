"""What vmnet chooses by itself for new guests: their image and their accelerator."""

from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.core.facts import Chosen
from provisioner.core.guestvalues import NO_IMAGE
from provisioner.core.resources import MICRO, Image
from provisioner.errors import VmnetError
from provisioner.host import accel, micro, places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from provisioner.core.model import Plan
    from provisioner.core.resources import Domain

_HOSTS = Path("/boot")

NOT_BUILT = Image("/not-built-yet/vmlinux", "/not-built-yet/initrd")


def images(
    plan: "Plan", kept: "Mapping[str, Domain]", tell: "Callable[[str], None] | None"
) -> dict[str, Image]:
    """Give the image of each VM that does not run the one it wants already.

    With `tell` what is missing is built or fetched, and that is told; without, it is left out.
    Raises VmnetError when there is no such image.
    """
    found: dict[str, Image] = {}
    by_name: dict[str, Image] = {}
    for vm in plan.vms:
        old = kept.get(vm.name)
        if old and old.image.name == vm.image:
            continue
        if vm.image not in by_name:
            by_name[vm.image] = _image(vm.image, tell)
        found[vm.name] = by_name[vm.image]
    return found


def _image(name: str, tell: "Callable[[str], None] | None") -> Image:
    if name == NO_IMAGE:
        return Image(name=NO_IMAGE, cmdline="console=ttyS0", agent=False)
    if name != MICRO:
        raise VmnetError(f'there is no image "{name}"', fix="see: vmnet image ls")
    return micro_image(tell)


def micro_image(tell: "Callable[[str], None] | None") -> Image:
    """Give the micro image; build it, telling how it goes, or do without when `tell` is None.

    Raises VmnetError when it cannot be built.
    """
    found = micro.find(places.cache()) or micro.find(places.shared_cache())
    if not found:
        if not tell:
            return NOT_BUILT
        tell("building the micro image: there is none for this version yet")
        found = micro.build(places.cache(), tell)
    return Image(str(found.kernel), str(found.initrd), found.cmdline, found.min_memory_mib)


def accelerator(plan: "Plan", chosen: "Iterable[Image]") -> Chosen:
    """Give the accelerator of new guests, by a test boot where the plan leaves it open.

    Raises VmnetError when the plan wants KVM and it does not work.
    """
    if plan.accel == "tcg":
        return Chosen("tcg", "the plan says so")
    booted = [image.kernel for image in chosen if image.kernel]
    if NOT_BUILT.kernel in booted:
        return Chosen(str(plan.accel), "found out when the image has been built")
    built = micro.find(places.cache()) or micro.find(places.shared_cache())
    kernels = [*map(Path, booted), *([built.kernel] if built else []), *_HOSTS.glob("vmlinuz-*")]
    return accel.choose(str(plan.accel), kernels[0] if kernels else None, places.cache())
