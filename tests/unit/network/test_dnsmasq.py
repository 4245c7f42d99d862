"""The configuration of a switch's dnsmasq, as a whole; and what is read back from its files."""

from pathlib import Path

import pytest

from provisioner.network import dnsmasq
from provisioner.network.addressing import assign
from provisioner.network.resources import Dhcp
from provisioner.plan.load.loader import load

GOLDEN = Path(__file__).parent / "golden"
PLAN = load(
    """\
name: lab
networks:
  lan:
    {switch: {nat: true, dhcp: true}, subnet: [10.77.0.0/24, "fd77::/64"], mtu: 1400,
     pool: 10.77.0.10-10.77.0.99, dns: [9.9.9.9, "fd00::53"], slaac: true}
  dmz: {switch: {dhcp: true}, subnet: [10.78.0.0/30, "fd78::/80"], addressing: none}
  six: {switch: {dhcp: true}, subnet: ["fd79::/64", 10.79.0.0/24], slaac: true}
  odd: {switch: {dhcp: true}, subnet: [10.80.0.0/24, "fd80::/64"], slaac: false}
  off: {switch: {dhcp: true}, subnet: 10.81.0.0/24, gateway: 10.81.0.254}
  out: {switch: {nat: true, dhcp: true}, subnet: 10.82.0.0/24, gateway: 10.82.0.254}
vms:
  web:
    nics:
      - {network: lan, mac: "02:00:00:00:00:02", address: [10.77.0.5, "fd77::5"]}
      - {network: lan, mac: "02:00:00:00:00:01", address: [10.77.0.6, 10.77.0.7]}
  db: {nics: [{network: lan, mac: "02:00:00:00:00:03", address: "fd77::3"}, dmz]}
""",
    "lab.yaml",
).plan


def served(network: str) -> Dhcp:
    return dnsmasq.served(PLAN, PLAN.network(network), "mvh0123456789", assign(PLAN), "/state/lab")


@pytest.mark.parametrize("network", ["lan", "dmz", "six", "odd"])
def test_a_network_is_served_by_its_golden_configuration(network: str) -> None:
    assert served(network).text == (GOLDEN / f"dnsmasq_{network}.conf").read_text()


@pytest.mark.parametrize(
    ("network", "routers"),
    [("lan", []), ("dmz", [""]), ("off", [",10.81.0.254"]), ("out", [",10.82.0.254"])],
)
def test_leases_name_the_router_of_the_plan_or_with_nat_alone_the_host(
    network: str, routers: list[str]
) -> None:
    told = [x for x in served(network).text.splitlines() if "option:router" in x]
    # dnsmasq names itself where nothing is said, nobody where no address is.
    assert told == [f"dhcp-option=option:router{addresses}" for addresses in routers]


def test_a_server_has_a_file_that_is_named_after_its_network_and_content() -> None:
    dhcp = served("six")
    assert dhcp == Dhcp("six", "mvh0123456789", "/state/lab/dhcp/six-9c39f8f904.conf")
    assert dnsmasq.network_of("six-9c39f8f904.conf") == "six"
    assert dnsmasq.device_of(dhcp.text) == "mvh0123456789"


@pytest.mark.parametrize(
    "file", ["", "lan.conf", "lan-0123456789.pid", "Lan-0123456789.conf", "lan-012345678.conf"]
)
def test_a_file_that_vmnet_has_not_named_is_about_no_network(file: str) -> None:
    assert dnsmasq.network_of(file) == ""


def test_a_network_may_have_a_dash_in_its_name() -> None:
    assert dnsmasq.network_of("a-b_c-0123456789.conf") == "a-b_c"


def test_a_text_without_an_interface_is_about_no_device() -> None:
    assert dnsmasq.device_of("except-interface=lo\n#interface=x\n") == ""


@pytest.mark.parametrize("device", ["", "a b", "eth0\nuser=root", "-x", "x" * 16])
def test_a_device_that_would_be_another_directive_is_refused(device: str) -> None:
    with pytest.raises(ValueError, match=r"^" + (device or "$")):
        dnsmasq.served(PLAN, PLAN.network("lan"), device, assign(PLAN), "/state/lab")


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        (PLAN.model_copy(update={"name": "a\nb"}), "lan"),
        (PLAN, "lan\nuser"),
    ],
)
def test_a_name_that_would_be_another_directive_is_refused(changed: object, what: str) -> None:
    network = PLAN.network("lan").model_copy(update={"name": what})
    with pytest.raises(ValueError, match="\n"):
        dnsmasq.served(changed, network, "mvh0", assign(PLAN), "/state/lab")  # type: ignore[arg-type]


def test_a_domain_that_would_be_another_directive_is_refused() -> None:
    network = PLAN.network("lan")
    assert network.switch
    switch = network.switch.model_copy(update={"rebind_domains": ("lan/\nserver=192.0.2.1",)})
    changed = network.model_copy(update={"switch": switch})
    with pytest.raises(ValueError, match="server"):
        dnsmasq.served(PLAN, changed, "mvh0", assign(PLAN), "/state/lab")


@pytest.mark.parametrize(
    ("resolv_conf", "words"),
    [
        ("", []),
        ("search lan com\n", []),
        ("#search a.b\nsearch a.b\nsearch\tC.d. e.f\n", ["--rebind-domain-ok=/c.d/e.f/"]),
        ("domain a.b/#/c a..b -a.b a.b\0 .\ndomain x.y/", []),
        (f"search {' '.join(f'{n}.a' for n in range(99))}", None),
    ],
)
def test_the_hosts_own_domains_are_let_through_as_words(
    resolv_conf: str, words: list[str] | None
) -> None:
    if words is None:
        words = [f"--rebind-domain-ok=/{'/'.join(f'{n}.a' for n in range(16))}/"]
    assert dnsmasq.own_domains(served("lan").text, resolv_conf) == words
    assert dnsmasq.own_domains(served("dmz").text, resolv_conf) == []


def test_leases_are_read_up_to_those_of_ipv6() -> None:
    text = """\
1700000000 02:00:00:00:00:01 10.77.0.9 web 01:02
1700000000 02:00:00:00:00:02 10.77.0.8 * *

1700000000 nonsense 10.77.0.7 * *
1700000000 02:00:00:00:00:03 nonsense * *
1700000000 02:00:00:00:00:04
1700000000 02:00:00:00:00:05 10.77.0.5
duid 00:01
1700000000 02:00:00:00:00:06 10.77.0.6 * *
"""
    assert dnsmasq.leased(text) == {
        "02:00:00:00:00:01": "10.77.0.9",
        "02:00:00:00:00:02": "10.77.0.8",
        "02:00:00:00:00:05": "10.77.0.5",
    }
