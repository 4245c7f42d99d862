"""How much memory a guest takes of its host, in MiB."""

from typing import TYPE_CHECKING, Final

from provisioner.guest.domain import MICRO
from provisioner.image.traits import ImageTraits
from provisioner.plan.vm_scalars import NO_IMAGE

if TYPE_CHECKING:
    from provisioner.plan.vm import Vm

USUAL_MIB: Final = 128
"""What a guest has whose plan says nothing of it, where its image wants no more."""

QEMU_MIB: Final = 64
"""Of a QEMU besides its guest's memory: its code and heap (40 to 60 MiB under TCG, measured with
the buffer of translated code as far as a small guest fills it)."""


def wanted_mib(vm: "Vm") -> int:
    """Return what a VM is going to take with its QEMU, as far as that is known without its image.

    An image that is not in the catalogue may want more than others do.
    """
    return QEMU_MIB + (vm.memory_mib or max(USUAL_MIB, _least_mib(vm.image)))


def _least_mib(image: str) -> int:
    if image in {MICRO, NO_IMAGE}:
        return 0
    from provisioner.image import catalogue

    known = catalogue.find(image)
    return known.min_memory_mib if known else ImageTraits().min_memory_mib
