"""The kernel's links: reading all of them, taking ours away."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from provisioner.core.facts import Link, Route
from provisioner.host.netlink import (
    ADDR_GEN_NONE,
    ALLMULTI,
    NOARP,
    UP,
    drop,
    index_of,
    iproute,
)

_ETHER = 1  # ARPHRD_ETHER


def observe() -> tuple[tuple[Link, ...], tuple[Route, ...]]:
    """Read every link and the main table's routes of this network namespace."""
    with iproute() as ipr:
        raw = list(ipr.get_links())
        addresses: dict[int, list[str]] = {}
        for a in ipr.get_addr():
            text = a.get_attr("IFA_LOCAL") or a.get_attr("IFA_ADDRESS")
            if text and not text.startswith("fe80:"):
                addresses.setdefault(a["index"], []).append(f"{text}/{a['prefixlen']}")
        names = {link["index"]: link.get_attr("IFLA_IFNAME") for link in raw}
        routes = tuple(_routes(ipr.get_routes(table=254), names))
    links = tuple(_link(x, tuple(sorted(addresses.get(x["index"], ())))) for x in raw)
    return links, routes


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


def _link(raw: Any, addresses: tuple[str, ...]) -> Link:
    info: Any = raw.get_attr("IFLA_LINKINFO")
    kind = (info.get_attr("IFLA_INFO_KIND") if info else "") or ""
    data: Any = info.get_attr("IFLA_INFO_DATA") if info else None
    mode = data.get_attr(f"IFLA_{kind.upper()}_MODE") if kind in {"macvtap", "macvlan"} else ""
    names = raw.get_attr("IFLA_PROP_LIST")
    flags = raw["flags"]
    return Link(
        name=raw.get_attr("IFLA_IFNAME"),
        index=raw["index"],
        kind=kind,
        mac=raw.get_attr("IFLA_ADDRESS") or "",
        mtu=raw.get_attr("IFLA_MTU") or 0,
        ethernet=raw["ifi_type"] == _ETHER,
        up=bool(flags & UP),
        carrier=bool(raw.get_attr("IFLA_CARRIER")),
        group=raw.get_attr("IFLA_GROUP") or 0,
        lower=raw.get_attr("IFLA_LINK") or 0,
        master=raw.get_attr("IFLA_MASTER") or 0,
        alias=raw.get_attr("IFLA_IFALIAS") or "",
        altname=(names.get_attr("IFLA_ALT_IFNAME") if names else "") or "",
        mode=mode or "",
        quiet=flags & (NOARP | ALLMULTI) == NOARP | ALLMULTI
        and _addr_gen(raw) in {None, ADDR_GEN_NONE},
        addresses=addresses,
    )


def _addr_gen(raw: Any) -> int | None:
    spec: Any = raw.get_attr("IFLA_AF_SPEC")
    six = spec.get_attr("AF_INET6") if spec else None
    mode = six.get_attr("IFLA_INET6_ADDR_GEN_MODE") if six else None
    return mode if isinstance(mode, int) else None


def _routes(raw: Iterable[Any], names: dict[int, str]) -> Iterator[Route]:
    for r in raw:
        device = names.get(r.get_attr("RTA_OIF") or 0, "")
        to = r.get_attr("RTA_DST")
        yield Route(f"{to}/{r['dst_len']}" if to else "default", device)
