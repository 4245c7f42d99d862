"""What `status --watch` tells of two looks, from the documents that `status --json` prints."""

import json
from typing import Any

from provisioner.commands.lifecycle.status_watch import changes, read


def document(**changed: object) -> dict[str, Any]:
    vm = {"name": "a", "state": "running", "pid": 7, "addresses": [], "taps": []}
    whole = {"status": 0, "summary": "nothing to do", "vms": [vm], "to_do": [], "warnings": []}
    return whole | changed


WELL = read(document(), "10:00:00")


def test_the_first_look_is_told_whole_and_the_same_again_not() -> None:
    assert list(changes(None, WELL)) == [
        "10:00:00 nothing to do",
        "10:00:00 a: running (process 7)",
    ]
    assert list(changes(WELL, read(document(), "10:00:09"))) == []


def test_each_change_is_a_line_and_so_is_its_end() -> None:
    paused = {"name": "a", "state": "paused", "pid": 7, "addresses": [], "taps": []}
    steps, warnings = ["update domain lab-a: it is paused"], ["uplink up0 is down"]
    ill = read(document(vms=[paused], to_do=steps, warnings=warnings), "10:00:01")
    assert list(changes(WELL, ill)) == [
        "10:00:01 a: running (process 7) -> paused (process 7)",
        "10:00:01 warning: uplink up0 is down",
        "10:00:01 up would: update domain lab-a: it is paused",
    ]
    assert list(changes(ill, WELL)) == [
        "10:00:00 a: paused (process 7) -> running (process 7)",
        "10:00:00 no more: uplink up0 is down",
        "10:00:00 no more: update domain lab-a: it is paused",
    ]


def test_a_vm_that_is_gone_and_a_look_that_fails_are_told() -> None:
    assert list(changes(WELL, read(document(vms=[]), "10:00:01"))) == [
        "10:00:01 a: running (process 7) -> not there"
    ]
    errors = {"status": 4, "errors": [{"what": "the daemon is away", "fix": "start it"}]}
    lines = list(changes(WELL, read(errors, "10:00:02")))
    assert "10:00:02 warning: the daemon is away" in lines
    assert "\n" not in read(errors, "").document
    assert json.loads(read(errors, "").document) == errors
