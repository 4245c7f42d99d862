"""The tutorial's part about several hosts, done on three of them as a reader would."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.framework.fabric.hosts import Fabric
from tests.guests.test_tutorial import PAGES, followed


@pytest.fixture
def fabric(tmp_path: Path) -> Iterator[Fabric]:
    with Fabric(tmp_path / "fabric", "h1", "h2", "h3").opened() as made:
        yield made


def test_the_part_about_three_hosts_does_what_it_says(fabric: Fabric) -> None:
    fabric.outside("ip", "addr", "add", "192.168.1.1/24", "dev", "sw")
    for host in fabric.hosts.values():
        host.plans.add(fabric.control.name)
    names = {f"192.168.1.1{n}": x.address for n, x in enumerate(fabric.hosts.values(), 1)}
    followed(PAGES / "three-hosts.md", fabric.control, "mine", names | {"eno1": "lan0"})
