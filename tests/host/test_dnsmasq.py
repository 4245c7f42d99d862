"""The dnsmasq of a switch: started, asked, found, killed, ended; never a stranger in its place."""

import os
import select
import shutil
import signal
import socket
import struct
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner import naming
from provisioner.errors import VmnetError
from provisioner.host.network import dnsmasq, switch
from provisioner.host.system import paths
from provisioner.network import dnsmasq as leases
from provisioner.network.addressing import assign
from provisioner.network.resources import Dhcp, Switch
from provisioner.plan.load.loader import load
from provisioner.reconcile.resources import Look
from tests.builders.addresses import interfaces
from tests.framework.lab import until
from tests.host_tools.namespace import ip

PLAN = """\
name: lab
networks: {lan: {switch: {dhcp: true}, subnet: 10.5.0.0/24, pool: 10.5.0.10-10.5.0.99}}
vms: {web: {nics: [{network: lan, address: 10.5.0.20}]}}
"""

pytestmark = pytest.mark.usefixtures("namespace")


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dhcp]:
    monkeypatch.setenv("VMNET_STATE_DIR", str(tmp_path))
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
    return int(Path(dhcp.config).with_suffix(".pid").read_text())


def test_it_serves_when_it_has_been_made_and_is_found_again(served: Dhcp) -> None:
    dnsmasq.create(served)
    assert dnsmasq.observe(Look("lab")) == [served]
    assert [asked("web"), asked("web.lab")] == [bytes([10, 5, 0, 20])] * 2


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


@pytest.mark.parametrize("lost", [".pid", ".conf", ""])
def test_it_is_found_and_ended_without_its_files(served: Dhcp, lost: str) -> None:
    dnsmasq.create(served)
    own, config = pid_of(served), Path(served.config)
    if lost:
        config.with_suffix(lost).unlink()
    else:
        shutil.rmtree(paths.home("lab"))
    found = served if lost == ".pid" else replace(served, device="")
    assert dnsmasq.observe(Look("lab")) == [found]
    dnsmasq.create(served)
    assert pid_of(served) != own
    assert dnsmasq.observe(Look("lab")) == [served]
    config.with_suffix(".pid").unlink()
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


def test_a_stranger_with_its_number_is_left_alone(served: Dhcp) -> None:
    dnsmasq.create(served)
    own = pid_of(served)
    with subprocess.Popen(["sleep", "60"]) as stranger:
        Path(served.config).with_suffix(".pid").write_text(f"{stranger.pid}\n")
        dnsmasq.delete(served)
        assert stranger.poll() is None
        stranger.kill()
    assert not Path(f"/proc/{own}").exists() or "Z" in Path(f"/proc/{own}/stat").read_text()


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
