"""What must exist for a plan, from literals: macvtaps, guards, seeds, domains as whole values."""

from dataclasses import replace

import pytest

from provisioner import naming
from provisioner.guest import cloudinit
from provisioner.guest.boot import BootFile, Loader, New
from provisioner.guest.domain import (
    MICRO,
    Domain,
    DomainDisk,
    DomainNic,
    FileCopy,
    Image,
    Overlay,
    Seed,
)
from provisioner.guest.network_config import network_config
from provisioner.network import nftables
from provisioner.network.addressing import assign
from provisioner.network.facts import Chosen, Facts, Firewall, Link
from provisioner.network.resources import Guard, Macvtap
from provisioner.plan.choices import Mode, SpoofGuard
from provisioner.plan.load.loader import load
from provisioner.plan.model import Plan
from provisioner.plan.nic_id import NicId
from provisioner.preflight.warnings import of_uplinks
from provisioner.reconcile.desired import desired, named
from provisioner.reconcile.known_wire import wire_of
from provisioner.resource import Resource, by_key

HOME = "/state/lab"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAA me"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBBB you"
NIC = Link("nic0", 2, "", "02:00:00:00:00:10", 9000, ethernet=True, up=True, carrier=True)
FACTS = Facts(links=(NIC,), home=HOME, vhost=True)
NO_GUARD = replace(FACTS, firewall=Firewall(no_guard="nft is not installed"))
TAP = naming.macvtap("lab", "web", 0)
MAC = naming.mac("lab", "web", 0)
GROUP = naming.group("lab")
KERNEL = Image("/image/kernel", "/image/initrd", "quiet", min_memory_mib=96)
DEBIAN = Image(
    name="debian-12",
    disk="/image/debian.qcow2",
    size=2 << 30,
    boot=("bios", "uefi"),
    cloud_init=True,
    user="debian",
    min_memory_mib=512,
)


def plan_with(nic: str = "", vm: str = "", lan: str = "uplink: nic0, addressing: none") -> Plan:
    nics = f"[{{network: lan{nic and ', '}{nic}}}]"
    return load(
        f"name: lab\nnetworks:\n  lan: {{{lan}}}\nvms:\n  web: {{nics: {nics}{vm and ', '}{vm}}}\n",
        "lab.yaml",
    ).plan


def new(image: Image = KERNEL, accel: str = "tcg", **more: object) -> New:
    return New({"web": image}, Chosen(accel, ""), **more)  # type: ignore[arg-type]


def wanted(plan: Plan, facts: Facts = NO_GUARD, given: New | None = None) -> list[Resource]:
    return list(desired(plan, assign(plan), facts, given or new()).values())


def domain_of(plan: Plan, facts: Facts = NO_GUARD, given: New | None = None) -> Domain:
    (found,) = (x for x in wanted(plan, facts, given) if isinstance(x, Domain))
    return found


def tap_of(plan: Plan, facts: Facts = NO_GUARD) -> Macvtap:
    (found,) = (x for x in wanted(plan, facts) if isinstance(x, Macvtap))
    return found


PLAIN_TAP = Macvtap(
    *(TAP, "nic0", Mode.BRIDGE, MAC, 9000, GROUP, "vmnet:lab/web/0", "vmnet-lab-web-0"),
    plan="lab",
    vm="web",
)


def plain_domain(plan: Plan) -> Domain:
    return Domain(
        *("lab-web", naming.domain_uuid("lab", "web"), "lab", "web", 128, 1, "tcg"),
        f"{HOME}/console/web.log",
        (DomainNic(TAP, MAC, 9000, vhost=True),),
        *("/image/kernel", "/image/initrd", "quiet vmnet.hostname=web"),
        network=network_config(list(assign(plan).values())),
        image=KERNEL,
        home=HOME,
        login=KERNEL.user,
    )


def test_the_smallest_guest_needs_a_macvtap_and_itself() -> None:
    plan = plan_with()
    assert wanted(plan) == [PLAIN_TAP, plain_domain(plan)]
    (tap, domain) = wanted(plan)
    assert isinstance(tap, Macvtap)
    assert isinstance(domain, Domain)
    assert (tap.plan, tap.vm, tap.nic) == ("lab", "web", 0)
    assert domain.home == HOME


@pytest.mark.parametrize(
    ("nic", "facts", "tap"),
    [
        ("mode: vepa", NO_GUARD, replace(PLAIN_TAP, mode=Mode.VEPA)),
        ("mtu: 1400", NO_GUARD, replace(PLAIN_TAP, mtu=1400)),
        ("queues: 2, txqueuelen: 9", NO_GUARD, replace(PLAIN_TAP, queues=2, txqueuelen=9)),
        ("link: down", NO_GUARD, replace(PLAIN_TAP, up=False)),
        (
            "mode: passthru, promisc: false",
            NO_GUARD,
            replace(PLAIN_TAP, mode=Mode.PASSTHRU, nopromisc=True),
        ),
        (
            "mode: source, allow: ['02:00:00:00:00:99', 'vm:web', host]",
            NO_GUARD,
            replace(
                PLAIN_TAP,
                mode=Mode.SOURCE,
                sources=tuple(sorted(["02:00:00:00:00:99", MAC, NIC.mac])),
            ),
        ),
        ("", replace(NO_GUARD, links=()), replace(PLAIN_TAP, mtu=1500)),
    ],
)
def test_a_macvtap_is_as_its_nic_wants_it(nic: str, facts: Facts, tap: Macvtap) -> None:
    assert tap_of(plan_with(nic), facts) == tap


def test_a_macvtap_on_a_vlan_is_as_large_as_the_nic_below_as_the_vlan_will_be() -> None:
    plan = plan_with(lan="uplink: nic0, vlan: 42, addressing: none")
    name = naming.vlan("lab", "nic0", 42)
    there = replace(NIC, name=name, index=3, mtu=1400)
    assert tap_of(plan) == replace(PLAIN_TAP, uplink=name)
    both = replace(NO_GUARD, links=(NIC, there))
    assert tap_of(plan, both) == replace(PLAIN_TAP, uplink=name)


def test_each_nic_has_a_macvtap_of_its_number() -> None:
    text = "name: lab\nnetworks: {lan: {uplink: nic0}}\nvms: {web: {nics: [lan, lan]}}"
    taps = [x for x in wanted(load(text, "p").plan) if isinstance(x, Macvtap)]
    assert [(x.name, x.nic, x.altname) for x in taps] == [
        (naming.macvtap("lab", "web", n), n, f"vmnet-lab-web-{n}") for n in (0, 1)
    ]


@pytest.mark.parametrize("level", ["mac", "strict"])
def test_a_guard_holds_a_nic_to_its_configuration(level: str) -> None:
    plan = plan_with(f"spoof_guard: {level}")
    (guard,) = (x for x in wanted(plan, FACTS) if isinstance(x, Guard))
    key, nics = NicId("web", 0), assign(plan)
    wire = wire_of(plan, key, nics)
    assert guard == nftables.guard("lab", TAP, nics[key], SpoofGuard(level), wire)


def test_there_is_no_guard_where_none_is_wanted_or_none_can_be() -> None:
    off = wanted(plan_with("spoof_guard: off"), FACTS)
    assert not [x for x in (*off, *wanted(plan_with())) if isinstance(x, Guard)]


def test_one_nic_without_a_guard_leaves_the_others_theirs() -> None:
    text = (
        "name: lab\nnetworks: {lan: {uplink: nic0}}\n"
        "vms: {web: {nics: [{network: lan, spoof_guard: off}, lan]}}"
    )
    guards = [x for x in wanted(load(text, "p").plan, FACTS) if isinstance(x, Guard)]
    assert [x.device for x in guards] == [naming.macvtap("lab", "web", 1)]


def test_a_granted_device_is_roots_and_no_step_touches_it() -> None:
    device = Link(
        "mvn0",
        5,
        "macvtap",
        "02:00:00:00:00:70",
        1400,
        ethernet=True,
        up=True,
        carrier=True,
        group=naming.NET_GROUP,
        alias="vmnet-net:nic0/0/mine",
        mode="bridge",
        queues=2,
    )
    plan = plan_with(lan="granted: mine")
    facts = replace(FACTS, links=(NIC, device))
    (domain,) = wanted(plan, facts)
    assert isinstance(domain, Domain)
    granted = DomainNic("mvn0", device.mac, 1400, 2, vhost=True, granted=True)
    assert domain.nics == (granted,)


@pytest.mark.parametrize(
    ("nic", "usable", "before", "vhost"),
    [
        ("vhost: on", False, None, True),
        ("vhost: off", True, True, False),
        ("vhost: auto", True, None, True),
        ("vhost: auto", False, None, False),
        ("vhost: auto", False, True, True),
        ("vhost: auto", True, False, False),
    ],
)
def test_vhost_is_as_wanted_else_as_it_was_else_as_the_host_can(
    nic: str,
    usable: bool,  # noqa: FBT001
    before: bool | None,  # noqa: FBT001
    vhost: bool,  # noqa: FBT001
) -> None:
    kept = {}
    if before is not None:
        old = replace(plain_domain(plan_with()), nics=(DomainNic(TAP, MAC, 9000, vhost=before),))
        kept = {"web": old}
    domain = domain_of(plan_with(nic), replace(NO_GUARD, vhost=usable), new(kept=kept))
    assert [x.vhost for x in domain.nics] == [vhost]


@pytest.mark.parametrize(
    ("before", "wish", "mtu"),
    [(1400, 1300, 1400), (1400, 1400, 1400), (1400, 1401, 1401), (1500, 9000, 1500)],
)
def test_the_mtu_of_a_running_nic_stays_as_long_as_the_guest_can_set_the_new_one(
    before: int, wish: int, mtu: int
) -> None:
    old = replace(plain_domain(plan_with()), nics=(DomainNic(TAP, MAC, before),))
    domain = domain_of(plan_with(f"mtu: {wish}"), given=new(kept={"web": old}))
    assert [x.mtu for x in domain.nics] == [mtu]


def test_a_running_guest_is_told_an_mtu_that_its_nic_was_not_started_with() -> None:
    kept = {"web": replace(plain_domain(plan_with()), nics=(DomainNic(TAP, MAC, 9000),))}
    lower = replace(NO_GUARD, links=(replace(NIC, mtu=1400),))
    assert '"mtu":1400' in domain_of(plan_with(), lower, new(kept=kept)).network
    assert '"mtu"' not in domain_of(plan_with(), given=new(kept=kept)).network
    assert '"mtu"' not in domain_of(plan_with(), lower).network


@pytest.mark.parametrize(
    ("there", "below", "on"),
    [
        (replace(NIC, name="new0"), 2, "new0"),  # renamed
        (NIC, 2, "nic0"),
        (replace(NIC, index=9, name="other0"), 0, "?"),  # in another namespace
        (replace(NIC, index=9, name="other0"), None, "nic0"),  # gone with its macvtaps
    ],
)
def test_a_macvtap_stays_on_a_nic_that_was_renamed_or_moved(
    there: Link, below: int | None, on: str
) -> None:
    plan = plan_with()
    tap = replace(NIC, name=TAP, index=30, kind="macvtap", lower=below or 0, mtu=1300)
    facts = replace(NO_GUARD, links=(there,) if below is None else (there, tap))
    assert tap_of(plan, facts).uplink == on
    said = list(of_uplinks(plan, facts))
    words = {
        "new0": "is called new0 now",
        "?": "is in another network namespace",
        "nic0": "is gone",
    }
    assert [words[on] in line for line in said] == ([] if there == NIC else [True])


def test_a_nic_that_is_new_to_a_running_guest_has_its_own_mtu() -> None:
    old = replace(plain_domain(plan_with()), nics=(DomainNic("mvt9", MAC, 1500),))
    domain = domain_of(plan_with("mtu: 1400"), given=new(kept={"web": old}))
    assert domain.nics == (DomainNic(TAP, MAC, 1400, vhost=True),)


@pytest.mark.parametrize(
    ("vm", "image", "memory"),
    [("", KERNEL, 128), ("", DEBIAN, 512), ("memory: 256M", DEBIAN, 256)],
)
def test_a_guest_has_the_memory_that_it_wants_else_what_its_image_needs(
    vm: str, image: Image, memory: int
) -> None:
    assert domain_of(plan_with(vm=vm), given=new(image)).memory_mib == memory


def test_a_guest_of_micro_that_needs_more_than_a_network_gets_a_seed() -> None:
    plan = plan_with(vm="run: [reboot]")
    seed, domain = (x for x in wanted(plan) if not isinstance(x, Macvtap))
    assert isinstance(seed, Seed)
    assert isinstance(domain, Domain)
    user = cloudinit.user_data(plan.vms[0], None, new().texts)
    network = network_config(list(assign(plan).values()))
    key = cloudinit.host_key(plan.vms[0])
    made = cloudinit.seed(HOME, "lab", "web", (user, network), key)
    assert (seed, seed.files, seed.host_key) == (made, made.files, made.host_key)
    assert (domain.seed, domain.user) == (seed.path, cloudinit.fingerprint(user))


def test_a_network_too_long_for_the_command_line_goes_into_a_seed() -> None:
    vm = f"kernel: ./k, cmdline: '{'x' * 1900}'"
    short, long = (plan_with(vm=vm.replace("x" * 1900, "x" * n)) for n in (9, 1900))
    files = {("web", "kernel"): BootFile("/plan/k", "d" * 64)}
    assert domain_of(short, given=new(files=files)).seed is None
    assert domain_of(long, given=new(files=files)).seed is not None


def test_an_image_without_a_network_on_its_command_line_gets_a_seed() -> None:
    domain = domain_of(plan_with(), given=new(DEBIAN))
    assert domain.seed is not None
    assert (domain.cmdline, domain.login, domain.image) == ("", "debian", DEBIAN)
    bare = replace(DEBIAN, cloud_init=False)
    (seed,) = (x for x in wanted(plan_with(), given=new(bare)) if isinstance(x, Seed))
    assert seed.host_key == ""


def test_what_a_guest_booted_with_stays_while_its_user_data_does() -> None:
    plan = plan_with()
    seeded = domain_of(plan, given=new(DEBIAN))
    moved = plan_with("address: 10.0.0.9/24", lan="uplink: nic0")
    resources = wanted(moved, given=new(DEBIAN, kept={"web": seeded}))
    (seed,) = (x for x in resources if isinstance(x, Seed))
    assert (seed.path, seed.files) == (seeded.seed, ())
    seedless = replace(plain_domain(plan), seed=None)
    assert [type(x) for x in wanted(moved, given=new(kept={"web": seedless}))] == [Macvtap, Domain]


def test_new_user_data_is_a_new_seed() -> None:
    seeded = domain_of(plan_with(), given=new(DEBIAN))
    changed = domain_of(plan_with(vm="run: [reboot]"), given=new(DEBIAN, kept={"web": seeded}))
    assert changed.seed != seeded.seed


def test_ignition_is_read_instead_of_a_seed() -> None:
    files = {("web", "ignition"): BootFile("/plan/i", "d" * 64)}
    plan = plan_with(vm="image: debian-12, ignition: ./i")
    resources = wanted(plan, given=new(replace(DEBIAN, cloud_init=False), files=files))
    (domain,) = (x for x in resources if isinstance(x, Domain))
    assert not [x for x in resources if isinstance(x, Seed)]
    assert (domain.seed, domain.ignition) == (None, f"{HOME}/boot/ignition-{'d' * 16}")


def test_a_guest_with_a_disk_of_its_own_and_uefi_has_copies_and_overlays() -> None:
    vm = "image: debian-12, boot: uefi, cpus: 2, graphics: vnc, user: ann"
    loader = Loader("/code", "/variables")
    template = {("web", "template"): BootFile("/plan/t", "e" * 64)}
    given = new(DEBIAN, loader=loader, files=template)
    resources = wanted(plan_with(vm=f"{vm}, cpu_model: Nehalem"), given=given)
    (domain,) = (x for x in resources if isinstance(x, Domain))
    assert [x for x in resources if isinstance(x, FileCopy | Overlay)] == [
        FileCopy(f"{HOME}/boot/web.nvram"),
        Overlay(f"{HOME}/disk/web.qcow2", 2 << 30, DEBIAN.disk, "qcow2"),
    ]
    assert domain.disks == (DomainDisk(f"{HOME}/disk/web.qcow2", "qcow2", DEBIAN.disk, "qcow2"),)
    assert (domain.firmware, domain.loader) == ("uefi", "/code")
    assert domain.nvram == f"{HOME}/boot/web.nvram"
    assert (domain.cpus, domain.machine, domain.cpu_model) == (2, "q35", "Nehalem")
    assert (domain.graphics, domain.login, domain.template) == ("vnc", "ann", "e" * 64)


def test_a_guest_has_the_machine_that_the_plan_names() -> None:
    assert domain_of(plan_with(vm="machine: pc")).machine == "pc"


def test_a_disk_that_has_grown_stays_as_it_is() -> None:
    path = f"{HOME}/disk/web.qcow2"
    there = {path: Overlay(path, 9 << 30, DEBIAN.disk, "qcow2")}
    resources = wanted(plan_with(), given=new(DEBIAN, disks=there))
    assert there[path] in resources


@pytest.mark.parametrize(
    ("old", "fresh", "chosen"),
    [
        (None, DEBIAN, DEBIAN),
        (None, None, Image()),
        (replace(DEBIAN, size=1), DEBIAN, replace(DEBIAN, size=1)),
        (DEBIAN, None, DEBIAN),
        (DEBIAN, KERNEL, KERNEL),
    ],
)
def test_a_guest_keeps_its_image_until_the_plan_names_another(
    old: Image | None, fresh: Image | None, chosen: Image
) -> None:
    kept = {"web": replace(plain_domain(plan_with()), image=old)} if old else {}
    given = New({"web": fresh} if fresh else {}, Chosen("tcg", ""), kept)
    assert given.image_of("web") == chosen


@pytest.mark.parametrize(
    ("old", "wish", "accel"),
    [
        (None, "auto", "kvm"),
        (None, "tcg", "kvm"),  # what was chosen is what was wished for
        ("tcg", "auto", "tcg"),
        ("tcg", "kvm", "kvm"),
    ],
)
def test_a_guest_keeps_its_accelerator_until_the_plan_names_another(
    old: str | None, wish: str, accel: str
) -> None:
    kept = {"web": replace(plain_domain(plan_with()), accel=old)} if old else {}
    assert new(accel="kvm", kept=kept).accel_of("web", wish) == accel


def test_each_guest_runs_with_the_accelerator_that_was_chosen_for_it() -> None:
    plan = load(
        "name: lab\naccel: tcg\nnetworks: {lan: {uplink: nic0}}\nvms: {web: {nics: [lan]}}", "p"
    ).plan
    kept = {"web": replace(plain_domain(plan), accel="kvm")}
    assert domain_of(plan, given=new(accel="kvm", kept=kept)).accel == "tcg"
    assert domain_of(plan, given=new(accel="kvm")).accel == "kvm"


def test_micro_alone_learns_its_name_on_the_command_line() -> None:
    other = replace(KERNEL, name="mine")
    assert KERNEL.name == MICRO
    assert domain_of(plan_with()).cmdline == "quiet vmnet.hostname=web"
    assert domain_of(plan_with(), given=new(other)).cmdline == "quiet"


def test_the_devices_of_networks_come_before_the_guests() -> None:
    kinds = [x.KIND for x in wanted(plan_with(lan="switch: true, subnet: 10.0.0.0/24"), FACTS)]
    assert kinds == ["switch", "nat", "macvtap", "guard", "domain"]


def test_a_nic_is_called_by_its_network_unless_two_are_on_it() -> None:
    text = (
        "name: lab\nnetworks:\n"
        "  lan: {uplink: nic0, addressing: none}\n  dmz: {uplink: nic1, addressing: none}\n"
        "vms: {web: {nics: [lan, dmz, lan]}}\n"
    )
    plan = load(text, "lab.yaml").plan
    taps = [one for one in wanted(plan) if isinstance(one, Macvtap)]
    assert [tap.of for tap in taps] == ["web.0", "web.dmz", "web.2"]
    seen = [replace(tap, shown="") for tap in taps]
    seen += [replace(seen[0], name="mvt1", alias="vmnet:lab/old/0")]
    names = [tap.of for tap in named(plan, by_key(seen)).values() if isinstance(tap, Macvtap)]
    assert names == ["web.0", "web.dmz", "web.2", "old.0"]


def test_a_macvtap_gets_the_mtu_that_its_switch_will_have_not_the_one_it_still_has() -> None:
    plan = plan_with(lan="switch: true, subnet: 10.77.0.0/24")
    lower, _ = naming.switch_ends("lab", "lan")
    small = Link(lower, 9, "veth", "02:00:00:00:00:11", 1400, ethernet=True, up=True, carrier=True)
    found = desired(plan, assign(plan), replace(FACTS, links=(NIC, small)), new())
    tap = found["macvtap", TAP]
    assert isinstance(tap, Macvtap)
    assert tap.mtu == 1500


def started_with(*keys: str, written: str = "") -> Domain:
    """Return a guest of Debian's as it was started, with these keys for `auto`."""
    plan = plan_with(vm=f"image: debian-12{written and ', '}{written}")
    return domain_of(plan, given=new(DEBIAN, login_keys=keys))


def test_a_guest_takes_the_keys_of_whoever_starts_it() -> None:
    given = new(DEBIAN, login_keys=(KEY,))
    (seed,) = (x for x in wanted(plan_with(vm="image: debian-12"), given=given) if x.KIND == "seed")
    assert KEY in dict(seed.files)["user-data"]  # type: ignore[attr-defined]
    both = wanted(plan_with(vm=f"image: debian-12, ssh_keys: [auto, {OTHER}]"), given=given)
    (seed,) = (x for x in both if x.KIND == "seed")
    assert f'["{OTHER}","{KEY}"]' in dict(seed.files)["user-data"].replace(", ", ",")  # type: ignore[attr-defined]


def test_a_guest_keeps_the_keys_it_has_whoever_runs_the_next_command() -> None:
    old = started_with(KEY)
    given = new(DEBIAN, login_keys=(OTHER,), kept={"web": old})
    assert domain_of(plan_with(vm="image: debian-12"), given=given) == old


def test_a_guest_that_an_older_vmnet_has_started_without_keys_is_left_alone() -> None:
    old = started_with()
    given = new(DEBIAN, login_keys=(KEY,), kept={"web": old})
    assert domain_of(plan_with(vm="image: debian-12"), given=given) == old


@pytest.mark.parametrize("keys", ["none", "[]", f"'{OTHER}'"])
def test_keys_that_the_plan_takes_away_are_taken_away(keys: str) -> None:
    old = started_with(KEY)
    plan = plan_with(vm=f"image: debian-12, ssh_keys: {keys}")
    assert domain_of(plan, given=new(DEBIAN, login_keys=(KEY,), kept={"web": old})) != old
