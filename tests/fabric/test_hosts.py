"""The simulated hosts are hosts of their own, and a host that is cut off answers nobody."""

from collections.abc import Iterator

import pytest

from tests.framework.fabric.hosts import Fabric


@pytest.fixture(scope="module")
def fabric(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fabric]:
    with Fabric(tmp_path_factory.mktemp("fabric"), "h1", "h2").opened() as made:
        yield made


def test_each_host_has_its_own_name_processes_and_devices(fabric: Fabric) -> None:
    for host in fabric.hosts.values():
        said = fabric.control.run("ssh", host.title, "hostname; echo $PPID; ls /dev /var/lib/vmnet")
        assert said.split()[0] == host.title
        assert int(said.split()[1]) < 1000
        assert "tap" not in said
    taps = {}
    for host in fabric.hosts.values():
        link = ("link", "add", "link", "lan0", "name", "tap", "index", "77", "type", "macvtap")
        host.ip(*link, "mode", "bridge")
        taps[host.title] = host.macvtaps()
        host.ip("link", "del", "tap")
    assert taps == {"h1": {"tap": 77}, "h2": {"tap": 77}}


def test_a_machine_on_the_lan_reaches_a_macvtap_of_each_host(fabric: Fabric) -> None:
    for number, host in enumerate(fabric.hosts.values(), 1):
        host.ip("link", "add", "link", "lan0", "name", "mv", "type", "macvlan", "mode", "bridge")
        host.ip("addr", "add", f"10.9.0.{number}/24", "dev", "mv")
        host.ip("link", "set", "mv", "up")
        assert "1 received" in fabric.outside("ping", "-c1", "-W5", f"10.9.0.{number}")
        host.ip("link", "del", "mv")


def test_a_host_that_is_cut_off_answers_nobody_until_it_is_back(fabric: Fabric) -> None:
    ask = ("ssh", "-oConnectTimeout=1", "h1", "hostname")
    with fabric.host("h1").cut():
        fabric.control.run(*ask, statuses=(255,))
        assert fabric.control.run("ssh", "h2", "hostname") == "h2\n"
    assert fabric.control.run(*ask) == "h1\n"
