"""Runs steps side by side, each after those it needs. Decides nothing."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import field

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.reconcile.diff import Step, StepId
from provisioner.signals import deferred


@dataclass(slots=True)
class Outcome:
    """What became of each step; a step whose need failed is skipped, never tried."""

    done: list[Step] = field(default_factory=list)
    failed: list[tuple[Step, VmnetError]] = field(default_factory=list)
    skipped: list[Step] = field(default_factory=list)


def execute(
    steps: Iterable[Step],
    perform: Callable[[Step], object],
    tell: Callable[[Step, VmnetError | None], None] = lambda _step, _error: None,
    jobs: int = 16,
    halted: Callable[[], bool] = lambda: False,
    may_begin: Callable[[Step, Callable[[], bool]], bool] = lambda _step, _is_over: True,
) -> Outcome:
    """Call `perform` on every step, in parallel where `after` allows; `tell` of each end.

    An interrupt lets the steps that have begun finish, begins no other, and is obeyed then. When
    `halted` says so, no other is begun either. `may_begin` waits for what a step needs besides
    other steps, for which it has a thread; it returns False when what it is given says that all is
    over. Raising VmnetError it fails the step.
    """
    from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

    outcome = Outcome()
    order = Order(steps, outcome)
    running: dict[Future[bool], Step] = {}
    with deferred() as interrupt, ThreadPoolExecutor(jobs) as pool:

        def is_over() -> bool:
            return interrupt.number is not None or halted()

        def begin(step: Step) -> bool:
            # It may have become so while the step waited for a thread.
            if is_over() or not may_begin(step, is_over):
                return False
            perform(step)
            return True

        while order.is_active() and (running or not is_over()):
            running |= {pool.submit(begin, step): step for step in order.ready()}
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                step = running.pop(future)
                error = future.exception()
                if error is not None and not isinstance(error, VmnetError):
                    raise error
                if error is not None or future.result():
                    order.ended(step, error)
                    tell(step, error)
    return outcome


class Order:
    """Which steps can begin, and what became of those that have ended."""

    def __init__(self, steps: Iterable[Step], outcome: Outcome) -> None:
        """Begin with nothing done; `outcome` is told what becomes of each step."""
        from graphlib import TopologicalSorter

        self._by_id = {s.id: s for s in steps}
        self._sorter = TopologicalSorter(
            {i: s.after & self._by_id.keys() for i, s in self._by_id.items()}
        )
        self._sorter.prepare()
        self._broken: set[StepId] = set()
        self._outcome = outcome

    def is_active(self) -> bool:
        """Return whether a step is still to end."""
        return self._sorter.is_active()

    def ready(self) -> Iterator[Step]:
        """Return each step once, when all that it needs has been done."""
        for i in self._sorter.get_ready():
            step = self._by_id[i]
            if step.after & self._broken:
                self._outcome.skipped.append(step)
                self._broken.add(i)
                self._sorter.done(i)
            else:
                yield step

    def ended(self, step: Step, error: VmnetError | None) -> None:
        """Take down that a step has been done, or has failed."""
        if error is None:
            self._outcome.done.append(step)
        else:
            self._outcome.failed.append((step, error))
            self._broken.add(step.id)
        self._sorter.done(step.id)
