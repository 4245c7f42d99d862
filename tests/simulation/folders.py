"""A plan's folders and marks on the model: as host/system/plan_folders.py has them."""

import re
from collections.abc import Collection, Generator

from provisioner.errors import Exit, VmnetError
from provisioner.network import dnsmasq
from tests.simulation.world import RUN, STATE, World

Parts = Generator[str, None, None]


def is_own(world: World, path: str) -> bool:
    """Return whether a file has a mark beside it."""
    return _mark(path) in world.files


def drafted(name: str) -> str:
    """Return of which file a draft is."""
    return name.removeprefix(".").removesuffix(".part").removesuffix(".1")


def draft_of(path: str) -> str:
    """Return where a file is written before it gets its name."""
    folder, name = path.rsplit("/", 1)
    return f"{folder}/.{name}.part"


def of_draft(path: str) -> str:
    """Return the path of the file that a draft, or a mark, is of."""
    folder, name = path.rsplit("/", 1)
    return f"{folder}/{drafted(name).removesuffix('.own')}"


def may_be_litter(place: str, path: str) -> bool:
    """Return whether the mark of a file that is not there is nothing but a killed run's."""
    return place in {"seed", "disk", "boot"} or (place == "dhcp" and path.endswith(".conf"))


def own(world: World, path: str, record: str = "") -> Parts:
    """Mark a file before it is made. Raises VmnetError when one is there."""
    if is_own(world, path):
        if record:
            yield "the mark's record"
            put_record(world, path, record)
        return
    yield "the own-mark"
    if world.exists(path):
        raise VmnetError(
            f"{path} is in the way: vmnet has not made it",
            fix=f"move it away: mv {path} ELSEWHERE",
            status=Exit.CONFLICT,
        )
    world.write(_mark(path), "")
    if record:
        yield "the mark's record"
        put_record(world, path, record)


def put_record(world: World, path: str, record: str) -> None:
    """Write what stands in a mark, whole or not at all."""
    if world.is_full:
        raise VmnetError("No space left on device", fix="make room")
    world.write(_mark(path), record)


def record(world: World, path: str) -> str:
    """Return what stands in a file's mark."""
    return world.files.get(_mark(path), "")


def disown(world: World, path: str) -> None:
    """Remove the mark of a file."""
    world.unlink(_mark(path))


def is_marked(world: World, folder: str, plan: str) -> bool:
    """Return whether vmnet made a folder for this plan."""
    return world.files.get(f"{folder}/.vmnet") == plan


def make(world: World, folder: str, plan: str) -> Parts:
    """Make a plan's folder with its mark in it."""
    if is_marked(world, folder, plan):
        return
    refuse_foreign(world, folder, plan)
    draft = _draft(folder)
    if set(world.below(draft)) - {f"{draft}/.vmnet"}:
        refuse_foreign(world, draft, plan)
    yield "the folder's draft"
    world.write(f"{draft}/.vmnet", plan)
    yield "the folder"
    refuse_foreign(world, folder, plan)
    for path in world.below(draft):
        world.rename(path, folder + path.removeprefix(draft))


def refuse_foreign(world: World, folder: str, plan: str) -> None:
    """Raise VmnetError when a folder is there and not vmnet's."""
    if world.exists(folder) and not is_marked(world, folder, plan):
        raise VmnetError(
            f"{folder} is in the way: vmnet has not made it for the plan {plan}",
            fix="move it away or rename the plan",
            status=Exit.CONFLICT,
        )


def clear(world: World, plan: str, kept: Collection[str] = ()) -> Parts:
    """Remove a plan's own folder and the root of its libvirt: what is known and not kept."""
    stays = {*kept, *map(_mark, kept)}
    if kept:
        stays.add(f"{STATE}/{plan}/known_hosts")
    for folder in (f"{STATE}/{plan}", f"{RUN}/{plan}"):
        draft = _draft(folder)
        yield f"{draft} goes"
        if set(world.below(draft)) <= {f"{draft}/.vmnet"}:
            world.unlink(f"{draft}/.vmnet")
        if not is_marked(world, folder, plan):
            continue
        known = [x for x in world.below(folder) if _is_known(world, folder, x)]
        for path in sorted({*known} - stays, key=lambda x: (x.endswith(".own"), x)):
            yield f"{path} goes"
            world.unlink(path)
        if world.below(folder) == [f"{folder}/.vmnet"]:
            yield f"{folder} goes"
            if world.below(folder) == [f"{folder}/.vmnet"]:
                world.unlink(f"{folder}/.vmnet")


def _is_known(world: World, folder: str, path: str) -> bool:  # noqa: PLR0911  (one a place)
    place, _, name = path.removeprefix(f"{folder}/").rpartition("/")
    if not place:
        return name in {"known_hosts", ".known_hosts.part"}
    match place.partition("/")[0]:
        case "keys":
            return name in {"key", "key.pub"}
        case "node":
            return False  # the leftover's driver is who takes the node away with it
        case "dhcp":
            config = f"{folder}/{place}/{name.rpartition('.')[0]}.conf"
            return (
                name.endswith(".own")
                or is_own(world, path)
                or (bool(dnsmasq.network_of(config.rsplit("/", 1)[-1])) and is_own(world, config))
            )
        case "etc" | "cache" | "lib" | "log" | "run":
            return folder.startswith(RUN)
        case _:
            if name.startswith("."):
                of = f"{folder}/{place}/{drafted(name)}"
                return name.endswith(".own") or is_own(world, of)
            return is_own(world, path) or is_own(world, re.sub(r"\.1$", "", path))


def _draft(folder: str) -> str:
    above, name = folder.rsplit("/", 1)
    return f"{above}/.{name}.new"


def _mark(path: str) -> str:
    folder, name = path.rsplit("/", 1)
    return f"{folder}/.{name}.own"
