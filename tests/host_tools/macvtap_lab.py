"""Macvtaps on a card behind a switch, with light ends in place of guests, in a namespace."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address

from provisioner.host.netlink import links
from tests.host_tools.namespace import fresh_namespace, ip
from tests.host_tools.tap_peer import TapEnd, playing


def end(number: int, **more: object) -> TapEnd:
    mac, address = f"02:00:00:00:01:{number:02x}", IPv4Address(f"10.0.0.{number}")
    return TapEnd(f"tap{number}", mac, address, **more)  # type: ignore[arg-type]


@contextmanager
def lab(ends: Sequence[TapEnd], *modes: str, hairpin: bool = False) -> Iterator[None]:
    """Put macvtaps on a card whose switch may reflect, and let their ends answer."""
    with fresh_namespace():
        ip("link add nic0 type veth peer name far")
        ip("link add sw type bridge forward_delay 0 mcast_snooping 0")
        ip("link set far master sw")
        ip(f"link set far type bridge_slave hairpin {'on' if hairpin else 'off'}")
        for device in ("sw", "far", "nic0"):
            ip(f"link set {device} addrgenmode none")
            ip(f"link set {device} up")
        for one, mode in zip(ends, modes * len(ends), strict=False):
            ip(f"link add {one.link} link nic0 address {one.mac} type macvtap mode {mode}")
            ip(f"link set {one.link} addrgenmode none")
            ip(f"link set {one.link} arp off allmulticast on up")
        with playing(ends, {x.name: x.index for x in links.every()}):
            yield
