"""Memory and disk space, asked for before the first step."""

from dataclasses import replace

from provisioner.guest.domain import Domain, DomainNic, FileCopy, Overlay
from provisioner.network.facts import Facts, Room
from provisioner.plan.load.loader import load
from provisioner.preflight import room
from provisioner.reconcile.diff import Step, Verb
from provisioner.resource import Resource

GIB = 1 << 30
PLAN = """\
name: lab
networks: {lan: {switch: true, subnet: 10.77.0.0/24}}
vms:
  web: {nics: [lan]}
  db: {nics: [lan], memory: 1G}
"""
STATE = Room("/var/lib/vmnet", "VMNET_STATE_DIR", GIB, 1000, is_of_guests=True)
RUN = Room("/run/vmnet", "VMNET_RUN_DIR", GIB, 1000)
HOST = Facts(memory_mib=8192, rooms=(STATE, RUN))


def domain(vm: str, memory_mib: int) -> Domain:
    return Domain(
        *(f"lab-{vm}", vm, "lab", vm, memory_mib, 1, "tcg", "l"),
        (DomainNic("mvt1", "02:00:00:00:00:01", 1500),),
    )


WEB, DB = domain("web", 128), domain("db", 1024)
BOTH = [Step(Verb.CREATE, WEB, "new"), Step(Verb.CREATE, DB, "new")]


def told(
    facts: Facts, *steps: Step, text: str = PLAN, sizes: dict[str, int] | None = None
) -> list[str]:
    loaded = load(text, "p")
    found = room.complaints(loaded.plan, loaded.places, steps, facts, sizes or {})
    return [f"{e.where}: {e.what}" if e.where else e.what for e in found]


def made(*files: Resource) -> list[Step]:
    return [Step(Verb.CREATE, file, "new") for file in files]


def test_a_host_with_room_is_not_complained_of() -> None:
    assert told(HOST, *BOTH, *made(Overlay("/var/lib/vmnet/lab/disk/db.qcow2", 9 * GIB))) == []


def test_guests_that_would_make_the_host_swap_are_refused_with_numbers() -> None:
    (line,) = told(replace(HOST, memory_mib=1000), *BOTH)
    assert line == (
        "p:5:29: 2 guests need 1280 MiB of memory with their QEMUs, and this host has 1000 MiB "
        "left: 280 MiB too few"
    )
    assert told(replace(HOST, memory_mib=1280), *BOTH) == []


def test_whoever_wants_it_may_overcommit() -> None:
    facts = replace(HOST, memory_mib=1000)
    assert told(facts, *BOTH, text=f"{PLAN}overcommit: true\n") == []


def test_what_a_guest_has_that_is_started_anew_counts_as_free() -> None:
    facts = replace(HOST, memory_mib=100)
    again = [Step(Verb.DELETE, DB, "image has changed"), Step(Verb.CREATE, DB, "image has changed")]
    assert told(facts, *again) == []
    assert len(told(facts, *again, *BOTH[:1])) == 1


def test_guests_that_run_already_need_nothing() -> None:
    assert told(replace(HOST, memory_mib=1), Step(Verb.UPDATE, DB, "its NICs")) == []


def test_a_host_whose_memory_is_unknown_is_not_complained_of() -> None:
    assert told(Facts(), *BOTH) == []


def test_files_that_do_not_fit_are_refused_before_they_are_begun() -> None:
    facts = replace(HOST, rooms=(replace(STATE, free_bytes=3 << 20), RUN))
    kernel = FileCopy("/var/lib/vmnet/lab/boot/web.kernel")
    assert told(facts, *BOTH, *made(kernel), sizes={kernel.path: 9 << 20}) == [
        "the guests' files need 11 MiB in /var/lib/vmnet, and 3 MiB are free"
    ]
    assert told(facts, *BOTH) == []


def test_only_what_guests_write_to_must_have_room_for_their_files() -> None:
    assert told(replace(HOST, rooms=(STATE, replace(RUN, free_bytes=1))), *BOTH) == []


def test_a_file_system_without_inodes_is_told_with_numbers() -> None:
    facts = replace(HOST, rooms=(replace(STATE, free_files=30), RUN))
    assert told(facts, *BOTH) == [
        "the guests need 32 files in /var/lib/vmnet, and its file system has room for 30"
    ]
    assert told(replace(HOST, rooms=(replace(STATE, free_files=-1), RUN)), *BOTH) == []


def test_a_read_only_place_is_told_unless_nothing_is_made_there() -> None:
    facts = replace(HOST, rooms=(STATE, replace(RUN, is_read_only=True)))
    assert told(facts, *BOTH) == ["/run/vmnet is on a file system that is read-only"]
    assert told(facts, Step(Verb.DELETE, WEB, "not in the plan")) == []
