"""Runs steps side by side, each after those it needs. Decides nothing."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from provisioner.core.diff import Step, StepId
from provisioner.errors import VmnetError


@dataclass(slots=True)
class Outcome:
    """What became of each step; a step whose need failed is skipped, never tried."""

    done: list[Step] = field(default_factory=list)
    failed: list[tuple[Step, VmnetError]] = field(default_factory=list)
    skipped: list[Step] = field(default_factory=list)


def execute(
    steps: Iterable[Step],
    perform: Callable[[Step], None],
    tell: Callable[[Step, VmnetError | None], None] = lambda _step, _error: None,
    jobs: int = 16,
) -> Outcome:
    """Call `perform` on every step, in parallel where `after` allows; `tell` of each end."""
    from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
    from graphlib import TopologicalSorter

    by_id = {s.id: s for s in steps}
    order = TopologicalSorter({i: s.after & by_id.keys() for i, s in by_id.items()})
    order.prepare()
    outcome = Outcome()
    broken: set[StepId] = set()
    running: dict[Future[None], Step] = {}
    with ThreadPoolExecutor(jobs) as pool:
        while order.is_active():
            for i in order.get_ready():
                step = by_id[i]
                if step.after & broken:
                    outcome.skipped.append(step)
                    broken.add(i)
                    order.done(i)
                else:
                    running[pool.submit(perform, step)] = step
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                step = running.pop(future)
                error = future.exception()
                if error is None:
                    outcome.done.append(step)
                elif isinstance(error, VmnetError):
                    outcome.failed.append((step, error))
                    broken.add(step.id)
                else:
                    raise error
                tell(step, error)
                order.done(step.id)
    return outcome
