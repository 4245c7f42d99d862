"""A plan in several files: what a later one changes, and where each value is said to stand."""

import pytest

from provisioner.errors import Complaints, Where
from provisioner.plan.load.loader import load, load_merged, printed

BASE = """\
name: lab
defaults: {memory: 256M, accel: tcg}
networks:
  lan: {uplink: eno1, mode: vepa, dns: [10.0.0.1, 10.0.0.2], subnet: 10.0.0.0/24}
vms:
  web: {count: 2, nics: [lan]}
"""


def with_later(*later: str) -> list[tuple[str, str]]:
    return [("base", BASE), *((f"later{n}", text) for n, text in enumerate(later, 1))]


def told(*later: str) -> list[str]:
    with pytest.raises(Complaints) as refused:
        load_merged(with_later(*later))
    return [f"{error.where} {error.what}" for error in refused.value.errors]


def test_mappings_are_merged_key_by_key() -> None:
    texts = with_later("networks: {lan: {mode: private}}\nvms: {db: {nics: [lan], cpus: 2}}\n")
    plan = load_merged(texts).plan
    assert (str(plan.network("lan").mode), plan.network("lan").uplink) == ("private", "eno1")
    assert [vm.name for vm in plan.vms] == ["web1", "web2", "db"]


def test_lists_and_values_are_replaced() -> None:
    plan = load_merged(
        with_later("networks: {lan: {dns: [10.0.0.9]}}\ndefaults: {memory: 1G}\n")
    ).plan
    assert [str(one) for one in plan.network("lan").dns] == ["10.0.0.9"]
    assert plan.vm("web1").memory_mib == 1024


def test_of_three_files_the_last_one_wins() -> None:
    texts = with_later("name: second\n", "name: third\n")
    assert load_merged(texts).plan.name == "third"


def test_the_command_line_changes_what_all_files_say() -> None:
    texts = with_later("name: second\n")
    assert load_merged(texts, ["name=word"]).plan.name == "word"


def test_a_value_stands_in_the_file_that_it_came_from() -> None:
    places = load_merged(with_later("\nnetworks: {lan: {mode: private}}\n")).places
    assert str(places.where("networks", "lan", "mode")) == "later1:2:24"
    assert str(places.where("networks", "lan", "uplink")) == "base:4:17"
    assert str(places.where("networks", "lan")) == "base:4:3"


def test_a_mapping_that_takes_the_place_of_a_value_stands_in_its_own_file() -> None:
    short = "networks: {lab: {switch: true, subnet: 10.9.0.0/24}}\n"
    long = "networks: {lab: {switch: {hairpin: true}}}\n"
    places = load_merged(with_later(short, long)).places
    assert str(places.where("networks", "lab", "switch")) == "later2:1:18"


def test_a_place_shows_the_line_of_its_own_file_without_its_secrets() -> None:
    texts = with_later("vms: {web: {image: debian-12, password: hunter2, memory: 1G}}\n")
    assert load_merged(texts).places.where("vms", "web1", "memory_mib") == Where(
        "later1", 1, 58, "vms: {web: {image: debian-12, password: ***, memory: 1G}}", 54
    )


def test_complaints_come_in_the_order_of_the_files() -> None:
    assert told("networks: {lan: {mode: bridg}}\n", "colour: red\nname: Lab\n") == [
        'later1:1:24 "bridg" is not a macvtap mode',
        'later2:1:1 unknown key "colour"',
        'later2:2:7 "Lab" cannot name a plan',
    ]


def test_what_is_no_yaml_is_told_of_every_file() -> None:
    assert told("name: {a\n", "", "- a\n") == [
        "later1:1:7 not valid YAML: did not find expected ',' or '}'",
        "later2:1:1 the plan is empty",
        "later3:1:1 the plan is not made of keys and values",
    ]


def test_a_clash_between_files_names_both_places() -> None:
    address = "{nics: [{network: lan, address: 10.0.0.7}]}"
    assert told(f"vms: {{db: {address}}}\n", f"vms: {{nas: {address}}}\n") == [
        "later2:1:44 address 10.0.0.7 is given twice: see later1:1:43"
    ]


def test_a_plan_of_several_files_is_printed_as_one_that_means_the_same() -> None:
    texts = with_later('vms: {db: {nics: [lan], image: debian-12, password: "1e3"}}\nname: "on"\n')
    text = printed(texts, ["networks.lan.mtu=1400"])
    assert load(text, "one").plan == load_merged(texts, ["networks.lan.mtu=1400"]).plan


def test_a_plan_of_one_file_is_printed_as_it_is() -> None:
    assert printed([("base", BASE + "# x\n")]) == BASE + "# x\n"
