"""The dnsmasq of a switch: started, asked, found, killed, ended; never a stranger in its place."""

import os
import pwd
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from provisioner import naming
from provisioner.errors import VmnetError
from provisioner.guest.jail.user import DEFAULT
from provisioner.host.jail import users
from provisioner.host.network import dnsmasq, switch
from provisioner.host.system import paths
from provisioner.network import dnsmasq as leases
from provisioner.network import frames
from provisioner.network.addressing import assign
from provisioner.network.resources import Dhcp, Switch
from provisioner.plan.load.loader import load
from provisioner.reconcile.resources import Look
from tests.builders.addresses import interfaces
from tests.framework.lab import call, until
from tests.host_tools import forged_frames
from tests.host_tools.namespace import far_namespace, ip
from tests.host_tools.processes import pid_with

PLAN = """\
name: lab
networks: {lan: {switch: {dhcp: true}, subnet: 10.5.0.0/24, pool: 10.5.0.10-10.5.0.99}}
vms: {web: {nics: [{network: lan, address: 10.5.0.20}]}}
"""

MAC, OTHER_MAC = "02:00:00:00:00:07", "02:00:00:00:00:08"

pytestmark = pytest.mark.usefixtures("namespace")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that everybody may walk through, which pytest's own are not."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def served(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dhcp]:
    monkeypatch.setenv("VMNET_STATE_DIR", str(place / "state"))
    monkeypatch.setenv("VMNET_CONFIG", str(place / "config.yaml"))
    ip(
        "link add mvh0 type veth peer name low0",
        "link set mvh0 up",
        "link set low0 up",
        "addr add 10.5.0.1/24 dev mvh0",
    )
    plan = load(PLAN, "lab.yaml").plan
    home = str(paths.home("lab"))
    made = leases.served(plan, plan.network("lan"), "mvh0", assign(plan), home)
    yield made
    dnsmasq.delete(made)


def asked(name: str) -> bytes:
    """Ask for the IPv4 address of a name, by hand (RFC 1035)."""
    words = b"".join(bytes([len(w)]) + w.encode() for w in name.split(".")) + b"\0"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        s.sendto(struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + words + b"\0\1\0\1", ("10.5.0.1", 53))
        return s.recv(512)[-4:]


def pid_of(dhcp: Dhcp) -> int:
    return pid_with(f"--conf-file={dhcp.config}")


def user_of(dhcp: Dhcp) -> dict[str, str]:
    lines = Path(f"/proc/{pid_of(dhcp)}/status").read_text().splitlines()
    return {key: " ".join({*value.split()}) for key, _, value in (x.partition(":") for x in lines)}


def ask_for(address: str, mac: str = MAC) -> None:
    """Ask for an address, as a guest that has had it (RFC 2131, 4.3.2)."""
    options = bytes.fromhex("63825363 350103 3204") + IPv4Address(address).packed + b"\xff"
    question = struct.pack("!4BIHH", 1, 1, 6, 0, 7, 0, 0x8000) + bytes(16) + forged_frames.raw(mac)
    words = forged_frames.udp(68, 67, question + bytes(202) + options)
    frame = bytearray(forged_frames.ipv4(str(frames.NOBODY4), "255.255.255.255", 17, words))
    frame[10:12] = frames.checksum(bytes(frame[:20])).to_bytes(2)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
        s.bind(("low0", 0))
        s.send(forged_frames.ethernet("ff:ff:ff:ff:ff:ff", mac, 0x0800, bytes(frame)))


def test_it_serves_when_it_has_been_made_and_is_found_again(served: Dhcp) -> None:
    dnsmasq.create(served)
    assert dnsmasq.observe(Look("lab")) == [served]
    assert [asked("web"), asked("web.lab")] == [bytes([10, 5, 0, 20])] * 2


def test_it_is_a_user_of_its_own_without_rights_and_keeps_its_leases(served: Dhcp) -> None:
    lease = Path(served.config).with_name("lan.leases")
    kept: dict[str, str] = {}
    for mac, address in ((MAC, "10.5.0.50"), (OTHER_MAC, "10.5.0.51")):
        dnsmasq.create(served)
        status = user_of(served)
        assert int(status["Uid"]) in DEFAULT
        assert status["Gid"] == status["Uid"]
        assert [status[x] for x in ("Groups", "NoNewPrivs")] == ["", "1"]
        assert {int(status[f"Cap{x}"], 16) for x in ("Prm", "Eff", "Amb")} == {0x3400}
        ask_for(address, mac)
        kept[mac] = address
        until(lambda: dnsmasq.leases("lab") == kept, "the lease is written", 20)
        found = lease.stat()
        assert (str(found.st_uid), found.st_mode & 0o777) == (status["Uid"], 0o600)
    first = user_of(served)["Uid"]
    dnsmasq.create(served)
    assert user_of(served)["Uid"] == first
    assert dnsmasq.leases("lab") == kept
    others = [x for x in lease.parent.iterdir() if x != lease]
    assert {x.stat().st_uid for x in (lease.parent, *others)} == {0}


@pytest.mark.parametrize("kind", ["link", "hard link", "pipe"])
def test_what_is_in_the_place_of_its_leases_is_refused_and_not_followed(
    served: Dhcp, place: Path, kind: str
) -> None:
    dnsmasq.create(served)
    lease, other = Path(served.config).with_name("lan.leases"), place / "shadow"
    other.write_text(f"1 {MAC} 10.5.0.66 * *\n")
    other.chmod(0o640)
    lease.unlink()
    if kind == "pipe":
        os.mkfifo(lease)
    else:
        (lease.symlink_to if kind == "link" else lease.hardlink_to)(other)
    assert kind == "hard link" or dnsmasq.leases("lab") == {}
    with pytest.raises(VmnetError, match="cannot use the lease file"):
        dnsmasq.create(served)
    found = other.stat()
    assert (found.st_uid, found.st_mode & 0o777, found.st_size > 0) == (0, 0o640, True)
    assert dnsmasq.observe(Look("lab")) == []
    dnsmasq.create(served)
    assert dnsmasq.observe(Look("lab")) == [served]
    assert other.exists()


def test_a_plan_of_the_same_name_elsewhere_has_the_same_user(served: Dhcp) -> None:
    word = f"--conf-file=/elsewhere{served.config}"
    uid = str(users.of_server("lab", "lan"))
    argv = ["setpriv", f"--reuid={uid}", "sh", "-c", "echo; read x", "dnsmasq", word]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout
        other.stdout.readline()
        dnsmasq.create(served)
        assert other.poll() is None
        other.kill()


def test_a_user_that_somebody_else_has_is_not_taken(served: Dhcp) -> None:
    uid = str(users.of_server("lab", "lan"))
    with subprocess.Popen(["setpriv", f"--reuid={uid}", "sleep", "60"]) as other:
        until(lambda: Path(f"/proc/{other.pid}").stat().st_uid == int(uid), "it has the user")
        with pytest.raises(VmnetError, match=f"the user {uid}, .* that of the process"):
            dnsmasq.create(served)
        other.kill()
    dnsmasq.create(served)


@pytest.mark.parametrize("why", ["config", "folder"])
def test_where_there_are_no_users_it_is_the_one_of_its_package(
    served: Dhcp, place: Path, why: str
) -> None:
    if why == "config":
        (place / "config.yaml").write_text("guest_users: off\n")
    dnsmasq.create(served)
    place.chmod(0o755 if why == "config" else 0o700)
    dnsmasq.create(served)
    assert dnsmasq.shared(paths.state())
    assert user_of(served)["Uid"] == str(pwd.getpwnam("nobody").pw_uid)
    ask_for("10.5.0.50")
    until(lambda: dnsmasq.leases("lab") == {MAC: "10.5.0.50"}, "the lease is written", 20)


def test_networks_of_a_plan_that_end_at_the_same_moment(served: Dhcp) -> None:
    folder = Path(served.config).parent
    many = [replace(served, config=str(folder / f"n{n}.conf"), name=f"n{n}") for n in range(12)]
    with ThreadPoolExecutor(len(many)) as side_by_side:
        for _ in range(100):
            folder.mkdir(parents=True)
            for dhcp in many:
                Path(dhcp.config).touch()
            assert list(side_by_side.map(dnsmasq.delete, many)) == [None] * len(many)
            assert not folder.exists()


def test_one_that_was_killed_is_noticed_and_started_anew(served: Dhcp) -> None:
    dnsmasq.create(served)
    process = os.pidfd_open(pid_of(served))
    signal.pidfd_send_signal(process, signal.SIGKILL)
    assert select.select([process], [], [], 10)[0]
    os.close(process)
    assert dnsmasq.observe(Look("lab")) == [replace(served, alive=False)]
    dnsmasq.create(served)
    assert dnsmasq.observe(Look("lab")) == [served]


def test_one_that_is_stopped_is_noticed_and_started_anew(served: Dhcp) -> None:
    dnsmasq.create(served)
    own = pid_of(served)
    os.kill(own, signal.SIGSTOP)
    until(lambda: ") T " in Path(f"/proc/{own}/stat").read_text(), "it is stopped")
    assert dnsmasq.observe(Look("lab")) == [replace(served, alive=False)]
    dnsmasq.create(served)
    assert dnsmasq.observe(Look("lab")) == [served]
    assert pid_of(served) != own


def test_it_starts_anew_with_its_switch_and_ends_no_other(served: Dhcp) -> None:
    dnsmasq.create(served)
    own = pid_of(served)
    lower, far = naming.switch_ends("lab", "lan")
    dnsmasq.restart("lab", far)
    dnsmasq.restart("other", "mvh0")
    assert pid_of(served) == own
    addresses = interfaces("10.6.0.1/24")
    made = Switch(lower, far, addresses, 1500, naming.group("lab"), "vmnet:lab/lan")
    switch.create(made)
    here = replace(served, device=far, text=served.text.replace("mvh0", far))
    dnsmasq.create(here)
    own = pid_of(here)
    switch.update(made)
    assert pid_of(here) != own
    assert dnsmasq.observe(Look("lab")) == [here]


@pytest.mark.parametrize("lost", [".conf", ""])
def test_it_is_found_and_ended_without_its_files(served: Dhcp, lost: str) -> None:
    dnsmasq.create(served)
    own, config = pid_of(served), Path(served.config)
    if lost:
        config.with_suffix(lost).unlink()
    else:
        shutil.rmtree(paths.home("lab"))
    assert dnsmasq.observe(Look("lab")) == [replace(served, device="")]
    dnsmasq.create(served)
    assert pid_of(served) != own
    assert dnsmasq.observe(Look("lab")) == [served]
    dnsmasq.delete(served)
    assert dnsmasq.observe(Look("lab")) == []


def test_another_plans_server_and_programs_with_its_words_are_left_alone(served: Dhcp) -> None:
    dnsmasq.create(served)
    assert dnsmasq.observe(Look("la")) == []
    word = f"--conf-file={served.config}"
    with subprocess.Popen(["sh", "-c", "read x", "dnsmasq", word], stdin=subprocess.PIPE) as other:
        dnsmasq.delete(served)
        assert other.poll() is None
        other.kill()


OBSERVE = """\
from provisioner.host.network import dnsmasq
from provisioner.reconcile.resources import Look
print(*(one.alive for one in dnsmasq.observe(Look("lab"))))
"""


def test_it_is_found_by_a_root_that_may_trace_nobody(served: Dhcp) -> None:
    dnsmasq.create(served)
    Path(served.config).unlink()
    words = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace"]  # as in Docker
    assert call(*words, sys.executable, "-c", OBSERVE) == "True\n"
    with far_namespace() as elsewhere, elsewhere.entered():
        assert call(*words, sys.executable, "-c", OBSERVE) == "\n"


def test_nothing_is_left_of_it(served: Dhcp) -> None:
    dnsmasq.create(served)
    own = pid_of(served)
    dnsmasq.delete(served)
    assert not Path(f"/proc/{own}").exists() or "Z" in Path(f"/proc/{own}/stat").read_text()
    assert not Path(served.config).parent.exists()
    dnsmasq.delete(served)


def test_where_there_is_no_dnsmasq_the_package_is_named(
    served: Dhcp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(VmnetError, match="dnsmasq is not installed") as refused:
        dnsmasq.create(served)
    assert "dnsmasq-base" in (refused.value.fix or "")


def test_a_server_that_ends_is_not_started_anew_by_its_switch(served: Dhcp) -> None:
    for _ in range(5):
        dnsmasq.create(served)
        with ThreadPoolExecutor(2) as pool:
            ends = [
                pool.submit(dnsmasq.restart, "lab", served.device),
                pool.submit(dnsmasq.delete, served),
            ]
        for end in ends:
            end.result()
        assert dnsmasq.observe(Look("lab")) == []
        assert not Path(served.config).exists()


def test_a_server_that_cannot_start_leaves_nothing(served: Dhcp) -> None:
    with pytest.raises(VmnetError):
        dnsmasq.create(replace(served, text=f"{served.text}no-such-word\n"))
    assert [x for x in Path(served.config).parent.iterdir() if x.suffix != ".leases"] == []
