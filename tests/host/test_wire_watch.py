"""Who is on a wire: those who answer, for others too, who serve, and who bear a guest's MAC."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from provisioner.errors import VmnetError
from provisioner.host.probe.wire_watch import TruthfulAsker, Watch, look
from provisioner.network import frames
from provisioner.network.overheard import Answered, Overheard
from provisioner.plan.mac import Mac
from tests.host_tools import router
from tests.host_tools.namespace import Namespace, far_namespace, ip
from tests.host_tools.veth_peer import ABSENT, FAR, FOUR, NEAR, SIX, send_from

GUEST = Mac("02:00:00:00:00:0a")
GUESTS = IPv4Address("10.0.0.5")
HIS = frames.arp_request(ABSENT, GUEST, IPv4Address("10.0.0.77"))


@pytest.fixture
def tap(far: Namespace) -> str:  # noqa: ARG001  (the uplink is its near end)
    """A macvtap on the uplink, as a guest has it."""
    ip(f"link add link near name tap0 address {GUEST} type macvtap mode private")
    ip("link set dev tap0 arp off up")
    return "tap0"


@contextmanager
def over_and_over(where: Namespace, frame: bytes) -> Iterator[None]:
    """Have a frame sent from the far end all the time."""
    stop = threading.Event()

    def send() -> None:
        while not stop.wait(0.05):
            send_from(where, frame)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def answering_for_others(where: Namespace) -> None:
    """Answer at the far end for a part of the subnet, as a router with proxy ARP does."""
    with where.entered():
        ip("link add other type veth peer name others", "link set other up")
        ip("route add 10.0.0.8/29 dev other")
        for name in ("ip_forward", "conf/far/proxy_arp"):
            Path("/proc/sys/net/ipv4", name).write_text("1")


@pytest.mark.usefixtures("far")
def test_a_wire_with_nobody_is_silent() -> None:
    assert look(Watch("near", (FOUR, SIX), (ABSENT,), frozenset({GUEST}))) == Overheard()


@pytest.mark.usefixtures("guest")
def test_who_has_an_address_answers_by_the_cable() -> None:
    heard = look(Watch("near", (FOUR,), (SIX, ABSENT)))
    assert set(heard.answers) == {Answered(a, FAR, outside=True) for a in (FOUR, SIX)}


@pytest.mark.parametrize("who", ["this host", "a guest"])
def test_who_answers_for_others_answers_one_who_has_an_address(
    guest: Namespace, tap: str, who: str
) -> None:
    """Linux does not answer for others when 0.0.0.0 asks."""
    answering_for_others(guest)
    asker = TruthfulAsker(tap, GUEST, GUESTS) if who == "a guest" else None
    if asker is None:
        assert look(Watch("near", lan=(ABSENT,))).answers == ()
        ip("addr add 10.0.0.1/24 dev near")
    heard = look(Watch("near", lan=(ABSENT,), macs=frozenset({GUEST}), asker=asker))
    assert heard.answers == (Answered(ABSENT, FAR, outside=True),)
    assert heard.strays == ()


@pytest.mark.usefixtures("tap")
def test_a_guests_mac_that_comes_in_by_the_cable_is_a_stray(far: Namespace) -> None:
    with over_and_over(far, HIS):
        assert look(Watch("near", macs=frozenset({GUEST}))).strays == ((GUEST, "ARP of 10.0.0.77"),)
        assert look(Watch("near", macs=frozenset({NEAR}))).strays == ()
        assert look(Watch("near", macs=frozenset({GUEST}), inside=True)).strays == ()


@pytest.mark.parametrize("hairpin", ["off", "on"])
def test_what_a_guest_has_sent_is_no_stray_though_it_comes_back(
    far: Namespace, hairpin: str
) -> None:
    with far.entered():
        ip("link add sw type bridge forward_delay 0 mcast_snooping 0", "link set sw up")
        ip("link set far master sw", f"link set far type bridge_slave hairpin {hairpin}")
    with far_namespace() as there:
        ip(f"link add link near name guest address {GUEST} type macvlan mode bridge")
        ip(f"link set dev guest netns {there.path}")
        with there.entered():
            ip("link set dev guest up", f"addr add {GUESTS}/24 dev guest")
            ping = subprocess.Popen(
                ["ping", "-n", "-q", "-b", "-i", "0.1", "10.0.0.9"], stdout=subprocess.DEVNULL
            )
        try:
            heard = look(Watch("near", (ABSENT,), (GUESTS,), frozenset({GUEST})))
            with over_and_over(far, HIS):  # the control
                theirs = look(Watch("near", (ABSENT,), (GUESTS,), frozenset({GUEST})))
        finally:
            ping.kill()
            ping.wait()
    assert heard.strays == ()
    assert (GUEST, "ARP of 10.0.0.77") in theirs.strays


@pytest.mark.usefixtures("far")
def test_what_guests_send_to_each_other_is_no_stray() -> None:
    """In mode bridge the kernel hands it over by way of the uplink's ingress."""
    with far_namespace() as there, far_namespace() as beside:
        for number, where in ((5, there), (6, beside)):
            mac = f"02:00:00:00:00:{number:02}"
            ip(f"link add link near name guest address {mac} type macvlan mode bridge")
            ip(f"link set dev guest netns {where.path}")
            with where.entered():
                ip("link set dev guest up", f"addr add 10.0.0.{number}/24 dev guest")
        with there.entered():
            words = ["ping", "-n", "-q", "-i", "0.05", "10.0.0.6"]
            ping = subprocess.Popen(words, stdout=subprocess.DEVNULL)
            forget = "while :; do ip neigh flush dev guest; sleep 0.1; done"
            asking = subprocess.Popen(["sh", "-c", forget])
        try:
            macs = frozenset({"02:00:00:00:00:05", "02:00:00:00:00:06"})
            assert look(Watch("near", (ABSENT,), macs=macs)).strays == ()
        finally:
            for program in (ping, asking):
                program.kill()
                program.wait()


def test_routers_are_asked_and_heard(far: Namespace) -> None:
    with over_and_over(far, router.advertisement()):
        (found,) = look(Watch("near")).routers
    assert (found.mac, found.is_default, found.prefixes) == (router.MAC, True, (router.PREFIX,))


@pytest.mark.usefixtures("far")
@pytest.mark.parametrize("ping", [True, False], ids=["slow", "fast"])
def test_a_guest_that_serves_dhcp_shows_itself(ping: bool) -> None:  # noqa: FBT001
    """By an offer; or, while it pings what it could offer, by what it refuses."""
    with far_namespace() as there:
        ip(f"link add link near name guest address {GUEST} type macvlan mode private")
        ip(f"link set dev guest netns {there.path}")
        with there.entered():
            ip("link set dev guest up", f"addr add {GUESTS}/24 dev guest", "link set lo up")
            argv = ["dnsmasq", "-k", "--conf-file=/dev/null", "--port=0", "--leasefile-ro"]
            argv += ["--dhcp-range=10.0.0.50,10.0.0.60", "--pid-file=", "--user="]
            argv += [] if ping else ["--no-ping"]
            served = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
        try:
            asked = Watch("near", servers="02:00:00:00:00:99", inside=True)
            while not (offers := look(asked).offers):
                assert served.poll() is None
            assert look(Watch("near", inside=True)).offers == ()
        finally:
            served.kill()
            served.wait()
    assert {(one.mac, one.server) for one in offers} == {(GUEST, GUESTS)}
    given = {one.address for one in offers if not one.address.is_unspecified}
    assert all(IPv4Address("10.0.0.50") <= address for address in given)
    assert given or ping


@pytest.mark.usefixtures("namespace")
def test_an_uplink_that_is_down_is_told() -> None:
    ip("link add near type veth peer name far")
    with pytest.raises(VmnetError, match="near is down"):
        look(Watch("near"))
