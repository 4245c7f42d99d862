"""Checks of the user's own, each kind of them asked inside real guests, kept and broken."""

from collections.abc import Iterator

import pytest

from tests.framework.lab import Lab
from tests.framework.plan import PlanUp, SharedPlan

HOST = "10.94.0.1"
PLAN = """\
networks:
  lan: {switch: {dhcp: true}, subnet: [10.94.0.0/24, "fd94::/64"], addressing: static}
  dyn: {switch: {dhcp: true}, subnet: 10.95.0.0/24}
vms:
  web1: {memory: 96M, nics: [lan]}
  web2: {memory: 96M, nics: [lan]}
  d: {memory: 96M, nics: [dyn]}
"""
PAGE = "mkdir -p /srv; echo hello > /srv/index.html; httpd -p 80 -h /srv"

# A server that starts once its port has been asked for in vain: the kernel has answered by a reset.
LATE = """\
refused() { awk '/^Tcp: [0-9]/ { print $15 }' /proc/net/snmp; }
before=$(refused)
{ until [ "$(refused)" != "$before" ]; do sleep 0.1; done; httpd -p 82 -h /srv; } > /dev/null 2>&1 &
"""


@pytest.fixture(scope="module")
def shared_plan(shared_lab: Lab) -> Iterator[SharedPlan]:
    """The plan, with an HTTP server on web2."""
    plan = SharedPlan(shared_lab, PLAN)
    plan.up().inside("web2", PAGE)
    yield plan
    plan.end()


KEPT = (
    "web1 -> web2 tcp/80",
    "web1 -> web2 http://web2/index.html status 200",
    "web1 -> web2 http://web2/nothing status 404",
    f"d -> {HOST.replace('94', '95')} udp/53",
    "web1 -> web2 mtu 1500 ipv6",
    "web1 -> web2 throughput > 10kbit ipv4",
    "web1 -> web2 latency < 5s ipv6",
    "web1 -> web2 loss < 90%",
    "web1 -/> web2 tcp/81 within 2s or refused",
    "host -> web2 tcp/80",
    "host -> web2 http://web2/",
)


def test_each_kind_is_asked_and_kept(plan_up: PlanUp) -> None:
    results = plan_up.checked(*KEPT)
    told = {(r["to"], r["asked"], r["observed"], r["as_expected"]) for r in results}
    assert all(kept for *_, kept in told), told
    asked = {r["asked"].partition(" ")[0].partition(":")[0] for r in results}
    assert asked == {"tcp/80", "tcp/81", "udp/53", "http", "mtu", "throughput", "latency", "loss"}
    by_host = [r for r in results if r["from"] == "host"]
    assert {r["by"] for r in by_host} == {"the host's own stack"}
    assert {r["by"] for r in results if r not in by_host} == {"inside the guest"}


def test_a_name_is_resolved_by_the_server_that_is_named(plan_up: PlanUp) -> None:
    good, bad = "d -> 10.95.0.1 dns d", "d -> 10.95.0.1 dns nobody.invalid"
    assert [r["observed"] for r in plan_up.checked(good)] == ["reaches"]
    (result,) = plan_up.checked(bad, status=5)
    what = "dns nobody.invalid does not hold: server can't find nobody.invalid"
    assert what in result["finding"]["what"]
    (result,) = plan_up.checked("d -> dns nobody.invalid", status=5)
    assert result["finding"]["what"].startswith("d does not resolve nobody.invalid")


def test_a_name_that_must_not_resolve_needs_a_resolver_that_answers(plan_up: PlanUp) -> None:
    (unknown,) = plan_up.checked("d -/> 10.95.0.1 dns nobody.invalid")
    assert unknown["observed"] == "no answer"
    (unasked,) = plan_up.checked("d -/> 10.95.0.77 dns d", status=5)
    assert unasked["observed"] == "not shown"
    assert "no resolver has answered" in unasked["finding"]["what"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("web1 -> web2 http://web2/nothing ipv4", "does not hold: status 404"),
        ("web1 -> web2 throughput > 900gbit ipv4", "does not hold: "),
        ("web1 -> web2 latency < 1us ipv4", "does not hold: median "),
        (
            "web1 -> web2 mtu 1501 ipv4",
            "web1 sends no packets of 1501 bytes to web2: the guest's own MTU is 1500",
        ),
        ("web1 -> web2 udp/9 ipv4", "cannot be tested"),
        ("web1 -/> web2 udp/9 ipv4", "cannot be tested"),
        ("host -> web2 latency < 1s ipv4", "cannot be tested"),
        ("web1 -> web2 tcp/9 ipv4", "nothing listens there on tcp/9"),
        ("web1 -/> web2 tcp/9 ipv4", "web2 refuses web1 on tcp/9"),
        ("web1 -/> http://web2:9/ ipv4", "web2 refuses web1 on http://web2:9/"),
        ("host -> 10.94.0.250", "and no answer came back there"),
    ],
)
def test_each_kind_that_does_not_hold_says_what_was_found(
    plan_up: PlanUp, line: str, told: str
) -> None:
    (result,) = plan_up.checked(line, status=5)
    assert told in result["finding"]["what"]
    assert result["finding"]["fix"]


def test_a_pattern_means_all_that_it_fits(plan_up: PlanUp) -> None:
    results = plan_up.checked("web* -> web? on lan ipv4", "-/> 10.99.9.9 within 1s", status=5)
    assert [(r["from"], r["to"]) for r in results] == [
        ("web1", "web2"),
        ("web2", "web1"),
        ("web1", "10.99.9.9"),
        ("web2", "10.99.9.9"),
        ("d", "10.99.9.9"),
    ]
    assert [r["observed"] for r in results] == ["reaches"] * 2 + ["not shown"] * 3
    assert results[-1]["finding"]["what"].startswith("silence alone is no isolation: ")


def test_a_deadline_is_waited_for_and_no_longer(plan_up: PlanUp) -> None:
    plan_up.inside("web2", LATE)
    (result,) = plan_up.checked("web1 -> web2 tcp/82 within 60s ipv4")
    assert result["observed"] == "reaches"
