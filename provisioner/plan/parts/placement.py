"""What a plan says of all its VMs' places on hosts."""

from typing import Annotated, ClassVar

from pydantic import Field, PlainValidator, model_validator

from provisioner.plan.choices import Strategy
from provisioner.plan.scalars import BadValue, Matching, many
from provisioner.plan.types import Part, word

vm_pattern = Matching(
    r"[a-z0-9*?\[\]!-]{1,64}", "{text} is neither a VM nor a pattern of VMs", "write web1, or web*"
)
"""The name of a VM, or a pattern as the shell has for file names."""


def lists_apart(value: object) -> tuple[tuple[str, ...], ...]:
    """Parse VMs that share no host: one list of names and patterns, or several. Raises BadValue."""
    given = many(value)
    lists = [isinstance(one, list | tuple) for one in given]
    if any(lists) and not all(lists):
        raise BadValue(
            "apart mixes VMs with lists of VMs", "write [web1, web2], or [[web1, web2], [db*]]"
        )
    groups = given if any(lists) else (given,)
    return tuple(tuple(vm_pattern(one) for one in many(group)) for group in groups)


class Placement(Part):
    """Which hosts the VMs are placed on, where the plan names several.

    placement: pack
    placement: {strategy: spread, apart: [web1, web2]}
    placement: {apart: [[web1, web2], [db*]]}
    """

    SHORT: ClassVar[str] = "strategy"

    strategy: Annotated[Strategy, word(Strategy, "a strategy")] = Field(
        Strategy.SPREAD, description="Evenly over the hosts, or on as few of them as can be."
    )
    apart: Annotated[tuple[tuple[str, ...], ...], PlainValidator(lists_apart)] = Field(
        (), description="VMs that share no host: names and patterns, or several lists of them."
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return {cls.SHORT: value} if isinstance(value, str) else value
