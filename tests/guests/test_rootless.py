"""A user without any right brings a plan up on devices that root has made for him."""

import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.framework.lab import REPOSITORY, Lab, until
from tests.framework.running import Running
from tests.framework.wire import cabled_nic

NOBODY = 65534
PLAN = """\
name: mine
networks: {lan: {granted: lan, subnet: [10.92.0.0/24, "fd92::/64"]}}
vms: {a: {nics: [lan]}, b: {nics: [lan]}}
"""


@contextmanager
def place(lab: Lab) -> Iterator[Path]:
    """A folder of the user's own; short, since sockets lie in it."""
    folder = Path("/run", f"u{lab.name[1:]}")
    folder.mkdir(mode=0o755)
    try:
        shutil.chown(folder, NOBODY, NOBODY)
        (folder / "vmnet.yaml").write_text(PLAN)
        yield folder
    finally:
        shutil.rmtree(folder)


def as_nobody(lab: Lab, folder: Path, *words: str) -> Running:
    who = ["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]
    argv = lab.argv(*words)
    at = argv.index("env")
    drop = ["setpriv", *who, "--bounding-set=-all", "--no-new-privs"]
    own = {"HOME": str(folder), "VMNET_RUN_DIR": str(folder), "PYTHONPATH": str(REPOSITORY)}
    env = [*argv[:at], *drop, *argv[at:]]
    return lab.running(env, {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"} | own)


@pytest.fixture
def folder(lab: Lab) -> Iterator[Path]:
    with place(lab) as made:
        yield made


def test_a_user_without_rights_boots_guests_on_granted_devices(lab: Lab, folder: Path) -> None:
    lab.directory = folder
    with cabled_nic(lab) as wire, lab.settled():
        words = ("--mode", "bridge", "--owner", str(NOBODY), "--label", "lan", "--count", "2")
        lab.vmnet("net", "create", "--uplink", wire.name, *words)
        devices = lab.macvtaps()
        report = as_nobody(lab, folder, "up", "--json").finished(0).report
        reached = {(r["from"], r["to"]): r["observed"] for r in report["results"]}
        assert reached == {("a", "b"): "reaches", ("b", "a"): "reaches"}
        owners = {Path(f"/proc/{pid}").stat().st_uid for pid in lab.qemus().values()}
        rights = {
            line
            for pid in lab.qemus().values()
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if line.startswith("CapEff")
        }
        assert (owners, rights) == ({NOBODY}, {"CapEff:\t0000000000000000"})
        assert "\nnothing to do\n" in as_nobody(lab, folder, "up").finished(0).stderr
        as_nobody(lab, folder, "down").finished(0)
        assert (lab.qemus(), lab.macvtaps()) == ({}, devices)
        lab.vmnet("net", "rm", "--all")


def test_without_granted_devices_the_user_is_told_what_root_must_do(lab: Lab, folder: Path) -> None:
    lab.directory = folder
    refused = as_nobody(lab, folder, "up").finished(4)
    assert 'network "lan" has 2 NICs, and no devices labelled "lan"' in refused.stderr
    assert "vmnet net create --uplink NIC --mode MODE --owner USER --label lan" in refused.stderr


def test_a_device_that_has_lost_roots_guard_is_told_and_put_back(lab: Lab, folder: Path) -> None:
    lab.directory = folder
    with cabled_nic(lab) as wire, lab.settled():
        words = ("--mode", "bridge", "--owner", str(NOBODY), "--label", "lan", "--count", "2")
        lab.vmnet("net", "create", "--uplink", wire.name, *words)
        guards = lab.run("nft", "--stateless", "list", "ruleset")
        watch = lab.start("watch")
        try:
            until(lambda: watch.runs_for(2), "it has looked")
            lab.run("nft", "flush", "ruleset")
            until(
                lambda: guards == lab.run("nft", "--stateless", "list", "ruleset"), "both are back"
            )
            until(lambda: "guard of mvn1 was gone" in watch.stdout, "it tells what it has done")
        finally:
            watch.process.send_signal(signal.SIGINT)
            said = watch.finished(130).stdout
        assert said.count("guard of mvn0 was gone, and is put back") == 1
        lab.run("nft", "flush", "ruleset")
        told = lab.vmnet("status", status=5).stdout
        assert "the guard of the device mvn0, which root has made, is gone or not whole" in told
        assert "fix: vmnet net set mvn0 --up" in told
        seen = as_nobody(lab, folder, "status").finished(0).stderr
        assert "only root sees whether mvn0, mvn1 are still guarded: vmnet net ls" in seen
        assert "is put back: guard of mvn0" in lab.start("stop").finished(None).stderr
        assert guards == lab.run("nft", "--stateless", "list", "ruleset")
        lab.vmnet("net", "rm", "--all")
