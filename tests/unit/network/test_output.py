"""What `vmnet net` shows of devices: a table, all of one, XML for libvirt, words for QEMU."""

import json
from dataclasses import replace

import pytest

from provisioner.network.standalone import output
from provisioner.network.standalone.output import Counters, Holder, NetDevice

PLAIN = NetDevice(
    name="mvn0",
    uplink="nic0",
    mode="bridge",
    mac="02:00:00:00:00:01",
    mtu=1500,
    node="/dev/tap7",
    node_state="right",
    up=True,
    carrier=True,
    owner="root",
    uid=0,
)
FULL = replace(
    PLAIN,
    name="mvn1",
    mode="passthru",
    mtu=1400,
    node_state="missing",
    carrier=False,
    owner="ann",
    uid=1000,
    label="lan",
    nopromisc=True,
    queues=2,
    txqueuelen=100,
    holders=(Holder(7, "qemu"), Holder(8, "cat")),
    counters=Counters(1, 60, 2, 3, 180, 4),
)


def test_devices_are_listed_in_columns() -> None:
    assert output.as_rows([PLAIN, FULL, replace(PLAIN, up=False)]) == [
        (
            "device",
            "mode",
            "on",
            "MAC",
            "MTU",
            "node",
            "state",
            "in use by",
            "owner",
            "label",
            "guard",
        ),
        (
            *("mvn0", "bridge", "nic0", "02:00:00:00:00:01", "1500", "/dev/tap7", "up"),
            *("-", "root", "-", "-"),
        ),
        (
            *("mvn1", "passthru nopromisc", "nic0", "02:00:00:00:00:01", "1400"),
            *("/dev/tap7 missing", "no carrier", "7 8", "ann", "lan", "-"),
        ),
        (
            *("mvn0", "bridge", "nic0", "02:00:00:00:00:01", "1500", "/dev/tap7", "down"),
            *("-", "root", "-", "-"),
        ),
    ]


def test_a_guard_that_is_gone_and_a_mac_that_was_changed_are_told() -> None:
    changed = replace(PLAIN, guard="mac", guard_state="gone", born_mac="02:00:00:00:00:02")
    row = output.as_rows([changed])[1]
    assert (row[3], row[-1]) == (
        "02:00:00:00:00:01 (changed by its user, was 02:00:00:00:00:02)",
        "mac gone",
    )
    assert "  guard      mac gone\n" in output.as_text(changed)


def test_all_of_a_device_is_a_line_each() -> None:
    assert (
        output.as_text(FULL)
        == """\
mvn1
  mode       passthru nopromisc
  on         nic0
  state      no carrier
  MAC        02:00:00:00:00:01
  MTU        1400
  queues     2
  txqueuelen 100
  node       /dev/tap7 (missing)
  in use by  7 (qemu), 8 (cat)
  owner      ann (1000)
  label      lan
  received   1 frames, 60 bytes, 2 dropped
  sent       3 frames, 180 bytes, 4 dropped"""
    )


@pytest.mark.parametrize(
    ("sources", "heard"), [((), "nobody"), (("02:0a", "02:0b"), "02:0a 02:0b")]
)
def test_a_source_mode_device_has_its_list(sources: tuple[str, ...], heard: str) -> None:
    text = output.as_text(replace(PLAIN, mode="source", sources=sources))
    assert (
        text
        == f"""\
mvn0
  mode       source
  on         nic0
  state      up
  MAC        02:00:00:00:00:01
  MTU        1500
  hears      {heard}
  queues     1
  txqueuelen 500
  node       /dev/tap7 (right)
  in use by  nobody
  owner      root (0)"""
    )


def test_scripts_get_every_field() -> None:
    document = json.loads(output.as_json("net ls", [FULL]))
    assert document["command"] == "net ls"
    assert document["warnings"] == []
    (device,) = document["devices"]
    assert device["holders"] == [{"pid": 7, "command": "qemu"}, {"pid": 8, "command": "cat"}]
    assert device["counters"]["sent_dropped"] == 4
    assert device["mode"] == "passthru"


def test_libvirt_gets_an_interface_that_it_does_not_manage() -> None:
    assert (
        output.as_libvirt(PLAIN)
        == """\
<interface type="ethernet">
  <mac address="02:00:00:00:00:01"/>
  <target dev="mvn0" managed="no"/>
  <model type="virtio"/>
</interface>"""
    )
    assert (
        output.as_libvirt(FULL)
        == """\
<interface type="ethernet">
  <mac address="02:00:00:00:00:01"/>
  <target dev="mvn1" managed="no"/>
  <model type="virtio"/>
  <driver queues="2"/>
  <mtu size="1400"/>
</interface>"""
    )


def test_qemu_gets_a_descriptor_for_each_queue() -> None:
    assert output.as_qemu(PLAIN) == (
        "-netdev tap,id=mvn0,fd=3 -device virtio-net-pci,netdev=mvn0,mac=02:00:00:00:00:01"
        " 3<>/dev/tap7"
    )
    assert output.as_qemu(FULL) == (
        "-netdev tap,id=mvn1,fds=3:4 -device virtio-net-pci,netdev=mvn1,mac=02:00:00:00:00:01,"
        "mq=on,vectors=6,host_mtu=1400 3<>/dev/tap7 4<>/dev/tap7"
    )
