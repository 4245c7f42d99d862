"""What is wrong around the cells, judged from what was seen there, whatever was measured.

A table of green cells says nothing of a wire that may fail at any moment, or that others are on.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from provisioner.check.diagnosis import endpoint
from provisioner.check.diagnosis.path import uplink_state
from provisioner.check.evidence import Endpoint, Uplink
from provisioner.check.result import Finding


def of_links(
    uplinks: Iterable[Uplink], ends: Iterable[Endpoint], told: Iterable[Finding]
) -> Iterator[Finding]:
    """Return what is wrong with uplinks, and with the macvtaps of running guests.

    A macvtap that one of the findings in `told` is about already is not told of again.
    """
    for up in uplinks:
        if found := uplink_state(up):
            state = f"{'up' if up.up else 'down'}, {'carrier' if up.carrier else 'no carrier'}"
            yield _with(found, f"uplink {up.name}: {state if up.exists else 'not there'}")
    named = " ".join(finding.what for finding in told)
    for end in ends:
        state = f"mode {end.mode}, {'up' if end.up else 'down'}" if end.exists else "not there"
        found = endpoint.standing(end)
        if found and f"macvtap {end.link}" not in named:
            yield _with(found, f"macvtap of {end.vm}: {end.link}, {state}")
        if found := endpoint.impaired(end):
            yield _with(found, f"{end.link}: {end.impaired}")


def _with(finding: Finding, seen: str) -> Finding:
    return replace(finding, evidence=(*finding.evidence, seen))
