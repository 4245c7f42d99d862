"""Character devices: whose they are, and who holds them."""

import os
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from provisioner import naming
from provisioner.errors import Exit, VmnetError
from provisioner.host.netlink import links
from provisioner.host.network import macvtap, switch, tap_node
from provisioner.host.system import paths
from provisioner.network.resources import LeftNode, Macvtap, Switch
from provisioner.plan.choices import Mode
from provisioner.reconcile.resources import Look
from tests.host_tools.namespace import Namespace

INDEX = 0x6ABCDEF0
NAME = "mvt0123456789"


@pytest.fixture(autouse=True)
def tap(namespace: Namespace) -> Iterator[None]:
    """One macvtap in the namespace that the test is in."""
    del namespace
    group = naming.group("taps")
    switch.create(Switch("up0", "up1", (), 1500, group, ""))
    macvtap.create_at(
        Macvtap(NAME, "up0", Mode.BRIDGE, "02:01:23:45:67:89", 1500, group, "a", "b"), INDEX
    )
    yield
    # Now, not when the namespace goes some time later: the next test wants the same node.
    links.delete(NAME)


def test_the_kernels_own_node_is_the_right_one() -> None:
    assert tap_node.state_of(NAME, INDEX) == "right"
    assert not tap_node.is_free(INDEX)
    assert tap_node.is_free(INDEX + 1)


def test_the_device_number_is_found_although_sys_shows_another_namespace() -> None:
    # The test process has entered a namespace, its /sys has not.
    assert not Path(f"/sys/class/net/{NAME}").exists()
    assert tap_node.numbers_of({NAME: INDEX})[NAME] == tap_node.path_of(INDEX).stat().st_rdev


def test_a_link_that_has_gone_meanwhile_has_no_number_and_no_node(tmp_path: Path) -> None:
    links.delete(NAME)
    assert tap_node.numbers_of({NAME: INDEX}) == {}
    assert tap_node.state_of(NAME, INDEX) == "missing"
    with pytest.raises(VmnetError, match="has gone while its node was made"):
        tap_node.make_node(NAME, INDEX, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_looking_at_links_that_come_and_go_never_fails() -> None:
    # The kernel gives EINVAL and ENODEV for attributes of links that are being deleted.
    group = naming.group("taps")
    end = threading.Event()

    def change() -> None:
        while not end.is_set():
            links.delete(NAME)
            made = Macvtap(NAME, "up0", Mode.BRIDGE, "02:01:23:45:67:89", 1500, group, "a", "b")
            macvtap.create_at(made, INDEX)

    with ThreadPoolExecutor(1) as threads:
        changing = threads.submit(change)
        try:
            seen = {tap_node.state_of(NAME, INDEX) for _ in range(2000)}
            while not seen >= {"right", "missing"}:
                assert not changing.done()
                seen.add(tap_node.state_of(NAME, INDEX))
        finally:
            end.set()
        changing.result()


def test_a_missing_node_is_made_recorded_and_removed(tmp_path: Path) -> None:
    node = tap_node.path_of(INDEX)
    node.unlink()
    assert tap_node.state_of(NAME, INDEX) == "missing"
    tap_node.make_node(NAME, INDEX, tmp_path)
    assert tap_node.state_of(NAME, INDEX) == "right"
    assert stat.S_IMODE(node.stat().st_mode) == 0o600
    tap_node.remove_node(INDEX, tmp_path)
    assert not node.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_node_that_vmnet_did_not_make_is_not_removed(tmp_path: Path) -> None:
    tap_node.remove_node(INDEX, tmp_path)
    assert tap_node.path_of(INDEX).exists()


def test_a_node_whose_link_has_gone_is_found_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VMNET_STATE_DIR", str(tmp_path))
    records = paths.folder("lab", "node")
    tap_node.path_of(INDEX).unlink()
    tap_node.make_node(NAME, INDEX, records)
    links.delete(NAME)
    (left,) = tap_node.observe(Look("lab"))
    assert left == LeftNode(str(tap_node.path_of(INDEX)))
    assert tap_node.path_of(INDEX).exists()
    tap_node.delete(left)
    assert not tap_node.path_of(INDEX).exists()
    assert tap_node.observe(Look("lab")) == []


def test_a_node_of_another_device_is_foreign_and_refused() -> None:
    node = tap_node.path_of(INDEX)
    node.unlink()
    os.mknod(node, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    try:
        assert tap_node.state_of(NAME, INDEX) == "foreign"
        with pytest.raises(VmnetError) as caught:
            tap_node.prove_usable({NAME: INDEX})
    finally:
        node.unlink()
    assert caught.value.status is Exit.CONFLICT


def test_a_tap_that_somebody_holds_is_refused_by_pid() -> None:
    tap_node.prove_usable({NAME: INDEX})
    fd = os.open(tap_node.path_of(INDEX), os.O_RDWR)
    try:
        with pytest.raises(VmnetError) as caught:
            tap_node.prove_usable({NAME: INDEX})
    finally:
        os.close(fd)
    assert f"already open in process {os.getpid()} (" in caught.value.what
    assert caught.value.status is Exit.CONFLICT


def test_who_holds_a_tap_that_has_gone_does_not_hold_the_one_that_got_its_number() -> None:
    held = Macvtap(
        NAME, "up0", Mode.BRIDGE, "02:01:23:45:67:89", 1500, naming.group("taps"), "a", "b"
    )
    for index in range(INDEX + 1, INDEX + 20):  # another test may get the number first
        fd = os.open(tap_node.path_of(index - 1), os.O_RDWR)
        links.delete(NAME)
        macvtap.create_at(held, index)
        number = os.fstat(fd).st_rdev
        try:
            if tap_node.numbers_of({NAME: index})[NAME] == number:
                tap_node.prove_usable({NAME: index})
                return
        finally:
            os.close(fd)
    pytest.fail("no macvtap got the device number of the one before it")


def test_a_macvtap_that_was_made_anew_under_its_holder_is_not_open_in_it() -> None:
    group = naming.group("taps")
    made = Macvtap(NAME, "up0", Mode.BRIDGE, "02:01:23:45:67:89", 1500, group, "a", "b")
    old = os.open(tap_node.path_of(INDEX), os.O_RDWR)
    try:
        assert tap_node.opened_by(os.getpid()) == frozenset({NAME})
        links.delete(NAME)
        assert tap_node.opened_by(os.getpid()) == frozenset()
        macvtap.create_at(made, INDEX)  # of the same name and ifindex, and of the same number
        assert tap_node.opened_by(os.getpid()) == frozenset()
        new = os.open(tap_node.path_of(INDEX), os.O_RDWR)
        assert tap_node.opened_by(os.getpid()) == frozenset({NAME})
        os.close(new)
    finally:
        os.close(old)
    assert tap_node.opened_by(1 << 22) is None  # no process has that number
