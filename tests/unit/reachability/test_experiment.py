"""What the labs of the experiment are, and what is said of what was measured in them."""

import json
from dataclasses import replace

import pytest

from provisioner.errors import Exit
from provisioner.reachability import experiment
from provisioner.reachability.experiment import Lab, LabMode, Measured, Place, Verdict, labs

VERSIONS = (4, 6)


def as_documented() -> Measured:
    answered = {
        (lab.number, source, target, version)
        for lab in labs()
        for source, target in lab.pings
        for version in VERSIONS
        if lab.documented(source, target).works
    }
    return Measured("6.18.0", VERSIONS, frozenset(answered))


def number_of(a: str, b: str, *, hairpin: bool) -> int:
    return next(x.number for x in labs() if (x.a, x.b, x.hairpin) == (a, b, hairpin))


def test_every_pair_of_modes_has_a_lab_behind_both_kinds_of_switch() -> None:
    without = [(lab.a, lab.b) for lab in labs() if not lab.hairpin]
    behind = [(lab.a, lab.b) for lab in labs() if lab.hairpin]
    assert without == behind
    assert without == [
        ("private", "private"),
        ("private", "vepa"),
        ("private", "bridge"),
        ("private", "source (empty)"),
        ("private", "source"),
        ("vepa", "vepa"),
        ("vepa", "bridge"),
        ("vepa", "source (empty)"),
        ("vepa", "source"),
        ("bridge", "bridge"),
        ("bridge", "source (empty)"),
        ("bridge", "source"),
        ("source (empty)", "source (empty)"),
        ("source (empty)", "source"),
        ("source", "source"),
        ("passthru", None),
        ("passthru (nopromisc)", None),
    ]


def test_no_two_places_share_an_address_or_a_mac() -> None:
    places = [(lab, place) for lab in labs() for place in lab.places]
    addresses = [a for lab, place in places for a in lab.addresses(place)]
    macs = [lab.mac(p) for lab, p in places if not (p is Place.A and lab.a.mode.takes_uplink_mac)]
    assert (len(set(addresses)), len(set(macs))) == (len(addresses), len(macs))


def test_the_places_of_a_lab_have_these_addresses() -> None:
    lab = Lab(18, LabMode.VEPA, LabMode.PRIVATE, hairpin=True)
    assert {
        place.value: (*map(str, lab.addresses(place)), lab.mac(place)) for place in lab.places
    } == {
        "host": ("10.76.18.1", "fd76:13::1", "02:76:6d:00:12:01"),
        "outside": ("10.76.18.2", "fd76:13::2", "02:76:6d:00:12:02"),
        "a": ("10.76.18.3", "fd76:13::3", "02:76:6d:00:12:03"),
        "b": ("10.76.18.4", "fd76:13::4", "02:76:6d:00:12:04"),
    }


def test_everybody_pings_everybody_but_host_and_outside_each_other() -> None:
    two = Lab(1, LabMode.VEPA, LabMode.PRIVATE, hairpin=True)
    alone = Lab(2, LabMode.PASSTHRU, None, hairpin=True)
    assert " ".join(f"{s}>{t}" for s, t in two.pings) == (
        "a>b b>a a>host host>a a>outside outside>a b>host host>b b>outside outside>b"
    )
    assert " ".join(f"{s}>{t}" for s, t in alone.pings) == "a>host host>a a>outside outside>a"
    assert (two.places, alone.places) == (tuple(Place), (Place.HOST, Place.OUTSIDE, Place.A))


def test_a_passthru_end_has_the_mac_of_its_uplink() -> None:
    lab = Lab(3, LabMode.PASSTHRU, None, hairpin=False)
    assert lab.mac(Place.A) == lab.mac(Place.HOST) == "02:76:6d:00:03:01"


def test_a_source_end_lists_everybody_else_or_nobody() -> None:
    lab = Lab(1, LabMode.SOURCE, LabMode.EMPTY, hairpin=True)
    others = tuple(lab.mac(place) for place in (Place.HOST, Place.OUTSIDE, Place.B))
    assert (lab.sources(Place.A), lab.sources(Place.B)) == (others, ())


def test_a_kernel_that_does_what_is_documented_passes() -> None:
    verdict = Verdict(as_documented(), 1.5)
    assert (verdict.status, verdict.differing, verdict.summary) == (
        Exit.DONE,
        (),
        "all 316 cells are as documented (Linux 6.18.0, IPv4 and IPv6, 34 uplinks)",
    )


@pytest.mark.parametrize(
    ("lost", "observed"), [({4}, "IPv6 only"), ({6}, "IPv4 only"), ({4, 6}, "no")]
)
def test_a_cell_that_works_not_as_documented_fails_the_check(lost: set[int], observed: str) -> None:
    number = number_of("bridge", "bridge", hairpin=False)
    away = {(number, Place.A, Place.B, version) for version in lost}
    measured = as_documented()
    verdict = Verdict(replace(measured, answered=measured.answered - away), 1.5)
    (cell,) = verdict.differing
    assert (cell.source, cell.target, cell.observed) == (Place.A, Place.B, observed)
    assert (verdict.status, verdict.summary.partition(" (")[0]) == (
        Exit.CHECK_FAILED,
        "1 of 316 cells differ from what is documented",
    )


def test_a_cell_that_should_not_work_and_does_fails_the_check() -> None:
    number = number_of("vepa", "vepa", hairpin=False)
    measured = as_documented()
    more = measured.answered | {(number, Place.B, Place.A, 6)}
    (cell,) = Verdict(replace(measured, answered=more), 1.5).differing
    assert (cell.documented.works, cell.observed) == (False, "IPv6 only")


def test_a_kernel_without_ipv6_is_judged_by_ipv4() -> None:
    four = frozenset(ping for ping in as_documented().answered if ping[3] == 4)
    verdict = Verdict(Measured("6.18.0", (4,), four), 1.5)
    assert (verdict.differing, {cell.observed for cell in verdict.cells}) == ((), {"yes", "no"})


def test_the_json_says_what_the_table_says() -> None:
    told = json.loads(experiment.as_json(Verdict(as_documented(), 1.23456)))
    head = {key: told[key] for key in ("format", "command", "status", "kernel", "ip_versions")}
    assert head == {
        "format": 1,
        "command": "modes",
        "status": 0,
        "kernel": "6.18.0",
        "ip_versions": [4, 6],
    }
    assert (told["seconds"], len(told["pairs"])) == (1.235, 34)
    first = told["pairs"][0]
    assert (first["a"], first["b"], first["hairpin"]) == ("private", "private", False)
    assert first["pings"][0] == {
        "from": "a",
        "to": "b",
        "documented": False,
        "measured": {"ipv4": False, "ipv6": False},
        "as_documented": True,
        "why": "private mode hands nothing to its neighbours, and this switch reflects nothing",
    }


@pytest.mark.parametrize(
    ("a", "b", "worked"),
    [
        ("bridge", "bridge", "a>b b>a a>outside outside>a b>outside outside>b"),
        ("passthru", None, "a>outside outside>a"),
    ],
)
def test_the_json_of_a_lab_lists_every_ping_by_version(a: str, b: str | None, worked: str) -> None:
    measured = as_documented()
    number = next(lab.number for lab in labs() if (lab.a, lab.b, lab.hairpin) == (a, b, False))
    only_six = frozenset(ping for ping in measured.answered if ping[0] != number or ping[3] == 6)
    found = json.loads(experiment.as_json(Verdict(replace(measured, answered=only_six), 1.0)))
    assert (found["status"], found["summary"].partition(" ")[0]) == (5, str(len(worked.split())))
    (pair,) = [x for x in found["pairs"] if (x["a"], x["b"], x["hairpin"]) == (a, b, False)]
    pings = {f"{x['from']}>{x['to']}": x for x in pair["pings"]}
    assert " ".join(way for way, x in pings.items() if x["documented"]) == worked
    for way, ping in pings.items():
        documented = way in worked.split()
        assert ping["measured"] == {"ipv4": False, "ipv6": documented}
        assert ping["as_documented"] is not documented


def test_both_kinds_of_switch_are_told_apart_in_the_json() -> None:
    found = json.loads(experiment.as_json(Verdict(as_documented(), 1.0)))
    assert [pair["hairpin"] for pair in found["pairs"]] == [False] * 17 + [True] * 17
    assert (
        found["summary"]
        == "all 316 cells are as documented (Linux 6.18.0, IPv4 and IPv6, 34 uplinks)"
    )
