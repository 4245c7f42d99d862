"""What a switch's dnsmasq lets its guests hear from outside: no private address of a stranger's."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from provisioner.host.network import dnsmasq
from provisioner.host.system import paths
from provisioner.network import dnsmasq as texts
from provisioner.network.addressing import assign
from provisioner.network.resources import Dhcp
from provisioner.plan.load.loader import load
from tests.host_tools.namespace import ip

PLAN = """\
name: lab
networks:
  lan: {switch: {dhcp: true, nat: true, rebind_domains: [%s]}, subnet: 10.5.0.0/24}
vms: {web: {nics: [lan]}}
"""
UPSTREAM = "127.0.0.1", 5300
PUBLIC = "9.9.9.9", "2620:fe::fe"  # nobody is asked there
PRIVATE = (
    *("10.0.0.1", "172.16.0.1", "192.168.1.1", "127.0.0.1", "169.254.169.254", "0.0.0.0"),  # noqa: S104
    *("::1", "::", "fd00::1", "fe80::1", "::ffff:10.0.0.1"),
)

pytestmark = pytest.mark.usefixtures("namespace")


def name_of(question: bytes) -> str:
    labels, at = [], 12
    while size := question[at]:
        labels.append(question[at + 1 : at + 1 + size].decode())
        at += 1 + size
    return ".".join(labels)


def answer(question: bytes) -> bytes:
    """Return the answer to a question: each name N-ADDRESS.… has that address (RFC 1035, 4.1)."""
    text = name_of(question).partition(".")[0].partition("-")[2]
    address = ip_address(bytes.fromhex(text))
    kind = 1 if isinstance(address, IPv4Address) else 28
    found = struct.pack("!HHHIH", 0xC00C, kind, 1, 1, len(address.packed)) + address.packed
    asked = question[12 : question.index(b"\0", 12) + 5]
    is_asked = asked[-4:-2] == struct.pack("!H", kind)
    head = struct.pack("!6H", int.from_bytes(question[:2]), 0x8180, 1, int(is_asked), 0, 0)
    return head + asked + (found if is_asked else b"")


def serve(server: socket.socket) -> None:
    with suppress(OSError):  # it is shut down
        while heard := server.recvfrom(4096):
            if not heard[0]:
                return
            server.sendto(answer(heard[0]), heard[1])


@pytest.fixture
def upstream() -> Iterator[None]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(UPSTREAM)
        thread = threading.Thread(target=serve, args=[server])
        thread.start()
        yield
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b"", UPSTREAM)
        thread.join()


def resolved(address: str, domain: str) -> bool:
    """Ask the switch's DNS for a name in a domain that has this address: does the guest hear it?"""
    packed = ip_address(address).packed
    words = f"n-{packed.hex()}.{domain}".split(".")
    name = b"".join(bytes([len(w)]) + w.encode() for w in words) + b"\0"
    kind = 1 if len(packed) == 4 else 28
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(10)
        question = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + name + struct.pack("!2H", kind, 1)
        s.sendto(question, ("10.5.0.1", 53))
        return s.recv(4096).endswith(packed)


def served(domains: str) -> Dhcp:
    plan = load(PLAN % domains, "lab.yaml").plan
    home = str(paths.home("lab"))
    made = texts.served(plan, plan.network("lan"), "mvh0", assign(plan), home)
    host, port = UPSTREAM
    return replace(made, text=f"{made.text}no-resolv\nserver={host}#{port}\n")


@pytest.fixture
def place(upstream: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:  # noqa: ARG001  (it answers)
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        monkeypatch.setenv("VMNET_STATE_DIR", f"{name}/state")
        ip(
            "link add mvh0 type veth peer name low0",
            "link set mvh0 up",
            "link set low0 up",
            "addr add 10.5.0.1/24 dev mvh0",
        )
        yield Path(name)


def heard(domains: str, domain: str) -> list[str]:
    """List which addresses guests hear of names in a domain, under a plan's rebind_domains."""
    made = served(domains)
    dnsmasq.create(made)
    try:
        return [x for x in (*PRIVATE, *PUBLIC) if resolved(x, domain)]
    finally:
        dnsmasq.delete(made)


def test_a_strangers_name_has_no_private_address(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = [*PRIVATE, *PUBLIC]
    assert heard("", "evil.example") == [*PUBLIC]
    for domain in ("home.arpa", "lan", "fritz.internal"):
        assert heard("", domain) == every
    assert heard("home.example.org", "nas.home.example.org") == every
    assert heard("home.example.org", "evilhome.example.org") == [*PUBLIC]
    assert heard("any", "evil.example") == every
    own = place / "resolv.conf"
    own.write_text(
        "search lan\nsearch org office.example.org. bad/name.org\nnameserver 192.0.2.1\n"
    )
    monkeypatch.setattr(dnsmasq, "_RESOLV_CONF", own)
    assert heard("", "nas.office.example.org") == every
    assert heard("", "evil.org") == [*PUBLIC]
