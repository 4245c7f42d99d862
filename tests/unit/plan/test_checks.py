"""Checks as users write them: read, written back, refused with the place and a mend."""

from contextlib import suppress
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.plan import checks
from provisioner.plan.checks import PING, Check, CheckSpec, What
from provisioner.plan.scalars import BadValue
from tests.builders.plan import complaints_of as complaints


def read(text: str) -> Check:
    found = checks.line(text)
    assert isinstance(found, Check)
    return found


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("a -> b", CheckSpec()),
        ("a -> b tcp/22", CheckSpec(What.TCP, 22)),
        ("a -> b udp/53", CheckSpec(What.UDP, 53)),
        ("a -> http://10.0.0.1/x status 204", CheckSpec(What.HTTP, 204, "http://10.0.0.1/x")),
        ("a -> dns example.org", CheckSpec(What.DNS, 0, "example.org")),
        ("a -> b mtu 1500", CheckSpec(What.MTU, 1500)),
        ("a -> b throughput > 1gbit", CheckSpec(What.THROUGHPUT, 1e9)),
        ("a -> b throughput > 1Gbit", CheckSpec(What.THROUGHPUT, 1e9)),
        ("a -> b latency < 5ms", CheckSpec(What.LATENCY, 0.005)),
        ("a -> b loss <1%", CheckSpec(What.LOSS, 0.01)),
    ],
)
def test_what_is_asked_is_read_and_can_be_written_back(text: str, asked: CheckSpec) -> None:
    assert read(text).asked == asked
    written = "" if asked == PING else f" {asked}"
    assert read(f"a -> b{written}").asked == asked


def test_the_words_around_it_are_read() -> None:
    check = read("  web* -/>  db   tcp/5432 on lan ipv6 within 2s ")
    assert (check.source, check.target, check.reaches) == ("web*", "db", False)
    assert (check.network, check.version, check.within_s) == ("lan", 6, 2.0)
    assert read("-> 10.0.0.1").source == "*"
    assert read("a -> http://[fd00::1]:8080/").target == "fd00::1"
    assert checks.line("auto") == "auto"
    lines = ("a -/> b tcp/22 or refused ipv4", "a -/> b tcp/22")
    assert [read(text).or_refused for text in lines] == [True, False]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a b", "is not a check"),
        ("a <- b", "is not a check"),
        ("a -> b tcp/0", "is not a port"),
        ("a -> b tcp/65536", "is not a port"),
        ("a -> b tpc/22", "means nothing in a check"),
        ("a -> b tcp/22 udp/53", "asks for two things"),
        ("a -> b mtu 10", "is not a valid packet size"),
        ("a -> b loss < 0%", "is not a valid limit"),
        ("a -> b loss 1%", "has no limit"),
        ("a -> b throughput < 1gbit", "has no limit"),
        ("a -> b latency < 5", "is not a valid value here"),
        ("a -> b within 3600s", "is not a valid deadline"),
        ("a -> b status 200", "status goes with a URL"),
        ("a -> b on", "is nothing for on"),
        ("a -/> b tcp/22 or silent", '"silent" is nothing for or'),
        ("a -> b tcp/22 or refused", "cannot be refused"),
        ("a -/> b or refused", "cannot be refused"),
        ("$(id) -> b", "is not a source"),
        ("a -> ;reboot", "is not a target"),
    ],
)
def test_what_means_nothing_is_refused_with_a_mend(text: str, fault: str) -> None:
    with pytest.raises(BadValue) as raised:
        checks.line(text)
    assert fault in raised.value.what
    assert raised.value.fix


@given(st.text(max_size=60))
def test_no_text_at_all_breaks_the_reader(text: str) -> None:
    with suppress(BadValue):
        found = checks.line(text)
        assert found == "auto" or isinstance(found, Check)


@pytest.mark.parametrize(
    ("url", "address", "asked"),
    [
        ("http://web/x", "10.0.0.1", "http://10.0.0.1/x"),
        ("https://web:8443/", "fd00::1", "https://[fd00::1]:8443/"),
        ("http://[fd00::2]/", "fd00::1", "http://[fd00::1]/"),
        ("http://web/", "", "http://web/"),
    ],
)
def test_a_url_is_asked_at_the_address_that_is_known(url: str, address: str, asked: str) -> None:
    assert checks.at_address(url, ip_address(address) if address else None) == asked


PLAN = """\
name: lab
networks: {lan: {switch: true, subnet: 10.0.0.0/24}}
vms: {web: {nics: [lan]}, db: {nics: [lan]}}
checks:
  - auto
  - %s
"""


@pytest.mark.parametrize(
    ("line", "fault", "fix"),
    [
        ("wbe -> db", "there is no VM named wbe", "web"),
        ("db -> wbe", "there is no VM named wbe", "web"),
        ("web -> db on lna", "there is no network lna", "lan"),
        ("host -> gateway", "a check needs two different ends", "VM"),
        ("web -> db tcp/99999", "is not a port", "65535"),
    ],
)
def test_a_line_that_names_nobody_is_a_complaint_at_its_place(
    line: str, fault: str, fix: str
) -> None:
    what, mend = complaints(PLAN % line)
    assert what.startswith("6:5 ")
    assert fault in what
    assert fix in mend
