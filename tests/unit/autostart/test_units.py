"""The texts of `vmnet boot`: words that systemd reads back as they were, and whole units."""

import re
import subprocess

import pytest

from provisioner.autostart import units
from provisioner.autostart.units import Start
from provisioner.plan.load import loader

PLAN = """\
name: my-lab
networks:
  lan: {uplink: eno1, subnet: 192.168.9.0/24}
  dmz: {uplink: br-0.7, mode: private, subnet: 192.168.8.0/24}
  lab: {switch: true, subnet: 10.77.0.0/24}
vms: {a: {nics: [lan, dmz, lab]}}
"""
STOP = (
    'ExecStop="/opt/vm net/python" "-m" "provisioner" "stop" "--name" "my-lab" '
    '"--grace" "90" "--connection" "qemu:///system"'
)


def test_the_part_of_a_plan_waits_for_its_nics_and_says_how_it_starts_and_ends() -> None:
    plan = loader.load(PLAN, "plan.yaml", ()).plan
    start = Start(
        ("/opt/vm net/python", "-m", "provisioner"),
        "/etc/vmnet/plans/my-lab.yaml",
        "/srv/50% $HOME",
        ("/opt/vm net/python", "/srv/50% $HOME"),
        ("--set", 'vms.a.description="x\\y"'),
        ("--connection", "qemu:///system"),
        {"VMNET_STATE_DIR": "/srv/$state"},
    )
    assert units.plan_part(plan, start).splitlines() == [
        "# Made by vmnet boot install for the plan my-lab",
        "[Unit]",
        "Wants=vmnet-watch@my-lab.service",
        r"Wants=sys-subsystem-net-devices-br\x2d0.7.device sys-subsystem-net-devices-eno1.device",
        r"After=sys-subsystem-net-devices-br\x2d0.7.device sys-subsystem-net-devices-eno1.device",
        'RequiresMountsFor="/opt/vm net/python" "/srv/50%% $HOME"',
        "[Service]",
        'Environment="VMNET_STATE_DIR=/srv/$state"',
        *(
            f'{key}="/opt/vm net/python" "-m" "provisioner" "up" "/etc/vmnet/plans/my-lab.yaml" '
            r'"--folder" "/srv/50%% $$HOME" "--set" "vms.a.description=\"x\\y\"" '
            '"--connection" "qemu:///system"'
            for key in ("ExecStart", "ExecReload")
        ),
        STOP,
    ]


def test_a_plan_on_a_switch_of_vmnets_waits_for_no_nic() -> None:
    text = "name: x\nnetworks: {n: {switch: true, subnet: 10.7.0.0/24}}\nvms: {a: {nics: [n]}}\n"
    part = units.plan_part(loader.load(text, "x", ()).plan, Start(("vmnet",), "/x", "/"))
    assert "device" not in part
    assert "After=" not in part


def test_the_part_of_a_watch_has_the_plan_as_it_is_brought_up_and_may_write_its_lock_and_logs() -> (
    None
):
    changes = ("--set", "networks.lan.spoof_guard=off")
    options = (*changes, "--timeout", "9")
    start = Start(("vmnet",), "/etc/x.yaml", "/", (), options, environment={"A": "%"}, sets=changes)
    assert units.watch_part("x", start, "/run", "/logs").splitlines() == [
        "# Made by vmnet boot install for the plan x",
        "[Service]",
        'Environment="A=%%"',
        'ReadWritePaths="-/run"',
        'ReadWritePaths="-/logs"',
        'ExecStart="vmnet" "watch" "/etc/x.yaml" "--set" "networks.lan.spoof_guard=off"',
    ]


@pytest.mark.parametrize("name", ["eno1", "br-lan", "wlan0.5", "a_b:1", "x-ü", "enx~1"])
def test_a_nics_name_is_escaped_as_systemd_does_it(name: str) -> None:
    path = f"/sys/subsystem/net/devices/{name}"
    argv = ["systemd-escape", "--path", "--suffix=device", path]
    ran = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=20)
    assert units.device_units([name]) == [ran.stdout.strip()]


def test_a_stored_plan_keeps_its_lines_and_tells_where_it_is_from() -> None:
    stored = units.stored(PLAN, "/srv/my lab.yaml")
    assert stored.startswith(PLAN)
    assert units.original(stored) == (PLAN, "/srv/my lab.yaml")
    assert loader.load(stored, "x", ()).plan == loader.load(PLAN, "x", ()).plan


def test_somebody_elses_file_is_no_stored_plan() -> None:
    assert units.original(PLAN) == ("", "")


def test_every_file_has_the_mark_by_which_it_is_removed() -> None:
    plan = loader.load(PLAN, "plan.yaml", ()).plan
    texts = (
        units.template_unit(),
        units.plan_part(plan, Start(("vmnet",), "/x", "/")),
        units.watch_template(),
        units.watch_part("my-lab", Start(("vmnet",), "/x", "/"), "/run"),
        units.net_unit(("vmnet",), "/etc/vmnet/net.json", ["eno1"]),
        units.hook("vmnet"),
        units.stored(PLAN, "/x"),
    )
    assert [units.MARK in text for text in texts] == [True] * len(texts)
    assert all("@" not in re.sub("vmnet(-watch)?@", "", text) for text in texts)
