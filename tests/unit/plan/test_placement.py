"""The words that place VMs on hosts: what they mean, and each mistake with its whole answer."""

from pathlib import Path

import pytest

from provisioner.errors import Exit, VmnetError
from provisioner.plan.choices import Strategy
from provisioner.plan.load.loader import load
from provisioner.plan.model import Plan
from provisioner.plan.placing.carriers import (
    apart_groups,
    candidates,
    carriers,
    groups,
    is_placed,
    together,
    uplink_on,
)
from provisioner.preflight.one_host import refuse_placed
from tests.builders.plan import cases, complaints_of, with_name

PLAN = """\
name: lab
networks:
  lan: {uplink: eno1}
  wan: {uplink: eno2, mode: passthru}
  own: {switch: true, subnet: 10.1.0.0/24}
hosts:
  h1: {address: 10.9.0.1, uplinks: {lan: enp3s0}, groups: rack1}
  h2: {address: 10.9.0.2, uplinks: {}, groups: [rack1, big]}
  nas: 10.9.0.3
placement: {strategy: pack, apart: [web*]}
vms:
  web: {count: 2, nics: [lan], on: rack1}
  fw1: {nics: [wan], on: h1}
  fw2: {nics: [wan], on: h2}
  a: {nics: [own, lan]}
  b: {nics: [own]}
"""


def plan(text: str = PLAN) -> Plan:
    return load(text, "p").plan


def test_the_words_are_read() -> None:
    read = plan()
    assert (carriers(read), groups(read)) == (
        ("h1", "h2"),
        {"rack1": ("h1", "h2"), "big": ("h2",)},
    )
    assert read.placement
    assert read.placement.strategy is Strategy.PACK
    assert apart_groups(read) == (("web1", "web2"),)


def test_a_vm_may_be_on_its_host_its_group_or_any_host_that_runs_vms() -> None:
    read = plan()
    found = {vm.name: candidates(read, vm) for vm in read.vms}
    both = ("h1", "h2")
    assert found == {
        **dict.fromkeys(("web1", "web2"), both),
        "fw1": ("h1",),
        "fw2": ("h2",),
        **dict.fromkeys("ab", both),
    }


def test_a_host_calls_its_nics_what_it_says_or_what_the_network_says() -> None:
    read = plan()
    found = {(h, n.name): uplink_on(read, h, n) for h in carriers(read) for n in read.networks}
    assert found == {
        ("h1", "lan"): "enp3s0",
        ("h1", "wan"): "eno2",
        ("h1", "own"): None,
        ("h2", "lan"): "eno1",
        ("h2", "wan"): "eno2",
        ("h2", "own"): None,
    }


def test_vms_that_share_a_switch_are_on_one_host_together() -> None:
    assert together(plan()) == (("web1",), ("web2",), ("fw1",), ("fw2",), ("a", "b"))


def test_switches_bind_vms_through_others() -> None:
    switches = "own: {switch: true, subnet: 10.1.0.0/24}, two: {switch: true, subnet: 10.2.0.0/24}"
    read = plan(
        f"name: lab\nnetworks: {{{switches}}}\n"
        "vms: {a: {nics: [own]}, c: {nics: [two]}, b: {nics: [two, own]}}\n"
    )
    assert together(read) == (("a", "c", "b"),)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("placement: spread", (Strategy.SPREAD, ())),
        ("placement: pack", (Strategy.PACK, ())),
        ("placement: {apart: [[web1, web2], [web*]]}", (Strategy.SPREAD, 2)),
    ],
)
def test_placement_has_a_short_form_and_several_lists(
    words: str, told: tuple[object, object]
) -> None:
    text = with_name("lab").replace("[lan]", "[lan], count: 2")
    hosts = "hosts: {h1: {address: 10.0.0.1, uplinks: {}}, h2: {address: 10.0.0.2, uplinks: {}}}"
    read = plan(f"{text}{hosts}\n{words}\n")
    assert read.placement
    rows = apart_groups(read)
    assert (read.placement.strategy, len(rows) or ()) == told
    assert all(row == ("web1", "web2") for row in rows)


def test_a_plan_of_one_host_places_nothing() -> None:
    assert not is_placed(plan(with_name("lab") + "hosts: {nas: 10.0.0.5}\n"))


MISTAKES = r"""
# hosts that are not there
name: lab
networks: {lan: {uplink: eno1}}
hosts: {h1: {address: 10.0.0.1, uplinks: {}, groups: rack1}, nas: 10.0.0.9}
vms:
  a: {nics: [lan], on: h2}
  b: {nics: [lan], on: nas}
  c: {nics: [lan], on: rack}
-> 6:24 there is no host or group of hosts "h2"
-> fix: hosts that run VMs, and groups of hosts: h1, rack1
-> 7:24 host nas runs no VMs: the plan names none of its NICs: see 4:67
-> fix: write hosts: {nas: {address: 10.0.0.5, uplinks: {lan: NIC}}}
-> 8:24 there is no host or group of hosts "rack"
-> fix: did you mean "rack1"? hosts that run VMs, and groups of hosts: h1, rack1

# no hosts at all
name: lab
networks: {lan: {uplink: eno1}}
vms: {a: {nics: [lan], on: h1}}
-> 4:28 there is no host or group of hosts "h1"
-> fix: write hosts: {h1: {address: 10.0.0.5, uplinks: {lan: NIC}}}

# placement without hosts
name: lab
networks: {lan: {uplink: eno1}}
placement: pack
vms: {a: {nics: [lan]}}
-> 4:12 there is no host to place VMs on: the plan names the NICs of none
-> fix: write hosts: {h1: {address: 10.0.0.5, uplinks: {lan: NIC}}}, or leave placement out

# groups
name: lab
networks: {lan: {uplink: eno1}}
hosts: {h1: {address: 10.0.0.1, uplinks: {}, groups: [h2]}, h2: {address: 10.0.0.2, groups: x}}
vms: {a: {nics: [lan]}}
-> 4:46 the group h2 has the name of a host: see 4:61
-> fix: give one of them another name, since VMs could be on either
-> 4:93 host h2 is in a group, and runs no VMs: the plan names none of its NICs
-> fix: write hosts: {h2: {address: 10.0.0.5, uplinks: {lan: NIC}}}, or leave groups out

# NICs of networks that have none
name: lab
networks: {lan: {uplink: eno1}, own: {switch: true, subnet: 10.1.0.0/24}}
hosts: {h1: {address: 10.0.0.1, uplinks: {lam: e1, own: e2}}}
vms: {a: {nics: [lan, own]}}
-> 4:48 there is no network "lam"
-> fix: did you mean "lan"? networks of this plan: lan, own
-> 4:57 network own stands on no NIC that could be called e2 on h1: see 3:33
-> fix: leave it out, or give network own an uplink

# apart
name: lab
networks: {lan: {uplink: eno1}}
hosts: {h1: {address: 10.0.0.1, uplinks: {}}, h2: {address: 10.0.0.2, uplinks: {}}}
placement: {apart: [[web1, wbe9], [web1], [a, b], [web*, a]]}
vms: {web: {count: 2, nics: [lan]}, a: {nics: [lan], on: h1}, b: {nics: [lan], on: h1}}
-> 5:28 there is no VM named "wbe9"
-> fix: write a VM of the plan, or a pattern as web*
-> 5:35 apart needs two VMs: one is never beside itself
-> fix: name another VM, or leave the list out
-> 5:43 VM b and VM a are to be apart, and both are on h1: see 6:84
-> fix: take one of them out of apart, or change its on:
-> 5:51 3 VMs are to be apart, and there are 2 hosts for them: see 4:1
-> fix: name more hosts, or fewer VMs

# a switch on two hosts
name: lab
networks: {own: {switch: true, subnet: 10.1.0.0/24}}
hosts: {h1: {address: 10.0.0.1, uplinks: {}}, h2: {address: 10.0.0.2, uplinks: {}}}
vms: {a: {nics: [own], on: h1}, b: {nics: [own], on: h2}}
-> 5:54 VM b cannot be on the host of VM a, and a switch is one host's own: network own: see 5:28
-> fix: place both on one host, or use a network with an uplink

# a switch of VMs that are apart
name: lab
networks: {own: {switch: true, subnet: 10.1.0.0/24}}
hosts: {h1: {address: 10.0.0.1, uplinks: {}}, h2: {address: 10.0.0.2, uplinks: {}}}
placement: {apart: [a, b]}
vms: {a: {nics: [own]}, b: {nics: [own]}}
-> 5:13 VM a and VM b are to be apart, and a switch is one host's own: network own: see 6:29
-> fix: use a network with an uplink, or take one of them out of apart

# a NIC of a host for two
name: lab
networks: {wan: {uplink: eno2, mode: passthru}, lan: {uplink: eno1}}
hosts: {h1: {address: 10.0.0.1, uplinks: {wan: e1, lan: e1}}, h2: {address: 10.0.0.2, uplinks: {}}}
vms: {a: {nics: [wan], on: h1}, b: {nics: [lan], on: h1}, c: {nics: [wan], on: h2}}
-> 5:18 mode passthru takes e1 of host h1 for this NIC alone, and another NIC is on it: see 5:44
-> fix: give one of them another uplink, or both a mode other than passthru

# what each host would have
name: lab
networks: {lan: {uplink: eno1, subnet: 10.0.0.0/24, host_access: true}, own: {granted: x}}
hosts: {h1: {address: 10.0.0.1, uplinks: {}}, h2: {address: 10.0.0.2, uplinks: {}}}
vms: {a: {nics: [lan, own]}}
-> 3:66 each host would have the same MAC and address on network lan: see 4:1
-> fix: leave host_access out where VMs are placed on several hosts
-> 3:88 network own is made of devices that root has made on one host: see 4:1
-> fix: use uplink: NIC where VMs are placed on hosts

# words that cannot be read
name: lab
networks: {lan: {uplink: eno1}}
hosts: {h1: {address: 10.0.0.1, uplinks: [e1]}}
placement: {strategy: even, together: x}
vms: {a: {nics: [lan], on: h1}, b: {nics: [lan], on: "h 1"}}
-> 4:1 uplinks of host "h1" is not a mapping of networks to NICs
-> fix: write hosts: {h1: {address: 10.0.0.5, uplinks: {lan: enp3s0}}}
-> 5:23 "even" is not a strategy
-> fix: use one of spread, pack
-> 5:29 unknown key "together"
-> fix: known keys: strategy, apart
-> 6:54 "h 1" cannot name a host or a group of hosts
-> fix: use a-z, 0-9 and -, a letter first, no - at the end, at most 40 characters (this has 3)
"""


@pytest.mark.parametrize(("text", "answer"), cases(MISTAKES))
def test_a_mistake_is_answered_at_its_place(text: str, answer: list[str]) -> None:
    assert complaints_of(text) == answer


@pytest.mark.parametrize(
    ("words", "place"),
    [
        ("placement: spread", "p:4:12"),
        ("defaults: {on: h1}", "p:4:16"),
        ("", "p:4:1"),
    ],
)
def test_a_plan_that_places_its_vms_is_not_taken_for_one_of_this_host(
    words: str, place: str
) -> None:
    hosts = "hosts: {h1: {address: 10.0.0.1, uplinks: {}}}"
    loaded = load(with_name("lab") + "\n".join(filter(None, (words, hosts))) + "\n", "p")
    with pytest.raises(VmnetError) as raised:
        refuse_placed(loaded.plan, loaded.places)
    assert str(raised.value.where) == place
    assert raised.value.status is Exit.BAD_INPUT
    assert raised.value.what == (
        "the plan lab places its VMs on hosts (h1), and this command is for plans of one host"
    )


def test_a_plan_whose_hosts_are_for_checks_is_one_of_this_host() -> None:
    loaded = load(with_name("lab") + "hosts: {nas: {address: 10.0.0.5, ssh: nas}}\n", "p")
    refuse_placed(loaded.plan, loaded.places)
    assert carriers(loaded.plan) == ()


def test_the_plan_of_the_page_holds() -> None:
    page = Path(__file__).parents[3] / "docs" / "reference" / "many-hosts.md"
    text = page.read_text().partition("```yaml\n")[2].partition("```")[0]
    assert carriers(plan(text)) == ("h1", "h2")
