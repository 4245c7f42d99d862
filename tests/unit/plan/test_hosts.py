"""Other machines that a plan names: read, promised something, and what they have said judged."""

from ipaddress import ip_address

import pytest

from provisioner.check.result import Probed
from provisioner.host.probe.ssh_ping import answers, command
from provisioner.network.addressing import assign
from provisioner.plan.hosts import Login, login
from provisioner.plan.load.loader import load
from provisioner.plan.nic_id import NicId
from provisioner.plan.scalars import BadValue
from provisioner.reachability import external
from provisioner.reachability.pairs import Expected
from provisioner.reachability.user_checks import expand
from tests.builders.plan import complaints_of as complaints

PLAN = """\
name: lab
networks:
  lan: {uplink: nic0, subnet: [10.0.0.0/24, "fd00::/64"], gateway: 10.0.0.1%s}
  own: {switch: true, subnet: 10.1.0.0/24}
vms:
  a: {nics: [lan]}
  b: {nics: [{network: lan, link: down}]}
  c: {nics: [own]}
hosts:
  nas: {address: [10.0.0.9, "fd00::9"], ssh: admin@nas}
  printer: 10.0.0.8
  far: {address: 192.0.2.1, ssh: far}
checks: [%s]
"""


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("nas", Login("nas")),
        ("admin@192.168.1.9", Login("192.168.1.9", "admin")),
        ("admin@nas.example:2222", Login("nas.example", "admin", 2222)),
        ("root@[fd00::9]:22", Login("fd00::9", "root", 22)),
    ],
)
def test_where_to_log_in_is_read_and_can_be_written_back(text: str, read: Login) -> None:
    assert (login(text), str(read)) == (read, text)


def test_an_address_of_ipv6_needs_no_brackets_where_no_port_follows() -> None:
    assert login("fd00::9") == Login("fd00::9")
    assert login("me@fd00::9") == Login("fd00::9", "me")


@pytest.mark.parametrize(
    "text",
    [
        "-oProxyCommand=reboot", "me@-oProxyCommand=reboot", "-l@nas", "a b@nas", "nas;reboot",
        "$(id)@nas", "nas:0", "nas:65536", "nas:ssh", "[nas", "", "me@", "@nas", "nas\nmore",
        "`id`", "fe80::1%eth0", "a@b@c", "ssh://nas", "nas/..", "\x1b[31m",
    ],
)  # fmt: skip
def test_what_ssh_or_a_shell_could_take_for_more_than_a_place_is_refused(text: str) -> None:
    with pytest.raises(BadValue) as raised:
        login(text)
    assert raised.value.fix


def test_ssh_never_asks_and_reads_no_option_of_the_plans() -> None:
    words = command(Login("nas", "admin", 2222))
    assert "BatchMode=yes" in words
    assert words[-6:] == ["-p", "2222", "-l", "admin", "--", "nas"]
    assert not any("HostKey" in word for word in words)


def promised(more: str = "") -> dict[tuple[str, str], tuple[Expected, tuple[str, ...]]]:
    plan = load(PLAN % (more, "auto"), "p").plan
    found = external.pairs(plan, assign(plan))
    return {(p.source, p.target): (p.expected, tuple(map(str, p.addresses))) for p in found}


def test_a_machine_is_promised_something_where_it_is_on_the_network() -> None:
    plan = load(PLAN % ("", "auto"), "p").plan
    at = {vm: tuple(map(str, assign(plan)[NicId(vm, 0)].static)) for vm in "ab"}
    yes, no = Expected.REACHES, Expected.ISOLATED
    nas, printer, gateway = ("10.0.0.9", "fd00::9"), ("10.0.0.8",), ("10.0.0.1",)
    assert promised() == {
        ("a", "gateway"): (yes, gateway),
        ("a", "nas"): (yes, nas),
        ("a", "printer"): (yes, printer),
        ("nas", "a"): (yes, at["a"]),
        ("b", "gateway"): (no, gateway),
        ("b", "nas"): (no, nas),
        ("b", "printer"): (no, printer),
        ("nas", "b"): (no, at["b"]),
    }


@pytest.mark.parametrize("mode", ["private", "vepa", "bridge", "source"])
def test_every_mode_hears_a_machine_outside_but_source_only_whom_it_lists(mode: str) -> None:
    found = promised(f", mode: {mode}")
    expected = Expected.EITHER if mode == "source" else Expected.REACHES
    assert {found["nas", "a"][0], found["a", "nas"][0]} == {expected}


def test_a_check_of_the_users_may_ask_from_a_machine_anywhere() -> None:
    plan = load(PLAN % ("", "nas -> a ipv4, far -/> c within 9s, a -> nas"), "p").plan
    nics = assign(plan)
    told = [
        (p.network, p.source, p.target, tuple(map(str, p.addresses)), str(p.expected), p.within_s)
        for p in expand(plan, nics, ())
    ]
    assert told == [
        ("lan", "nas", "a", (str(nics[NicId("a", 0)].static[0]),), "reaches", 0.0),
        ("own", "far", "c", tuple(map(str, nics[NicId("c", 0)].static)), "must not reach", 9.0),
        ("lan", "a", "nas", ("10.0.0.9", "fd00::9"), "reaches", 0.0),
    ]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("printer -> a", "nothing can be asked from printer"),
        ("nas -> a tcp/22", "nas can ping, no more"),
        ("nas -> printer", "nas can only check VMs"),
        ("nsa -> a", "there is no VM named nsa"),
        ("a -> a", "a check needs two different ends"),
        ("a -> c on own", "a has no NIC on own"),
        ("a -> c on lan", "c has no NIC on lan"),
    ],
)
def test_a_line_that_could_measure_nothing_is_refused(line: str, fault: str) -> None:
    (what, mend) = complaints(PLAN % ("", line))
    assert fault in what
    assert mend


@pytest.mark.parametrize(
    ("hosts", "fault"),
    [
        ("{a: 10.0.0.9}", "a names a VM too"),
        ("{gateway: 10.0.0.9}", "gateway has a meaning of its own"),
        ("{nas: []}", 'host "nas" has no address'),
        ("{nas: {address: []}}", 'host "nas" has no address'),
        ("{nas: }", "there is no value here"),
        ("{nas: {ssh: nas}}", 'host "nas" has no address'),
        ("{nas: {address: 10.0.0.9, shs: nas}}", 'unknown key "shs" of host "nas"'),
        ("{nas: {address: 10.0.0.9, ssh: -oProxyCommand=x}}", "nobody to log in to"),
        ("{nas: {address: nas}}", "is not an address"),
        ("[nas]", "hosts is not a mapping of names to addresses"),
    ],
)
def test_a_machine_that_cannot_be_is_a_complaint(hosts: str, fault: str) -> None:
    text = f"{PLAN.partition('hosts:')[0] % ''}hosts: {hosts}\n"
    (what, mend) = complaints(text)
    assert fault in what
    assert mend


def test_a_machine_that_cannot_be_read_makes_no_other_complaint() -> None:
    text = PLAN % ("", "nas -> a, a -> far")
    assert len(complaints(text.replace("ssh: admin@nas", "ssh: -x"))) == 2  # what, and its mend


PONG = "vmnet 10.0.0.2 1 1472 PING 1 packets transmitted, 1 received, 0% packet loss time=500 ms"


def read(printed: str, asked: dict[str, int]) -> dict[str, Probed]:
    found = answers(printed, {ip_address(address): tries for address, tries in asked.items()})
    return {str(address): probed for address, probed in found.items()}


def test_what_a_machine_has_said_is_read() -> None:
    said = (
        f"motd\n{PONG}\n"
        "vmnet 10.0.0.3 4 56 PING 1 packets transmitted, 0 received, 100% packet loss\n"
        "vmnet fd00::2 2 56 ping: connect: Network is unreachable\n"
        "vmnet fd00::3 2 56 ping: invalid option -- W\n"
    )
    asked = {"10.0.0.2": 4, "10.0.0.3": 4, "fd00::2": 4, "fd00::3": 4, "10.0.0.4": 4}
    assert read(said, asked) == {
        "10.0.0.2": Probed(
            reached=True,
            seconds=0.5,
            note="ping of 1500 bytes",
            sent=1,
            answered=1,
            largest=1500,
        ),
        "10.0.0.3": Probed(reached=False, note="no answer to ping", sent=4),
        "fd00::2": Probed(reached=False, note="it has no route there", sent=2),
        "fd00::3": Probed(None, note="cannot be tested: its ping says ping: invalid option -- W"),
    }


def test_a_machine_speaks_of_what_it_was_asked_once() -> None:
    said = (
        f"{PONG}\n{PONG.replace('1 received', '0 received')}\n{PONG.replace('.2', '.5')}\nx{PONG}"
    )
    assert set(read(said, {"10.0.0.2": 1})) == {"10.0.0.2"}
    assert read(said, {"10.0.0.2": 1})["10.0.0.2"].reached
    assert read("vmnet 10.0.0.2 999 56 \x1b]0;x\x07", {"10.0.0.2": 1})["10.0.0.2"].reached is None


ELSEWHERE = """\
name: lab
networks:
  lan: {uplink: nic0, subnet: 10.0.0.0/24}
vms:
  a: {nics: [lan]}
hosts:
  b: %s
"""


def test_a_guest_of_another_host_is_known_by_its_nics() -> None:
    given = "{nics: [{network: lan, address: 10.0.0.9, mode: passthru, link: down}]}"
    (machine,) = load(ELSEWHERE % given, "p").plan.hosts.values()
    (nic,) = machine.nics
    assert (nic.network, str(nic.mode), str(nic.link)) == ("lan", "passthru", "down")
    assert machine.addresses == machine.at("lan") == (ip_address("10.0.0.9"),)


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ("{nics: []}", 'host "b" has no NIC among its nics'),
        ("{nics: [lan]}", 'a NIC of host "b" says no network and address'),
        ("{nics: [{network: lan}]}", 'a NIC of host "b" says no network and address'),
        (
            "{nics: [{network: lan, address: 10.0.0.9, mtu: 9000}]}",
            'unknown key "mtu" in nics of host "b"',
        ),
        (
            "{nics: [{network: lan, address: 10.0.0.9}], ssh: b}",
            'host "b" has nics, so it is a guest of another host, and ssh too',
        ),
        (
            "{nics: [{network: lan, address: 10.0.0.9, mode: bridg}]}",
            '"bridg" is not a macvtap mode',
        ),
        ("{nics: [{network: dmz, address: 10.0.0.9}]}", 'there is no network "dmz"'),
    ],
)
def test_a_guest_of_another_host_that_cannot_be_is_refused(given: str, what: str) -> None:
    found = complaints(ELSEWHERE % given)
    assert [line.partition(" ")[2] for line in found[::2]] == [what]
