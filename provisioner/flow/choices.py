"""What vmnet chooses by itself for new guests: their image and their accelerator."""

from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.core.facts import Chosen, Image
from provisioner.host import accel, micro, places

if TYPE_CHECKING:
    from collections.abc import Callable

    from provisioner.core.model import Plan

NOT_BUILT = Image("/not-built-yet/vmlinux", "/not-built-yet/initrd", "", 0)


def image(tell: "Callable[[str], None] | None") -> Image:
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


def accelerator(plan: "Plan", kernel: str) -> Chosen:
    """Give the accelerator of new guests, by a test boot where the plan leaves it open.

    Raises VmnetError when the plan wants KVM and it does not work.
    """
    if kernel == NOT_BUILT.kernel:
        return Chosen(str(plan.accel), "found out when the image has been built")
    return accel.choose(str(plan.accel), Path(kernel), places.cache())
