"""The models of a plan to the JSON Schema of its file: as it is written, short forms and all."""

import json
from collections.abc import Iterable, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, PlainValidator
from pydantic.fields import FieldInfo

from provisioner.plan import scalars
from provisioner.plan.load.expand import COUNT
from provisioner.plan.model import Plan, Switch, Vm
from provisioner.plan.rules.plan import MOST_NICS, MOST_VMS
from provisioner.plan.rules.vm import MOST_DISKS
from provisioner.plan.schema import forms
from provisioner.plan.schema.forms import Json
from provisioner.plan.types import DEFAULTABLE, Part, keys

_ABOUT = (
    "The keys of a plan file, and the form of each value, in YAML 1.2. Rules among keys are not "
    "judged here, for example that a NIC names a network of the plan, or that an address lies in "
    "its subnet: vmnet validate judges them."
)
_COUNT_ABOUT = "Makes NAME1 to NAMEn of it."
_DEFAULTS_ABOUT = "What holds for every VM, and for the plan, that does not say otherwise."
_SECTIONS: Final = {"networks": None, "vms": MOST_VMS}
"""The sections of names and what they name, and how many a plan has at most."""
_SIZES: Final = {"nics": (1, MOST_NICS), "disks": (0, MOST_DISKS)}
"""How many a list of a key has."""


def plan_schema(plan: type[BaseModel] = Plan) -> Json:
    """Return the JSON Schema (draft 2020-12) of plan files, made from the model of a plan.

    Raises TypeError for a key whose values have no form in a JSON Schema (see `forms`).
    """
    made = _Parts()
    sections = {key: made.section(plan.model_fields[key], most) for key, most in _SECTIONS.items()}
    properties = {**made.properties(plan), **sections, "defaults": made.defaults(plan)}
    found = forms.keys(properties, _required(plan))
    about = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:vmnet:schema:plan",
        "title": "A plan of vmnet",
        "description": _ABOUT,
    }
    return {**about, **found, "$defs": made.used(found)}


def as_text(schema: Json) -> str:
    """Write a schema as a file has it."""
    return json.dumps(schema, indent=2) + "\n"


class _Parts:
    """The parts that have been met, each once: other forms refer to them by name."""

    def __init__(self) -> None:
        self.defs: dict[str, Json] = {}

    def properties(self, model: type[BaseModel], *, without: str = "") -> dict[str, Json]:
        """Return the form of each key of a part, with what it is for and its default."""
        return {
            field.alias or name: self._key(field.alias or name, field)
            for name, field in model.model_fields.items()
            if name != without
        }

    def section(self, field: FieldInfo, most: int | None) -> Json:
        """Return the form of a section: the names of its parts, and the parts."""
        model = _item(field)
        (names,) = _readers(model.model_fields["name"].metadata)
        found = forms.mapping(names, self._part(model), 1, most)
        return {"description": field.description or "", **found}

    def defaults(self, plan: type[BaseModel]) -> Json:
        """Return the form of `defaults`, which has of the image's own disk the size alone."""
        found: dict[str, Json] = {}
        for model in (_item(plan.model_fields["vms"]), plan):
            every = self.properties(model)
            found |= {key: every[key] for key in keys(model, DEFAULTABLE)}
        found["disk"] = {**found["disk"], **forms.shared("disk_size")}
        for form in found.values():
            form.pop("default", None)
        return {"description": _DEFAULTS_ABOUT, **forms.keys(found, [])}

    def used(self, root: Json) -> dict[str, Json]:
        """Return what a form refers to, and what that refers to."""
        found: dict[str, Json] = {}
        wanted = _references(root)
        while wanted:
            name = wanted.pop(0)
            if name not in found:
                found[name] = self.defs.get(name) or forms.SHARED[name]
                wanted += _references(found[name])
        return found

    def _key(self, key: str, field: FieldInfo) -> Json:
        form = self._of(field.annotation, field.metadata, *_SIZES.get(key, (0, None)))
        default = field.get_default()
        said = {"default": default} if isinstance(default, bool | int | str) else {}
        return {"description": field.description or "", **form, **said}

    def _of(
        self,
        kind: Any,  # noqa: ANN401  (a type, or what typing makes of several)
        marks: Sequence[object] = (),
        least: int = 0,
        most: int | None = None,
    ) -> Json:
        """Return the form of what a type's readers take; without one its parts decide."""
        readers = _readers(marks)
        inner = [one for one in get_args(kind) if one not in {NoneType, Ellipsis}]
        if scalars.many in readers:
            return forms.many(self._of(inner[0]), least, most)
        if readers:
            return forms.or_variable(forms.of(readers[0]))
        if get_origin(kind) is Annotated:
            return self._of(inner[0], kind.__metadata__)
        if get_origin(kind) in {Union, UnionType, tuple} and len(inner) == 1:
            return self._of(inner[0])
        if isinstance(kind, type) and issubclass(kind, Part):
            return self._part(kind)
        raise TypeError(f"{kind} has no reader, and no form in a JSON Schema")

    def _part(self, model: type[BaseModel]) -> Json:
        name = model.__name__.lower()
        if name not in self.defs:
            self.defs[name] = {}  # taken: a part may be met inside itself
            self.defs[name] = self._written(model)
        return forms.shared(name)

    def _written(self, model: type[BaseModel]) -> Json:
        """Return the form of a part as the file has it, its short form among them."""
        is_named = "name" in model.model_fields
        properties = self.properties(model, without="name" if is_named else "")
        if issubclass(model, Vm):
            properties["count"] = {
                "description": _COUNT_ABOUT,
                **forms.or_variable(forms.of(COUNT)),
            }
        required = [key for key in _required(model) if key != "name"]
        found = forms.keys(properties, required)
        short = getattr(model, "SHORT", "")
        if issubclass(model, Switch):
            return {"anyOf": [forms.TRUE, found]}
        return {"anyOf": [properties[short], found]} if short else found


def _readers(marks: Iterable[object]) -> list[Any]:
    return [one.func for one in marks if isinstance(one, BeforeValidator | PlainValidator)]


def _item(field: FieldInfo) -> type[Part]:
    """Return the part that a list of parts is made of."""
    part = get_args(field.annotation)[0]
    assert isinstance(part, type)  # noqa: S101
    return part


def _required(model: type[BaseModel]) -> list[str]:
    return [f.alias or name for name, f in model.model_fields.items() if f.is_required()]


def _references(form: Any) -> list[str]:  # noqa: ANN401  (JSON)
    """List the names that a form refers to."""
    if isinstance(form, list):
        return [name for one in form for name in _references(one)]
    if not isinstance(form, dict):
        return []
    own = [form["$ref"].rpartition("/")[2]] if isinstance(form.get("$ref"), str) else []
    return own + [name for one in form.values() for name in _references(one)]
