"""Listening at macvtaps: who claims which address there, told apart by direction."""

import socket
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address

import pytest

from provisioner.host.probe import listen, mesh
from provisioner.network import frames
from tests.host.test_mesh import ask
from tests.host_tools.macvtap_lab import end, lab

ALL = 3


def test_what_a_guest_answers_is_heard_with_its_address() -> None:
    one, two = ends = [end(1), end(2)]
    with lab(ends, "bridge"), ThreadPoolExecutor(1) as pool:
        heard = pool.submit(listen.listen, {x.link for x in ends}, 0.5)
        while not heard.done():
            mesh.answered([ask(one, two)], 0.2)
        told = heard.result()
    (answer,) = [x for x in told if x.from_guest and x.claim and x.claim.how == "ARP"][:1]
    assert answer.claim is not None
    assert (answer.device, answer.claim.mac, answer.claim.address) == (
        two.link,
        two.mac,
        two.address,
    )


def test_frames_of_other_devices_are_not_told() -> None:
    with lab([end(1)], "bridge"):
        frame = frames.arp_request(IPv4Address("10.0.0.9"), "02:00:00:00:00:77")
        with ThreadPoolExecutor(1) as pool:
            heard = pool.submit(listen.listen, {"tap1"}, 0.3)
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, ALL) as wire:
                wire.bind(("sw", 0))
                while not heard.done():
                    wire.send(frame)
            assert all(x.device == "tap1" and not x.from_guest for x in heard.result())


def test_silence_ends_at_the_deadline() -> None:
    with lab([end(1)], "bridge"):
        assert [x for x in listen.listen({"tap1"}, 0.1) if x.from_guest] == []


@pytest.mark.parametrize("kind", [0x8100, 0x88A8])
def test_tagged_frames_are_other_networks(kind: int) -> None:
    assert listen._is_tagged(b"\0" * 12 + kind.to_bytes(2, "big"))
    assert not listen._is_tagged(b"\0" * 12 + b"\x08\x06")
