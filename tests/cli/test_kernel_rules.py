"""What the kernel would answer with EINVAL is said with its place and its mend, nothing touched.

Every command runs in a network namespace of its own, and a listener there proves that no message
of netlink changed a device, an address, a route, a neighbour or a rule of nft.
"""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.framework import forked

HOUSE = Path(__file__).parents[2]
VMNET = forked.program()
WATCHED = (sys.executable, str(Path(__file__).with_name("watched.py")), "writes")
# Without IPv6 nothing changes by itself once a device is up: no DAD, no router is asked for.
QUIET = "for x in all default; do echo 1 > /proc/sys/net/ipv6/conf/$x/disable_ipv6; done"
NIC = "ip link add nic0 type veth peer name far0"
UP = (
    "ip link set far0 up; ip link set nic0 up; "
    "until ip -o link show nic0 | grep -q 'state UP'; do :; done"
)
MAC, ADDRESS = "02:00:00:00:00:01", "10.91.0.7"
DEFAULT_ROUTE = f"{NIC}; {UP}; ip route add default dev nic0"
BRIDGE_PORT = f"{NIC}; ip link add br0 type bridge; ip link set nic0 master br0"
FOREIGN = f"{NIC}; ip link add link nic0 name mv0 type macvtap mode bridge"
PASSTHRU = f"{NIC}; ip link add link nic0 name mv0 type macvtap mode passthru"
SAME_MAC = f"{NIC}; ip link add link nic0 name mv0 address 02:00:00:00:00:01 type macvlan"
OTHERS = (
    f"{NIC}; ip link add link nic0 name mvt0123456789 type macvtap mode bridge; "
    "ip link set mvt0123456789 alias vmnet:other/web/0"
)
ROUTE = "ip link add nic1 type veth peer name far1; ip addr add 10.91.0.7/16 dev nic1"
# A rule that fails to refuse lets guests start: they go again, and the listener tells of them.
SCRIPT = f"""\
{QUIET}
%s
status=0; "$@" || status=$?
[ ! -e /run/vmnet/kernel-rules ] || {sys.executable} -m provisioner down --name kernel-rules
exit $status
"""


@dataclass(frozen=True)
class Ran:
    """How vmnet ended, what it complained of (place and sentence, mend), what it wrote."""

    status: int
    complaints: list[tuple[str, str]]
    written: str = ""


def plan(lan: str, *vms: str, more: str = "") -> str:
    """Write a plan: line 3 is the network, lines from 5 on are VMs unless `more` comes between."""
    lines = ["name: kernel-rules", "networks:", f"  lan: {{{lan}}}", *more.splitlines(), "vms:"]
    return "\n".join([*lines, *(f"  {vm}" for vm in vms or ("a: {nics: [lan]}",)), ""])


def vmnet(folder: Path, text: str, before: str, command: str = "up") -> tuple[Ran, str]:
    """Run vmnet on a plan in a fresh namespace, after the shell commands `before`."""
    (folder / "vmnet.yaml").write_text(text)
    ran = subprocess.run(
        ["unshare", "-mn", "sh", "-ec", SCRIPT % before, "sh", *WATCHED, *VMNET, command],
        cwd=folder,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(HOUSE)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "Traceback" not in ran.stderr
    written = (folder / "writes").read_text() if (folder / "writes").exists() else "not watched"
    return Ran(ran.returncode, complaints(ran.stderr), written), ran.stdout + ran.stderr


def complaints(err: str) -> list[tuple[str, str]]:
    """Give each complaint as its first line and its mend."""
    heads = [line for line in err.splitlines() if line.startswith("vmnet.yaml:")]
    mends = [line.strip() for line in err.splitlines() if line.startswith("  fix: ")]
    return list(zip(heads, mends, strict=True))


@dataclass(frozen=True)
class Rule:
    """One rule: what stands in the plan, what there is on the host, how that is answered."""

    told_as: str
    text: str
    before: str
    status: int
    place: str
    what: str
    mend: str


RULES = [
    Rule(
        "passthru beside another NIC of the plan",
        plan(
            "uplink: nic0, mode: passthru",
            "a: {nics: [lan]}",
            "b: {nics: [{network: lan, mode: bridge}]}",
        ),
        NIC,
        2,
        "5:14",
        "mode passthru takes nic0 for this NIC alone, and another NIC is on it: see "
        "vmnet.yaml:6:35",
        "give one of them another uplink, or both a mode other than passthru",
    ),
    Rule(
        "passthru twice on an uplink",
        plan("uplink: nic0, mode: passthru", "a: {count: 2, nics: [lan]}"),
        NIC,
        2,
        "5:24",
        "mode passthru takes nic0 for this NIC alone, and another NIC is on it: by each VM that "
        "count makes",
        "give one of them another uplink, or both a mode other than passthru",
    ),
    Rule(
        "passthru beside a foreign macvtap",
        plan("uplink: nic0, mode: passthru"),
        FOREIGN,
        3,
        "3:29",
        'mode passthru needs "nic0" for itself, but on it sits "mv0"',
        "use another uplink or mode, or take that device away: ip link del dev mv0",
    ),
    Rule(
        "passthru beside another plan's macvtap",
        plan("uplink: nic0", "a: {nics: [{network: lan, mode: passthru}]}"),
        OTHERS,
        3,
        "5:35",
        'mode passthru needs "nic0" for itself, but on it sits "mvt0123456789" (of plan other)',
        "use another uplink or mode, or take that device away: vmnet down --name other",
    ),
    Rule(
        "anything beside a foreign passthru",
        plan("uplink: nic0"),
        PASSTHRU,
        3,
        "3:17",
        '"nic0" is used exclusively by the passthru "mv0"',
        "use another uplink, or take that device away: ip link del dev mv0",
    ),
    Rule(
        "passthru with a wished MAC",
        plan("uplink: nic0, mode: passthru", f"a: {{nics: [{{network: lan, mac: {MAC}}}]}}"),
        NIC,
        2,
        "5:34",
        "a NIC in mode passthru bears the MAC of its uplink: no other can be given: see "
        "vmnet.yaml:3:29",
        "leave mac out, or use another mode",
    ),
    Rule(
        "promisc: false outside passthru",
        plan("uplink: nic0, promisc: false"),
        NIC,
        2,
        "3:32",
        "promisc: false means nothing in mode bridge",
        "use mode: passthru, or leave promisc out",
    ),
    Rule(
        "a bridge port",
        plan("uplink: nic0"),
        BRIDGE_PORT,
        3,
        "3:17",
        '"nic0" is a port of "br0": the kernel puts no macvtap on a port',
        "use br0 as the uplink",
    ),
    Rule(
        "the loopback",
        plan("uplink: lo"),
        ":",
        2,
        "3:17",
        '"lo" cannot carry macvtaps',
        "name a NIC of this host (`ip link` lists them), or use switch: true instead",
    ),
    Rule(
        "a device that is not Ethernet",
        plan("uplink: nic0"),
        "ip tuntap add nic0 mode tun",
        4,
        "3:17",
        '"nic0" is not an Ethernet device: a macvtap needs one',
        "use an Ethernet network card, or `switch: true`",
    ),
    Rule(
        "a macvtap as the uplink",
        plan("uplink: mv0"),
        FOREIGN,
        2,
        "3:17",
        '"mv0" is a macvtap itself: the kernel would silently use what is below',
        "use nic0 as the uplink",
    ),
    Rule(
        "an MTU above the uplink's",
        plan("uplink: nic0, mtu: 9000"),
        NIC,
        2,
        "3:28",
        "an MTU of 9000 is above the uplink's: nic0 has 1500",
        "write 1500 or less, or raise it: ip link set dev nic0 mtu 9000",
    ),
    Rule(
        "a NIC's MTU above the uplink's",
        plan("uplink: nic0", "a: {nics: [{network: lan, mtu: 1501}]}"),
        NIC,
        2,
        "5:34",
        "an MTU of 1501 is above the uplink's: nic0 has 1500",
        "write 1500 or less, or raise it: ip link set dev nic0 mtu 1501",
    ),
    Rule(
        "an MTU below 68",
        plan("uplink: nic0, mtu: 67"),
        NIC,
        2,
        "3:28",
        '"67" is not an MTU',
        "write a whole number from 68 to 65535",
    ),
    Rule(
        "an MTU below 1280 with IPv6",
        plan("uplink: nic0, mtu: 1279, subnet: 'fd91::/64'"),
        NIC,
        2,
        "3:28",
        "an MTU of 1279 is too small for the network's IPv6 subnet",
        "use at least 1280 (RFC 8200), or do without IPv6",
    ),
    Rule(
        "an uplink's MTU below 1280 with IPv6",
        plan("uplink: nic0, subnet: 'fd91::/64'"),
        f"{NIC} mtu 1000; ip link set nic0 mtu 1000",
        2,
        "3:17",
        'the MTU of "nic0", 1000, is too small for the network\'s IPv6: that needs 1280 (RFC 8200)',
        "raise it: ip link set dev nic0 mtu 1280; or do without IPv6",
    ),
    Rule(
        "a MAC that a foreign macvlan has",
        plan("uplink: nic0", f"a: {{nics: [{{network: lan, mac: {MAC}}}]}}"),
        SAME_MAC,
        3,
        "5:34",
        'the MAC 02:00:00:00:00:01 is already in use on nic0, by "mv0"',
        "give this NIC another MAC",
    ),
    Rule(
        "the uplink's own MAC",
        plan("uplink: nic0", f"a: {{nics: [{{network: lan, mac: {MAC}}}]}}"),
        f"{NIC}; ip link set nic0 address {MAC}",
        3,
        "5:34",
        'the MAC 02:00:00:00:00:01 is already in use on nic0, by "nic0"',
        "give this NIC another MAC",
    ),
    Rule(
        "a multicast MAC",
        plan("uplink: nic0", "a: {nics: [{network: lan, mac: 03:00:00:00:00:01}]}"),
        NIC,
        2,
        "5:34",
        '"03:00:00:00:00:01" is a multicast MAC',
        "make the first octet even, as in 02:00:00:00:00:01, or leave mac out",
    ),
    Rule(
        "the zero MAC",
        plan("uplink: nic0", "a: {nics: [{network: lan, mac: 00:00:00:00:00:00}]}"),
        NIC,
        2,
        "5:34",
        '"00:00:00:00:00:00" is nobody\'s MAC',
        "leave mac out: vmnet derives one",
    ),
    Rule(
        "passthru on the NIC of the default route",
        plan("uplink: nic0, mode: passthru"),
        DEFAULT_ROUTE,
        3,
        "3:29",
        '"nic0" carries this host\'s default route: mode passthru gives the card to the guest, '
        "and the host is cut off (your ssh session, too)",
        "use another uplink or mode; or, at a console of the host, write take_over: true",
    ),
    Rule(
        "subnets of a plan that overlap",
        plan(
            "uplink: nic0, subnet: 10.91.0.0/16", more="  dmz: {switch: true, subnet: 10.91.7.0/24}"
        ),
        NIC,
        2,
        "4:31",
        "subnet 10.91.7.0/24 overlaps 10.91.0.0/16 of network lan: see vmnet.yaml:3:31",
        "give each network a subnet of its own",
    ),
    Rule(
        "a subnet that overlaps a route of the host",
        plan("uplink: nic0, subnet: 10.91.0.0/24"),
        f"{NIC}; {ROUTE}; ip link set nic1 up",
        3,
        "3:31",
        'the subnet 10.91.0.0/24 of network "lan" overlaps the route 10.91.0.0/16 that this host '
        "has through nic1",
        "choose a subnet that the host does not use (see: ip route)",
    ),
    Rule(
        "a switch's subnet that overlaps a route",
        plan("switch: true, subnet: 10.91.0.0/24"),
        f"{ROUTE}; ip link set nic1 up",
        3,
        "3:31",
        'the subnet 10.91.0.0/24 of network "lan" overlaps the route 10.91.0.0/16 that this host '
        "has through nic1",
        "choose a subnet that the host does not use (see: ip route)",
    ),
    Rule(
        "an address that the host has",
        plan(
            "uplink: nic0, subnet: 10.91.0.0/24",
            f"a: {{nics: [{{network: lan, address: {ADDRESS}}}]}}",
        ),
        f"{NIC}; ip addr add {ADDRESS}/24 dev nic0",
        3,
        "5:38",
        "the address 10.91.0.7 is this host's own, on nic0",
        "give this NIC another address, or narrow the pool",
    ),
    Rule(
        "an address on a switch that the host has",
        plan(
            "switch: true, subnet: 10.91.0.0/24",
            f"a: {{nics: [{{network: lan, address: {ADDRESS}}}]}}",
        ),
        f"ip addr add {ADDRESS}/32 dev lo",
        3,
        "5:38",
        "the address 10.91.0.7 is this host's own, on lo",
        "give this NIC another address, or narrow the pool",
    ),
    Rule(
        "host access in a mode that cannot serve it",
        plan("uplink: nic0, subnet: 10.91.0.0/24, host_access: true, mode: vepa"),
        NIC,
        2,
        "3:70",
        "host access works in mode bridge only: the kernel lets nothing pass between the host "
        "and a guest of mode vepa: see vmnet.yaml:3:58",
        "use mode: bridge, leave host_access out, or use a switch: there the host is reached in "
        "every mode",
    ),
    Rule(
        "a VLAN where the kernel has no driver",
        plan("uplink: nic0, vlan: 42"),
        NIC,
        4,
        "3:29",
        'network "lan" is a VLAN: this kernel has no driver for VLANs: its module 8021q is '
        "neither loaded nor built in",
        "load the module where the kernel has it: modprobe 8021q",
    ),
]


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    yield
    for place in ("/run/vmnet/kernel-rules", "/var/lib/vmnet/kernel-rules"):
        assert not Path(place).exists()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.told_as)
def test_it_is_refused_in_its_place_and_nothing_is_written(rule: Rule, tmp_path: Path) -> None:
    ran, _ = vmnet(tmp_path, rule.text, rule.before)
    head = f"vmnet.yaml:{rule.place}: {rule.what}"
    assert ran == Ran(rule.status, [(head, f"fix: {rule.mend}")])


def test_a_write_would_be_heard(tmp_path: Path) -> None:
    subprocess.run(
        ["unshare", "-n", *WATCHED, "ip", "link", "add", "nic0", "type", "veth"],
        cwd=tmp_path,
        check=True,
    )
    assert "protocol 0 message 16" in (tmp_path / "writes").read_text().splitlines()


def test_who_says_that_the_host_may_be_cut_off_may_give_its_nic_away(tmp_path: Path) -> None:
    text = plan("uplink: nic0, mode: passthru, take_over: true")
    ran, told = vmnet(tmp_path, text, DEFAULT_ROUTE, "plan")
    assert ran == Ran(0, [])
    assert "create domain kernel-rules-a: new" in told
    assert "warning: nic0 carries this host's default route: the host loses it to the guest" in told


def test_an_address_that_a_machine_of_the_lan_has_is_refused_with_its_mac(tmp_path: Path) -> None:
    machine = (
        f"{NIC}; ip link set far0 address {MAC}; "
        "unshare -n sh -c 'echo $$ > machine; exec sleep 30' & LAN=$!; "
        "until [ -s machine ]; do :; done; ip link set far0 netns $(cat machine); "
        f"nsenter -n -t $LAN ip addr add {ADDRESS}/24 dev far0; "
        "nsenter -n -t $LAN ip link set far0 up; ip link set nic0 up; "
        "until ip -o link show nic0 | grep -q 'state UP'; do :; done; ip -o addr > before; "
        "trap 'ip -o addr > after; kill $LAN' EXIT"
    )
    text = plan(
        "uplink: nic0, subnet: 10.91.0.0/24",
        f"a: {{nics: [{{network: lan, address: {ADDRESS}}}]}}",
    )
    ran, _ = vmnet(tmp_path, text, machine)
    head = f"vmnet.yaml:5:38: the address {ADDRESS} is taken: {MAC} answers for it on nic0"
    mend = "fix: give this NIC another address, or keep the pool out of the router's DHCP range"
    assert (ran.status, ran.complaints) == (3, [(head, mend)])
    # Asking takes a device of its own for a moment; it is gone again.
    assert (tmp_path / "after").read_text() == (tmp_path / "before").read_text()


ROUTER = (
    f"{NIC}; {UP}; ip addr add 10.91.0.7/24 dev nic0; ip route add default via 10.91.0.1; "
    f"ip neigh add 10.91.0.1 lladdr {MAC} dev nic0"
)
HEARD_TWICE = (
    f"a, NIC 0: its list names {MAC}, the router that this host uses through nic0, too: "
    "while no guest runs there, the host hears its answers twice"
)
WARNINGS = {
    "an empty list of sources": (
        plan("uplink: nic0, mode: source"),
        f"{NIC}; {UP}",
        "a, NIC 0: in mode source it hears only whom its list names, and that is empty: it is deaf",
    ),
    "more queues than CPUs": (
        plan("uplink: nic0, queues: 2"),
        f"{NIC}; {UP}",
        "a, NIC 0: 2 queues for 1 CPU: the others stay idle",
    ),
    "an uplink that is down": (
        plan("uplink: nic0"),
        NIC,
        "uplink nic0 is down: guests on lan reach nobody outside until it comes up",
    ),
    "the router of the host in a list of sources": (
        plan(f"uplink: nic0, mode: source, allow: ['{MAC}']"),
        ROUTER,
        HEARD_TWICE,
    ),
}


@pytest.mark.parametrize(("text", "before", "told"), WARNINGS.values(), ids=WARNINGS)
def test_what_will_work_otherwise_than_one_may_think_is_said(
    text: str, before: str, told: str, tmp_path: Path
) -> None:
    ran, said = vmnet(tmp_path, text, before, "plan")
    assert ran == Ran(0, [])
    assert [line for line in said.splitlines() if "warning" in line] == [f"warning: {told}"]
