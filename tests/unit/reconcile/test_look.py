"""One reading of the host: which links are a plan's, and their names."""

from dataclasses import replace

from provisioner import naming
from provisioner.network.devices import half_marked
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


def test_a_macvtap_that_was_renamed_is_proved_by_its_other_marks() -> None:
    other = replace(TAP, name="foo0", altname="vmnet-lab-web-0")
    assert Look("lab", (other,)).ours == (other,)
    for stranger in (
        replace(other, altname="vmnet-lab-web-1"),
        replace(other, alias="vmnet:lab/web"),
        replace(other, kind="macvlan"),
        replace(other, group=0),
    ):
        assert Look("lab", (stranger,)).ours == ()
        (line,) = half_marked("lab", (stranger, TAP), (TAP,))
        assert line.startswith(f"the {stranger.kind} foo0 bears ")
    assert list(half_marked("lab", (replace(TAP, group=naming.group("lab-x")),), ())) == []


def test_a_link_is_named_by_its_ifindex() -> None:
    look = Look("lab", (replace(TAP, name="a", index=6), TAP))
    assert (look.name_of(7), look.name_of(6), look.name_of(8)) == (TAP.name, "a", "")
