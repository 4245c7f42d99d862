"""What vmnet answers to bad input and to hosts that cannot: a sentence and a status, no traceback.

Every command runs in a network namespace of its own that disappears with it.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from provisioner import naming
from tests.framework import forked

HOUSE = Path(__file__).parents[2]
VMNET = forked.program()
ONE = """\
name: answers
networks:
  lan: {switch: true, subnet: 10.91.0.0/24}
vms:
  a: {nics: [lan]}
"""
NIC = "ip link add nic0 type veth peer name far0"
LOW = "ip link add low0 type veth peer name far0"
DRIVER = "/usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_qemu.so"


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str


def vmnet(*words: str, cwd: Path, before: str = "", inside: tuple[str, ...] = ()) -> Ran:
    """Run vmnet in a fresh network and mount namespace, after the shell commands `before`."""
    script = f'{before}\nexec "$@"'
    ran = subprocess.run(
        ["unshare", "-mn", "sh", "-c", script, "sh", *inside, *VMNET, *words],
        cwd=cwd,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(HOUSE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in ran.stderr
    return Ran(ran.returncode, ran.stdout, ran.stderr)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "vmnet.yaml").write_text(ONE)
    return tmp_path


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    yield
    for place in ("/run/vmnet/answers", "/var/lib/vmnet/answers", "/run/vmnet/answers.lock"):
        assert not Path(place).exists()


def test_no_plan_file_is_answered_with_ways_out(tmp_path: Path) -> None:
    assert vmnet("up", cwd=tmp_path) == Ran(
        2,
        "",
        "there is no plan vmnet.yaml\n"
        "  fix: have one written: vmnet init, name another file, "
        "or go without: vmnet up --uplink NIC\n",
    )


def test_a_plan_that_is_no_file_of_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(
        "name: lab\n# für \xff\xfe".encode().replace(b"\xc3\xbf", b"\xff")
    )
    told = {
        path: vmnet("up", path, cwd=tmp_path).err.splitlines()[0]
        for path in (".", "/dev/zero", "bytes")
    }
    assert told == {
        ".": ". is not a regular file",
        "/dev/zero": "/dev/zero is not a regular file",
        "bytes": "bytes:2:7: the byte 0xff is not UTF-8 text",
    }


def test_all_complaints_come_at_once_with_their_places(tmp_path: Path) -> None:
    (tmp_path / "vmnet.yaml").write_text(
        ONE.replace("switch: true", "switch: true, mode: bridg") + "colour: red\n"
    )
    ran = vmnet("up", cwd=tmp_path)
    assert ran == Ran(
        2,
        "",
        """\
vmnet.yaml:3:29: "bridg" is not a macvtap mode
  lan: {switch: true, mode: bridg, subnet: 10.91.0.0/24}
                            ^
  fix: use one of private, vepa, bridge, passthru, source
vmnet.yaml:6:1: unknown key "colour"
colour: red
^
  fix: known keys: name, networks, vms, hosts, placement, checks, connection, accel, hosts_file, \
overcommit, defaults
""",
    )


def test_of_many_complaints_the_first_twenty_are_shown_and_json_has_all(tmp_path: Path) -> None:
    (tmp_path / "vmnet.yaml").write_text(ONE + "".join(f"key{n}: red\n" for n in range(1, 26)))
    shown = vmnet("plan", cwd=tmp_path).err
    found = json.loads(vmnet("plan", "--json", cwd=tmp_path).out)["errors"]
    assert re.findall(r'unknown key "key(\d+)"', shown) == [str(n) for n in range(1, 21)]
    assert shown.endswith("\nand 5 more: fix the 20 above first\n")
    assert len(found) == 25


def test_errors_are_json_too(tmp_path: Path) -> None:
    ran = vmnet("up", "--json", "nope.yaml", cwd=tmp_path)
    told = json.loads(ran.out)
    assert (ran.status, told["status"], told["format"], len(told["errors"])) == (2, 2, 1, 1)
    assert told["errors"][0]["what"] == "there is no plan nope.yaml"


def test_an_unknown_uplink_is_shown_in_the_plan_with_what_is_there(folder: Path) -> None:
    (folder / "vmnet.yaml").write_text(ONE.replace("switch: true", "uplink: enp1"))
    ran = vmnet("up", cwd=folder, before="ip link add enp1s0 type veth peer name far0")
    assert ran.status == 2
    assert (
        'vmnet.yaml:3:17: there is no network device "enp1" on this host\n'
        "  lan: {uplink: enp1, subnet: 10.91.0.0/24}\n"
        "                ^\n"
        '  fix: did you mean "enp1s0"? devices that can be an uplink here: '
    ) in ran.err


@pytest.mark.parametrize(
    ("before", "status", "what"),
    [
        (
            "ip link add br0 type bridge; ip link add nic0 master br0 type veth peer name far0",
            3,
            '"nic0" is a port of "br0": the kernel puts no macvtap on a port',
        ),
        (
            f"{LOW}; ip link add link low0 name nic0 type macvtap mode bridge",
            2,
            '"nic0" is a macvtap itself: the kernel would silently use what is below',
        ),
        (
            f"{NIC}; ip link add link nic0 name mv0 type macvlan mode passthru",
            3,
            '"nic0" is used exclusively by the passthru "mv0"',
        ),
        (
            "ip tuntap add nic0 mode tun",
            4,
            '"nic0" is not an Ethernet device: a macvtap needs one',
        ),
    ],
)
def test_an_uplink_that_the_kernel_would_refuse_is_refused_first(
    folder: Path, before: str, status: int, what: str
) -> None:
    (folder / "vmnet.yaml").write_text(ONE.replace("switch: true", "uplink: nic0"))
    ran = vmnet("up", cwd=folder, before=before)
    assert (ran.status, what in ran.err) == (status, True), ran.err


def test_an_mtu_above_the_uplinks_is_refused_with_the_uplinks(folder: Path) -> None:
    (folder / "vmnet.yaml").write_text(ONE.replace("switch: true", "uplink: nic0, mtu: 9000"))
    ran = vmnet("up", cwd=folder, before="ip link add nic0 type veth peer name far0")
    assert (ran.status, "an MTU of 9000 is above the uplink's: nic0 has 1500" in ran.err) == (
        2,
        True,
    )


def test_a_subnet_that_the_host_has_a_route_to_is_a_conflict(folder: Path) -> None:
    before = (
        "ip link add nic0 type veth peer name far0; ip addr add 10.91.0.7/16 dev nic0; "
        "ip link set nic0 up; ip link set far0 up"
    )
    ran = vmnet("up", cwd=folder, before=before)
    assert ran.status == 3
    assert "overlaps the route 10.91.0.0/16 that this host has through nic0" in ran.err


def test_a_device_name_that_is_taken_is_left_alone(folder: Path) -> None:
    name = naming.macvtap("answers", "a", 0)
    before = f"ip link add {name} type veth peer name far0"
    ran = vmnet("up", cwd=folder, before=before)
    assert ran.status == 3
    assert f'the device name "{name}" is taken by a veth that vmnet did not make' in ran.err


def test_missing_capabilities_are_named_with_what_they_are_for(folder: Path) -> None:
    without = ("setpriv", "--bounding-set=-net_admin,-net_raw", "--inh-caps=-net_admin")
    assert vmnet("up", cwd=folder, inside=without) == Ran(
        4,
        "",
        "vmnet lacks CAP_NET_ADMIN (to make macvtap devices), "
        "CAP_NET_RAW (to measure who reaches whom)\n"
        "  fix: run it as root: sudo vmnet …\n",
    )


def test_missing_qemu_is_answered_with_the_package(folder: Path) -> None:
    hidden = "mount --bind /dev/null /usr/bin/qemu-system-x86_64"
    assert vmnet("up", cwd=folder, before=hidden) == Ran(
        4,
        "",
        "QEMU is not installed: /usr/bin/qemu-system-x86_64 cannot be run\n"
        "  fix: install it: apt-get install qemu-system-x86\n",
    )


def test_on_fedora_missing_qemu_is_answered_with_fedoras_package(folder: Path) -> None:
    (folder / "os-release").write_text("ID=fedora\n")
    hidden = "mount --bind /dev/null /usr/bin/qemu-system-x86_64; "
    ran = vmnet("up", cwd=folder, before=f"{hidden}mount --bind os-release /etc/os-release")
    assert ran.err.endswith("\n  fix: install it: dnf install qemu-system-x86-core\n")


def test_a_missing_libvirt_driver_is_answered_with_the_package(folder: Path) -> None:
    ran = vmnet("up", cwd=folder, before=f"mount --bind /dev/null {DRIVER}")
    assert ran.status == 4
    fix = "fix: install libvirt's QEMU driver again: apt-get install libvirt-daemon-driver-qemu"
    assert fix in ran.err


def test_a_named_libvirt_that_does_not_answer_is_answered_at_once(folder: Path) -> None:
    ran = vmnet("up", "--set", "connection=qemu:///system", cwd=folder)
    assert ran.status == 4
    assert "opening qemu:///system: Failed to connect socket" in ran.err
    assert "fix: start the libvirt daemon, or write `connection: auto`" in ran.err


def test_an_image_that_cannot_be_built_says_why_and_nothing_is_touched(folder: Path) -> None:
    hidden = "mount --bind /dev/null /usr/bin/apt-get; mount --bind /dev/null /usr/bin/apt-cache; "
    # What root has built is for everybody to use: it is hidden as well.
    hidden += "mkdir -p /var/cache/vmnet; mount -t tmpfs -o mode=755 none /var/cache/vmnet"
    cache = ("env", f"VMNET_CACHE_DIR={folder}/cache")
    ran = vmnet("up", cwd=folder, before=hidden, inside=cache)
    assert ran.status == 4
    assert "apt" in ran.err
    assert "fix:" in ran.err


@pytest.mark.parametrize("accel", ["kvm"])
def test_kvm_that_does_not_work_is_not_taken_silently(folder: Path, accel: str) -> None:
    hidden = "mount --bind /dev/null /dev/kvm"
    cache = ("env", "VMNET_CACHE_DIR=/var/cache/vmnet")
    ran = vmnet("up", "--set", f"accel={accel}", cwd=folder, before=hidden, inside=cache)
    assert ran.status == 4
    assert "the plan wants KVM, but /dev/kvm exists, but a test boot under it fails" in ran.err


def test_the_command_lines_own_plan_can_be_printed_and_holds(tmp_path: Path) -> None:
    ran = vmnet("up", "--uplink", "eno1", "--count", "2", "--print-plan", cwd=tmp_path)
    assert (
        ran.out
        == """\
name: on-95c40a
networks:
  lan: {uplink: "eno1", mode: "bridge", subnet: "169.254.77.0/24"}
vms:
  vm: {count: 2, image: "micro", keep: false, nics: [lan]}
"""
    )
    (tmp_path / "vmnet.yaml").write_text(ran.out)
    assert vmnet("render", "vm2", cwd=tmp_path).status == 0


def test_a_value_given_by_set_is_complained_about_in_its_place(folder: Path) -> None:
    ran = vmnet("up", "--set", "networks.lan.mode=bridg", cwd=folder)
    assert ran.err.startswith('--set networks.lan.mode=bridg:1:19: "bridg" is not a macvtap mode\n')


@pytest.mark.parametrize("words", [("status",), ("down",), ("plan",), ("stop",), ("pause",)])
def test_commands_that_change_nothing_leave_nothing(folder: Path, words: tuple[str, ...]) -> None:
    assert vmnet(*words, cwd=folder).status == 0


def test_a_check_of_a_plan_that_is_not_up_says_so(folder: Path) -> None:
    ran = vmnet("check", cwd=folder)
    assert (ran.status, ran.err.splitlines()[-2:]) == (
        5,
        ["a of the plan is not up", "  fix: bring the plan up first: vmnet up"],
    )


def test_an_unknown_vm_is_answered_with_those_there_are(folder: Path) -> None:
    for words in (("exec", "b", "--", "true"), ("console", "b"), ("logs", "b"), ("render", "b")):
        ran = vmnet(*words, cwd=folder)
        assert (ran.status, ran.err) == (2, 'the plan answers has no VM "b"\n  fix: its VMs: a\n')


@pytest.mark.parametrize("command", ["stop", "start", "down"])
def test_a_command_about_vms_that_the_plan_lacks_touches_nothing(
    folder: Path, command: str
) -> None:
    ran = vmnet(command, "a", "b", cwd=folder)
    assert ran.status == 2
    assert ran.err.endswith('the plan answers has no VM "b"\n  fix: its VMs: a\n')


def test_of_the_words_of_down_one_can_be_a_plan(folder: Path) -> None:
    ran = vmnet("down", "./vmnet.yaml", "b.yaml", "a", cwd=folder)
    assert (ran.status, ran.err.splitlines()[0]) == (2, "./vmnet.yaml and b.yaml are two plans")
    assert vmnet("down", "./vmnet.yaml", "a", cwd=folder).status == 0


def test_a_reader_that_goes_away_ends_vmnet_quietly(folder: Path) -> None:
    script = f"{sys.executable} -m provisioner render a | head -c 10"
    ran = subprocess.run(
        ["bash", "-o", "pipefail", "-c", script],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(HOUSE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.stdout, ran.stderr) == ("<domain ty", "")


def test_version_and_completion_are_there(tmp_path: Path) -> None:
    assert vmnet("--version", cwd=tmp_path).out == "vmnet 0.1.0\n"
    ran = subprocess.run(
        [*VMNET, "--show-completion", "bash"],
        cwd=tmp_path,
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(HOUSE),
            "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert "complete" in ran.stdout


@pytest.mark.parametrize("command", [("image", "import", "/proc/self/mem"), ("up",)])
def test_a_file_that_cannot_be_read_is_no_image(folder: Path, command: tuple[str, ...]) -> None:
    plan = ONE.replace("a: {", "a: {image: 'file:/proc/self/mem', ")
    (folder / "vmnet.yaml").write_text(plan)
    state = "mount -t tmpfs -o mode=755 none /mnt; export VMNET_STATE_DIR=/mnt/s"
    ran = vmnet(*command, cwd=folder, before=state)
    assert ran.status == 2
    assert "/proc/self/mem" in ran.err
    assert "  fix: " in ran.err
