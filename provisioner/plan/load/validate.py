"""Data of a plan to the Plan, or every complaint at once in the user's words, each at its place.

One broken value must not hide the others: what it spoils is taken out, and the rest judged again.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from provisioner.plan.load.expand import Shaped, nearest_key, unknown
from provisioner.plan.model import Network, Nic, Plan, Switch, Vm
from provisioner.plan.parts.placement import Placement
from provisioner.plan.rules.checks import check_problems
from provisioner.plan.rules.network import network_problems
from provisioner.plan.rules.order import order_problems
from provisioner.plan.rules.plan import plan_problems
from provisioner.plan.rules.vm import vm_problems
from provisioner.plan.scalars import BadValue, quoted
from provisioner.plan.types import LAYOUT, Part, keys, optional_keys
from provisioner.plan.vm import Disk, File
from provisioner.source_text import complaint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydantic_core import ErrorDetails

    from provisioner.errors import VmnetError
    from provisioner.plan.load.positions import Places
    from provisioner.plan.problem import Path, Problem

    _Part = TypeVar("_Part", bound=Part)

_PASSES = 4
_FORMS: dict[Path, str] = {
    ("networks",): "{uplink: eno1} or {switch: true, subnet: 10.77.0.0/24}",
    ("vms",): "{nics: [lan]}",
    ("nics",): "the name of a network, or {network: lan}",
}
_OF_A_VM: dict[str, type[Part]] = {"nics": Nic, "files": File}
_NO_DEFAULT = "default_factory_not_called"
_NOWHERE = "taken-out"
"""Stands for a name that could not be judged."""


def judge(shaped: Shaped, places: Places) -> tuple[Plan | None, list[VmnetError]]:
    """Return the plan if its values can be read, and what is wrong with them and among them.

    Each network and each VM is judged by itself, then the plan that they make.
    """
    judging = _Judge(shaped, places)
    return judging.judge(), judging.complaints


class _Judge:
    def __init__(self, shaped: Shaped, places: Places) -> None:
        self.data = shaped.data
        self.whole = shaped.whole  # else the rules among networks and VMs have nothing to go by
        self.places = places
        networks = places.root.items.get("networks")
        self.names = {
            "networks": list(getattr(networks, "items", ())),
            "vms": list(shaped.entries),
        }
        self.spoiled: set[Path] = set()  # what rules cannot judge any more
        self.complaints: list[VmnetError] = []

    def judge(self) -> Plan | None:
        for at, data in enumerate(self.data.get("networks", ())):
            self.data["networks"][at] = self._network(self.names["networks"][at], data)
        for at, data in enumerate(self.data.get("vms", ())):
            self.data["vms"][at] = self._vm(self.names["vms"][at], at, data)
        plan = self._held(Plan, (), self.data, self._take_out_of_plan, lambda _: ())
        if plan and self.whole:
            problems = (*plan_problems(plan), *check_problems(plan), *order_problems(plan))
            self._refuse(one for one in problems if not self._is_spoiled(one.path))
        return plan

    def _held(
        self,
        model: type[_Part],
        home: Path,
        data: Any,  # noqa: ANN401  (text, lists and dicts of it)
        take_out: Callable[[Path, bool], bool],
        rules: Callable[[_Part], Iterable[Problem]],
    ) -> _Part | None:
        """Return a part that holds, less what `take_out` could take out of it; else None."""
        for _ in range(_PASSES):
            try:
                part = model.model_validate(data)
            except ValidationError as error:
                details = [one for one in error.errors() if one["type"] != _NO_DEFAULT]
                self._complain(home, details)
                broken = [(one["loc"], _is_unknown_key(one)) for one in details]
            else:
                problems = list(rules(part))
                self._refuse(problems, home)
                broken = [(one.path, False) for one in problems]
                if not problems:
                    return part
            taken_out = [take_out(path, extra) for path, extra in broken]
            if not all(taken_out):
                break
        return None

    def _network(self, name: str, data: Any) -> Network:  # noqa: ANN401
        home: Path = ("networks", name)
        take_out = partial(_without_layout, data)
        found = self._held(Network, home, data, take_out, network_problems)
        return found or self._instead_of_network(name)

    def _instead_of_network(self, name: str) -> Network:
        """Return a network that demands nothing; the NICs on it cannot be judged either."""
        self.spoiled.add(("networks", name))
        for vm in self.data.get("vms", ()):
            for number, nic in enumerate(vm.get("nics", ()) if isinstance(vm, dict) else ()):
                if (nic.get("network") if isinstance(nic, dict) else nic) == name:
                    self.spoiled.add(("vms", vm["name"], "nics", number))
        try:
            return Network.model_validate({"name": name, "uplink": "x", "addressing": "none"})
        except ValidationError:
            self.whole = False
            return Network(name=_NOWHERE, uplink="x")

    def _vm(self, name: str, at: int, data: Any) -> Vm:  # noqa: ANN401
        def take_out(path: Path, extra: bool) -> bool:  # noqa: FBT001
            match path:
                case ("nics", int(number), *_):
                    if not _removed(data["nics"][number], Nic, path[2:], extra=extra):
                        data["nics"][number] = {"network": _NOWHERE}
                        self.spoiled.add(("vms", name, "nics", number))
                    return True
                case _:
                    return _removed(data, Vm, path, extra=extra)

        found = self._held(Vm, ("vms", name), data, take_out, vm_problems)
        if found:
            return found
        self.spoiled.add(("vms", f"{_NOWHERE}-{at}"))
        return Vm(name=f"{_NOWHERE}-{at}", nics=(Nic(network=_NOWHERE),))

    def _take_out_of_plan(self, path: Path, extra: bool) -> bool:  # noqa: FBT001
        if path == ("name",):
            self.data["name"] = _NOWHERE
            return True
        if path[:1] == ("hosts",):  # checks may name them, and VMs be on them
            self.spoiled |= {("checks",), ("placement",)}
            self.spoiled |= {("vms", name, "on") for name in self.names["vms"]}
        return _removed(self.data, Plan, path, extra=extra)

    def _complain(self, home: Path, details: list[ErrorDetails]) -> None:
        mistyped = {
            (*path[:-1], nearest_key(str(path[-1]), _known(path[:-1])))
            for path in ((*home, *one["loc"]) for one in details if _is_unknown_key(one))
        }
        for detail in details:
            path = (*home, *detail["loc"])
            if path not in mistyped:
                self.complaints.append(self._reworded(path, detail))

    def _refuse(self, problems: Iterable[Problem], home: Path = ()) -> None:
        for one in problems:
            path = (*home, *one.path)
            see = self._see(path, (*home, *one.other)) if one.other else ""
            self.complaints.append(complaint(self.places.where(*path), one.what + see, one.fix))

    def _reworded(self, path: Path, detail: ErrorDetails) -> VmnetError:
        where = self.places.where(*path)
        match detail:
            case {"ctx": {"error": BadValue(what=what, fix=fix)}}:
                return complaint(where, what, fix)
            case {"type": "missing"}:
                what = f"{_owner(path[:-1])} has no {path[-1]}"
                where = self.places.where(*path[:-1])
                example = _model(path[:-1]).model_fields[str(path[-1])].examples
                return complaint(where, what, f"add {example[0] if example else path[-1]}")
            case {"type": "extra_forbidden"}:
                what, fix = unknown(str(path[-1]), _known(path[:-1]))
                return complaint(self.places.key(*path), what, fix)
            case _:
                got = detail["input"]
                what = "a list" if isinstance(got, list) else quoted(got) if got else "nothing"
                fix = f"write {_FORMS.get(path[-2:-1], '{key: value}')}"
                return complaint(where, f"{what} stands where keys belong", fix)

    def _see(self, path: Path, other: Path) -> str:
        first = self.places.where(*other)
        same = first == self.places.where(*path)
        return ": by each VM that count makes" if same else f": see {first}"

    def _is_spoiled(self, path: Path) -> bool:
        return any(path[:end] in self.spoiled for end in range(1, len(path) + 1))


def _without_layout(data: Any, path: Path, extra: bool) -> bool:  # noqa: ANN401, FBT001
    """Remove a key from a network's data, unless the rest means something else without it."""
    if extra and path[0] == "switch":
        data, path = data["switch"], path[1:]
    if extra and nearest_key(str(path[0]), _known(("networks", ""))) in keys(Network, LAYOUT):
        return False
    return _removed(data, Network, path, extra=extra)


def _removed(part: Any, model: type[Part], path: Path, *, extra: bool) -> bool:  # noqa: ANN401
    """Remove one key from a part, if the rest of it means the same without."""
    if not isinstance(part, dict) or not path:
        return False
    if not extra and path[0] not in optional_keys(model):
        return False
    part.pop(path[0], None)
    return True


def _is_unknown_key(detail: ErrorDetails) -> bool:
    return detail["type"] == "extra_forbidden"


def _owner(path: Path) -> str:
    match path:
        case ("networks", name, *_):
            return f"network {quoted(name)}"
        case ("vms", name, "nics", at):
            return f"NIC {at} of VM {quoted(name)}"
        case ("vms", name, "files", at):
            return f"file {at} of VM {quoted(name)}"
        case ("vms", name, *_):
            return f"VM {quoted(name)}"
        case _:
            return "the plan"


def _model(path: Path) -> type[Part]:
    """Return the model of the part at a path."""
    match path:
        case ("networks", _, *rest):
            return Switch if rest else Network
        case ("vms", _):
            return Vm
        case ("placement", *_):
            return Placement
        case ("vms", _, kind, *_):
            return _OF_A_VM.get(str(kind), Disk)
        case _:
            return Plan


def _known(path: Path) -> list[str]:
    """List the keys that may stand at a path, those that `expand` takes away included."""
    model = _model(path)
    extra = {Vm: ["count"], Plan: ["defaults"]}.get(model, [])
    return [key for key in keys(model) if key != "name" or model is Plan] + extra
