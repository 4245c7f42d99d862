"""Guests that boot while their LAN is asked whether somebody has their addresses already.

Their macvtaps stay down until nobody has answered: no frame of a guest's that has a taken address
is ever on the wire. Where a start could not be undone, the LAN is asked first.
"""

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from provisioner.commands.addresses.question import AddressQuestion
from provisioner.commands.session import Session
from provisioner.errors import Complaints
from provisioner.guest.domain import Domain, GuestFile
from provisioner.host.network import macvtap
from provisioner.network.resources import Macvtap
from provisioner.reconcile.diff import Step, Verb


class SilentStart:
    """Macvtaps that are made down, and set up when nobody has their guests' addresses.

    Where guests cannot be silent it waits for the LANs, and then keeps no link down. Raises
    Complaints then when an address is taken.
    """

    def __init__(
        self,
        session: Session,
        question: AddressQuestion,
        steps: Sequence[Step],
        *,
        can_be_undone: bool,
    ) -> None:
        self.refused: Complaints | None = None
        self._session = session
        self._question = question
        self._links = question.links
        self._lock = threading.Lock()
        self._down: list[str] = []
        self._is_free = False
        self._failed: BaseException | None = None
        if not (self._links and can_be_undone and can_be_silent(steps, self._links)):
            question.refuse()
            self._is_free = True

    def begun(self, step: Step) -> Step:
        """Return a step as it is to be performed now."""
        if not self._is_held(step) or self._is_free:
            return step
        assert isinstance(step.resource, Macvtap)  # noqa: S101  (for the type checker)
        return replace(step, resource=replace(step.resource, up=False))

    def done(self, step: Step) -> None:
        """Take down that a step which `begun` has returned has been performed."""
        if isinstance(step.resource, Macvtap) and self._is_held(step) and not step.resource.up:
            with self._lock:
                self._down.append(step.resource.name)
                if self._is_free:
                    self._set_up()

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Set the links up as soon as the question is answered; at the end of the block it is.

        Raises VmnetError when they cannot be; whether they may be, `refused` tells.
        """
        if self._is_free:
            yield
            return
        thread = threading.Thread(target=self._await, daemon=True)
        thread.start()
        try:
            yield
        finally:
            thread.join()
        if self._failed:
            raise self._failed

    def _is_held(self, step: Step) -> bool:
        resource = step.resource
        return isinstance(resource, Macvtap) and resource.name in self._links

    def _await(self) -> None:
        try:
            self._question.refuse()
            with self._lock:
                self._is_free = True
                self._set_up()
        except Complaints as error:
            self.refused = error
        except BaseException as error:  # noqa: BLE001  (raised where the block ends)
            self._failed = error

    def _set_up(self) -> None:
        names, self._down = self._down, []
        for name in names:
            self._session.worker.do(macvtap.plug, name, up=True)


def can_be_silent(steps: Sequence[Step], links: Collection[str]) -> bool:
    """Return whether guests may be started before it is known that their addresses are free.

    What the steps do must leave no trace when it is undone: all make something new, and no guest
    has a disk that somebody has written to before. `links` must all be made by them. A device
    in mode passthru must be alone on its uplink, on which the question has one meanwhile.
    """
    if any(step.verb is not Verb.CREATE for step in steps):
        return False
    taps = [s.resource for s in steps if isinstance(s.resource, Macvtap)]
    made = {tap.name for tap in taps if not tap.mode.is_exclusive}
    files = {s.resource.path for s in steps if isinstance(s.resource, GuestFile)}
    written = {
        disk.path
        for s in steps
        if isinstance(s.resource, Domain)
        for disk in s.resource.disks
        if not disk.readonly
    }
    return made >= set(links) and files >= written
