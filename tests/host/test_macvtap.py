"""What a macvtap can be told, on real devices: made, changed, read back."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations

import pytest

from provisioner.errors import Exit, VmnetError
from provisioner.host.netlink import links
from provisioner.host.network import macvtap
from provisioner.network.facts import Link
from provisioner.network.resources import Macvtap
from provisioner.plan.choices import Mode
from provisioner.plan.mac import Mac
from tests.host_tools.namespace import Namespace, ip
from tests.host_tools.tap_peer import opened

INDEX = 0x6ABCDE00
A, B, C = "02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:0c"
PLAIN = Macvtap(
    name="mvt00000000aa",
    uplink="up0",
    mode=Mode.BRIDGE,
    mac="02:00:00:00:00:01",
    mtu=1500,
    group=0x76000001,
    alias="vmnet:lab/web/0",
    altname="vmnet-lab-web-0",
)
LOOSE = ("private", "vepa", "bridge", "source")


HEADER = bytes(10)  # struct virtio_net_hdr, which a macvtap's node takes before each frame
FRAME = b"\xff" * 6 + Mac(PLAIN.mac).packed + b"\x88\xb5" + bytes(46)


@pytest.fixture(autouse=True)
def uplink(namespace: Namespace) -> Iterator[None]:
    """A wire whose near end carries what the test makes."""
    del namespace
    ip(
        "link add name up0 address 02:00:00:00:00:f0 type veth peer name up1",
        "link set dev up0 up",
        "link set dev up1 up",
    )
    yield
    links.delete("up0")  # now, not when the namespace goes: the next test wants the same nodes


def told(name: str = PLAIN.name) -> Link:
    return next(x for x in links.every() if x.name == name)


def count_of_the_uplink(what: str = "promiscuity") -> int:
    """How often something asks for it: promiscuity or allmulti."""
    asked = ["ip", "-d", "-j", "link", "show", "dev", "up0"]
    shown = subprocess.run(asked, check=True, capture_output=True, text=True)
    found: int = json.loads(shown.stdout)[0][what]
    return found


def test_every_word_of_a_birth_is_heard() -> None:
    wish = replace(PLAIN, mode=Mode.SOURCE, sources=(A, B), mtu=1400, queues=4, txqueuelen=777)
    macvtap.create_at(wish, INDEX)
    have = told()
    assert (have.mode, have.sources, have.mtu) == ("source", (A, B), 1400)
    assert (have.queues, have.txqueuelen, have.quiet) == (4, 777, True)
    assert (have.up, have.carrier, have.alias, have.altname) == (
        True,
        True,
        PLAIN.alias,
        PLAIN.altname,
    )


def test_a_device_can_be_born_down_and_be_set_up_and_down() -> None:
    macvtap.create_at(replace(PLAIN, up=False), INDEX)
    assert (told().up, told().quiet) == (False, True)
    macvtap.update_from(PLAIN, told())
    assert told().up
    macvtap.update_from(replace(PLAIN, up=False), told())
    assert not told().up


def test_nothing_that_a_guest_sends_leaves_a_device_that_is_down() -> None:
    macvtap.create_at(replace(PLAIN, up=False), INDEX)
    with (
        os.fdopen(opened(PLAIN.name, INDEX), "r+b", 0) as tap,
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire,
    ):
        wire.bind(("up1", 0x88B5))  # of this frame alone: the host's IPv6 is on the wire, too
        wire.settimeout(5)
        for number, up in enumerate((False, True, False, True)):
            macvtap.plug(PLAIN.name, up=up)
            tap.write(HEADER + FRAME + bytes([number]))
        heard = [wire.recv(2048)[len(FRAME)] for _ in range(2)]
    assert heard == [1, 3]


def test_all_twelve_changes_of_mode_keep_the_device() -> None:
    macvtap.create_at(PLAIN, INDEX)
    for before, after in permutations(LOOSE, 2):
        macvtap.update_from(replace(PLAIN, mode=Mode(before)), told())
        macvtap.update_from(replace(PLAIN, mode=Mode(after)), told())
        have = told()
        assert (have.mode, have.index, have.up, have.carrier) == (after, INDEX, True, True)


def test_nothing_goes_to_or_from_passthru_while_it_lives() -> None:
    macvtap.create_at(PLAIN, INDEX)
    with pytest.raises(VmnetError) as caught:
        macvtap.update_from(replace(PLAIN, mode=Mode.PASSTHRU), told())
    assert "Invalid argument" in caught.value.what
    assert caught.value.fix == macvtap._AT_CREATION_ONLY
    assert told().mode == "bridge"
    links.delete(PLAIN.name)
    macvtap.create_at(replace(PLAIN, mode=Mode.PASSTHRU), INDEX)
    with pytest.raises(VmnetError, match="Invalid argument"):
        macvtap.update_from(PLAIN, told())
    assert told().mode == "passthru"


def test_passthru_takes_the_uplinks_mac_and_leaves_it_alone() -> None:
    macvtap.create_at(replace(PLAIN, mode=Mode.PASSTHRU), INDEX)
    assert (told().mac, told("up0").mac) == ("02:00:00:00:00:f0", "02:00:00:00:00:f0")


def test_passthru_must_be_alone() -> None:
    macvtap.create_at(PLAIN, INDEX)
    twin = replace(PLAIN, name="mvt00000000bb", mac=B, mode=Mode.PASSTHRU, altname="")
    with pytest.raises(VmnetError) as caught:
        macvtap.create_at(twin, INDEX + 1)
    assert "alone" in (caught.value.fix or "")
    assert caught.value.status is Exit.HOST_CANNOT


def test_nopromisc_is_set_at_birth_and_toggled_while_it_lives() -> None:
    through = replace(PLAIN, mode=Mode.PASSTHRU)
    macvtap.create_at(through, INDEX)
    seen = [(told().nopromisc, count_of_the_uplink())]
    for nopromisc in (True, False):
        macvtap.update_from(replace(through, nopromisc=nopromisc), told())
        seen.append((told().nopromisc, count_of_the_uplink()))
    links.delete(PLAIN.name)
    macvtap.create_at(replace(through, nopromisc=True), INDEX)
    seen.append((told().nopromisc, count_of_the_uplink()))
    assert seen == [(False, 1), (True, 0), (False, 1), (True, 0)]


@pytest.mark.parametrize("born", [True, False])
@pytest.mark.parametrize("nopromisc", [True, False])
def test_passthru_takes_all_multicast_while_it_is_up_and_leaves_none_of_it_behind(
    *, born: bool, nopromisc: bool
) -> None:
    through = replace(PLAIN, mode=Mode.PASSTHRU, nopromisc=nopromisc)
    macvtap.create_at(replace(through, up=born), INDEX)
    counts = [count_of_the_uplink("allmulti")]
    for up in (True, False, True, False):
        macvtap.plug(PLAIN.name, up=up)
        counts.append(count_of_the_uplink("allmulti"))
        assert told().quiet
    for up in (True, False):
        macvtap.update_from(replace(through, up=up), told())
        counts.append(count_of_the_uplink("allmulti"))
    assert counts == [int(born), 1, 0, 1, 0, 1, 0]
    macvtap.update_from(through, told())
    macvtap.release([through])
    links.delete(PLAIN.name)
    assert count_of_the_uplink("allmulti") == 0


@pytest.mark.parametrize("mode", ["passthru", *LOOSE])
def test_a_device_that_is_down_leaves_nothing_of_itself_on_its_uplink(mode: str) -> None:
    macvtap.create_at(replace(PLAIN, mode=Mode(mode)), INDEX)
    macvtap.plug(PLAIN.name, up=False)
    links.delete(PLAIN.name)
    assert (count_of_the_uplink(), count_of_the_uplink("allmulti")) == (0, 0)


def test_a_source_list_is_edited_mac_by_mac() -> None:
    wish = replace(PLAIN, mode=Mode.SOURCE, sources=(A, B))
    macvtap.create_at(wish, INDEX)
    edits = list(macvtap._source_edits(replace(wish, sources=(B, C)), told()))
    assert len(edits) == 2  # one in, one out: B is never missing
    macvtap.update_from(replace(wish, sources=(B, C)), told())
    assert told().sources == (B, C)
    macvtap.update_from(replace(wish, sources=()), told())
    assert told().sources == ()


def test_leaving_source_forgets_the_list_and_coming_back_restores_it() -> None:
    wish = replace(PLAIN, mode=Mode.SOURCE, sources=(A, B))
    macvtap.create_at(wish, INDEX)
    macvtap.update_from(PLAIN, told())
    assert told().sources == ()
    macvtap.update_from(wish, told())
    assert told().sources == (A, B)


def test_what_the_kernel_passes_over_in_silence_is_told_and_the_device_is_gone_again() -> None:
    # On a macvtap the kernel puts no macvtap: it takes what is below, and reports success.
    macvtap.create_at(PLAIN, INDEX)
    twin = replace(PLAIN, name="mvt00000000bb", uplink=PLAIN.name, mac=B, altname="")
    with pytest.raises(VmnetError) as caught:
        macvtap.create_at(twin, INDEX + 1)
    assert f"uplink: asked for {PLAIN.name}, there is up0" in caught.value.what
    assert {x.name for x in links.every()} == {"lo", "up0", "up1", PLAIN.name}


def test_a_multicast_source_is_refused_by_the_kernel() -> None:
    with pytest.raises(VmnetError, match="Cannot assign requested address"):
        macvtap.create_at(replace(PLAIN, mode=Mode.SOURCE, sources=("01:00:5e:00:00:01",)), INDEX)
    assert {x.name for x in links.every()} == {"lo", "up0", "up1"}


def test_a_change_that_the_kernel_passes_over_is_told_and_the_device_stays() -> None:
    macvtap.create_at(replace(PLAIN, queues=2), INDEX)
    with pytest.raises(VmnetError, match="queues: asked for 4, there is 2"):
        macvtap.update_from(replace(PLAIN, queues=4), told())
    assert told().index == INDEX


def test_carrier_is_not_asked_for_when_the_uplink_has_none() -> None:
    ip("link set dev up1 down")
    macvtap.create_at(PLAIN, INDEX)
    assert (told().up, told().carrier) == (True, False)


def test_of_many_devices_only_those_that_fail_are_gone_again() -> None:
    many = [
        replace(PLAIN, name=f"mvt{n:010x}", mac=f"02:00:00:00:01:{n % 5:02x}", altname="")
        for n in range(6)  # the last one's MAC is the first one's
    ]
    errors = macvtap.create_all([(tap, INDEX + n) for n, tap in enumerate(many)])
    assert [error is None for error in errors] == [True] * 5 + [False]
    assert "Address already in use" in str(errors[5])
    names = {tap.name for tap in many[:5]}
    assert {x.name for x in links.every()} == names | {"lo", "up0", "up1"}


def test_many_devices_change_at_once() -> None:
    many = [
        replace(PLAIN, name=f"mvt{n:010x}", mac=f"02:00:00:00:01:{n:02x}", altname="")
        for n in range(5)
    ]
    macvtap.create_all([(tap, INDEX + n) for n, tap in enumerate(many)])
    changed = [replace(tap, mode=Mode.VEPA, mtu=1400, txqueuelen=100, up=False) for tap in many]
    assert macvtap.update_all([(tap, told(tap.name)) for tap in changed]) == [None] * 5
    assert {(told(x.name).mode, told(x.name).mtu, told(x.name).up) for x in many} == {
        ("vepa", 1400, False)
    }


def test_a_strangers_device_of_its_name_is_left_as_it_is() -> None:
    ip(f"link add {PLAIN.name} type veth peer name other0", f"link set {PLAIN.name} alias theirs")
    before = told()
    with pytest.raises(VmnetError) as refused:
        macvtap.create(replace(PLAIN, plan="lab", vm="web"))
    assert refused.value.status == Exit.CONFLICT
    assert told() == before
    links.delete(PLAIN.name)


def test_one_that_was_renamed_is_deleted_by_its_other_marks_and_by_nothing_less() -> None:
    macvtap.create_at(PLAIN, 90)
    ip(f"link set {PLAIN.name} down", f"link set {PLAIN.name} name other0")
    renamed = replace(PLAIN, name="other0", plan="lab", vm="web")
    for other in (
        replace(renamed, alias="vmnet:lab/db/0"),
        replace(renamed, altname="vmnet-lab-db-0"),
        replace(renamed, group=PLAIN.group + 1),
    ):
        macvtap.delete(other)
        assert told("other0").altname == PLAIN.altname
    macvtap.delete(renamed)
    assert "other0" not in {x.name for x in links.every()}
