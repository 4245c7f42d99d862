"""Scopes of addresses, and which redirects cross none."""

from itertools import product

import pytest

from provisioner.image.http import Scope, may_meet, scope


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("8.8.8.8", Scope.PUBLIC),
        ("2606:4700::1111", Scope.PUBLIC),
        ("10.1.2.3", Scope.PRIVATE),
        ("172.16.0.1", Scope.PRIVATE),
        ("192.168.1.1", Scope.PRIVATE),
        ("100.64.0.1", Scope.PRIVATE),
        ("198.18.0.1", Scope.PRIVATE),
        ("203.0.113.1", Scope.PRIVATE),
        ("224.0.0.1", Scope.PRIVATE),
        ("255.255.255.255", Scope.PRIVATE),
        ("fd00:ec2::254", Scope.PRIVATE),
        ("ff02::1", Scope.PRIVATE),
        ("169.254.169.254", Scope.LINK),
        ("fe80::1%eth0", Scope.LINK),
        ("127.0.0.1", Scope.HOST),
        ("127.255.0.9", Scope.HOST),
        ("0.0.0.0", Scope.HOST),  # noqa: S104  (an address to judge)
        ("::", Scope.HOST),
        ("::1", Scope.HOST),
        ("::ffff:127.0.0.1", Scope.HOST),
        ("::ffff:10.0.0.1", Scope.PRIVATE),
        ("64:ff9b::7f00:1", Scope.HOST),
        ("64:ff9b::a9fe:a9fe", Scope.LINK),
        ("2002:7f00:1::", Scope.HOST),
        ("2002:a00:1::", Scope.PRIVATE),
    ],
)
def test_an_address_is_where_its_packets_go(address: str, here: Scope) -> None:
    assert scope(address) == here


def test_who_may_be_sent_where() -> None:
    public, private, link, host = Scope
    allowed = {(first, now) for first, now in product(Scope, Scope) if may_meet(first, now)}
    assert allowed == {
        *((first, public) for first in Scope),
        *((first, private) for first in (private, link, host)),
        (link, link),
        (host, host),
    }
