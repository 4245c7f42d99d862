"""What the models of a plan are made of: how each value is read."""

from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainValidator
from pydantic.fields import FieldInfo

from provisioner.plan import ip, scalars
from provisioner.plan.choices import Accel, Addressing, Mode, SpoofGuard, Vhost

LAYOUT: Final[dict[str, Any]] = {"layout": True}
"""Marks a key that decides how the rest of its part is judged: without it nothing else can be."""

DEFAULTABLE: Final[dict[str, Any]] = {"defaultable": True}
"""Marks a key that may stand in `defaults`."""


def keys(model: type[BaseModel], mark: str = "") -> tuple[str, ...]:
    """Return the keys of a part as a file spells them; only those with a mark, if one is given."""
    return tuple(
        field.alias or name
        for name, field in model.model_fields.items()
        if not mark or _bears(field, mark)
    )


def _bears(field: FieldInfo, mark: str) -> bool:
    return isinstance(field.json_schema_extra, dict) and mark in field.json_schema_extra


def optional_keys(model: type[BaseModel]) -> tuple[str, ...]:
    """Return the keys of a part that can be left out while the rest of it keeps its meaning."""
    layout = keys(model, "layout")
    return tuple(
        key
        for key, field in zip(keys(model), model.model_fields.values(), strict=True)
        if not field.is_required() and key not in layout
    )


def _mode(value: object) -> str:
    return "passthru" if value == "passthrough" else scalars.one_of(value, Mode, "a macvtap mode")


def word(words: type[StrEnum], kind: str) -> BeforeValidator:
    """Return the reader of one of a few words; `kind` says what they are."""
    return BeforeValidator(lambda value: scalars.one_of(value, words, kind))


Many = BeforeValidator(scalars.many)
AnyMode = Annotated[Mode, BeforeValidator(_mode)]
Flag = Annotated[bool, BeforeValidator(scalars.flag)]
Allow = Annotated[tuple[Annotated[str, BeforeValidator(scalars.allowed)], ...], Many]
Queues = Annotated[int, BeforeValidator(scalars.queues)]
QueueLength = Annotated[int, BeforeValidator(scalars.txqueuelen)]
AnyGuard = Annotated[SpoofGuard, word(SpoofGuard, "a guard")]
AnyAccel = Annotated[Accel, word(Accel, "an accelerator")]
AnyAddressing = Annotated[Addressing, word(Addressing, "a way of addressing")]
AnyVhost = Annotated[Vhost, word(Vhost, "a choice of vhost")]
Mtu = Annotated[int, BeforeValidator(scalars.mtu)]
OneAddress = Annotated[ip.Address, PlainValidator(ip.address)]
OneInterface = Annotated[ip.Interface, PlainValidator(ip.interface)]
OneSubnet = Annotated[ip.Subnet, PlainValidator(ip.subnet)]
Addresses = Annotated[tuple[OneAddress, ...], Many]
Interfaces = Annotated[tuple[OneInterface, ...], Many]


class Part(BaseModel):
    """A frozen part of a plan that knows its keys and no other."""

    # validators are compiled once, inside the plan's, instead of once more per class
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, populate_by_name=True)
