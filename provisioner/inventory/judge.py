"""Whether a plan lives, or what it has on the host is nobody's any more."""

from collections.abc import Iterator, Sequence

from provisioner.dataclass import dataclass
from provisioner.image.listing import size
from provisioner.inventory.found import FoundPlan, Inventory, Thing
from provisioner.inventory.times import span
from provisioner.network.facts import STOPPED


@dataclass(frozen=True, slots=True)
class GcWish:
    """What is to be taken away."""

    only_expired: bool = False
    older_than_s: int = 0  # by the age of its creation
    disks: bool = False  # with what guests have written
    plans: tuple[str, ...] = ()  # of these only; of all without a name


@dataclass(frozen=True, slots=True)
class PlanVerdict:
    """What is to become of a plan, and why."""

    plan: FoundPlan
    is_garbage: bool
    why: str

    @property
    def things(self) -> tuple[Thing, ...]:
        """What goes: all that is the plan's, its disks when they are not kept."""
        disks = (Thing("disk", disk.path) for disk in self.plan.disks)
        return (*self.plan.things, *disks)


def verdicts(inventory: Inventory, now: int, wish: GcWish) -> list[PlanVerdict]:
    """Judge all plans that are asked for."""
    asked = [x for x in inventory.plans if not wish.plans or x.name in wish.plans]
    return [verdict(plan, now, wish) for plan in asked]


def verdict(plan: FoundPlan, now: int, wish: GcWish) -> PlanVerdict:
    """Judge one plan: what speaks for its life comes before all that speaks against it.

    A plan whose time is over is nobody's, even if it runs. Else one that runs lives, as does one
    that a command works on, one whose time is not over, and one that keeps what a guest has
    written.
    """
    is_over = 0 < plan.until <= now
    if why := next(_why_left(plan, now, wish, is_over=is_over), ""):
        return PlanVerdict(plan, is_garbage=False, why=why)
    if is_over:
        return PlanVerdict(plan, True, f"its time was over {span(now - plan.until)} ago")  # noqa: FBT003
    return PlanVerdict(plan, True, "no VM of it runs, and nobody works on it")  # noqa: FBT003


def _why_left(plan: FoundPlan, now: int, wish: GcWish, *, is_over: bool) -> Iterator[str]:
    if plan.holder:
        yield f"{plan.holder} works on it"
    if plan.is_others:
        yield "it is another user's"
    if plan.is_elsewhere:
        yield plan.notes[-1] if plan.notes else "it runs in another namespace"
    if not is_over:
        yield from _why_alive(plan, now, wish)
    if not is_over or _has_nothing_else(plan):
        yield from _why_kept(plan, wish)
    if wish.older_than_s:
        yield from _why_young(plan, now, wish)


def _why_alive(plan: FoundPlan, now: int, wish: GcWish) -> Iterator[str]:
    alive = [vm.name for vm in plan.vms if vm.lives]
    if alive:
        yield f"{_named(alive)} of it {'runs' if len(alive) == 1 else 'run'}"
    if stopped := [vm.name for vm in plan.vms if vm.state == STOPPED]:
        yield f"{_named(stopped)} of it was stopped, to be started again"
    if plan.until:
        yield f"its time is over in {span(plan.until - now)} only"
    if plan.is_booted:
        yield "it comes up when this host is started"
    if wish.only_expired:
        yield "it has no expiry"


def _why_kept(plan: FoundPlan, wish: GcWish) -> Iterator[str]:
    kept = [disk for disk in plan.disks if disk.keep]
    if kept and not wish.disks:
        taken = size(sum(disk.size for disk in kept))
        count = "a disk" if len(kept) == 1 else f"{len(kept)} disks"
        yield f"it keeps {count} ({taken}), which only --disks takes"
    if plan.snapshots and not (kept and wish.disks):
        yield f"it keeps snapshots ({', '.join(plan.snapshots)}): vmnet snapshot rm removes them"


def _why_young(plan: FoundPlan, now: int, wish: GcWish) -> Iterator[str]:
    if not plan.made:
        yield "how old it is does not show"
    if now - plan.made < wish.older_than_s:
        yield f"it is {span(now - plan.made)} old only"


def _has_nothing_else(plan: FoundPlan) -> bool:
    """Return whether a plan has its folder and kept disks only: it is down."""
    return all(thing.kind == "folder" for thing in plan.things) and all(x.keep for x in plan.disks)


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")  # noqa: PLR2004
