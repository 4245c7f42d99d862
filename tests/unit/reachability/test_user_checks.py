"""The lines of a plan's checks as pairs: from whom, to whom, on which network, at which address."""

import pytest

from provisioner.network.addressing import assign
from provisioner.network.facts import Facts
from provisioner.plan.load.loader import load
from provisioner.reachability.pairs import pairs
from provisioner.reachability.user_checks import expand, wants_matrix
from tests.builders.pairs import written

PLAN = """\
name: lab
networks:
  own: {switch: {dhcp: true}, subnet: 10.1.0.0/24}
  lan: {uplink: nic0, subnet: [10.0.0.0/24, "fd00::/64"], gateway: [10.0.0.1, "fd00::1"]}
  dmz: {uplink: nic1, subnet: 10.2.0.0/24, host_access: 10.2.0.1}
vms:
  web1: {nics: [own, {network: lan, address: [10.0.0.11, "fd00::11"]}]}
  web2:
    nics:
      - {network: lan, address: [10.0.0.12, "fd00::12"]}
      - {network: dmz, address: 10.2.0.12}
      - {network: lan, address: [10.0.0.14, "fd00::14"]}
  both:
    nics:
      - own
      - {network: lan, address: [10.0.0.15, "fd00::15"]}
      - {network: dmz, address: 10.2.0.15}
  db: {nics: [{network: dmz, address: 10.2.0.13}]}
hosts:
  nas: {address: [10.0.0.9, "fd00::9", 10.2.0.9], ssh: nas}
checks: ["%s"]
"""


def expanded(check: str) -> str:
    plan = load(PLAN % check, "p", ()).plan
    nics = assign(plan)
    why = f'the plan\'s check "{check}"'
    text = written(expand(plan, nics, pairs(plan, nics, Facts())))
    assert text.count(why) == text.count("\n")
    return text.replace(f": {why}", "")


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (
            "web1 -> web2",
            "lan: web1.1 -> web2.0 at 10.0.0.12 fd00::12: reaches\n",
        ),
        (
            "web2 -/> web1 ipv6",
            (
                "lan: web2.0 -> web1.1 at fd00::11 ipv6: must not reach\n"
                "lan: web2.2 -> web1.1 at fd00::11 ipv6: must not reach\n"
            ),
        ),
        (
            "web1 -/> web2 ipv4",
            (
                "lan: web1.1 -> web2.0 at 10.0.0.12 ipv4: must not reach\n"
                "lan: web1.1 -> web2.2 at 10.0.0.14 ipv4: must not reach\n"
            ),
        ),
        (
            "web2 -/> web1 tcp/22 ipv4",
            "lan: web2.0 -> web1.1 at 10.0.0.11 tcp/22 ipv4: must not reach\n",
        ),
        (
            "both -> web2 ipv4",
            "lan: both.1 -> web2.0 at 10.0.0.12 ipv4: reaches\n",
        ),
        (
            "web2 -> both",
            "lan: web2.0 -> both.1 at 10.0.0.15 fd00::15: reaches\n",
        ),
        (
            "both -> gateway",
            "lan: both.1 -> gateway.1 at 10.0.0.1 fd00::1: reaches\n",
        ),
        (
            "both -> host",
            "own: both.0 -> host.0 at 10.1.0.1: reaches\n",
        ),
        (
            "both -> nas ipv4",
            "lan: both.1 -> nas.1 at 10.0.0.9 10.2.0.9 ipv4: reaches\n",
        ),
        (
            "both -> 10.2.0.77",
            "dmz: both.2 -> 10.2.0.77.2 at 10.2.0.77: reaches\n",
        ),
        (
            "web1 -> db",
            "dmz: web1.0 -> db.0 at 10.2.0.13: reaches\n",
        ),
        (
            "web2 -> db tcp/22 within 10s",
            "dmz: web2.1 -> db.0 at 10.2.0.13 tcp/22 within 10s: reaches\n",
        ),
        (
            "web* -> web* ipv4",
            (
                "lan: web1.1 -> web2.0 at 10.0.0.12 ipv4: reaches\n"
                "lan: web2.0 -> web1.1 at 10.0.0.11 ipv4: reaches\n"
            ),
        ),
        (
            "* -> web* on lan",
            (
                "lan: web1.1 -> web2.0 at 10.0.0.12 fd00::12: reaches\n"
                "lan: web2.0 -> web1.1 at 10.0.0.11 fd00::11: reaches\n"
                "lan: both.1 -> web1.1 at 10.0.0.11 fd00::11: reaches\n"
                "lan: both.1 -> web2.0 at 10.0.0.12 fd00::12: reaches\n"
            ),
        ),
        (
            "host -> web1 on own",
            "own: host.0 -> web1.0 at ?: reaches\n",
        ),
        (
            "host -> web1 on lan",
            "lan: host.0 -> web1.1 at 10.0.0.11 fd00::11: reaches\n",
        ),
        (
            "nas -> web*",
            (
                "lan: nas.0 -> web1.1 at 10.0.0.11 fd00::11: reaches\n"
                "lan: nas.0 -> web2.0 at 10.0.0.12 fd00::12: reaches\n"
            ),
        ),
        (
            "nas -> db",
            "dmz: nas.0 -> db.0 at 10.2.0.13: reaches\n",
        ),
        (
            "web1 -> host on own",
            "own: web1.0 -> host.0 at 10.1.0.1: reaches\n",
        ),
        (
            "web1 -> host on lan",
            "lan: web1.1 -> host.1 at ?: reaches\n",
        ),
        (
            "db -> host",
            "dmz: db.0 -> host.0 at 10.2.0.1: reaches\n",
        ),
        (
            "web2 -> gateway",
            "lan: web2.0 -> gateway.0 at 10.0.0.1 fd00::1: reaches\n",
        ),
        (
            "web1 -> gateway ipv6 on lan",
            "lan: web1.1 -> gateway.1 at fd00::1 ipv6: reaches\n",
        ),
        (
            "web1 -> nas ipv4 on lan",
            "lan: web1.1 -> nas.1 at 10.0.0.9 10.2.0.9 ipv4: reaches\n",
        ),
        (
            "db -> 192.0.2.7 mtu 1400",
            "dmz: db.0 -> 192.0.2.7.0 at 192.0.2.7 mtu 1400: reaches\n",
        ),
        (
            "host -> 192.0.2.7",
            "own: host.0 -> 192.0.2.7.0 at 192.0.2.7: reaches\n",
        ),
        (
            "host -> 192.0.2.7 on dmz",
            "dmz: host.0 -> 192.0.2.7.0 at 192.0.2.7: reaches\n",
        ),
        (
            "db -> 192.0.2.7 ipv6",
            "dmz: db.0 -> 192.0.2.7.0 at ? ipv6: reaches\n",
        ),
    ],
)
def test_a_line_means_these_pairs(check: str, text: str) -> None:
    assert expanded(check) == text


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (
            "db -> dns example.org",
            "dmz: db.0 -> example.org.0 at its name dns example.org: reaches\n",
        ),
        (
            "db -> http://example.org/x",
            "dmz: db.0 -> example.org.0 at its name http://example.org/x: reaches\n",
        ),
        (
            "web1 -> gateway dns example.org on own",
            "own: web1.0 -> gateway.0 at its name dns example.org: reaches\n",
        ),
    ],
)
def test_a_name_is_asked_of_the_guests_own_resolver_once(check: str, text: str) -> None:
    assert expanded(check) == text


def test_a_url_with_an_address_is_asked_there() -> None:
    assert expanded("db -> http://10.2.0.12/x status 200") == (
        "dmz: db.0 -> 10.2.0.12.0 at 10.2.0.12 http://10.2.0.12/x status 200: reaches\n"
    )


def test_the_matrix_is_wanted_where_auto_stands() -> None:
    checks = ("web1 -> web2", 'auto", "web1 -> web2', "auto")
    plans = [load(PLAN % check, "p", ()).plan for check in checks]
    assert [wants_matrix(plan) for plan in plans] == [False, True, True]
    assert [len(expand(plan, assign(plan), ())) for plan in plans] == [1, 1, 0]
