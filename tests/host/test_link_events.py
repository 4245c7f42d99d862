"""The kernel's messages about links as a signal: none is missed, also when there were too many."""

import pytest

from provisioner.host.netlink.link_events import LinkEvents, states
from tests.host_tools.namespace import ip

pytestmark = pytest.mark.usefixtures("namespace")


def test_a_change_is_told_once() -> None:
    with LinkEvents() as events:
        assert not events.happened()
        ip("link add up0 type veth peer name far")
        assert events.happened()
        assert not events.happened()


def test_more_than_the_socket_can_keep_is_still_a_change_and_the_next_is_told_too() -> None:
    ip("link add up0 type veth peer name far")
    with LinkEvents() as events:
        ip(*[f"link set up0 mtu {1300 + n}" for n in range(900)])
        assert events.happened()
        assert not events.happened()
        ip("link set up0 up")
        assert events.happened()
        assert states()[0]["up0"].up
