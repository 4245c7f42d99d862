"""One reading of the host: which links are a plan's, and their names."""

from dataclasses import replace

from provisioner import naming
from provisioner.network.facts import Link
from provisioner.reconcile.resources import Look

TAP = Link(
    *(naming.macvtap("lab", "web", 0), 7, "macvtap", "02:00:00:00:00:01", 1500),
    ethernet=True,
    up=True,
    carrier=True,
    group=naming.group("lab"),
    alias="vmnet:lab/web/0",
)


def test_a_link_is_a_plans_by_its_group_name_kind_and_alias() -> None:
    unnamed = replace(TAP, alias="")  # vmnet was killed between two messages
    strangers = (
        replace(TAP, group=naming.group("lob")),
        replace(TAP, name="tap0"),
        replace(TAP, kind="macvlan"),
        replace(TAP, alias="vmnet:lob/web/0"),
        replace(TAP, alias="vmnet:lab2/web/0"),
        replace(TAP, alias="XX"),
    )
    assert Look("lab", (*strangers, TAP, unnamed)).ours == (TAP, unnamed)


def test_a_link_is_named_by_its_ifindex() -> None:
    look = Look("lab", (replace(TAP, name="a", index=6), TAP))
    assert (look.name_of(7), look.name_of(6), look.name_of(8)) == (TAP.name, "a", "")
