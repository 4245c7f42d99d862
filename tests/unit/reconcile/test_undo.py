"""What a run has created is taken away again, and nothing else."""

from dataclasses import replace

from provisioner.guest.domain import DomainNic, Overlay
from provisioner.reconcile.diff import Step, Verb, diff
from provisioner.reconcile.undo import undo
from provisioner.resource import by_key
from tests.unit.reconcile.test_diff import DB, DB_TAP, LAB, SWITCH, WEB, WEB_TAP, told


def test_a_first_run_is_undone_as_a_whole() -> None:
    assert told(undo(diff(LAB, {}), LAB)) == told(diff({}, LAB))


def test_what_was_there_before_stays() -> None:
    before = by_key([SWITCH, WEB_TAP, WEB])
    assert told(undo(diff(LAB, before), LAB)) == (
        "delete macvtap db.0: not in the plan\ndelete domain lab-db: not in the plan"
    )


def test_a_guest_that_was_given_a_nic_keeps_it() -> None:
    before = by_key([SWITCH, WEB_TAP, WEB])
    second = DomainNic(DB_TAP.name, DB_TAP.mac, 1500)
    now = by_key([SWITCH, WEB_TAP, DB_TAP, replace(WEB, nics=(*WEB.nics, second))])
    assert undo(diff(now, before), now) == []


def test_what_was_made_anew_stays() -> None:
    again = [Step(Verb.DELETE, DB, "its memory"), Step(Verb.CREATE, DB, "its memory")]
    assert undo(again, LAB) == []


def test_what_has_failed_or_gone_since_is_not_deleted() -> None:
    assert undo(diff(LAB, {}), {}) == []


def test_a_disk_of_this_run_goes_with_what_was_written() -> None:
    disk = Overlay("/var/lib/vmnet/lab/disk/db.qcow2", 1 << 30)
    written = replace(disk, keep=True, is_written=True)
    found = undo([Step(Verb.CREATE, disk, "new")], by_key([written]))
    assert [s.resource.key for s in found] == [disk.key]
    assert diff({}, by_key([written])) == []
