"""Ask the target of a silence where no ping can be put in for it: services, machines outside."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from provisioner.check.isolation import ControlBy, EndControl
from provisioner.check.readiness import NO_AGENT, GuestState
from provisioner.check.result import Result
from provisioner.commands.check.endpoints import Endpoints
from provisioner.commands.check.readiness import Readiness
from provisioner.errors import VmnetError
from provisioner.host.guest.commands import Guests
from provisioner.host.machine import MACHINE
from provisioner.host.probe import host_checks, neighbours
from provisioner.network.devices import uplink_of
from provisioner.plan.checks import HOST, Probe, What

if TYPE_CHECKING:
    from provisioner.plan.checks import CheckSpec
    from provisioner.plan.ip import Address

_WITHIN_S: Final = 2.0

Asked = tuple[str, "Address | None", "CheckSpec"]


def asked(result: Result) -> "Asked":
    """Return what a result is about, whoever has asked."""
    return result.pair.target, result.address, result.pair.asked


class TargetControls:
    """Controls of targets by other means; `results` is what this check has measured."""

    def __init__(self, ends: Endpoints, readiness: Readiness, results: Sequence[Result]) -> None:
        self._ends, self._readiness, self._results = ends, readiness, results

    def way(self, result: Result, *, closed: bool) -> "Callable[[], EndControl] | None":
        """Return how the target of a silence is asked; None where pings are put in for it.

        `closed`: its mode lets no frame in at all.
        """
        pair, address = result.pair, result.address
        is_guest = pair.target_key in self._ends.nics
        match pair.asked.what:
            case What.PING if is_guest:
                return (lambda: self.alive(pair.target)) if closed else None
            case What.PING if pair.target != HOST and address is not None:
                return lambda: self._outside(result, address)
            case What.DNS:  # a resolver that answers is a control by what it says
                return lambda: EndControl(ControlBy.OTHERS, why="no resolver has answered")
            case What.TCP | What.UDP | What.HTTP:
                ask = self._own_service if is_guest else self._service_outside
                return lambda: ask(result)
            case _:
                return None  # only its own answer says something

    def alive(self, vm: str) -> EndControl:
        """Ask a guest's own agent whether it lives."""
        began = time.monotonic()
        if self._readiness.state(vm) is not GuestState.READY:
            return EndControl(ControlBy.ITSELF, why=NO_AGENT)
        try:
            self._ends.worker.do(MACHINE.guest, vm, Guests.addresses)
        except VmnetError as error:
            return EndControl(ControlBy.ITSELF, why=error.what)
        return EndControl(ControlBy.ITSELF, time.monotonic() - began)

    def _own_service(self, result: Result) -> EndControl:
        """Ask a guest to connect to its own service."""
        pair = result.pair
        if self._readiness.state(pair.target) is not GuestState.READY:
            return EndControl(ControlBy.ITSELF, why=NO_AGENT)
        began = time.monotonic()
        question = Probe(pair.asked, result.address, _WITHIN_S)
        try:
            found = self._ends.worker.do(MACHINE.probe, pair.target, question)
        except VmnetError as error:
            return EndControl(ControlBy.ITSELF, why=error.what)
        if found.reached or found.value:
            return EndControl(ControlBy.ITSELF, time.monotonic() - began)
        return EndControl(ControlBy.ITSELF, why=found.note or "no answer")

    def _outside(self, result: Result, address: "Address") -> EndControl:
        """Ask a machine outside from this host, by its wire or by the host's own way to it."""
        network = self._ends.plan.network(result.pair.network)
        began = time.monotonic()
        try:
            if network.uplink and any(address in subnet for subnet in network.subnet):
                uplink = uplink_of(self._ends.plan.name, network)
                found = neighbours.neighbours(uplink, {address: ""}, deadline_s=_WITHIN_S)
                if address in found:
                    return EndControl(ControlBy.OTHERS, found[address].seconds)
            elif address in neighbours.ping([address], deadline_s=_WITHIN_S):
                return EndControl(ControlBy.OTHERS, time.monotonic() - began)
        except VmnetError:
            pass  # another end may have reached it
        return self._reached_by_others(result)

    def _service_outside(self, result: Result) -> EndControl:
        """Ask a service outside from this host's own stack."""
        began = time.monotonic()
        if result.pair.asked.what in {What.TCP, What.HTTP}:
            found = host_checks.probe(Probe(result.pair.asked, result.address, _WITHIN_S))
            if found.reached or found.value:
                return EndControl(ControlBy.OTHERS, time.monotonic() - began)
        return self._reached_by_others(result)

    def _reached_by_others(self, result: Result) -> EndControl:
        """Take it for a control that another end has reached the same in this check."""
        others = (r for r in self._results if r.reached and asked(r) == asked(result))
        other = next(others, None)
        if other is None:
            return EndControl(ControlBy.OTHERS, why="no end that may reach it has done so")
        return EndControl(ControlBy.OTHERS, other.seconds or 0.0)
