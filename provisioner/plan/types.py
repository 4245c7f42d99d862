"""What the models of a plan are made of: how each value is read."""

from enum import StrEnum
from typing import Annotated, ClassVar, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainValidator

from provisioner.dataclass import dataclass
from provisioner.plan import ip, scalars, vm_scalars
from provisioner.plan.choices import Accel, Addressing, Mode, SpoofGuard, Vhost


@dataclass(frozen=True, slots=True)
class KeyMark:
    """What loading has to know of a key, where the key is declared: Annotated[…, MARK]."""

    name: str


LAYOUT: Final = KeyMark("layout")
"""A key that decides how the rest of its part is judged: without it nothing else can be."""

DEFAULTABLE: Final = KeyMark("defaultable")
"""A key that may stand in `defaults`."""


def keys(model: type[BaseModel], mark: KeyMark | None = None) -> tuple[str, ...]:
    """Return the keys of a part as a file spells them; only those with a mark, if one is given."""
    return tuple(
        field.alias or name
        for name, field in model.model_fields.items()
        if mark is None or mark in field.metadata
    )


def optional_keys(model: type[BaseModel]) -> tuple[str, ...]:
    """Return the keys of a part that can be left out while the rest of it keeps its meaning."""
    layout = keys(model, LAYOUT)
    return tuple(
        key
        for key, field in zip(keys(model), model.model_fields.values(), strict=True)
        if not field.is_required() and key not in layout
    )


Read = BeforeValidator
"""Read(reader): a key whose text this reader takes."""

Many = Read(scalars.many)

PASSTHROUGH: Final = "passthrough"
"""What libvirt calls the mode that iproute2 and the kernel call passthru."""


def macvtap_mode(value: object) -> str:
    """Return a mode of a macvtap; libvirt's word for passthru is one, too."""
    return Mode.PASSTHRU if value == PASSTHROUGH else scalars.one_of(value, Mode, "a macvtap mode")


@dataclass(frozen=True, slots=True)
class OneWord:
    """The reader of one of a few words; `kind` says what they are."""

    words: type[StrEnum]
    kind: str

    def __call__(self, value: object) -> str:
        """Return the word. Raises BadValue."""
        return scalars.one_of(value, self.words, self.kind)


def word(words: type[StrEnum], kind: str) -> Read:
    """Return how one of a few words is read."""
    return Read(OneWord(words, kind))


Path = Annotated[str, Read(vm_scalars.path)]
Command = Annotated[str, Read(vm_scalars.command)]
AnyMode = Annotated[Mode, Read(macvtap_mode)]
Flag = Annotated[bool, Read(scalars.flag)]
Allow = Annotated[tuple[Annotated[str, Read(scalars.allowed)], ...], Many]
Isolate = Annotated[tuple[Annotated[str, Read(scalars.isolated)], ...], Many]
EtherTypes = Annotated[tuple[Annotated[str, Read(scalars.ether_type)], ...], Many]
Queues = Annotated[int, Read(scalars.queues)]
QueueLength = Annotated[int, Read(scalars.txqueuelen)]
AnyGuard = Annotated[SpoofGuard, word(SpoofGuard, "a guard")]
AnyAccel = Annotated[Accel, word(Accel, "an accelerator")]
AnyAddressing = Annotated[Addressing, word(Addressing, "a way of addressing")]
AnyVhost = Annotated[Vhost, word(Vhost, "a choice of vhost")]
Mtu = Annotated[int, Read(scalars.mtu)]
OneAddress = Annotated[ip.Address, PlainValidator(ip.address)]
OneInterface = Annotated[ip.Interface, PlainValidator(ip.interface)]
OneSubnet = Annotated[ip.Subnet, PlainValidator(ip.subnet)]
Addresses = Annotated[tuple[OneAddress, ...], Many]
Interfaces = Annotated[tuple[OneInterface, ...], Many]


class Part(BaseModel):
    """A frozen part of a plan that knows its keys and no other."""

    SHORT: ClassVar[str] = ""
    """The key that a value without keys stands for, in parts that may be written so."""

    # validators are compiled once, inside the plan's, instead of once more per class
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
