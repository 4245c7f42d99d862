"""Guests on a NIC that boot while the LAN is asked for their addresses, silent until then."""

from pathlib import Path

from tests.framework.lab import Lab
from tests.framework.wire import cabled_nic, heard

ADDRESS, OWNER = "10.78.0.7", "10.78.0.1"
MAC = "02:00:00:00:aa:01"
UNDONE = "an address is taken: what this run has made is taken away again"


def plan(lab: Lab, nic: str, address: str, vm: str = "") -> Path:
    """Write a plan with a guest on the NIC."""
    return lab.plan(
        f"networks: {{lan: {{uplink: {nic}, mode: bridge, subnet: 10.78.0.0/24}}}}\n"
        f'vms: {{a: {{nics: [{{network: lan, address: {address}, mac: "{MAC}"}}]{vm}}}}}\n'
    )


def test_a_guest_whose_address_is_taken_is_never_heard_and_leaves_nothing(lab: Lab) -> None:
    with cabled_nic(lab, f"{OWNER}/24") as nic:
        with lab.settled(), heard(nic, MAC) as frames:
            told = lab.vmnet("up", plan(lab, nic.name, OWNER, ", disks: [16M]"), status=3).stderr
        assert f"the address {OWNER} is taken: {nic.mac()} answers for it on {nic.name}" in told
        assert UNDONE in told
        assert "has not shut down" not in told
        assert frames == []
        # The control: with an address of its own it is heard.
        with heard(nic, MAC) as frames:
            lab.vmnet("up", plan(lab, nic.name, ADDRESS))
        assert frames
        lab.vmnet("down", "--name", lab.name)


def test_a_guest_that_a_kill_has_left_silent_is_asked_for_before_it_is_heard(lab: Lab) -> None:
    with cabled_nic(lab, f"{OWNER}/24") as nic:
        path = plan(lab, nic.name, ADDRESS)
        lab.vmnet("up", path)
        (tap,) = lab.macvtaps()
        lab.ip("link", "set", tap, "down")  # as it was made, before the LAN had answered
        own = ("addr", "{}", f"{ADDRESS}/24", "dev", "sw")
        nic.outside("ip", *(word.format("add") for word in own))
        assert f"{ADDRESS} is taken" in lab.vmnet("up", path, status=3).stderr
        assert ",UP" not in lab.ip("link", "show", tap).partition(">")[0]
        nic.outside("ip", *(word.format("del") for word in own))
        assert "update macvtap a.lan: is down" in lab.vmnet("up", path).stderr
        lab.vmnet("down", path)


def test_a_guest_with_a_disk_that_was_kept_is_not_started_before_the_lan_is_asked(lab: Lab) -> None:
    with cabled_nic(lab, f"{OWNER}/24") as nic:
        disk = ", disks: [16M], keep: true"
        path = plan(lab, nic.name, ADDRESS, disk)
        lab.vmnet("up", path)
        lab.vmnet("exec", "-f", path, "a", "--", "sh", "-c", "echo kept >/dev/vda; sync")
        lab.vmnet("down", path)
        told = lab.vmnet("up", plan(lab, nic.name, OWNER, disk), status=3).stderr
        assert f"the address {OWNER} is taken" in told
        assert "create domain" not in told
        assert UNDONE not in told
        lab.vmnet("down", "--name", lab.name, "--disks", "--yes")
