"""Defaults from outside a plan: what the plan says comes first, and each keeps its place."""

import pytest

from provisioner.errors import Complaints
from provisioner.plan.load.inherited import DefaultsFile
from provisioner.plan.load.loader import Loaded, load_merged

PLAN = "name: lab\nnetworks: {lan: {uplink: nic0, addressing: none}}\nvms: {web: {nics: [lan]}}\n"
HOST = DefaultsFile("/etc/config.yaml", "memory: 1G\ncpus: 2\nguest_users: off\n", ("guest_users",))
MINE = DefaultsFile("/me/config.yaml", "# mine\nmemory: 2G\naccel: tcg\n")


def loaded(*files: DefaultsFile, plan: str = PLAN, sets: tuple[str, ...] = ()) -> Loaded:
    return load_merged([("p", plan)], sets, {"CPUS": "7"}, files)


def refused(*files: DefaultsFile, plan: str = PLAN) -> list[str]:
    with pytest.raises(Complaints) as caught:
        loaded(*files, plan=plan)
    return [f"{error.where}: {error.what}" for error in caught.value.errors]


def test_the_plan_comes_before_the_user_and_the_user_before_the_host() -> None:
    plan = loaded(HOST, MINE, plan=f"{PLAN}defaults: {{cpus: 4}}\n").plan
    assert (plan.vm("web").memory_mib, plan.vm("web").cpus, plan.accel) == (2048, 4, "tcg")
    own = loaded(HOST, plan=PLAN.replace("{nics", "{memory: 96M, nics")).plan.vm("web")
    assert (own.memory_mib, own.cpus) == (96, 2)
    assert loaded(plan=PLAN).plan.vm("web").cpus == 1


def test_set_comes_before_all() -> None:
    assert loaded(MINE, sets=("defaults.memory=512M",)).plan.vm("web").memory_mib == 512


def test_it_is_told_where_a_default_comes_from() -> None:
    found = loaded(HOST, MINE, plan=f"{PLAN}defaults: {{cpus: 4}}\n")
    assert {key: str(where) for key, where in found.inherited.items()} == {
        "memory": "/me/config.yaml:2:1",
        "accel": "/me/config.yaml:3:1",
    }
    assert str(found.places.where("vms", "web", "memory_mib")) == "/me/config.yaml:2:9"


def test_what_is_wrong_is_told_at_its_place() -> None:
    bad = DefaultsFile("/me/c.yaml", "memry: 1G\nguest_users: off\nnics: [lan]\ncpus: x\n")
    assert refused(bad) == [
        '/me/c.yaml:1:1: unknown key "memry"',
        '/me/c.yaml:2:1: unknown key "guest_users"',
        '/me/c.yaml:3:1: unknown key "nics"',
        '/me/c.yaml:4:7: "x" is not a number of CPUs',
    ]
    assert refused(DefaultsFile("/me/c.yaml", "- memory\n")) == [
        "/me/c.yaml:1:1: this file of defaults is not made of keys and values"
    ]
    assert refused(DefaultsFile("/me/c.yaml", "memory: &a 1G\n"))[0].startswith("/me/c.yaml:1:9")


def test_an_empty_file_says_nothing() -> None:
    for text in ("", "# memory: 1G\n", "\ufeff"):
        assert loaded(DefaultsFile("/me/c.yaml", text)).inherited == {}


def test_variables_are_filled_in_there_too() -> None:
    assert loaded(DefaultsFile("/me/c.yaml", "cpus: ${CPUS}\n")).plan.vm("web").cpus == 7


def test_defaults_of_the_plan_that_are_none_are_its_only_complaint() -> None:
    assert refused(MINE, plan=f"{PLAN}defaults: 1G\n") == ["p:4:1: defaults is not made of keys"]
