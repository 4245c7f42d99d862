"""What a user without rights can hold, make or exchange beforehand: nothing that vmnet uses."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from provisioner.errors import VmnetError
from provisioner.host.image import store_files
from provisioner.host.image.micro.builder import MicroBuilder
from provisioner.host.libvirt import privileges
from provisioner.host.network import forwarding, reservations
from provisioner.host.system import locks, paths
from tests.host_tools.namespace import Namespace

NOBODY = 65534
# Opens what it can of its arguments, to read alone, and holds the locks until its input ends.
HOLD = """\
import fcntl, os, sys
held = []
for path in sys.argv[1:]:
    try:
        file = os.open(path, os.O_RDONLY)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held.append(path)
    except OSError:
        pass
print(" ".join(held), flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A place of root's that everybody can walk through, as /run and /var are."""
    with TemporaryDirectory(prefix="s", dir="/run") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for part in ("state", "run", "cache"):
            monkeypatch.setenv(f"VMNET_{part.upper()}_DIR", str(folder / part))
        yield folder


@contextmanager
def stranger(*files: Path) -> Iterator[list[str]]:
    """Let nobody hold whatever locks of these it can; yields the files that it holds."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, *map(str, files)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        cwd="/",
    ) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().split()
        finally:
            process.communicate("\n")


def test_nobody_else_can_hold_a_lock_of_roots(place: Path, namespace: Namespace) -> None:
    del namespace  # the test is in it
    store = paths.store()
    store_files.prepare(store)
    builder = MicroBuilder(paths.cache(), lambda _: None, "micro")
    claim = {("lan", "10.0.0.9")}
    with (
        locks.held(paths.lock_file("lab"), "up lab", timeout_s=0, notify=pytest.fail),
        store_files.held(store, pytest.fail),
        builder._locked(),
        reservations.held("lab", claim, pytest.fail),
        forwarding.alone(),
    ):
        files = sorted(path for path in place.rglob("*") if path.is_file())
        named = {path.name for path in files}
        assert {"lab.lock", "lock", "build-micro.lock", "lab"} <= named
        assert any(name.startswith(".lock-forwarding-") for name in named)
        with stranger(*files) as held:
            assert held == []
    reservations.forget("lab")
    assert not paths.run().exists()


def test_locks_that_an_older_vmnet_left_open_are_made_anew(place: Path) -> None:
    store = paths.store()
    store_files.prepare(store)
    lock, building = store / "lock", paths.cache() / "images" / "build-micro.lock"
    building.parent.mkdir(parents=True)
    for file in (lock, building):
        file.touch(0o644)
    assert place in lock.parents
    with stranger(lock, building) as held:
        assert held == [str(lock), str(building)]
        began = time.monotonic()
        with store_files.held(store, pytest.fail, alone=True):
            pass
        with MicroBuilder(paths.cache(), pytest.fail, "micro")._locked():
            pass
        assert time.monotonic() - began < 5


def test_the_namespace_that_a_stranger_holds_keeps_nobody_waiting(
    place: Path, namespace: Namespace
) -> None:
    assert place.is_dir()
    del namespace
    here = Path("/proc/thread-self/ns/net")
    held = os.open(here, os.O_RDONLY)
    try:
        assert locks.lock_until(held, 0)
        began = time.monotonic()
        with forwarding.alone():
            assert time.monotonic() - began < 5
    finally:
        os.close(held)


def test_a_killed_holder_of_the_lock_on_forwarding_leaves_it_to_down(place: Path) -> None:
    left = paths.claims() / ".lock-forwarding-4711"
    paths.make(left.parent)
    left.touch(0o600)
    reservations.forget("lab")
    assert not left.exists()
    assert not (place / "run" / ".claims").exists()


@pytest.mark.parametrize("name", ["state", "run", "cache"])
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775])
def test_names_that_a_stranger_has_made_are_not_used(place: Path, name: str, mode: int) -> None:
    folder = place / name
    folder.mkdir()
    os.chown(folder, 0, NOBODY)
    folder.chmod(mode)
    with pytest.raises(VmnetError, match="others than you could change what is in"):
        privileges.require_own_folders(folder)
    folder.chmod(0o755)
    privileges.require_own_folders(folder)
    os.chown(folder, NOBODY, NOBODY)
    with pytest.raises(VmnetError, match="owner 65534"):
        privileges.require_own_folders(folder)


def test_nor_is_a_folder_that_a_stranger_could_exchange(place: Path) -> None:
    deep = place / "theirs" / "own" / "state"
    deep.mkdir(parents=True)
    (place / "theirs").chmod(0o777)
    with pytest.raises(VmnetError, match="others than you could exchange") as caught:
        privileges.require_own_folders(deep)
    assert f"chmod o-w {place / 'theirs'}" in str(caught.value.fix)
    with pytest.raises(VmnetError, match="others than you could exchange"):
        privileges.require_own_folders(deep / "later" / "still")
    (place / "theirs").chmod(0o1777)  # as /tmp: what is ours there stays ours
    privileges.require_own_folders(deep, deep / "later")
    os.chown(place / "theirs", NOBODY, NOBODY)
    (place / "theirs").chmod(0o755)
    with pytest.raises(VmnetError, match="is of user 65534"):
        privileges.require_own_folders(deep)
