"""What another host says of its snapshots is read strictly."""

import json
from typing import Any

import pytest

from provisioner.report.joining import told_snapshots
from provisioner.report.joining.told_snapshots import ToldUnusable

ONE = {
    "name": "clean",
    "plan": "lab",
    "made": 1_700_000_000,
    "bytes": 70_000_000,
    "vmnet": "0.1.0",
    "libvirt": "10.0.0",
    "qemu": "8.2.0",
    "vms": [{"name": "a", "memory": 1, "disks": [], "macs": ["02:00:00:00:00:01"]}],
}


def test_a_list_has_those_that_can_be_used_and_those_that_cannot() -> None:
    document = {"snapshots": [ONE, {"name": "old", "error": "it is of another QEMU"}], "later": 1}
    good, bad = told_snapshots.snapshots(json.dumps(document)).snapshots
    assert good.name == "clean"
    assert bad == ToldUnusable("old", "it is of another QEMU")


def test_what_was_saved_has_how_long_guests_were_paused() -> None:
    read = told_snapshots.saved(json.dumps({"snapshot": ONE, "paused_s": 0.25}))
    assert (read.snapshot.vms[0].name, read.paused_s) == ("a", 0.25)


@pytest.mark.parametrize("wrong", [{"bytes": "70"}, {"vms": [{"name": 1}]}, {"name": None}])
def test_what_is_no_snapshot_is_refused(wrong: dict[str, Any]) -> None:
    for document in ({"snapshots": [ONE | wrong]}, {"snapshot": ONE | wrong, "paused_s": 0.1}):
        text = json.dumps(document)
        with pytest.raises(ValueError, match="validation error"):
            (told_snapshots.saved if "snapshot" in document else told_snapshots.snapshots)(text)
