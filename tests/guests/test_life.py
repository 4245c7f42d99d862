"""Guests shut down, stopped, started: what they have written and their devices stay."""

from tests.framework.lab import Lab
from tests.framework.plan import brought_up

PLAN = """\
networks: {lan: {switch: true, subnet: 10.77.0.0/24}}
defaults: {keep: true}
vms:
  a: {disks: [8M], nics: [lan]}
  b: {disks: [8M], nics: [lan]}
checks: []
"""
DEAF = ": > /sbin/shutdown; : > /etc/acpi/PWRF/00000080"
"""Takes from a micro guest what its agent calls to shut down, and what its power button does."""


def test_down_lets_guests_with_disks_shut_down_and_waits_for_none_for_ever(lab: Lab) -> None:
    plan = brought_up(lab, PLAN)
    plan.inside("a", "echo written > /dev/vda")  # and not synced
    plan.inside("b", f"echo synced > /dev/vda; sync; {DEAF}")
    said = lab.vmnet("down", plan.path, "--timeout", "6").stderr
    assert "warning: b has not shut down within 6 s, and was ended" in said
    assert "warning: a has" not in said
    assert said.index(f"delete domain {lab.name}-a") < said.index(f"delete domain {lab.name}-b")
    plan.up()
    for vm, text in (("a", "written"), ("b", "synced")):
        assert plan.inside(vm, "head -n 1 /dev/vda") == f"{text}\n"
