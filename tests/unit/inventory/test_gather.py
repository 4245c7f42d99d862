"""Which plan what is found on a host belongs to, and what belongs to none."""

from dataclasses import replace

from provisioner import naming
from provisioner.inventory import listing
from provisioner.inventory.found import (
    DiskFile,
    DomainRecord,
    FoundPlan,
    FoundVm,
    LockHolder,
    PlanFolder,
    Qemu,
    Reading,
    Server,
    Thing,
)
from provisioner.inventory.gather import gathered, owner_of
from provisioner.inventory.plan_mark import PlanMark
from provisioner.network import impairment, nftables
from provisioner.network.facts import Link
from provisioner.network.nft_ruleset import Listing, Table
from provisioner.reconcile.resources import Look

OVER = (
    "lab: its time was over 1 min ago: take it away with vmnet gc --expired, or keep it with "
    "vmnet extend lab 2h"
)
NOW = 1_764_352_637
HERE, ELSEWHERE = 11, 12
HOME = "/var/lib/vmnet/lab"


def link(name: str, kind: str, group: int = naming.group("lab"), alias: str = "") -> Link:
    up = {"mac": "02:00:00:00:00:01", "mtu": 1500, "ethernet": True, "up": True, "carrier": True}
    return Link(name, 7, kind, group=group, alias=alias, **up)  # type: ignore[arg-type]


TAP = link(naming.macvtap("lab", "a", 0), "macvtap", alias=naming.alias("lab", "a", 0))
FOLDER = PlanFolder(HOME, holds_files=True, mark=PlanMark("lab", NOW - 7200))
QEMU = Qemu(42, "lab-a", naming.domain_uuid("lab", "a"), "S", NOW - 60, HERE)


def ours(family: str, name: str) -> Table:
    comment = nftables.table_comment(family, name)
    return Table(family, name, dormant=False, chains=(), comment=comment)


def only(reading: Reading) -> FoundPlan:
    (plan,) = gathered(reading).plans
    return plan


def test_what_is_of_one_plan_comes_together() -> None:
    disk = DiskFile(f"{HOME}/disk/b.qcow2", "b", 4096)
    root = PlanFolder(
        "/run/vmnet/lab",
        holds_files=False,
        mark=PlanMark("lab", NOW - 60),
        domains=(DomainRecord("lab-a", "paused", "lab", "a", 42),),
    )
    table = nftables.table_name("lab", TAP.name)
    reading = Reading(
        NOW,
        HERE,
        folders=(replace(FOLDER, disks=(disk,)), root),
        qemus=(QEMU,),
        links=(TAP,),
        tables=Listing((ours("netdev", table),)),
        locks=(("lab", LockHolder(9, "vmnet up lab", "12:00:00")),),
    )
    plan = only(reading)
    assert plan.vms == (
        FoundVm("a", "paused", 42, NOW - 60, lives=True),
        FoundVm("b", "off"),
    )
    assert (plan.made, plan.until, plan.disks) == (NOW - 7200, 0, (disk,))
    assert str(plan.holder) == "vmnet up lab (pid 9, since 12:00:00)"
    assert [str(x) for x in plan.things] == [
        f"folder {HOME}",
        "folder /run/vmnet/lab",
        "QEMU lab-a (pid 42)",
        f"macvtap {TAP.name}",
        f"nftables {table}",
    ]


def test_a_qemu_is_known_by_its_name_and_its_derived_uuid() -> None:
    assert owner_of("lab-a-b", naming.domain_uuid("lab", "a-b")) == ("lab", "a-b")
    assert owner_of("lab-a-b", naming.domain_uuid("lab-a", "b")) == ("lab-a", "b")
    assert owner_of("lab-a", naming.domain_uuid("lab", "b")) is None
    assert gathered(Reading(NOW, qemus=(replace(QEMU, domain="lab-x"),))).plans == ()


def test_a_stopped_process_and_one_elsewhere_are_told() -> None:
    away = replace(QEMU, state="T", namespace=ELSEWHERE)
    plan = only(Reading(NOW, HERE, qemus=(away,)))
    assert plan.vms == (
        FoundVm("a", "stopped (state T)", 42, NOW - 60, is_elsewhere=True, lives=True),
    )
    assert plan.is_elsewhere
    assert "nsenter -n -t 42 vmnet ls" in plan.notes[0]
    hidden = replace(QEMU, namespace=0)
    assert not only(Reading(NOW, HERE, qemus=(hidden,))).is_elsewhere


def test_a_guest_that_vmnet_has_stopped_is_told_from_one_that_is_off() -> None:
    plan = only(Reading(NOW, HERE, folders=(replace(FOLDER, stopped=("b",)),), links=(TAP,)))
    assert plan.vms == (FoundVm("a", "off"), FoundVm("b", "stopped"))


def test_a_dnsmasq_is_of_the_plan_in_whose_folder_its_configuration_is() -> None:
    server = Server(7, f"{HOME}/dhcp/lan.conf", "lab", HERE)
    plan = only(Reading(NOW, HERE, servers=(server,)))
    assert ([str(x) for x in plan.things], plan.is_elsewhere) == (["dnsmasq pid 7"], False)
    away = only(Reading(NOW, HERE, servers=(replace(server, namespace=ELSEWHERE),)))
    assert (away.things, away.is_elsewhere) == ((), True)
    assert "nsenter -n -t 7 vmnet ls" in away.notes[0]


def test_a_record_without_a_process_has_ended_unless_its_socket_is_there() -> None:
    record = DomainRecord("lab-a", "running", "lab", "a", 42)
    root = PlanFolder("/r/lab", holds_files=False, mark=PlanMark("lab"), domains=(record,))
    reading = Reading(NOW, HERE, folders=(root,))
    assert only(reading).vms == (FoundVm("a", "ended"),)
    path = "/run/vmnet/lab/lib/qemu/domain-1-lab-a/monitor.sock"
    alive = replace(reading, sockets=frozenset({path}))
    assert only(alive).vms == (FoundVm("a", "running out of sight", is_elsewhere=True, lives=True),)
    other = replace(reading, sockets=frozenset({path.replace("lab-a", "lab-ab")}))
    assert only(other).vms == (FoundVm("a", "ended"),)


def test_devices_without_a_folder_tell_their_plan_and_its_end() -> None:
    until = NOW + 600
    tap = replace(TAP, alias=naming.expiring(TAP.alias, until))
    reading = Reading(NOW, HERE, links=(tap,), nodes=((TAP.name, NOW - 30),))
    plan = only(reading)
    assert (plan.name, plan.made, plan.until) == ("lab", NOW - 30, until)
    assert plan.vms == (FoundVm("a", "off"),)
    # A mark knows better: it is what is renewed first.
    kept = only(replace(reading, folders=(FOLDER,)))
    assert (kept.made, kept.until) == (FOLDER.mark.made if FOLDER.mark else 0, 0)


def test_no_plan_differs_by_the_expiry_of_its_devices() -> None:
    tap = replace(TAP, alias=naming.expiring(TAP.alias, NOW))
    assert Look("lab", links=(tap,)).ours == (TAP,)
    assert naming.alias_and_expiry(TAP.alias) == (TAP.alias, 0)
    assert naming.alias_and_expiry("mine until noon") == ("mine until noon", 0)


def test_an_unnamed_device_is_of_the_plan_whose_group_it_is_in() -> None:
    bare = replace(TAP, alias="")
    assert str(only(Reading(NOW, folders=(FOLDER,), links=(bare,))).things[1]) == (
        f"macvtap {TAP.name}"
    )
    alone = gathered(Reading(NOW, links=(bare,)))
    assert alone.plans == ()
    assert alone.strangers == (Thing("device", TAP.name, why="of which plan it is does not show"),)


def test_look_alikes_are_named_with_why_they_are_none() -> None:
    links = (
        replace(TAP, name="mine0"),
        replace(TAP, alias="vmnet:other/a/0"),
        replace(TAP, alias="mine"),
        replace(TAP, group=0),
        link("mvx0123456789", "dummy", naming.WIRE_GROUP),
    )
    tables = (replace(ours("inet", "vmnet_lab_x"), comment=""), ours("inet", "mine"))
    folders = (
        PlanFolder("/var/lib/vmnet/thesis", holds_files=True),
        PlanFolder("/var/lib/vmnet/copy", holds_files=True, mark=PlanMark("lab")),
        PlanFolder("/var/lib/vmnet/x", holds_files=True, mark=PlanMark("\x1b[2J")),
    )
    copy = DomainRecord("clone-of-a", "running", "lab", "a", where="qemu:///system")
    found = gathered(
        Reading(NOW, folders=folders, domains=(copy,), links=links, tables=Listing(tables))
    )
    assert found.plans == ()
    assert [str(x) for x in found.strangers] == [
        "folder /var/lib/vmnet/thesis",
        "folder /var/lib/vmnet/copy",
        "folder /var/lib/vmnet/x",
        "domain clone-of-a",
        "device mine0",
        *[f"device {TAP.name}"] * 3,
        "device mvx0123456789",
        "nftables table inet vmnet_lab_x",
    ]
    assert all(x.why for x in found.strangers)


def test_wires_and_rules_of_no_device_are_of_no_plan() -> None:
    ends = [link(f"mvx{tail}", "veth", naming.WIRE_GROUP) for tail in ("0" * 10, "1" * 10)]
    gone = impairment.table_of("mvt0123456789")
    table = ours("netdev", gone)
    found = gathered(
        Reading(
            NOW,
            links=tuple(ends),
            tables=Listing((table,)),
            sockets=frozenset({"@vmnet-wire-" + "1" * 10}),
        )
    )
    assert [str(x) for x in found.ownerless] == ["wire mvx0000000000", "impairment mvt0123456789"]


def test_a_folder_that_cannot_be_read_hides_no_other() -> None:
    broken = PlanFolder(HOME, holds_files=True, mark=PlanMark("lab"), trouble="it cannot be read")
    other = replace(FOLDER, path="/var/lib/vmnet/other", mark=PlanMark("other"))
    found = gathered(Reading(NOW, folders=(broken, other)))
    assert [plan.name for plan in found.plans] == ["lab", "other"]
    assert found.plans[0].notes == (f"{HOME}: it cannot be read",)


def test_the_table_fits_and_tells_what_is_over() -> None:
    reading = Reading(
        NOW,
        HERE,
        folders=(replace(FOLDER, mark=PlanMark("lab", NOW - 7200, NOW - 60, "/srv/lab.yaml")),),
        qemus=tuple(
            replace(QEMU, domain=f"lab-{vm}", uuid=naming.domain_uuid("lab", vm))
            for vm in ("a", "b", "c", "d")
        ),
    )
    found = gathered(reading)
    assert listing.as_rows(found, NOW)[1:] == [("lab", "4 running", "-", "2 h ago", "over")]
    assert list(listing.notes(found, NOW)) == [
        "lab: its plan is /srv/lab.yaml",
        OVER,
    ]
    assert [p.name for p in found.only(["nobody"]).plans] == []
