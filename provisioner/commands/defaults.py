"""The defaults for new guests: their image, their accelerator, and whose ssh keys they take."""

from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.errors import VmnetError, refuse
from provisioner.guest.domain import MICRO, Image
from provisioner.host.guest import login_keys
from provisioner.host.guest.login_keys import LoginKeys
from provisioner.host.image import micro
from provisioner.host.libvirt import accelerator as accel
from provisioner.host.system import paths, plan_files, plan_folders
from provisioner.image import source
from provisioner.network.facts import Chosen
from provisioner.plan.vm_scalars import AUTO_KEYS, NO_IMAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from provisioner.commands.target import PlanTarget
    from provisioner.guest.domain import Domain
    from provisioner.inventory.plan_mark import PlanMark
    from provisioner.plan.model import Plan

_HOSTS = Path("/boot")

NOT_BUILT = Image("/not-built-yet/vmlinux", "/not-built-yet/initrd")


def images(
    target: "PlanTarget",
    kept: "Mapping[str, Domain]",
    tell: "Callable[[str], None] | None",
    only: "Collection[str] | None" = None,
) -> dict[str, Image]:
    """Return the image of each VM, or of `only` these, that does not run the one it wants.

    With `tell` what is missing is built or fetched, and reported; without, what is not known
    of it is left out. Raises Complaints, each at its place, about images that cannot be had.
    """
    wanted: dict[tuple[str, str], list[str]] = {}
    for vm in target.plan.vms:
        if only is not None and vm.name not in only:
            continue
        old = kept.get(vm.name)
        if not old or old.image.name != source.shown(vm.image):
            wanted.setdefault((vm.image, vm.digest or ""), []).append(vm.name)
    found: dict[str, Image] = {}
    errors: list[VmnetError] = []
    for (image, digest), vms in wanted.items():
        try:
            found |= dict.fromkeys(vms, _image(target.fence, image, digest, tell))
        except VmnetError as error:
            # VMs that `count` makes have one place.
            places = dict.fromkeys(target.positions.where("vms", vm, "image") for vm in vms)
            errors += [error.at(place) for place in places]
    refuse(errors)
    return found


def _image(
    fence: plan_files.Fence, name: str, digest: str, tell: "Callable[[str], None] | None"
) -> Image:
    if name == NO_IMAGE:
        return Image(name=NO_IMAGE, cmdline="console=ttyS0", agent=False)
    if name == MICRO:
        return micro_image(tell)
    from provisioner.commands import image_pull

    return image_pull.image(fence, name, digest, tell)


def micro_image(tell: "Callable[[str], None] | None") -> Image:
    """Return the micro image; build it and report progress, or do without when `tell` is None.

    Raises VmnetError when it cannot be built.
    """
    found = micro.installed()
    if not found:
        if not tell:
            return NOT_BUILT
        tell("building the micro image: there is none for this version yet")
        found = micro.build(paths.cache(), tell)
    return Image(found.kernel, found.initrd, found.cmdline, found.min_memory_mib)


def keys(target: "PlanTarget") -> LoginKeys | None:
    """Return what `ssh_keys: auto` stands for; None where no VM of the plan says so.

    Nothing is touched: a key that is to be made has no body yet.
    """
    return login_keys.expected(paths.home(target.name)) if _wants_keys(target) else None


def keep_keys(target: "PlanTarget", mark: "PlanMark") -> bool:
    """Keep what `ssh_keys: auto` stands for in the plan's folder, which is marked with `mark`.

    Returns whether it was chosen just now. Raises VmnetError when it cannot be kept.
    """
    home = paths.home(target.name)
    if not _wants_keys(target) or login_keys.kept(home):
        return False
    plan_folders.make(home, target.name, mark)
    login_keys.chosen(home)
    return True


def _wants_keys(target: "PlanTarget") -> bool:
    return any(AUTO_KEYS in vm.ssh_keys and not vm.ignition for vm in target.plan.vms)


def accelerator(plan: "Plan", chosen: "Iterable[Image]") -> Chosen:
    """Return the accelerator of new guests, by a test boot where the plan leaves it open.

    Raises VmnetError when the plan wants KVM and it does not work.
    """
    if plan.accel == "tcg":
        return Chosen("tcg", "the plan says so")
    booted = [image.kernel for image in chosen if image.kernel]
    if NOT_BUILT.kernel in booted:
        return Chosen(str(plan.accel), "found out when the image has been built")
    built = micro.installed()
    kernels = [
        *map(Path, booted),
        *([Path(built.kernel)] if built else []),
        *_HOSTS.glob("vmlinuz-*"),
    ]
    return accel.choose(str(plan.accel), kernels[0] if kernels else None, paths.cache())
