"""Data of a plan to the Plan, or every complaint at once in the user's words, each at its place.

One broken value must not hide the others: what it spoils is taken out, and the rest judged again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from provisioner.plan.load.expand import Shaped, unknown
from provisioner.plan.model import Network, Nic, Plan, Switch, Vm
from provisioner.plan.scalars import BadValue, nearest, quoted
from provisioner.plan.vm import Disk, File
from provisioner.source_text import complaint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_core import ErrorDetails

    from provisioner.errors import VmnetError
    from provisioner.plan.load.positions import Places
    from provisioner.plan.problem import Path

_PASSES = 4
_DATAPATH = {"promisc", "allow", "spoof_guard", "queues", "vhost", "txqueuelen", "take_over"}
_LEAVABLE = {
    "networks": {"mode", "mtu", "dns", "gateway", "pool", "slaac", *_DATAPATH},
    "vms": {f.alias or name for name, f in Vm.model_fields.items() if not f.is_required()},
    "nics": {"mode", "mac", "address", "mtu", "link", *_DATAPATH},
    "": {"connection", "accel", "checks", "hosts"},
}
"""What can be taken out of each part without making another complaint about the rest."""

_EXAMPLES = {
    "name": "name: lab",
    "networks": "networks: {lan: {switch: true, subnet: 10.77.0.0/24}}",
    "vms": "vms: {web: {nics: [lan]}}",
    "nics": "nics: [lan]",
    "network": "network: lan",
    "path": "path: /etc/motd",
}
_FORMS: dict[Path, str] = {
    ("networks",): "{uplink: eno1} or {switch: true, subnet: 10.77.0.0/24}",
    ("vms",): "{nics: [lan]}",
    ("nics",): "the name of a network, or {network: lan}",
}
_CARRYING = {"uplink", "switch", "subnet", "addressing"}
_NO_DEFAULT = "default_factory_not_called"
_NOWHERE = "taken-out"
"""Stands for a name that could not be judged."""


def judge(shaped: Shaped, places: Places) -> tuple[Plan | None, list[VmnetError]]:
    """Give the plan if it holds, and what the models and rules complain about."""
    return _Judge(shaped, places).judge()


class _Judge:
    def __init__(self, shaped: Shaped, places: Places) -> None:
        self.data = shaped.data
        self.whole = shaped.whole
        self.places = places
        networks = places.root.items.get("networks")
        self.names = {
            "networks": list(getattr(networks, "items", ())),
            "vms": list(shaped.entries),
        }
        self.gone: set[Path] = set()  # replaced by something that demands nothing
        self.spoiled: set[Path] = set()  # what rules cannot judge any more
        self.complaints: list[VmnetError] = []

    def judge(self) -> tuple[Plan | None, list[VmnetError]]:
        for _ in range(_PASSES):
            try:
                return Plan.model_validate(self.data), self.complaints
            except ValidationError as error:
                details = [one for one in error.errors() if one["type"] != _NO_DEFAULT]
            self._complain(details)
            broken = [one for one in details if one["type"] != "plan"]
            judgeable = [
                self._take_out(one["loc"], extra=_is_unknown_key(one))
                for one in broken
                if not self._is_in(self.gone, self._path(one["loc"]))
            ]
            if not broken or not all(judgeable):
                break
        return None, self.complaints

    def _complain(self, details: list[ErrorDetails]) -> None:
        mistyped = {
            (*path[:-1], nearest(str(path[-1]), _known(path[:-1])))
            for path in (self._path(one["loc"]) for one in details if _is_unknown_key(one))
        }
        for detail in details:
            path = self._path(detail["loc"])
            blind = not self.whole or self._is_in(self.spoiled, path)
            if path not in mistyped and (detail["type"] != "plan" or not blind):
                self.complaints.append(self._told(path, detail))

    def _path(self, loc: Path) -> Path:
        """Give a place of the models' data by names, as the file does."""
        match loc:
            case ("networks" | "vms" as kind, int(at), *rest):
                return (kind, self.names[kind][at], *rest)
            case _:
                return loc

    def _told(self, path: Path, detail: ErrorDetails) -> VmnetError:
        where = self.places.where(*path)
        match detail:
            case {"ctx": {"error": BadValue(what=what, fix=fix)}}:
                return complaint(where, what, fix)
            case {"ctx": {"what": what, "fix": fix, "other": other}}:
                home = path[:2] if detail["type"] == "network" else ()
                see = self._see(path, (*home, *other)) if other else ""
                return complaint(where, what + see, fix)
            case {"type": "missing"}:
                what = f"{_owner(path[:-1])} has no {path[-1]}"
                where = self.places.where(*path[:-1])
                return complaint(where, what, f"add {_EXAMPLES[str(path[-1])]}")
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

    @staticmethod
    def _is_in(paths: set[Path], path: Path) -> bool:
        return any(path[:end] in paths for end in range(1, len(path) + 1))

    def _take_out(self, loc: Path, *, extra: bool) -> bool:
        """Take out what cannot be judged, or an unknown key; tell whether the rest can be."""
        match loc:
            case ("networks", int(at), *rest):
                part = self.data["networks"][at]
                if extra and rest[0] == "switch":
                    part, rest = part["switch"], rest[1:]
                carrying = extra and nearest(str(rest[0]), _known(loc[:2])) in _CARRYING
                if carrying or not _left_out(part, "networks", rest, extra=extra):
                    self._take_out_network(at)
            case ("vms", int(at), "nics", int(nic), *rest):
                if not _left_out(self.data["vms"][at]["nics"][nic], "nics", rest, extra=extra):
                    self._take_out_nic(at, nic)
            case ("vms", int(at), *rest):
                if not _left_out(self.data["vms"][at], "vms", rest, extra=extra):
                    self._take_out_vm(at)
            case _:
                return self._take_out_of_plan(loc, extra=extra)
        return True

    def _take_out_of_plan(self, loc: Path, *, extra: bool) -> bool:
        if loc == ("name",):
            self.data["name"] = _NOWHERE
            return True
        if loc[:1] == ("hosts",):
            self.spoiled.add(("checks",))  # which may name them
        return _left_out(self.data, "", loc, extra=extra)

    def _take_out_network(self, at: int) -> None:
        """Put one in its place that demands nothing; its NICs cannot be judged either."""
        name = self.names["networks"][at]
        self.data["networks"][at] = {"name": name, "uplink": "x", "addressing": "none"}
        self.gone.add(("networks", name))
        self.spoiled.add(("networks", name))
        for vm in self.data.get("vms", ()):
            for number, nic in enumerate(vm.get("nics", ()) if isinstance(vm, dict) else ()):
                home = nic.get("network") if isinstance(nic, dict) else nic
                if home == name:
                    self.spoiled.add(("vms", vm["name"], "nics", number))

    def _take_out_nic(self, at: int, nic: int) -> None:
        self.data["vms"][at]["nics"][nic] = {"network": _NOWHERE}
        path = ("vms", self.names["vms"][at], "nics", nic)
        self.gone.add(path)
        self.spoiled.add(path)

    def _take_out_vm(self, at: int) -> None:
        self.data["vms"][at] = {"name": f"{_NOWHERE}-{at}", "nics": [_NOWHERE]}
        self.gone.add(("vms", self.names["vms"][at]))
        self.spoiled.add(("vms", f"{_NOWHERE}-{at}"))


def _left_out(part: Any, kind: str, rest: Sequence[str | int], *, extra: bool) -> bool:  # noqa: ANN401
    """Leave one key out of a part, if the rest of it means the same without."""
    if not isinstance(part, dict) or not rest or not (extra or rest[0] in _LEAVABLE[kind]):
        return False
    part.pop(rest[0], None)
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


def _known(path: Path) -> list[str]:
    """List the keys that may stand at a path."""
    model: type[BaseModel]
    extra: list[str] = []
    match path:
        case ("networks", _, "switch"):
            model = Switch
        case ("networks", _):
            model = Network
        case ("vms", _, "nics", _):
            model = Nic
        case ("vms", _, "disk") | ("vms", _, "disks", _):
            model = Disk
        case ("vms", _, "files", _):
            model = File
        case ("vms", _):
            model, extra = Vm, ["count"]
        case _:
            model, extra = Plan, ["defaults"]
    words = [field.alias or name for name, field in model.model_fields.items()]
    return [word for word in words if word != "name" or model is Plan] + extra
