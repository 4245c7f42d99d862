"""The experiment on this machine's own kernel: no cell differs, and nothing of it is ever seen."""

import select
import socket
import time
from pathlib import Path

import pytest

from provisioner.errors import VmnetError
from provisioner.host.lab import experiment, namespaces
from provisioner.host.netlink import link_codec
from provisioner.host.netlink.message import nested
from provisioner.reachability.experiment import Place, Verdict, labs
from tests.builders.addresses import interfaces
from tests.host_tools.namespace import Namespace

LINKS_AND_ADDRESSES = 0x1 | 0x10 | 0x100  # RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR


def test_this_kernel_does_what_is_documented() -> None:
    start = time.monotonic()
    measured = experiment.measure()
    verdict = Verdict(measured, time.monotonic() - start)
    assert (verdict.differing, len(verdict.cells)) == ((), 316)
    assert verdict.seconds < 10


def test_nothing_is_made_in_the_callers_namespace_not_even_for_a_moment(
    namespace: Namespace,  # noqa: ARG001  (the test is in it)
) -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as news:
        news.bind((0, LINKS_AND_ADDRESSES))
        experiment.measure()
        assert select.select([news], [], [], 0)[0] == []


def test_every_place_of_every_lab_is_what_it_is_meant_to_be() -> None:
    from provisioner.host.netlink import links

    with namespaces.namespaces(4) as four:
        places = dict(zip(Place, four, strict=True))
        experiment._build(labs(), places, (4, 6))
        look = [namespaces.inside(one, links.observe) for one in four]
        seen = [found for found, _ in namespaces.side_by_side(look)]
    _, _, a, b = ({x.name: x for x in found} for found in seen)
    made = {
        (lab.number, place): (link.mode, link.mac, link.sources, link.addresses)
        for lab in labs()
        for place, ends in ((Place.A, a), (Place.B, b))
        if (link := ends.get(f"end{lab.number}"))
    }
    assert made == {
        (lab.number, place): (
            lab.ends[place].mode,
            lab.mac(place),
            lab.sources(place),
            interfaces(
                *sorted(f"{x}/{n}" for x, n in zip(lab.addresses(place), (24, 64), strict=True))
            ),
        )
        for lab in labs()
        for place in (Place.A, Place.B)
        if place in lab.places
    }
    quiet = {link.name for link in a.values() if link.nopromisc}
    assert quiet == {f"end{lab.number}" for lab in labs() if "nopromisc" in lab.a}


def test_a_missing_driver_is_named() -> None:
    kind = ("IFLA_LINKINFO", nested(("IFLA_INFO_KIND", "vmnet-none")))
    unknown = link_codec.new(("IFLA_IFNAME", "x"), kind, create=True)
    with namespaces.namespaces(1) as (namespace,), pytest.raises(VmnetError) as raised:
        experiment._make("vmnet-none", namespace, [[unknown]])
    assert raised.value.fix == (
        "the kernel has no vmnet-none driver: load it with modprobe vmnet-none"
    )


def test_the_calling_thread_stays_in_its_namespace() -> None:
    before = Path("/proc/thread-self/ns/net").readlink()
    with namespaces.namespaces(2) as made:
        look = Path("/proc/thread-self/ns/net").readlink
        inside = namespaces.side_by_side([namespaces.inside(one, look) for one in made])
    assert (Path("/proc/thread-self/ns/net").readlink(), len({before, *inside})) == (before, 3)
