"""A QEMU that its guest has taken over reaches nothing of others, of vmnet or of the host."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.framework.lab import Lab
from tests.walls.attack import Attack

LEAST = 100
"""Of the tries, so that none is lost when the list is changed."""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab(tmp_path).opened() as here:
        yield here


def test_nothing_of_others_is_read_written_signalled_or_attached(lab: Lab) -> None:
    attack = Attack(lab)
    done, count = attack.attacked()
    assert done == []
    assert count > LEAST
    listens = lab.run("ss", "-Hltn")
    assert "127.0.0.1" not in listens
    screen = Path(attack.victims()[0]["screen"])
    assert (screen.is_socket(), screen.stat().st_mode & 0o777) == (True, 0o600)
    said = lab.vmnet("status", attack.own, "--wide").stdout
    user = attack.attackers["Uid"][0]
    walls = f"walls of a: a user of its own ({user}), no capabilities, no new privileges, seccomp, "
    assert f"{walls}no core dumps, limited processes" in said
    qemus = lab.qemus().values()
    assert len({attack.status(pid)["Uid"][0] for pid in qemus}) == len(qemus)
    assert {attack.status(pid)["Seccomp"][0] for pid in qemus} == {"2"}
