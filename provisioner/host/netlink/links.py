"""The kernel's links: reading all of them, taking ours away."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from provisioner import naming
from provisioner.host.netlink import ipv6, link_codec
from provisioner.host.netlink.address_codec import is_learned
from provisioner.host.netlink.rtnetlink import ask, drop, dump, index_of, iproute
from provisioner.network.facts import Link, Route

_PERMANENT = 0x80  # IFA_F_PERMANENT (linux/if_addr.h)


def observe() -> tuple[tuple[Link, ...], tuple[Route, ...]]:
    """Read every link and the main table's routes of this network namespace."""
    found = every()
    ours = {x.index for x in found if naming.are_ours(x.name, x.kind)}
    learned: set[int] = set()  # devices of ours with what a router has advertised
    with iproute() as ipr:
        addresses: dict[int, list[str]] = {}
        for a in ipr.get_addr():
            text = a.get_attr("IFA_LOCAL") or a.get_attr("IFA_ADDRESS")
            # What a router advertisement gave one of our own devices before it ignored them.
            if a["index"] in ours and not a["flags"] & _PERMANENT:
                learned.add(a["index"])
                continue
            if text and not text.startswith("fe80:"):
                addresses.setdefault(a["index"], []).append(f"{text}/{a['prefixlen']}")
        routes = tuple(
            _routes(
                ipr.get_routes(table=254),
                {x.index: x.name for x in found},
                {n.get_attr("NDA_DST"): n.get_attr("NDA_LLADDR") for n in ipr.get_neighbours()},
                {index: tuple(addresses.get(index, ())) for index in ours},
            )
        )
    learned |= {x.index for x in found if any(r.learned and r.device == x.name for r in routes)}
    links = tuple(
        replace(
            x,
            addresses=tuple(sorted(addresses.get(x.index, ()))),
            wireless=_is_wireless(x),
            learns=x.learns or x.index in learned,
        )
        for x in found
    )
    return _what_can_be_mended(links, ours), routes


def _what_can_be_mended(links: tuple[Link, ...], ours: Container[int]) -> tuple[Link, ...]:
    """Pass over the host's IPv6 on our devices where nobody can switch it off: it is no drift."""
    if ipv6.can_be_set():
        return links
    return tuple(replace(x, ipv6=False, learns=False) if x.index in ours else x for x in links)


def _is_wireless(link: Link) -> bool:
    """Tell whether a device is a Wi-Fi card; where /sys shows another namespace, none is."""
    place = Path("/sys/class/net", link.name)
    try:
        seen = int((place / "ifindex").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return False
    return seen == link.index and (place / "phy80211").exists()


def every() -> tuple[Link, ...]:
    """Read every link of this network namespace, without its addresses."""
    return tuple(map(link_codec.link, dump(link_codec.get_all())))


def at(*indexes: int) -> tuple[Link, ...]:
    """Read the links that have these ifindexes, without their addresses; some may be gone."""
    bodies = ask([link_codec.get(index) for index in indexes])
    return tuple(link_codec.link(body) for body in bodies if body)


def sent(name: str) -> int:
    """Count the frames that a macvtap's guest has sent since the device was made."""
    index = index_of(name)
    bodies = ask([link_codec.get(index, counted=True)]) if index else []
    # What a guest sends leaves by the macvtap: the kernel counts it as sent.
    return link_codec.counters(bodies[0])[1] if bodies and bodies[0] else 0


def delete(name: str) -> None:
    """Delete one link; one that is gone already is fine."""
    if index := index_of(name):
        drop(f'deleting "{name}"', index=index)


def delete_group(group: int, ours: Callable[[Link], bool]) -> None:
    """Delete every link of a group in one call, after proving that all of them are ours.

    A delete by group takes whatever is in it; when a member is not ours, the rest is deleted one
    by one. Raises VmnetError when the kernel refuses.
    """
    members = [x for x in observe()[0] if x.group == group]
    if not members:
        return
    if not all(ours(x) for x in members):
        for link in members:
            if ours(link):
                delete(link.name)
        return
    drop(f"deleting the links of group {group:#x}", group=group)


def _routes(
    raw: Iterable[Any],
    names: dict[int, str],
    macs: dict[Any, Any],
    ours: Mapping[int, Iterable[str]],
) -> Iterator[Route]:
    """Read routes; `ours` are the addresses of vmnet's own devices, by ifindex."""
    for r in raw:
        to = r.get_attr("RTA_DST")
        network = f"{to}/{r['dst_len']}" if to else "default"
        # A route may have several ways out, each a next hop with a device of its own.
        ways = [(hop["oif"], hop) for hop in r.get_attr("RTA_MULTIPATH") or ()]
        for index, hop in ways or [(r.get_attr("RTA_OIF") or 0, r)]:
            router = macs.get(hop.get_attr("RTA_GATEWAY")) or ""
            learned = index in ours and is_learned(
                f"{to or '::'}/{r['dst_len']}", r["proto"], ours[index]
            )
            yield Route(network, names.get(index, ""), router, learned)
