"""Where things stand in a plan, how `--set` changes it, and how a message is laid out."""

import pytest

from provisioner.errors import VmnetError, Where, explain
from provisioner.plan.load.loader import load
from tests.builders.plan import complaints_of, with_name

TEXT = """\
name: lab
defaults: {memory: 256M, accel: tcg}
networks:
  lan:
    uplink: eno1
    mode: vepa
vms:
  web:
    count: 2
    nics: [lan, {network: lan, mode: bridge}]
  db: {nics: lan}
"""

PLACES = [
    (("name",), "1:7"),
    (("accel",), "2:33"),
    (("networks", "lan", "mode"), "6:11"),
    (("networks", "lan", "mtu"), "4:3"),
    (("networks", "lan"), "4:3"),
    (("networks", "dmz", "uplink"), "3:1"),
    (("vms", "web2"), "8:3"),
    (("vms", "web2", "nics", 0), "10:12"),
    (("vms", "web2", "nics", 0, "network"), "10:12"),
    (("vms", "web1", "nics", 1, "mode"), "10:38"),
    (("vms", "web1", "memory_mib"), "2:20"),
    (("vms", "web1", "image"), "8:3"),
    (("vms", "db", "nics", 0), "11:14"),
    (("nothing", "here"), "1:1"),
]


@pytest.mark.parametrize(("path", "place"), PLACES, ids=str)
def test_a_value_stands_where_it_is_written(path: tuple[str | int, ...], place: str) -> None:
    assert str(load(TEXT, "p").places.where(*path)) == f"p:{place}"


def test_a_place_shows_its_line() -> None:
    where = load(TEXT, "p").places.where("networks", "lan", "mode")
    assert where == Where("p", 6, 11, "    mode: vepa")


def test_lines_may_end_as_windows_ends_them() -> None:
    where = load(TEXT.replace("\n", "\r\n"), "p").places.where("networks", "lan", "mode")
    assert where == Where("p", 6, 11, "    mode: vepa")


def test_set_changes_a_value_before_it_is_judged() -> None:
    changed = load(TEXT, "p", ["networks.lan.mode=private", "networks.lan.mtu=1400"])
    lan = changed.plan.network("lan")
    assert (str(lan.mode), lan.mtu) == ("private", 1400)
    mode = "networks.lan.mode=private"
    assert changed.places.where("networks", "lan", "mode") == Where(f"--set {mode}", 1, 19, mode)


def test_set_mends_what_the_file_breaks() -> None:
    assert complaints_of(with_name("Lab"), "name=lab") == []


def test_set_adds_a_whole_vm() -> None:
    plan = load(TEXT, "p", ["vms.new={nics: [lan], cpus: 2}"]).plan
    assert (plan.vm("new").cpus, plan.vm("new").nics[0].network) == (2, "lan")


def test_set_turns_a_short_form_into_its_long_one() -> None:
    short = "name: lab\nnetworks: {a: {switch: true, subnet: 10.0.0.0/24}}\nvms: {b: {nics: [a]}}\n"
    plan = load(short, "p", ["vms.b.nics.0.mode=vepa", "networks.a.switch.host=10.0.0.9"]).plan
    assert str(plan.vm("b").nics[0].mode) == "vepa"
    assert (
        plan.network("a").switch
        == load(short.replace("true", "{host: 10.0.0.9}"), "p").plan.network("a").switch
    )


OVERRIDES = [
    ("networks.lan.mode=bridg", ":19", '"bridg" is not a macvtap mode'),
    ("networks.lan.mode=", ":19", "there is no value here"),
    ("networks.lan.mode", ":1", '"networks.lan.mode" is not KEY.KEY=VALUE'),
    ("=x", ":1", '"=x" is not KEY.KEY=VALUE'),
    ("networks..mode=x", ":1", '"networks..mode=x" is not KEY.KEY=VALUE'),
    ("networks.lan.uplink.x=1", ":1", 'the plan has no place "networks.lan.uplink.x"'),
    ("vms.db.nics.7.mode=vepa", ":1", 'the plan has no place "vms.db.nics.7"'),
    ("vms.web.nics.9=lan", ":1", 'the plan has no place "vms.web.nics.9"'),
    ("networks.lan.mode={a", ":19", "not valid YAML: did not find expected ',' or '}'"),
    ("networks.lan.mode=*x", ":19", "an alias stands here"),
    ("networks.lan.mod=vepa", ":1", 'unknown key "mod"'),
    ("name=\x1b[2J", ":6", r"the invisible character \x1b stands here"),
]


@pytest.mark.parametrize(("override", "column", "what"), OVERRIDES, ids=ascii)
def test_set_refuses(override: str, column: str, what: str) -> None:
    shown = override.replace("\x1b", r"\x1b")
    assert complaints_of(TEXT, override)[0] == f"--set {shown}:1{column} {what}"


def test_every_complaint_is_told_at_once_in_the_order_of_the_file() -> None:
    text = (
        "name: Lab\n"
        "colour: red\n"
        "networks:\n"
        "  lan: {swich: true, mode: bridg, subnet: 10.77.0.0/24}\n"
        "  dmz: {uplink: eno1, mode: bridg, subnet: 10.0.0.0/24, gateway: 10.1.0.1}\n"
        "vms:\n"
        "  a: {memory: lots, nics: [dmz, lna, {network: dmz, mac: 1, address: 10.0.9.1}]}\n"
        "  b: {nics: [{network: dmz, address: 10.0.9.1}]}\n"
        "  b: {nics: [lan]}\n"
    )
    assert complaints_of(text, "vms.b.cpus=0")[::2] == [
        '1:7 "Lab" cannot name a plan',
        '2:1 unknown key "colour"',
        '4:9 unknown key "swich"',
        '4:28 "bridg" is not a macvtap mode',
        '5:29 "bridg" is not a macvtap mode',
        "5:66 gateway 10.1.0.1 is not inside subnet 10.0.0.0/24",
        '7:15 "lots" is not an amount of memory',
        '7:33 there is no network "lna"',
        '7:58 "1" is not a MAC',
        "7:70 address 10.0.9.1 is not inside subnet 10.0.0.0/24",
        "8:38 address 10.0.9.1 is not inside subnet 10.0.0.0/24",
        "8:38 address 10.0.9.1 is given twice: see 7:70",
        '9:3 key "b" is given twice, first at 8:3',
        '--set vms.b.cpus=0:1:12 "0" is not a number of CPUs',
    ]


def test_a_mistyped_key_is_not_missed_as_well() -> None:
    text = "name: lab\nnetworks: {a: {upllnk: x}}\nvms: {b: {nic: [a]}, c: {nics: [{netwrk: a}]}}\n"
    assert complaints_of(text)[::2] == [
        '2:16 unknown key "upllnk"',
        '3:11 unknown key "nic"',
        '3:34 unknown key "netwrk"',
    ]


def test_a_message_shows_the_line_with_a_caret_and_the_mend() -> None:
    error = VmnetError(
        '"bridg" is not a macvtap mode',
        where=Where("plan.yaml", 14, 15, "        mode: bridg"),
        fix="use one of private, vepa, bridge, passthru, source",
    )
    assert explain(error) == (
        'plan.yaml:14:15: "bridg" is not a macvtap mode\n'
        "        mode: bridg\n"
        "              ^\n"
        "  fix: use one of private, vepa, bridge, passthru, source"
    )


def test_a_message_may_be_only_what_happened() -> None:
    assert explain(VmnetError("the host is on fire")) == "the host is on fire"


def test_a_message_cannot_steer_the_terminal() -> None:
    error = VmnetError("a\x1b[2J", where=Where("p\x1b", 1, 4, "\x1b\t世x"), fix="\u202e")
    assert explain(error) == "p\\x1b:1:4: a\\x1b[2J\n\\x1b 世x\n       ^\n  fix: \\u202e"


def test_a_long_line_is_shown_around_the_column() -> None:
    shown = explain(VmnetError("x", where=Where("p", 1, 1001, "a" * 1000 + "b" * 1000)))
    assert shown == "p:1:1001: x\n" + "a" * 50 + "b" * 50 + "\n" + " " * 50 + "^"
