"""The catalogue of images by name, packaged with vmnet: read and checked into frozen values."""

from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    field_validator,
    model_validator,
)

from provisioner.errors import VmnetError, bad_input
from provisioner.image import digest as digests
from provisioner.image import source
from provisioner.image.digest import Digest, Form
from provisioner.image.source import Remote, Url
from provisioner.image.traits import FirmwareName, ImageTraits
from provisioner.plan import scalars
from provisioner.plan.scalars import BadValue, meant, quoted

T = TypeVar("T")


def _parsed_by(read: Callable[[str], T]) -> PlainValidator:
    """Return a validator that calls one of our own parsers and keeps its complaints."""

    def validate(value: object) -> T:
        try:
            return read(str(value))
        except VmnetError as error:
            raise BadValue(error.what, error.fix or "") from error

    return PlainValidator(validate)


Address = Annotated[Url, _parsed_by(source.address)]
Name = Annotated[str, _parsed_by(source.name)]
Keyring = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]


class _FrozenModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Signature(_FrozenModel):
    """Who signed a digest list; without an address the list is clear-signed itself.

    `keyrings` are file names, in the order in which they are looked for.
    """

    url: Address | None = None
    keyrings: tuple[Keyring, ...] = Field(min_length=1)


class DigestList(_FrozenModel):
    """Where the vendor lists the digests of its images, and who signs that list."""

    url: Address
    form: Form = Form.NAMED
    signature: Signature | None = None


class CatalogueEntry(_FrozenModel):
    """One image of the catalogue.

    `urls` are mirrors of one file; `agent` tells whether the QEMU guest agent is in the image,
    `min_cpu` is the least level of the x86-64 psABI that its programs run on, "" for any.
    """

    name: Name
    title: str = Field(min_length=1)
    aliases: tuple[Name, ...] = ()
    urls: tuple[Address, ...] = Field(min_length=1)
    digest: Annotated[Digest, _parsed_by(digests.digest)] | None = None
    digests: DigestList | None = None
    boot: tuple[FirmwareName, ...] = Field(min_length=1)
    user: str = Field(pattern=r"^[a-z][a-z0-9_-]*$")
    min_memory_mib: Annotated[int, BeforeValidator(scalars.memory_mib)] = Field(alias="min_memory")
    min_cpu: Literal["", "x86-64-v2", "x86-64-v3"] = ""
    agent: bool = False

    @property
    def source(self) -> Remote:
        """Return what to download, with the digest if it is pinned."""
        return Remote(self.urls, self.digest)

    @property
    def traits(self) -> ImageTraits:
        """Return what is known of the image's guests."""
        return ImageTraits(
            boot=self.boot,
            user=self.user,
            min_memory_mib=self.min_memory_mib,
            min_cpu=self.min_cpu,
            agent=self.agent,
        )

    @model_validator(mode="after")
    def _is_proved(self) -> Self:
        if self.digest is None and self.digests is None:
            raise BadValue(f"nothing proves {self.name}", "give a digest or a digest list")
        if len({url.file_name for url in self.urls}) > 1:
            raise BadValue(f"the mirrors of {self.name} have files of two names", "use one name")
        return self


class Catalogue(_FrozenModel):
    """All images that have names."""

    images: tuple[CatalogueEntry, ...]

    @field_validator("images")
    @classmethod
    def _has_each_name_once(cls, images: tuple[CatalogueEntry, ...]) -> tuple[CatalogueEntry, ...]:
        names = Counter(name for one in images for name in (one.name, *one.aliases))
        twice = [name for name, times in names.items() if times > 1]
        if twice:
            raise BadValue(f"{', '.join(twice)} stands for two images", "take one away")
        return images


def read(text: str) -> Catalogue:
    """Parse a catalogue.

    Raises pydantic's ValidationError for values that do not hold, yaml's YAMLError for the syntax.
    """
    import yaml

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # every scalar as text, typed here
    return Catalogue.model_validate(yaml.load(text, Loader=loader))  # noqa: S506  (makes text only)


@cache
def packaged() -> Catalogue:
    """Return the catalogue that comes with vmnet."""
    path = Path(__file__).parents[1] / "images" / "catalogue.yaml"
    return read(path.read_text(encoding="utf-8"))


def find(name: str) -> CatalogueEntry | None:
    """Return the image of a name or an alias of the packaged catalogue, or None."""
    return next((one for one in packaged().images if name in {one.name, *one.aliases}), None)


def unknown(name: str) -> VmnetError:
    """Return the error for a name that is not in the packaged catalogue, with the nearest."""
    names = [known for one in packaged().images for known in (one.name, *one.aliases)]
    return bad_input(
        f"{quoted(name)} is not an image of the catalogue",
        meant(name, names) + "see them all: vmnet image ls",
    )
